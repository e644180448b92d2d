"""The asyncio API on an exchange moved by hand: finding books, waiting, adding, removing, closing."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import depthcache
from depthcache import (
    BookClosed,
    BookNotSynced,
    BookTooOld,
    InvalidArgument,
    Status,
    SyncTimeout,
    UnknownExchange,
    UnknownSymbol,
    UsageError,
)
from tests.support.by_hand import ByHand

DEADLINE_S = 20.0


SETTINGS = depthcache.Settings()


def connect(*arguments: Any, **options: Any) -> depthcache.Books:
    return depthcache.connect(*arguments, settings=SETTINGS, **options)


# --- the way of a book ----------------------------------------------------------------------


async def test_a_book_is_synced_read_moved_and_closed(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"], depth=100) as books:
        book = books["BTCUSDT"]
        assert (book.exchange, book.symbol, book.status) == ("binance.com", "BTCUSDT", Status.EMPTY)
        with pytest.raises(BookNotSynced):
            book.best  # noqa: B018
        await book.wait_synced(timeout=DEADLINE_S)
        assert book.best == ((1.1, 5.0), (1.2, 7.0), 10)
        assert book.unconfirmed
        assert book.age is not None
        assert 0 <= book.age < DEADLINE_S
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["1.15", "2.0"]], asks=[["1.20", "0"]])
        bid, ask, update_id = book.best
        assert (bid, ask, update_id) == ((1.15, 2.0), (1.3, 8.0), 12)
        assert book.bids[:2] == [(1.15, 2.0), (1.1, 5.0)]
        assert book.age is not None
        assert 0 <= book.age < DEADLINE_S
    assert book.status is Status.CLOSED
    assert exchange[0].closed
    with pytest.raises(BookClosed):
        book.best  # noqa: B018


async def test_two_separate_reads_are_two_moments_and_one_read_is_one(exchange: list[ByHand]) -> None:
    """The promise that the documentation makes, and the one it does not."""
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=DEADLINE_S)
        before, frozen = book.best, book.freeze(1)
        bid = book.bids[0]
        exchange[0].diff(
            "BTCUSDT", 11, 11, bids=[["1.25", "1"]], asks=[["1.20", "0"]]
        )  # between two reads the market moved up, through the old ask
        ask = book.asks[0]
        pair_that_never_was = (bid.price, ask.price)
        assert pair_that_never_was == (1.1, 1.3)
        assert pair_that_never_was not in {(1.1, 1.2), (1.25, 1.3)}
        assert (before.bid, before.ask, before.update_id) == ((1.1, 5.0), (1.2, 7.0), 10)
        assert (frozen.bids[0], frozen.asks[0], frozen.last_update_id) == ((1.1, 5.0), (1.2, 7.0), 10)
        assert book.best == ((1.25, 1.0), (1.3, 8.0), 11)


async def test_a_gap_makes_the_book_unreadable_until_it_has_healed_itself(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=DEADLINE_S)
        exchange[0].books["BTCUSDT"] = {"lastUpdateId": 20, "bids": [["1.01", "1"]], "asks": [["1.02", "1"]]}
        exchange[0].diff("BTCUSDT", 15, 16, bids=[["1.15", "2"]])
        with pytest.raises(BookNotSynced) as caught:
            book.best  # noqa: B018
        assert caught.value.status == "buffering"
        assert "gap" in caught.value.reason
        assert caught.value.since_ns > 0
        await book.wait_synced(timeout=DEADLINE_S)
        assert book.best.update_id == 20
        assert book.counters["gaps"] == 1


async def test_served_stale_books_are_read_and_marked(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"], on_stale="serve") as books:
        book = books["BTCUSDT"]
        with pytest.raises(BookNotSynced):  # there is nothing to serve yet
            book.best  # noqa: B018
        await book.wait_synced(timeout=DEADLINE_S)
        exchange[0].cut()
        assert book.status is Status.DISCONNECTED
        assert book.best.update_id == 10
        assert book.freeze(1).status is Status.DISCONNECTED


@pytest.mark.slow
async def test_a_cut_connection_is_made_again_and_the_book_returns(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=DEADLINE_S)
        exchange[0].cut(1001, "going away")
        assert book.status is Status.DISCONNECTED
        assert "going away" in book.reason
        await book.wait_synced(timeout=DEADLINE_S)
        assert len(exchange[0].asked) == 2


# --- finding books --------------------------------------------------------------------------


async def test_symbols_are_found_in_any_case_and_given_once(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["btcusdt", "BTCUSDT", "EthUsdt", "ethusdt"]) as books:
        assert [book.symbol for book in books] == ["BTCUSDT", "ETHUSDT"]
        assert len(books) == 2
        assert books["btcUSDT"] is books["BTCUSDT"] is books["binance.com", "BtcUsdt"]
        assert "ethusdt" in books
        assert ("binance.com", "ethusdt") in books
        assert books["ETHUSDT"] in books
        for absent in ("BNBUSDT", "", "?", ("binance.us", "ETHUSDT"), ("nowhere", "ETHUSDT"), None, 5, ()):
            assert absent not in books


async def test_several_exchanges_in_one_client(exchange: list[ByHand]) -> None:
    wanted = {
        "binance.com": ["BTCUSDT", "BNBUSDT"],
        "binance.com-futures": ["BTCUSDT"],
        "binance.tr": ["X_Y"],
    }
    async with connect(wanted) as books:
        assert [(book.exchange, book.symbol) for book in books] == [
            ("binance.com", "BTCUSDT"),
            ("binance.com", "BNBUSDT"),
            ("binance.com-futures", "BTCUSDT"),
            ("trbinance.com", "XY"),
        ]
        assert books["binance.com-futures", "btcusdt"].exchange == "binance.com-futures"
        assert books["bnbusdt"].exchange == "binance.com"
        assert books["x_y"] is books["binance.tr", "XY"] is books["trbinance.com", "x_Y"]
        with pytest.raises(UnknownSymbol) as caught:
            books["BTCUSDT"]
        assert "books['binance.com', 'BTCUSDT'] or books['binance.com-futures', 'BTCUSDT']" in str(
            caught.value
        )
        assert "BTCUSDT" in books


async def test_a_symbol_that_is_not_held_is_a_lookup_error_with_near_ones(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
        with pytest.raises(UnknownSymbol, match="did you mean 'BTCUSDT'") as caught:
            books["btcusd"]
        assert isinstance(caught.value, LookupError)
        with pytest.raises(UnknownSymbol):
            books["binance.us", "BTCUSDT"]
        with pytest.raises(UnknownExchange, match=r"did you mean 'binance\.com'"):
            books["binance.con", "BTCUSDT"]


@pytest.mark.parametrize("key", [None, 1, b"BTCUSDT", ("binance.com",), ("a", "b", "c"), ["BTCUSDT"]])
async def test_what_is_no_key_is_refused(exchange: list[ByHand], key: object) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        with pytest.raises(InvalidArgument, match="a symbol, or an exchange and a symbol"):
            books[key]  # type: ignore[index]


# --- adding and removing --------------------------------------------------------------------


@pytest.mark.slow
async def test_books_are_added_and_removed_while_others_go_on(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        added = books.add("bnbusdt")
        assert added is books["BNBUSDT"] is books.add("BNBUSDT", exchange="binance.com")
        removed = books["ETHUSDT"]
        books.remove("ethusdt")
        assert removed.status is Status.CLOSED
        assert "removed" in removed.reason
        with pytest.raises(BookClosed, match="removed"):
            removed.bids[:1]
        with pytest.raises(BookClosed):
            await removed.wait_synced(timeout=DEADLINE_S)
        assert "ETHUSDT" not in books
        with pytest.raises(UnknownSymbol):
            books.remove("ETHUSDT")
        await books.wait_synced(timeout=DEADLINE_S)
        assert [book.symbol for book in books] == ["BTCUSDT", "BNBUSDT"]
        again = books.add("ETHUSDT")
        assert again is not removed
        await again.wait_synced(timeout=DEADLINE_S)
        assert removed.status is Status.CLOSED


async def test_an_empty_client_takes_books_later(exchange: list[ByHand]) -> None:
    async with connect("binance.com", []) as books:
        assert (len(books), list(books)) == (0, [])
        await books.wait_synced(timeout=0)
        assert exchange[0].urls == {}
        await books.add("BTCUSDT").wait_synced(timeout=DEADLINE_S)
        futures = books.add("BTCUSDT", "binance.com-futures")
        assert futures.exchange == "binance.com-futures"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("BTC USDT",), InvalidArgument),
        (("",), InvalidArgument),
        ((None,), InvalidArgument),
        (("BTCUSDT", "binance.con"), UnknownExchange),
        (("BTCUSDT", 5), UnknownExchange),
        ((["BTCUSDT"],), InvalidArgument),
    ],
)
async def test_wrong_additions_are_refused_and_change_nothing(
    exchange: list[ByHand], arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        with pytest.raises(error):
            books.add(*arguments)
        assert len(books) == 1
        await books.wait_synced(timeout=DEADLINE_S)


async def test_with_several_exchanges_an_addition_names_one(exchange: list[ByHand]) -> None:
    async with connect({"binance.com": [], "binance.us": []}) as books:
        with pytest.raises(InvalidArgument, match=r"'binance\.com' or 'binance\.us'"):
            books.add("BTCUSDT")
        assert books.add("BTCUSDT", "binance.us").exchange == "binance.us"
        books.add("BTCUSDT", "binance.com")
        with pytest.raises(UnknownSymbol, match=r"^ambiguous symbol .* several exchanges"):
            books.remove("BTCUSDT")
        books.remove("BTCUSDT", "binance.us")
        assert [book.exchange for book in books] == ["binance.com"]


async def test_the_depth_asked_for_holds_on_every_exchange_that_is_added(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"], depth=5_000) as books:
        with pytest.raises(InvalidArgument, match=r"1 to 1,000 levels on binance\.com-futures"):
            books.add("BTCUSDT", "binance.com-futures")


async def test_a_symbol_that_the_exchange_does_not_know_ends_alone(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        exchange[0].unknown.add("NOUSDT")
        book = books.add("NOUSDT")
        with pytest.raises(UnknownSymbol, match="Invalid symbol") as caught:
            await book.wait_synced(timeout=DEADLINE_S)
        assert (caught.value.symbol, caught.value.exchange) == ("NOUSDT", "binance.com")
        with pytest.raises(UnknownSymbol):
            await books.wait_synced(timeout=DEADLINE_S)
        assert book.status is Status.CLOSED
        with pytest.raises(BookClosed, match="Invalid symbol"):
            book.best  # noqa: B018
        await books["BTCUSDT"].wait_synced(timeout=DEADLINE_S)
        exchange[0].unknown.clear()  # it is listed: asking again is a new try
        again = books.add("NOUSDT")
        await again.wait_synced(timeout=DEADLINE_S)
        await books.wait_synced(timeout=DEADLINE_S)
        assert again is not book


# --- waiting --------------------------------------------------------------------------------


async def test_waiting_is_over_at_once_where_the_book_is_synced(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        await books["BTCUSDT"].wait_synced(timeout=0)
        await books.wait_synced(timeout=0)
        await books.wait_synced(timeout=None)


async def test_waiting_too_long_says_what_the_book_is_instead(exchange: list[ByHand]) -> None:
    async with connect("binance.com", []) as books:
        exchange[0].default = None
        late = books.add("BTCUSDT")
        books.add("ETHUSDT")
        with pytest.raises(SyncTimeout) as caught:
            await late.wait_synced(timeout=0.01)
        error = caught.value
        assert isinstance(error, TimeoutError)
        assert (error.symbol, error.exchange, error.timeout_s) == ("BTCUSDT", "binance.com", 0.01)
        assert error.status == late.status.value
        with pytest.raises(
            SyncTimeout, match=r"2 of 2 books are not synced after 0\.01 s: BTCUSDT on"
        ) as both:
            await books.wait_synced(0.01)
        assert [each[:2] for each in both.value.books] == [
            ("binance.com", "BTCUSDT"),
            ("binance.com", "ETHUSDT"),
        ]
        assert both.value.asked == 2
        assert len(books._client._waiting) == 0


@pytest.mark.parametrize("seconds", [-1, float("nan"), "30", True])
async def test_a_timeout_that_is_none_is_refused(exchange: list[ByHand], seconds: object) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        with pytest.raises(InvalidArgument, match="timeout"):
            await books["BTCUSDT"].wait_synced(seconds)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="timeout"):
            await books.wait_synced(timeout=seconds)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_all_books_are_waited_for_also_those_added_meanwhile(exchange: list[ByHand]) -> None:
    async with connect("binance.com", []) as books:
        exchange[0].default = None
        exchange[0].books["BTCUSDT"] = {"lastUpdateId": 10, "bids": [], "asks": []}
        books.add("BTCUSDT")
        books.add("ETHUSDT")
        everything = asyncio.create_task(books.wait_synced(timeout=DEADLINE_S))
        await books["BTCUSDT"].wait_synced(timeout=DEADLINE_S)
        assert not everything.done()
        exchange[0].books["BNBUSDT"] = exchange[0].books["BTCUSDT"]
        books.add("BNBUSDT")
        books.remove("ETHUSDT")  # the one that was late: it is not waited for any more
        await everything
        assert [book.status for book in books] == [Status.SYNCED, Status.SYNCED]


async def test_several_books_are_added_in_one_step(exchange: list[ByHand]) -> None:
    async with connect("binance.com", []) as books:
        added = books.add_all(["BTCUSDT", "ETHUSDT"])
        await books.wait_synced(timeout=DEADLINE_S)
        assert added == list(books)
        assert len(exchange[0].sent) == 1


async def test_waiters_raise_when_the_client_closes(exchange: list[ByHand]) -> None:
    async with connect("binance.com", []) as books:
        exchange[0].default = None
        one = asyncio.create_task(books.add("BTCUSDT").wait_synced(timeout=None))
        all_of_them = asyncio.create_task(books.wait_synced(timeout=None))
        await asyncio.sleep(0)
    for waiting in (one, all_of_them):
        with pytest.raises(BookClosed, match="closed"):
            await waiting


async def test_cancelled_waiting_leaves_nothing_behind(exchange: list[ByHand]) -> None:
    async with connect("binance.com", []) as books:
        exchange[0].default = None
        task = asyncio.create_task(books.add("BTCUSDT").wait_synced())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(books._client._waiting) == 0


async def test_waiting_on_another_event_loop_is_refused_with_the_way_out(exchange: list[ByHand]) -> None:
    async with connect("binance.com", []) as books:
        exchange[0].default = None
        book = books.add("BTCUSDT")
        with pytest.raises(UsageError, match=r"depthcache\.blocking"):
            await asyncio.to_thread(lambda: asyncio.run(book.wait_synced()))


# --- life of a client -----------------------------------------------------------------------


async def test_nothing_happens_before_the_client_is_entered(exchange: list[ByHand]) -> None:
    books = connect("binance.com", ["BTCUSDT"])
    assert exchange == []
    for use in (
        lambda: books["BTCUSDT"],
        lambda: books.add("BTCUSDT"),
        lambda: books.remove("BTCUSDT"),
        lambda: list(books),
        lambda: len(books),
        lambda: "BTCUSDT" in books,
        lambda: books.get("BTCUSDT"),
        books.keys,
        books.updates,
    ):
        with pytest.raises(
            UsageError, match=r"`async with depthcache.*`books = await .*depthcache\.blocking"
        ):
            use()
    with pytest.raises(UsageError, match="enter"):
        await books.wait_synced()
    await books.aclose()
    assert exchange == []
    with pytest.raises(UsageError, match="once"):
        async with books:
            pass


async def test_a_client_runs_once(exchange: list[ByHand]) -> None:
    books = connect("binance.com", ["BTCUSDT"])
    async with books:
        with pytest.raises(UsageError, match="once"):
            await books.__aenter__()
        await books.wait_synced(timeout=DEADLINE_S)
    with pytest.raises(UsageError, match="once"):
        await books.__aenter__()
    await books.aclose()


async def test_a_closed_client_still_tells_what_its_books_were(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await books.aclose()
        await books.aclose()
        assert book.status is Status.CLOSED
        with pytest.raises(BookClosed, match="closed"):
            books.add("ETHUSDT")
        with pytest.raises(BookClosed):
            await books.wait_synced()
        books.remove("BTCUSDT")
        assert len(books) == 0


async def test_an_error_in_the_body_closes_the_client_and_goes_on(exchange: list[ByHand]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connect("binance.com", ["BTCUSDT"]):
            1 / 0  # noqa: B018
    assert exchange[0].closed


async def test_a_start_that_fails_leaves_nothing(
    exchange: list[ByHand], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no more sockets")

    monkeypatch.setattr("depthcache.client.client.ClientCore.add", fail)
    books = connect("binance.com", ["BTCUSDT"])
    with pytest.raises(OSError, match="no more sockets"):
        await books.__aenter__()
    assert exchange[0].closed
    await books.aclose()


async def test_settings_reach_the_network_and_the_urls(exchange: list[ByHand]) -> None:
    here = depthcache.Endpoints(rest="http://127.0.0.1:1/x", websocket="ws://127.0.0.1:1/x")
    settings = depthcache.Settings(endpoints={"binance.com": here}, proxies=False)
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        assert exchange[0].settings is settings
        assert list(exchange[0].urls.values()) == ["ws://127.0.0.1:1/x/stream"]


async def test_without_settings_the_environment_decides(
    exchange: list[ByHand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHCACHE_BINANCE_COM_WEBSOCKET", "ws://127.0.0.1:2")
    async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        assert list(exchange[0].urls.values()) == ["ws://127.0.0.1:2/stream"]


async def test_the_speed_asked_for_is_subscribed(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"], speed_ms=1000) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        assert exchange[0].sent[0]["params"] == ["btcusdt@depth"]


async def test_a_client_that_is_gone_leaves_no_objects_behind(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        await books.wait_synced(timeout=DEADLINE_S)
    del books
    exchange.clear()
    await asyncio.sleep(0)
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, depthcache.LiveBook)] == []


# --- how old a book may be ------------------------------------------------------------------


def grow_old(books: Any, book: Any, seconds: float) -> None:
    """Let the clock of the readers show that so many seconds have passed since the last update."""
    books._client._router.set_virtual_time(book.updated_ns + round(seconds * 1e9), 0)


async def test_reads_of_books_refuse_an_age_that_connect_does_not_allow(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"], max_age=2) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=DEADLINE_S)
        grow_old(books, book, 2)
        assert (await book.read(1)).best == book.best == ((1.1, 5.0), (1.2, 7.0), 10)
        grow_old(books, book, 2.5)
        reads = (
            lambda: book.best_bid, lambda: book.mid, lambda: book.bids[0], book.freeze, book.to_numpy,
            books.to_arrow, lambda: book.exact.best,
        )  # fmt: skip
        for read in reads:
            with pytest.raises(BookTooOld) as raised:
                read()
            assert (raised.value.age_s, raised.value.max_age_s) == (2.5, 2.0)
        for on_stale in ("raise", "serve", "wait"):
            with pytest.raises(BookTooOld):
                await book.read(on_stale=on_stale, timeout=None)
        assert book.status is Status.SYNCED
        assert book.freeze(max_age=3).best == (await book.read(max_age=3)).best
        assert book.no_older_than(float("inf")).best.update_id == 10


async def test_without_an_age_a_book_of_any_age_is_read(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(timeout=DEADLINE_S)
        grow_old(books, book, 1e6)
        assert book.best.update_id == 10
        for read in (lambda: book.freeze(max_age=1), lambda: book.no_older_than(1).best):
            with pytest.raises(BookTooOld):
                read()
        with pytest.raises(BookTooOld):
            await book.read(max_age=1)


@pytest.mark.parametrize("max_age", [0, -1, True, "1", float("nan")], ids=repr)
def test_an_age_that_is_none_is_refused_at_once(max_age: Any) -> None:
    for make in (depthcache.connect, depthcache.blocking.connect):
        with pytest.raises(InvalidArgument, match="max_age"):
            make("binance.com", ["BTCUSDT"], max_age=max_age)


async def test_times_of_a_synced_book_are_never_none(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        before = datetime.now(UTC)
        await book.wait_synced(timeout=DEADLINE_S)
        assert book.unconfirmed
        for at in (book.updated_at, book.confirmed_at, book.event_time, book.since_at):
            assert at is not None
            assert abs(at - before) < timedelta(minutes=1)
        assert book.reconnected_ns is book.reconnected_at is None
        assert book.age is not None


# --- what never raises ----------------------------------------------------------------------


async def test_what_says_how_far_a_book_can_be_trusted_never_raises(exchange: list[ByHand]) -> None:
    def look(book: depthcache.LiveBook) -> str:
        parts = (book.status, book.reason, book.since_ns, book.age, book.complete_to, book.coverage)
        assert parts
        assert book.last_update_id is None or book.last_update_id
        return repr(book)

    books = connect("binance.com", ["BTCUSDT"])
    assert repr(books) == "<depthcache.Books: not started yet>"
    async with books:
        book = books["BTCUSDT"]
        assert "empty" in look(book)
        await book.wait_synced(timeout=DEADLINE_S)
        assert look(book).startswith("<LiveBook BTCUSDT on binance.com: synced")
        assert repr(books) == "<depthcache.Books: 1 of 1 synced>"
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["1.15", "2.0"]])
        assert "update id 12" in look(book)
        exchange[0].diff("BTCUSDT", 15, 16)
        assert "buffering (" in look(book)
        exchange[0].cut()
        assert "disconnected (" in look(book)
    assert "closed (" in look(book)
    assert repr(books)


@pytest.mark.slow
async def test_books_may_be_read_from_many_threads_while_they_change(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        stop, wrong = threading.Event(), []

        def read() -> None:
            book = books["BTCUSDT"]
            while not stop.is_set():
                for each in books:
                    repr(each)
                bid, ask, update_id = book.best
                if bid is None or ask is None or bid.quantity != ask.quantity != update_id:
                    wrong.append((bid, ask, update_id))

        exchange[0].diff("BTCUSDT", 11, 11, bids=[["1.10", "11"]], asks=[["1.20", "11"]])
        readers = [threading.Thread(target=read) for _ in range(8)]
        for reader in readers:
            reader.start()
        for number in range(12, 200):
            quantity = str(number)
            exchange[0].diff("BTCUSDT", number, number, bids=[["1.10", quantity]], asks=[["1.20", quantity]])
            if number % 10 == 0:
                books.add(f"X{number}USDT")
                await asyncio.sleep(0)
            if number % 20 == 0:
                books.remove(f"X{number}USDT")
        stop.set()
        for reader in readers:
            reader.join(DEADLINE_S)
        assert wrong == []


def test_a_set_of_books_is_no_value_to_be_copied() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(connect("binance.com", ["BTCUSDT"]))
