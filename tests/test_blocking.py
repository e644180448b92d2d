"""The blocking API on an exchange moved by hand: the same names, from any thread, in any order."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import depthcache
from depthcache import (
    BookClosed,
    BookEmpty,
    BookNotSynced,
    BookTooOld,
    InvalidArgument,
    Status,
    SyncTimeout,
    UnknownExchange,
    UnknownSymbol,
    UsageError,
    blocking,
)
from tests.support.by_hand import FromThread

DEADLINE_S = 20.0
SETTINGS = depthcache.Settings()


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> FromThread:
    exchange = FromThread()
    monkeypatch.setattr("depthcache.blocking.real_network", exchange.make)
    return exchange


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def connect(*arguments: Any, **options: Any) -> blocking.Books:
    return blocking.connect(*arguments, settings=SETTINGS, **options)


def test_a_book_is_synced_read_moved_and_closed(exchange: FromThread) -> None:
    with connect("binance.com", ["btcusdt"]) as books:
        book = books["BTCUSDT"]
        assert isinstance(book, blocking.LiveBook)
        book.wait_synced(timeout=DEADLINE_S)
        books.wait_synced(timeout=DEADLINE_S)
        assert book.best == ((1.1, 5.0), None, 10)
        exchange.do(lambda network: network.diff("BTCUSDT", 11, 12, asks=[["1.2", "1"]]))
        assert book.best == ((1.1, 5.0), (1.2, 1.0), 12)
        assert book.age is not None
        assert repr(book).startswith("<LiveBook BTCUSDT on binance.com: synced, update id 12")
    assert book.status is Status.CLOSED
    with pytest.raises(BookClosed):
        book.best  # noqa: B018
    with pytest.raises(BookClosed):
        book.wait_synced()


def test_books_are_added_found_and_removed(exchange: FromThread) -> None:
    with connect({"binance.com": ["BTCUSDT"], "binance.us": []}) as books:
        added = books.add("ethusdt", "binance.us")
        assert books["ETHUSDT"] is added is books["binance.us", "ethusdt"]
        added.wait_synced(timeout=DEADLINE_S)
        assert [book.symbol for book in books] == ["BTCUSDT", "ETHUSDT"]
        assert ("ETHUSDT" in books, added in books, len(books)) == (True, True, 2)
        books.remove("ethusdt")
        assert added.status is Status.CLOSED
        with pytest.raises(BookClosed):
            added.wait_synced()
        with pytest.raises(UnknownSymbol):
            books.remove("ETHUSDT")
        with pytest.raises(UnknownSymbol):
            books["ETHUSDT"]
        with pytest.raises(InvalidArgument, match="invalid exchange None: expected"):
            books.add("BNBUSDT")
        with pytest.raises(UnknownExchange):
            books.add("BNBUSDT", "binance.con")


def test_several_books_are_added_in_one_step_or_none_of_them(exchange: FromThread) -> None:
    books = connect("binance.com", [])
    with books:
        added = books.add_all(["btcusdt", "ETHUSDT", "BTCUSDT"])
        assert [book.symbol for book in added] == ["BTCUSDT", "ETHUSDT", "BTCUSDT"]
        assert added[0] is added[2] is books["BTCUSDT"]
        books.wait_synced(timeout=DEADLINE_S)
        assert [message["method"] for message in exchange.networks[0].sent] == ["SUBSCRIBE"]
        for wrong in ("BTCUSDT", ["BNBUSDT", "A/B"], None):
            with pytest.raises(InvalidArgument):
                books.add_all(wrong)  # type: ignore[arg-type]
        assert len(books) == 2
        assert books.add_all([]) == []
    with pytest.raises(BookClosed):
        books.add_all(["BNBUSDT"])


def test_waiting_too_long_and_for_nothing(exchange: FromThread) -> None:
    exchange.default = None
    with connect("binance.com", ["BTCUSDT"]) as books:
        with pytest.raises(SyncTimeout):
            books["BTCUSDT"].wait_synced(timeout=0.01)
        with pytest.raises(SyncTimeout):
            books.wait_synced(timeout=0)
        with pytest.raises(InvalidArgument):
            books.wait_synced(timeout=-1)
        with pytest.raises(InvalidArgument):
            books["BTCUSDT"].wait_synced(timeout=-1)
        exchange.networks[0].unknown.add("NOUSDT")
        with pytest.raises(UnknownSymbol, match="Invalid symbol"):
            books.add("NOUSDT").wait_synced(timeout=DEADLINE_S)


def test_wrong_arguments_are_raised_at_once_in_the_callers_thread(exchange: FromThread) -> None:
    with pytest.raises(UnknownExchange):
        connect("binance.con", ["BTCUSDT"])
    with pytest.raises(InvalidArgument):
        connect("binance.com", ["BTCUSDT"], depth=0)
    assert exchange.networks == []


def test_nothing_happens_before_the_client_is_entered(exchange: FromThread) -> None:
    books = connect("binance.com", ["BTCUSDT"])
    for use in (
        lambda: books["BTCUSDT"],
        books.wait_synced,
        lambda: books.add("X"),
        lambda: books.remove("X"),
        lambda: list(books),
        lambda: len(books),
        lambda: "BTCUSDT" in books,
        books.items,
        books.updates,
        lambda: books.on_update(print),
    ):
        with pytest.raises(
            UsageError,
            match=r"`with depthcache\.blocking.*\.start\(\)`; with asyncio, use depthcache\.connect",
        ):
            use()
    assert exchange.networks == []
    books.close()


def test_a_client_runs_once(exchange: FromThread) -> None:
    books = connect("binance.com", ["BTCUSDT"])
    with books, pytest.raises(UsageError, match="once"):
        books.__enter__()
    with pytest.raises(UsageError, match="once"):
        books.__enter__()


def test_an_error_while_starting_is_raised_in_the_callers_thread(exchange: FromThread) -> None:
    def fail() -> None:
        raise OSError("no more sockets")

    exchange.on_make = fail
    books = connect("binance.com", ["BTCUSDT"])
    with pytest.raises(OSError, match="no more sockets"):
        books.__enter__()
    books.close()
    with pytest.raises(BookClosed):
        books.add("BTCUSDT")


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_body_closes_the_client(exchange: FromThread, error: type[BaseException]) -> None:
    with pytest.raises(error), connect("binance.com", ["BTCUSDT"]) as books:
        raise error
    assert exchange.networks[0].closed
    assert books["BTCUSDT"].status is Status.CLOSED


def test_a_closed_client_still_tells_what_its_books_were(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        books.close()
        books.close()
        assert book.status is Status.CLOSED
        for use in (lambda: books.add("ETHUSDT"), books.wait_synced, book.wait_synced):
            with pytest.raises(BookClosed, match="closed"):
                use()
        with pytest.raises(UnknownSymbol):
            books.remove("ETHUSDT")
        books.remove("BTCUSDT")
        assert len(books) == 0


@pytest.mark.slow
def test_waiters_raise_when_another_thread_closes(exchange: FromThread) -> None:
    exchange.default = None
    told: list[BaseException] = []
    with connect("binance.com", ["BTCUSDT"]) as books:
        begun = threading.Barrier(9)

        def wait() -> None:
            begun.wait(DEADLINE_S)
            try:
                books["BTCUSDT"].wait_synced(timeout=None)
            except BookClosed as error:
                told.append(error)

        waiting = [threading.Thread(target=wait) for _ in range(8)]
        for thread in waiting:
            thread.start()
        begun.wait(DEADLINE_S)
    for thread in waiting:
        thread.join(DEADLINE_S)
    assert len(told) == 8


@pytest.mark.slow
def test_eight_threads_read_add_remove_and_wait_at_once(exchange: FromThread) -> None:
    wrong: list[BaseException] = []
    with connect("binance.com", ["BTCUSDT"]) as books:
        books.wait_synced(timeout=DEADLINE_S)

        def work(number: int) -> None:
            try:
                for turn in range(5):
                    symbol = f"X{number}T{turn}USDT"
                    book = books.add(symbol)
                    assert books[symbol] is book
                    for each in books:
                        repr(each)
                    assert books["BTCUSDT"].best.bid == (1.1, 5.0)
                    books.remove(symbol)
                    assert book.status is Status.CLOSED
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert [book.symbol for book in books] == ["BTCUSDT"]
    assert wrong == []


def test_a_client_may_be_closed_by_another_thread_than_entered_it(exchange: FromThread) -> None:
    books = connect("binance.com", ["BTCUSDT"])
    books.__enter__()
    closer = threading.Thread(target=books.close)
    closer.start()
    closer.join(DEADLINE_S)
    assert books["BTCUSDT"].status is Status.CLOSED


# --- best prices, and how old they may be -----------------------------------------------------


def test_best_prices_are_levels_and_numbers_or_say_which_side_is_empty(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        book.wait_synced(timeout=DEADLINE_S)
        assert book.best_bid == (1.1, 5.0)
        for name in ("best_ask", "mid", "spread", "spread_bps", "microprice"):
            with pytest.raises(BookEmpty, match="has no asks") as raised:
                getattr(book, name)
            assert (raised.value.exchange, raised.value.symbol) == ("binance.com", "BTCUSDT")
        exchange.do(lambda network: network.diff("BTCUSDT", 11, 12, asks=[["1.2", "5"]]))
        assert (book.best_ask, book.mid, book.microprice) == ((1.2, 5.0), 1.15, 1.15)
        assert (round(book.spread, 9), round(book.spread_bps, 6)) == (0.1, 869.565217)


def test_best_prices_wait_where_reads_do(exchange: FromThread) -> None:
    names = ("best", "best_bid", "best_ask", "mid", "spread", "spread_bps", "microprice")
    exchange.default = {"lastUpdateId": 10, "bids": [["1.1", "5"]], "asks": [["1.2", "5"]]}
    for name in names:
        with connect("binance.com", ["BTCUSDT"], on_stale="wait") as books:
            assert getattr(books["BTCUSDT"], name) is not None
    exchange.default = None
    with connect("binance.com", ["BTCUSDT"]) as books:
        for name in names:
            with pytest.raises(BookNotSynced):
                getattr(books["BTCUSDT"], name)


def test_no_read_waits_for_a_younger_book(exchange: FromThread) -> None:
    with connect("binance.com", ["BTCUSDT"], on_stale="wait", max_age=2) as books:
        book = books["BTCUSDT"]
        book.wait_synced(timeout=DEADLINE_S)
        assert book.updated_ns is not None
        books._client._router.set_virtual_time(book.updated_ns + 3_000_000_000, 0)
        for read in (lambda: book.best, lambda: book.best_bid, book.freeze, lambda: book.read(timeout=None)):
            with pytest.raises(BookTooOld, match=r"3\.000 s old, max_age is 2 s"):
                read()
        assert book.read(max_age=4).best == book.freeze(max_age=4).best == book.no_older_than(5).best
