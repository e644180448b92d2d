"""Typical code with the asyncio API and its types. Checked by mypy and pyright, never run."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

from matplotlib.axes import Axes

import depthcache
from depthcache import (
    Audit,
    Best,
    BookReader,
    Books,
    BookStats,
    BudgetStats,
    CallbackHandle,
    Changes,
    CompleteTo,
    ConnectionStats,
    Coverage,
    FollowMode,
    FrozenBook,
    Lag,
    Level,
    Levels,
    LiveBook,
    Side,
    Stats,
    Status,
    Update,
    Updates,
)
from depthcache.client.metrics import Collector
from depthcache.recording import RecordingFile


async def one_exchange() -> None:
    async with depthcache.connect(
        "binance.com", ["BTCUSDT"], depth=500, on_stale="serve", max_age=5
    ) as books:
        assert_type(books, Books)
        assert_type(await books.wait_synced(30), list[LiveBook])
        assert_type(books.get("BTCUSDT"), LiveBook | None)
        for symbol, book in books.items():
            assert_type(book, LiveBook)
            print(symbol.lower())
        book = books["BTCUSDT"]
        assert_type(book, LiveBook)
        assert_type(await book.wait_synced(), None)
        assert_type(await book.audit(1000, seconds=60), Audit)
        assert_type(books.recording, RecordingFile | None)


async def several_exchanges() -> None:
    wanted = {"binance.com": ["BTCUSDT"], "binance.com-futures": ("BTCUSDT",)}
    async with depthcache.connect(wanted) as books:
        assert_type(books["binance.com", "BTCUSDT"], LiveBook)
        assert_type(list(books), list[LiveBook])
        assert_type(len(books), int)
        assert_type("BTCUSDT" in books, bool)
        assert_type(books.add("ETHUSDT", "binance.com"), LiveBook)
        assert_type(books.remove("ETHUSDT"), None)
        assert_type(await books.aclose(), None)


async def stats(books: Books) -> None:
    found = books.stats()
    assert_type(found, Stats)
    assert_type(found.books, tuple[BookStats, ...])
    assert_type(found.connections, tuple[ConnectionStats, ...])
    assert_type(found.budgets, tuple[BudgetStats, ...])
    assert_type(found.books[0].age_s, float | None)
    assert_type(found.books[0].counters["gaps"], int)
    assert_type(books.prometheus(), str)
    assert_type(books.collector(), Collector)
    assert_type(found.to_json(), bytes)


def reads(book: LiveBook) -> None:
    best = book.best
    assert_type(best, Best)
    assert_type(best.bid, Level | None)
    bid, ask, update_id = best
    assert_type(bid, Level | None)
    assert_type(ask, Level | None)
    assert_type(update_id, int)
    if bid is not None:
        assert_type(bid.price, float)
        price, quantity = bid
        assert_type(price, float)
        assert_type(quantity, float)
    assert_type(book.bids, Side)
    assert_type(book.bids[0], Level)
    assert_type(book.bids[:5], Levels)
    assert_type(len(book.asks), int)
    assert_type(book.complete_to, CompleteTo)
    assert_type(book.coverage, Coverage)
    assert_type(book.coverage.bids, int)
    assert_type(book.lag, Lag | None)
    assert_type(book.age, float | None)
    assert_type(book.updated_ns, int | None)
    assert_type(book.updated_at, datetime | None)
    assert_type(book.confirmed_at, datetime | None)
    assert_type(book.reconnected_at, datetime | None)
    assert_type(book.event_time, datetime | None)
    assert_type(book.last_update_id, int | None)
    assert_type(book.reason, str)
    assert_type(book.counters, dict[str, int])
    assert_type(book.mid * 1.001, float)
    assert_type(book.spread_bps, float)
    assert_type(book.exact.mid, Decimal)
    assert_type(book.best_bid, Level)
    assert_type(book.best_ask.price, float)
    assert_type(book.exact.best_ask, Level[Decimal])
    assert_type(book.no_older_than(0.5), BookReader)
    assert_type(book.no_older_than(0.5).exact.best_bid.price, Decimal)
    assert_type(book.freeze(5, max_age=1).no_older_than(1), FrozenBook)
    assert_type(book.depth_within(10).bids.quote, float)
    assert_type(book.fill("buy", base=1.0).average, float | None)
    for level in book.asks:
        assert_type(level, Level)
    if book.status is not Status.SYNCED:
        return
    assert_type(book.save_flight_dump(Path("now.jsonl.zst"), reason="odd fills"), None)


def frozen(book: LiveBook) -> None:
    constant = book.freeze(20)
    assert_type(constant.exact.to_json(counters=True), bytes)
    assert_type(depthcache.wire.encode(constant), bytes)
    assert_type(book.best.to_dict()["update_id"], Any)
    assert_type(constant, FrozenBook)
    assert_type(constant.complete, bool)
    assert_type(constant.exact, FrozenBook[Decimal])
    assert_type(constant.bids[:3], Levels)
    assert_type(constant.plot(bps=10), Axes)
    assert_type(book.exact, BookReader[Decimal])
    assert_type(book.exact.best, Best[Decimal])
    assert_type(book.exact.complete_to.bids, Decimal | None)
    assert_type(constant.exact.bids[:3], Levels[Decimal])


async def following(books: Books) -> None:
    book = books["BTCUSDT"]
    assert_type(book.updates("best", 5), Updates)
    async for update in book.updates(FollowMode.INTERVAL, interval_ms=100, on_stale="wait", buffer=10):
        assert_type(update, Update)
        assert_type(update.skipped, int)
        assert_type(update.is_fresh, bool)
        assert_type(update.changes, Changes | None)
        assert_type(update.exact, Update[Decimal])
        assert_type(update.updated_at, datetime | None)
        any_book(update)
    async with books.updates("every", None) as stream:
        assert_type(await anext(stream), Update)
        assert_type(stream.held_bytes, int)
    assert_type(book.on_update(print, "latest", levels=1), CallbackHandle)
    assert_type(await book.read(20, on_stale="wait", max_age=0.5, timeout=1), FrozenBook)
    found = await books.wait_synced(books=["BTCUSDT", ("binance.com", "ETHUSDT"), book], missing="skip")
    assert_type(found, list[LiveBook])
    assert_type(await books.wait_any_synced(), list[LiveBook])


def any_book(book: BookReader) -> float | None:
    """A function of one's own that takes live, frozen and replayed books alike."""
    best = book.best
    return None if best.bid is None or best.ask is None else best.ask.price - best.bid.price


def exact_spread(book: BookReader[Decimal]) -> Decimal | None:
    """One that wants exact numbers."""
    bid, ask, _ = book.best
    return None if bid is None or ask is None else ask.price - bid.price


def either(book: BookReader[float | Decimal]) -> int:
    """One that does not care for the numbers."""
    return book.coverage.bids


def all_kinds(live: LiveBook, blocking: depthcache.blocking.LiveBook) -> None:
    any_book(live)
    any_book(blocking)
    any_book(live.freeze())
    exact_spread(live.exact)
    either(live)
    either(live.exact)
    any_book(depthcache.Book("binance.com"))
