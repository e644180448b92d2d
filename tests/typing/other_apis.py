"""Typical code with the blocking API, offline book, settings, errors and tools, and its types.

Checked by mypy and pyright, never run.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import depthcache
from depthcache import (
    Audit,
    Book,
    BookArrays,
    BookNotSynced,
    Columns,
    Depth,
    DepthCacheError,
    Endpoints,
    Fill,
    GroupedBook,
    Imbalance,
    Integers,
    InvalidArgument,
    Levels,
    MissingBook,
    Outcome,
    Policy,
    Settings,
    SizeToMove,
    SnapshotOutcome,
    Stats,
    Status,
    blocking,
    doctor,
    recording,
    simulator,
    wire,
)


def threads() -> None:
    with blocking.connect("binance.com", ["BTCUSDT"]) as books:
        assert_type(books, blocking.Books)
        assert_type(books.wait_synced(30), list[blocking.LiveBook])
        book = books["BTCUSDT"]
        assert_type(book, blocking.LiveBook)
        assert_type(book.read(5, on_stale="wait", max_age=1, timeout=None), depthcache.FrozenBook)
        assert_type(book.best_bid.price + book.best_ask.price, float)
        assert_type(book.mid - book.microprice, float)
        assert_type(books.wait_any_synced(books=[book]), list[blocking.LiveBook])
        assert_type(books.on_update(print, "status"), depthcache.CallbackHandle)
        for update in book.updates("levels", 5):
            assert_type(update, depthcache.Update)
        with books.updates() as stream:
            assert_type(stream.take(timeout=1.0), depthcache.Update | None)
        assert_type(book.wait_synced(), None)
        assert_type(book.audit(), Audit)
        assert_type(books.add("ETHUSDT"), blocking.LiveBook)
        assert_type(books.stats(), Stats)
        assert_type(books.prometheus(), str)
        assert_type(books.close(), None)


def without_network(body: bytes, frame: bytes) -> None:
    book = Book("binance.com", "BTCUSDT")
    assert_type(book, Book)
    assert_type(book.load_snapshot(body, limit=1000), SnapshotOutcome)
    outcome = book.apply(frame)
    assert_type(outcome, Outcome)
    if outcome is depthcache.GAP:
        assert_type(book.status, Status)


def columns(book: Book) -> None:
    assert_type(book.bids.to_numpy(20), NDArray[np.float64])
    exact = book.asks.to_integers()
    assert_type(exact, Integers)
    assert_type(exact.levels, NDArray[np.int64])
    assert_type(exact.price_decimals, int)
    assert_type(book.bids.to_numpy(20, low=1.0, high=Decimal(2)), NDArray[np.float64])
    assert_type(book.to_numpy(20), BookArrays)
    assert_type(book.to_integers().bids, Integers)
    assert_type(book.to_arrow(20, exact=True), Columns)
    assert_type(Columns([book], 20, missing="skip").missing, tuple[MissingBook, ...])
    with blocking.connect("binance.com", ["BTCUSDT"]) as books:
        assert_type(books.to_arrow(20, missing="skip"), Columns)
        assert_type(books.to_numpy(20)["price"], NDArray[np.generic])


def analytics(book: Book) -> None:
    assert_type(book.mid, float)
    assert_type(book.microprice, float)
    assert_type(book.spread, float)
    assert_type(book.exact.spread_bps, Decimal)
    assert_type(book.no_older_than(1), Book)
    assert_type(book.imbalance(5), Imbalance)
    assert_type(book.imbalance(bps=Decimal("0.5")), Imbalance)
    assert_type(book.depth_within(10).bids, Depth)
    assert_type(book.fill("buy", quote=1_000), Fill)
    assert_type(book.size_to_move("sell", 10), SizeToMove)
    assert_type(book.grouped("0.5", 10), GroupedBook)
    assert_type(book.bids.up_to_value(1_000), Levels)
    assert_type(book.bids[:5].reason, str)


def settings() -> None:
    chosen = Settings(
        endpoints={"binance.com": Endpoints(rest="http://127.0.0.1:1", websocket="ws://127.0.0.1:1")},
        policy=Policy(limit_share=0.25),
        transport="aiohttp",
        record_to="data",
    )
    assert_type(chosen.policy.limit_share, float)
    assert_type(Settings.from_environment(record_to="data"), Settings)
    assert_type(Settings.from_toml("settings.toml"), Settings)
    depthcache.connect("binance.com", ["BTCUSDT"], settings=chosen)


def errors(book: Book) -> None:
    try:
        book.bids[0]
    except BookNotSynced as error:
        assert_type(error.exchange, str)
        assert_type(error.status, str)
        assert_type(error.since_ns, int)
    except InvalidArgument as error:
        assert_type(error.name, str)
    except DepthCacheError as error:
        assert_type(error.args, tuple[Any, ...])


async def tools() -> None:
    assert_type(await doctor.examine("binance.com"), doctor.Report)
    async for finding in doctor.findings("binance.com", "BTCUSDT"):
        assert_type(finding.severity, doctor.Severity)
    report = recording.verify(["day.jsonl.zst"])
    assert_type(report, recording.Report)
    assert_type(report.right, bool)
    with simulator.serve(seed=1) as server:
        assert_type(server, simulator.Server)
        assert_type(server.settings, Settings)
        assert_type(simulator.differences(Book("binance.com"), server.truth("binance.com", "BTCUSDT")), int)
        trouble(server)


def virtual_clock() -> None:
    exchange = simulator.SimulatedExchange({"binance.com": ["BTCUSDT"]}, faults=simulator.Faults(drop=0.01))
    pair = simulator.Pair(exchange)
    assert_type(pair.add("binance.com", "BTCUSDT"), depthcache.BookReader)
    assert_type(pair.run_until_synced(within_s=60), bool)
    assert_type(pair.differences(), int)
    trouble(pair)

    async def strategy() -> int:
        async with pair.connect("binance.com", ["BTCUSDT"], on_stale="wait") as books:
            assert_type(books, depthcache.Books)
            await books.wait_synced()
        assert_type(pair.connect({"binance.com": ["BTCUSDT"]}), depthcache.Books)
        return 1

    assert_type(pair.run(strategy(), within_s=60), int)


def trouble(exchange: simulator.ExchangeControls) -> None:
    assert_type(exchange.cut(), None)
    assert_type(exchange.halt("BTCUSDT"), None)
    exchange.resume("BTCUSDT", exchange="binance.com")
    exchange.next_diffs("BTCUSDT", "drop", count=3)
    exchange.empty_side("BTCUSDT", "bids", seconds=5)
    exchange.ban(30.0, exchange="binance.com")
    exchange.next_diffs("BTCUSDT", "explode")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    exchange.ban(30, "binance.com")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    exchange.halt()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def messages(book: depthcache.LiveBook) -> None:
    found = wire.decode(wire.encode(book))
    if isinstance(found, depthcache.Update):
        assert_type(found.skipped, int)
    elif isinstance(found, depthcache.FrozenBook):
        assert_type(found, depthcache.FrozenBook)
    elif isinstance(found, wire.BookBest):
        assert_type(found.best, depthcache.Best[Decimal] | None)
    else:
        assert_type(found, wire.BookStatus)
