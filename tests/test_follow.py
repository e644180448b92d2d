"""Following with the asyncio API, on an exchange moved by hand: iterators, callbacks, many books, the end."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
from inspect import Parameter
from typing import Any

import pytest

import depthcache
from depthcache import (
    BookClosed,
    BookNotSynced,
    FollowMode,
    InvalidArgument,
    Status,
    SyncTimeout,
    Update,
    UsageError,
    blocking,
    connect,
    simulator,
)
from tests.support.by_hand import ByHand

DEADLINE_S = 20


async def following(stream: Any) -> Update:
    """The next item, with a generous deadline."""
    async with asyncio.timeout(DEADLINE_S):
        item: Update = await anext(stream)
        return item


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_loop_over_updates_gets_each_new_book_until_the_end(exchange: list[ByHand]) -> None:
    seen = []
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]

        async def consume() -> None:
            async for update in book.updates():
                told = (update.status.value, update.last_update_id, update.skipped, update.is_fresh)
                seen.append(told)

        task = asyncio.create_task(consume())
        await book.wait_synced(DEADLINE_S)
        await turns()
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["1.15", "1"]])
        await turns()
        exchange[0].diff("BTCUSDT", 13, 13, bids=[["1.15", "2"]])
        exchange[0].diff("BTCUSDT", 14, 14, bids=[["1.15", "3"]])
        await turns()
    await asyncio.wait_for(task, DEADLINE_S)
    assert seen == [
        ("synced", 10, 0, True),
        ("synced", 12, 0, False),
        ("synced", 14, 1, False),
        ("closed", 14, 0, False),
    ]


async def test_lost_sync_raises_for_readers_of_levels_and_recovers(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates("best", 5)
        assert (await following(stream)).best.bid == (1.1, 5.0)
        exchange[0].books["BTCUSDT"] = {"lastUpdateId": 21, "bids": [["1.05", "1"]], "asks": []}
        exchange[0].diff("BTCUSDT", 20, 21)
        lost = await following(stream)
        assert lost.status is Status.BUFFERING
        with pytest.raises(BookNotSynced):
            lost.best  # noqa: B018
        healed = await following(stream)
        assert (healed.is_fresh, healed.best.bid) == (True, (1.05, 1.0))


async def test_the_default_of_connect_is_what_followers_get(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"], on_stale="serve") as books:
        stream = books["BTCUSDT"].updates()
        await following(stream)
        exchange[0].default = None
        exchange[0].diff("BTCUSDT", 20, 21)
        lost = await following(stream)
        assert (lost.status, lost.best.bid) == (Status.BUFFERING, (1.1, 5.0))


async def test_break_and_cancellation_lose_nothing_and_closing_ends_it(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates("every")
        async for update in stream:
            assert update.is_fresh
            break
        waiting = asyncio.create_task(following(stream))
        await turns()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        exchange[0].diff("BTCUSDT", 11, 11, bids=[["1.15", "1"]])
        exchange[0].diff("BTCUSDT", 12, 12, bids=[["1.15", "0"]])
        assert (await following(stream)).changes == ([(1.15, 1.0)], [])
        assert stream.held == 1
        assert 0 < stream.held_bytes < 10_000
        await stream.aclose()
        assert stream.is_closed
        assert [update async for update in stream] == []


async def test_closing_wakes_waiters(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates()
        await following(stream)
        waiting = asyncio.create_task(anext(stream, None))
        await turns()
        stream.close()
        assert await asyncio.wait_for(waiting, DEADLINE_S) is None


async def test_a_forgotten_iterator_leaves_nothing_in_its_book(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        async for update in books["BTCUSDT"].updates():
            assert update.is_fresh
            break
        stream = books["BTCUSDT"].updates()
        follower = stream._follower
        assert follower.markets == 1
        del stream
        gc.collect()
        assert follower.markets == 0
        exchange[0].diff("BTCUSDT", 11, 11, bids=[["1.15", "1"]])
        assert books._client.followers._all() == []


async def test_two_tasks_at_one_stream_are_refused(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates()
        await following(stream)
        waiting = asyncio.create_task(following(stream))
        await turns()
        with pytest.raises(UsageError, match="another task"):
            await following(stream)
        waiting.cancel()


async def test_a_busy_stream_lets_the_loop_do_other_things(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates("every", buffer=10_000)
        await following(stream)
        for number in range(1_000):
            exchange[0].diff("BTCUSDT", 11 + number, 11 + number, bids=[["1.15", str(number + 1)]])
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                others += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(1_000):
            assert not (await anext(stream)).is_fresh
        task.cancel()
        assert others >= 10


async def test_cancellation_in_a_pause_between_items_loses_none(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates("every", buffer=10_000)
        await following(stream)
        for number in range(11, 1_011):
            exchange[0].diff("BTCUSDT", number, number, bids=[["1.15", str(number)]])
        seen: list[int | None] = []
        cancelled = 0
        while len(seen) < 1_000:
            task = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            if task.done():
                seen.append(task.result().last_update_id)
                continue
            task.cancel()
            await asyncio.wait([task])
            cancelled += 1
        assert seen == list(range(11, 1_011))
        assert cancelled >= 10


async def test_one_stream_over_many_books_also_those_that_come_and_go(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
        stream = books.updates()
        assert {(await following(stream)).symbol for _ in range(2)} == {"BTCUSDT", "ETHUSDT"}
        books.add("BNBUSDT")
        assert (await following(stream)).symbol == "BNBUSDT"
        exchange[0].diff("ETHUSDT", 11, 11, bids=[["1.15", "1"]])
        exchange[0].diff("BNBUSDT", 11, 11, bids=[["1.15", "1"]])
        exchange[0].diff("ETHUSDT", 12, 12, bids=[["1.15", "2"]])
        items = [await following(stream) for _ in range(2)]
        assert [(item.symbol, item.skipped) for item in items] == [("ETHUSDT", 1), ("BNBUSDT", 0)]
        books.remove("ETHUSDT")
        gone = await following(stream)
        assert (gone.symbol, gone.status) == ("ETHUSDT", Status.CLOSED)
        with pytest.raises(BookClosed):
            gone.best  # noqa: B018
    assert sorted([update.symbol async for update in stream]) == ["BNBUSDT", "BTCUSDT"]


async def test_every_n_milliseconds_is_on_the_clients_clock(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates("interval", interval_ms=1)
        await following(stream)
        exchange[0].diff("BTCUSDT", 11, 11, bids=[["1.15", "1"]])
        exchange[0].diff("BTCUSDT", 12, 12, bids=[["1.15", "2"]])
        update = await following(stream)
        assert (update.last_update_id, update.skipped) == (12, 1)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"mode": "newest"}, "mode"),
        ({"mode": 3}, "mode"),
        ({"levels": -1}, "levels"),
        ({"levels": 2.5}, "levels"),
        ({"levels": True}, "levels"),
        ({"mode": "levels", "levels": None}, "levels"),
        ({"mode": "levels", "levels": 0}, "levels"),
        ({"mode": "interval"}, "interval_ms"),
        ({"mode": "interval", "interval_ms": 0}, "interval_ms"),
        ({"mode": "interval", "interval_ms": "100"}, "interval_ms"),
        ({"interval_ms": 100}, "interval_ms"),
        ({"on_stale": "hide"}, "on_stale"),
        ({"buffer": -1}, "buffer"),
        ({"buffer_bytes": None}, "buffer_bytes"),
    ],
)
async def test_wrong_arguments_are_named(exchange: list[ByHand], arguments: Any, name: str) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        for follow in (books["BTCUSDT"].updates, books.updates):
            with pytest.raises(InvalidArgument) as caught:
                follow(**arguments)
            assert caught.value.name == name
        for listen in (books["BTCUSDT"].on_update, books.on_update):
            with pytest.raises(InvalidArgument):
                listen(print, **arguments)
            with pytest.raises(InvalidArgument, match="callback"):
                listen("print")
        assert books._client.followers._all() == []


FOLLOWING = [
    getattr(api, name)
    for api in (depthcache.LiveBook, depthcache.Books, blocking.LiveBook, blocking.Books)
    for name in ("updates", "on_update")
] + [simulator.Pair.follow]


@pytest.mark.parametrize("call", FOLLOWING, ids=lambda call: f"{call.__module__}.{call.__qualname__}")
def test_every_call_that_follows_names_the_same_options_with_the_same_defaults(call: Any) -> None:
    parameters = inspect.signature(call).parameters
    assert {each.kind for each in parameters.values()} <= {
        Parameter.POSITIONAL_OR_KEYWORD,
        Parameter.KEYWORD_ONLY,
    }
    options = ("mode", "levels", "interval_ms", "on_stale", "buffer", "buffer_bytes")
    assert [parameters[name].default for name in options] == ["latest", 20, None, None, 1_000, 16 << 20]
    assert all(parameters[name].kind is Parameter.KEYWORD_ONLY for name in options[2:])


async def test_a_book_that_ended_and_a_client_that_does_not_run_cannot_be_followed(
    exchange: list[ByHand],
) -> None:
    client = connect("binance.com", ["BTCUSDT"])
    with pytest.raises(UsageError, match="enter"):
        client.updates()
    async with client as books:
        book = books["BTCUSDT"]
        books.remove("BTCUSDT")
        with pytest.raises(BookClosed):
            book.updates()
        with pytest.raises(BookClosed):
            book.on_update(print)
    assert [update async for update in books.updates()] == []


async def test_another_loop_is_refused_clearly(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        stream = books["BTCUSDT"].updates()
        told: list[str] = []

        def elsewhere() -> None:
            async def use() -> None:
                for work in (
                    anext(stream),
                    books["BTCUSDT"].read(on_stale="wait"),
                    books.wait_any_synced(books=[]),
                ):
                    try:
                        await work
                    except UsageError as error:
                        told.append(str(error))

            asyncio.run(use())
            try:
                books["BTCUSDT"].on_update(print)
            except UsageError as error:
                told.append(str(error))

        exchange[0].default = None
        await asyncio.to_thread(elsewhere)
        assert len(told) >= 2
        assert all("another event loop" in said for said in told)


# --- callbacks ------------------------------------------------------------------------------------------


async def test_a_callback_gets_what_updates_would_give_until_it_is_closed(exchange: list[ByHand]) -> None:
    seen: list[int | None] = []
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        handle = book.on_update(lambda update: seen.append(update.last_update_id), FollowMode.EVERY)
        await book.wait_synced(DEADLINE_S)
        for number in (11, 12):
            exchange[0].diff("BTCUSDT", number, number, bids=[["1.15", str(number)]])
        await turns()
        assert seen == [10, 11, 12]
        assert (handle.calls, handle.errors, handle.is_closed) == (3, 0, False)
        assert repr(handle) == "<depthcache.CallbackHandle: listening, 3 calls, 0 errors>"
        handle.close()
        handle.close()
        exchange[0].diff("BTCUSDT", 13, 13, bids=[["1.15", "1"]])
        await turns()
        assert seen == [10, 11, 12]
        assert handle.is_closed


async def test_a_callback_that_raises_is_counted_logged_and_called_again(
    exchange: list[ByHand], caplog: pytest.LogCaptureFixture
) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]

        def fails(update: Update) -> None:
            raise ZeroDivisionError("mine")

        async def fails_later(update: Update) -> None:
            await asyncio.sleep(0)
            raise ZeroDivisionError("mine, too")

        listeners = [book.on_update(fails, "every"), book.on_update(fails_later, "every")]
        await book.wait_synced(DEADLINE_S)
        for number in (11, 12):
            exchange[0].diff("BTCUSDT", number, number, bids=[["1.15", str(number)]])
        await turns(50)
        assert [(each.calls, each.errors) for each in listeners] == [(3, 3), (3, 3)]
        assert (book.status, book.best.bid) == (Status.SYNCED, (1.15, 12.0))
    told = [record for record in caplog.records if "callback" in record.message]
    assert len(told) == 2, "each of them once; the others are counted"
    assert all(record.levelno == logging.ERROR and record.exc_info for record in told)
    assert "fails" in told[0].message


async def test_a_coroutine_function_that_takes_its_time_loses_states_alone(exchange: list[ByHand]) -> None:
    seen = []
    async with connect("binance.com", ["BTCUSDT"]) as books:
        go_on = asyncio.Event()

        async def slow(update: Update) -> None:
            seen.append((update.last_update_id, update.skipped))
            await go_on.wait()

        books.on_update(slow)
        await books.wait_synced(timeout=DEADLINE_S)
        await turns()
        for number in range(11, 111):
            exchange[0].diff("BTCUSDT", number, number, bids=[["1.15", str(number)]])
        assert books["BTCUSDT"].best.bid == (1.15, 110.0)
        go_on.set()
        await turns()
        assert seen == [(10, 0), (110, 99)]


async def test_a_callback_may_close_its_client(exchange: list[ByHand]) -> None:
    books = connect("binance.com", ["BTCUSDT"])
    await books.__aenter__()
    ended = asyncio.Event()

    async def end(update: Update) -> None:
        await books.aclose()
        ended.set()

    books.on_update(end)
    await asyncio.wait_for(ended.wait(), DEADLINE_S)
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_callback_that_hangs_is_ended_with_the_client(
    exchange: list[ByHand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthcache.client.client.CALLBACK_DRAIN_S", 0.01)
    async with connect("binance.com", ["BTCUSDT"]) as books:
        began = asyncio.Event()

        async def hang(update: Update) -> None:
            began.set()
            await asyncio.Event().wait()

        books.on_update(hang)
        await asyncio.wait_for(began.wait(), DEADLINE_S)
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- reads that wait ----------------------------------------------------------------------------------------


async def test_read_waits_serves_or_raises(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        with pytest.raises(BookNotSynced, match="wait_synced"):
            await book.read()
        assert (await book.read(1, on_stale="wait", timeout=DEADLINE_S)).best.bid == (1.1, 5.0)
        exchange[0].default = None
        exchange[0].diff("BTCUSDT", 20, 21)
        await turns()
        assert (await book.read(on_stale="serve")).last_update_id == 10
        assert book.freeze(on_stale="serve").status is Status.BUFFERING
        with pytest.raises(SyncTimeout):
            await book.read(on_stale="wait", timeout=0.01)
        for wait in ("raise", "wait"):
            with pytest.raises(BookNotSynced):
                book.freeze(on_stale=wait)
        with pytest.raises(InvalidArgument):
            await book.read(on_stale="hide")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="on_stale"):
            book.freeze(on_stale="hide")  # type: ignore[arg-type]


async def test_a_client_that_waits_raises_where_a_read_returns_at_once(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"], on_stale="wait") as books:
        book = books["BTCUSDT"]
        with pytest.raises(BookNotSynced):
            book.best  # noqa: B018
        with pytest.raises(BookNotSynced):
            book.freeze()
        assert (await book.read(1)).best.bid == (1.1, 5.0)
        stream = book.updates()
        await following(stream)
        exchange[0].books["BTCUSDT"] = {"lastUpdateId": 21, "bids": [["1.05", "1"]], "asks": []}
        exchange[0].diff("BTCUSDT", 20, 21)
        assert (await following(stream)).status is Status.SYNCED
    with pytest.raises(BookClosed):
        await book.read()


async def test_waiting_for_some_and_for_any(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT", "ETHUSDT", "BNBUSDT"]) as books:
        exchange[0].default = None
        exchange[0].books["ETHUSDT"] = {"lastUpdateId": 10, "bids": [["1", "1"]], "asks": []}
        assert await books.wait_any_synced(timeout=DEADLINE_S) == [books["ETHUSDT"]]
        chosen = ["ethusdt", ("binance.com", "ETHUSDT"), books["ETHUSDT"]]
        assert await books.wait_synced(DEADLINE_S, books=chosen) == [books["ETHUSDT"]]
        with pytest.raises(SyncTimeout):
            await books.wait_any_synced(0.01, books=["BTCUSDT", books["BNBUSDT"]])
        with pytest.raises(SyncTimeout, match="BTCUSDT"):
            await books.wait_synced(0.01, books=["BTCUSDT", "ETHUSDT"])
        with pytest.raises(depthcache.UnknownSymbol):
            await books.wait_synced(books=["NOUSDT"])
        for wrong in ("BTCUSDT", 30):
            with pytest.raises(InvalidArgument):
                await books.wait_synced(books=wrong)  # type: ignore[arg-type]
        assert await books.wait_any_synced(books=[]) == []
        waiting = asyncio.create_task(books.wait_any_synced(DEADLINE_S, books=["BTCUSDT", "BNBUSDT"]))
        await turns()
        bnb = books["BNBUSDT"]
        books.remove("BNBUSDT")
        await turns()
        assert not waiting.done(), "one is left"
        books.remove("BTCUSDT")
        with pytest.raises(BookClosed):
            await waiting
        with pytest.raises(depthcache.UnknownSymbol):
            await books.wait_any_synced(books=[bnb])


async def test_frozen_books_carry_the_facts_of_their_moment(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT"]) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(DEADLINE_S)
        frozen = book.freeze()
        assert frozen.updated_ns == book.updated_ns == frozen.confirmed_ns is not None
        assert frozen.updated_at == book.updated_at is not None
        exchange[0].diff("BTCUSDT", 11, 11, bids=[["1.15", "1"]])
        frozen = book.freeze()
        assert frozen.updated_at == book.updated_at == frozen.confirmed_at is not None


async def test_plain_for_over_the_items_of_asyncio_says_what_to_use(exchange: list[ByHand]) -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
        stream: Any = books["BTCUSDT"].updates()
        book: Any = books["BTCUSDT"]
        with pytest.raises(TypeError, match=r"follow a book with .*book\.updates"):
            async for _ in book:
                pass
        with pytest.raises(TypeError, match=r"iterate with `async for`; .*depthcache\.blocking"):
            list(stream)
