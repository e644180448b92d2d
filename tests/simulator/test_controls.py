"""Trouble on command as methods of a server and of a pair: the same names, complete, with clear errors."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import depthcache
from depthcache import InvalidArgument, Policy, Status, UnknownExchange, UnknownSymbol, UsageError, simulator
from depthcache.simulator import TINY, ExchangeControls, Faults, Pair, RecordedExchange, SimulatedExchange
from depthcache.simulator.trouble import Trouble
from tests.simulator.recordings import Writer

SPOT, FUTURES = "binance.com", "binance.com-futures"
MARKETS = {SPOT: {"BTCUSDT": TINY, "ETHUSDT": TINY}, FUTURES: {"BTCUSDT": TINY}}
DEADLINE_S = 30

OTHER_NAMES = {"limit_hit": "rate_limit", "not_here": "block_region", "slow_answers": "slow_responses"}
OTHER_PARAMETERS = {"venue": "exchange", "told": "retry_after", "words": "message"}
OWN = {"halt", "end_faults"}
"""Words for what is a status of a market, and an end of `Faults`."""


def commands(cls: type) -> dict[str, Callable[..., Any]]:
    """The methods of an exchange, or of its trouble, that make something happen and return nothing."""
    return {
        name: each
        for name, each in vars(cls).items()
        if inspect.isfunction(each)
        and not name.startswith("_")
        and name != "advance"
        and inspect.signature(each).return_annotation == "None"
    }


COMMANDS = commands(SimulatedExchange) | commands(Trouble)


def controls() -> dict[str, Callable[..., Any]]:
    return {
        name: each
        for name, each in vars(ExchangeControls).items()
        if inspect.isfunction(each) and not name.startswith("_")
    }


def served() -> SimulatedExchange:
    return SimulatedExchange(MARKETS, seed=3, faults=Faults(seed=1, drop=0.5))


def test_every_trouble_has_a_method_and_every_method_is_one() -> None:
    assert {OTHER_NAMES.get(name, name) for name in COMMANDS} | OWN == set(controls())
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("name", COMMANDS)
def test_it_takes_what_the_exchange_takes_but_the_clock(name: str) -> None:
    theirs = {
        OTHER_PARAMETERS.get(each.name, each.name): each.default
        for each in inspect.signature(COMMANDS[name]).parameters.values()
        if each.name not in ("self", "now_ns")
    }
    ours = inspect.signature(controls()[OTHER_NAMES.get(name, name)]).parameters
    assert ours.keys() - {"self"} == theirs.keys()
    for parameter, default in theirs.items():
        assert ours[parameter].default == (None if parameter == "exchange" else default)
    if "exchange" in ours:
        assert ours["exchange"].kind is inspect.Parameter.KEYWORD_ONLY
    positional = [each for each in ours.values() if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert len(positional) <= 3  # with self


TROUBLES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "silence": (("BTCUSDT",), {}),
    "silence_new": ((), {}),
    "next_diffs": (("BTCUSDT", "overlap"), {"count": 3}),
    "lag_streams": ((5,), {}),
    "late_streams": ((5,), {}),
    "delay_replies": ((5,), {}),
    "refuse_subscribes": ((2,), {}),
    "ban": ((30,), {}),
    "limit_hit": ((30,), {}),
    "forbid": ((30,), {}),
    "not_here": ((30,), {}),
    "outage": ((30,), {}),
    "refuse_connects": ((30,), {"status": 429, "told": True}),
    "refuse_snapshots": (("BTCUSDT", -1121), {"count": 2, "words": "No.", "status": 404}),
    "unlist": (("BTCUSDT",), {"count": 2}),
    "reset_connects": ((30,), {}),
    "slow_answers": ((5,), {}),
    "lag_snapshots": ((5,), {}),
    "foreign_weight": ((0.5,), {}),
    "resume": (("BTCUSDT",), {}),
}


def test_every_trouble_is_tried() -> None:
    assert commands(Trouble).keys() == TROUBLES.keys()


@pytest.mark.parametrize("name", TROUBLES)
def test_it_does_what_the_exchange_does(name: str) -> None:
    arguments, options = TROUBLES[name]
    made, twin = Pair(served()), served()
    made.run_for(2)
    takes = inspect.signature(COMMANDS[name]).parameters
    clock = {"now_ns": made.now_ns} if "now_ns" in takes else {}
    venue = {"venue": SPOT} if "venue" in takes else {}
    given = dict(
        zip([each for each in takes if each not in ("self", "venue", "now_ns")], arguments, strict=False)
    )
    getattr(twin.trouble, name)(**venue, **given, **options, **clock)
    renamed = {OTHER_PARAMETERS.get(key, key): value for key, value in options.items()}
    exchange = {"exchange": SPOT} if venue else {}
    getattr(made, OTHER_NAMES.get(name, name))(*arguments, **renamed, **exchange)
    assert made.exchange.trouble == twin.trouble
    assert name == "resume" or made.exchange.trouble != Trouble()


def test_without_an_exchange_all_of_them_are_in_trouble() -> None:
    made = Pair(served())
    made.slow_responses(3)
    assert made.exchange.trouble.slow_s == {SPOT: 3, FUTURES: 3}
    made.slow_responses(0, exchange="binance.com-FUTURES".lower())
    assert made.exchange.trouble.slow_s == {SPOT: 3, FUTURES: 0}


def test_a_symbol_is_found_where_only_one_exchange_lists_it() -> None:
    made = Pair(served())
    made.halt("ethusdt")
    assert made.exchange._listed[SPOT]["ETHUSDT"].status == "HALT"
    made.resume("ETHUSDT")
    assert made.exchange._listed[SPOT]["ETHUSDT"].status == "TRADING"
    made.set_status("BTCUSDT", "BREAK", exchange=FUTURES)
    assert made.exchange._listed[FUTURES]["BTCUSDT"].status == "BREAK"


def test_symbols_are_delisted_and_listed() -> None:
    made = Pair(served())
    made.delist("ETHUSDT")
    assert made.exchange.symbols(SPOT) == ("BTCUSDT",)
    made.list_symbol("NEWUSDT", profile=TINY, exchange=SPOT)
    made.list_symbol("ETHUSDT", exchange=SPOT)
    assert made.exchange.symbols(SPOT) == ("BTCUSDT", "NEWUSDT", "ETHUSDT")


def test_phases_of_a_market_begin() -> None:
    made = Pair(served())
    book = made.add(SPOT, "ETHUSDT")
    made.end_faults()
    assert made.run_until_synced()
    made.empty_side("ETHUSDT", "bids", seconds=5)
    made.run_for(2)
    assert len(book.bids) == 0
    made.run_for(10)
    applied = book.counters["levels_changed"]
    made.huge_event("ETHUSDT", 300)
    made.run_for(0.3)
    assert book.counters["levels_changed"] > applied + 100
    made.cross("ETHUSDT", 5)
    made.run_for(3)
    assert "cross" in book.reason
    made.run_for(10)
    made.set_tick("ETHUSDT", 20_000_000)
    made.burst("ETHUSDT", 5, times=3)
    before = made.truth(SPOT, "ETHUSDT").last_update_id
    made.reset_ids("ETHUSDT")
    assert made.truth(SPOT, "ETHUSDT").last_update_id < before / 100
    made.run_for(10)
    assert book.counters["resets"] == 1
    assert made.differences() == 0


@pytest.mark.parametrize("how", ["cut", "close_all", "half_open"])
def test_connections_end_and_come_back_in_virtual_time(how: str) -> None:
    made = Pair(served())
    made.end_faults()
    book = made.add(SPOT, "BTCUSDT")
    assert made.run_until_synced()
    if how == "close_all":
        made.close_all(1001, "away", exchange=SPOT)
    else:
        getattr(made, how)()
    made.announce_shutdown()
    made.run_for(60)
    assert book.status is Status.SYNCED
    assert made.exchange.connects == 2


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("ban", (float("inf"),), {}),
        ("outage", (1e308,), {}),
        ("slow_responses", (float("inf"),), {}),
        ("lag_streams", (float("nan"),), {}),
        ("burst", ("BTCUSDT", 1), {"times": float("nan")}),
        ("burst", ("BTCUSDT", 1), {"times": 0}),
        ("burst", ("BTCUSDT", 1), {"times": float("inf")}),
        ("refuse_connects", (3,), {"status": "503"}),
        ("refuse_connects", (3,), {"status": 42}),
        ("refuse_snapshots", ("BTCUSDT", "-1121"), {}),
        ("refuse_snapshots", ("BTCUSDT", -1121), {"status": None}),
        ("refuse_snapshots", ("BTCUSDT", -1121), {"message": 3}),
        ("close_all", (1000, 3), {}),
        ("close_all", (1000, "é" * 62), {}),
    ],
)
def test_values_that_cannot_work_are_refused_at_once(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    made = Pair(served())
    exchange = {} if name == "refuse_connects" else {"exchange": SPOT}
    with pytest.raises(InvalidArgument):
        getattr(made, name)(*arguments, **options, **exchange)
    made.run_for(1)


def test_wrong_names_raise_helpful_errors() -> None:
    made = Pair(served())
    with pytest.raises(UnknownSymbol, match=r"pass one: exchange='binance.com' or exchange='binance.com-f"):
        made.halt("BTCUSDT")
    with pytest.raises(UnknownSymbol, match="does not list it; did you mean 'ETHUSDT'"):
        made.halt("ETHUSD")
    with pytest.raises(UnknownSymbol) as told:
        made.halt("ETHUSDT", exchange=FUTURES)
    assert told.value.exchange == FUTURES
    with pytest.raises(UnknownExchange, match=r"binance\.com"):
        made.ban(30, exchange="binanc.com")
    with pytest.raises(InvalidArgument, match=r"binance\.com or binance\.com-futures"):
        made.ban(30, exchange="binance.us")
    with pytest.raises(InvalidArgument, match="exchange"):
        made.list_symbol("NEWUSDT")
    with pytest.raises(InvalidArgument, match="symbol"):
        made.halt(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda made: made.ban(-1),
        lambda made: made.ban("long"),
        lambda made: made.foreign_weight(1.5),
        lambda made: made.next_diffs("ETHUSDT", "explode"),
        lambda made: made.next_diffs("ETHUSDT", "drop", count=-1),
        lambda made: made.close_all(99),
        lambda made: made.empty_side("ETHUSDT", "both", seconds=1),
        lambda made: made.set_status("ETHUSDT", "sleeping"),
    ],
)
def test_values_that_cannot_work_are_refused(wrong: Callable[[Pair], None]) -> None:
    made = Pair(served())
    with pytest.raises(InvalidArgument):
        wrong(made)
    assert made.exchange.trouble == Trouble()


# --- on real sockets -------------------------------------------------------------------------------------


@asynccontextmanager
async def book_of_server() -> AsyncIterator[tuple[simulator.Server, depthcache.LiveBook]]:
    """A server whose markets hardly move, so that nothing is sent by itself, and a synced book of it."""
    slow = {SPOT: {"BTCUSDT": replace(TINY, interval_ms=3_600_000)}}
    with simulator.Server(SimulatedExchange(slow, seed=3)) as server:
        policy = Policy(connect_base_s=0.05, connect_cap_s=0.1)
        settings = replace(server.settings, policy=policy)
        async with (
            asyncio.timeout(DEADLINE_S),
            depthcache.connect(SPOT, ["BTCUSDT"], speed_ms=1_000, settings=settings) as books,
        ):
            await books.wait_synced()
            yield server, books["BTCUSDT"]


async def test_a_command_to_a_server_acts_at_once() -> None:
    with simulator.Server(SimulatedExchange(MARKETS)) as server:
        async with (
            asyncio.timeout(10),  # the next that happens by itself is a ping after 20 s
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.url}/{SPOT}/ws") as socket,
        ):
            server.close_all(1001, "away")
            assert (await socket.receive()).data == 1001


@pytest.mark.slow
async def test_books_of_a_server_come_back_after_a_command() -> None:
    async with book_of_server() as (server, book), book.updates("status", on_stale="serve") as stream:
        assert (await anext(stream)).status is Status.SYNCED
        server.cut()
        assert (await anext(stream)).status is Status.DISCONNECTED
        await book.wait_synced()


async def test_commands_come_from_any_thread() -> None:
    async with book_of_server() as (server, _):
        await asyncio.gather(*(asyncio.to_thread(server.refuse_subscribes, each) for each in range(20)))
        trouble = server.exchange.trouble  # type: ignore[attr-defined]
        assert trouble.refused_subscribes[SPOT] in range(20)
        with pytest.raises(UnknownSymbol):
            server.halt("ETHUSDT")


def test_a_server_that_is_closed_says_so() -> None:
    server = simulator.serve(seed=1)
    server.close()
    with pytest.raises(UsageError, match="closed"):
        server.cut()


def test_a_recording_says_that_it_is_served_as_it_was(tmp_path: Path) -> None:
    writer = Writer()
    writer.snapshot(0.0, 5)
    writer.diff(0.1, 6, 7)
    values = {"symbol": "ABCUSDT", "seconds": 1, "code": 1001, "fault": "drop", "status": "HALT"}
    values |= {"side": "bids", "tick": 1, "share": 0.5}
    with simulator.Server(RecordedExchange([writer.write(tmp_path / "a.txt")])) as server:
        for name, each in controls().items():
            takes = inspect.signature(each).parameters.values()
            needed = [one.name for one in takes if one.default is inspect.Parameter.empty]
            given = {needs: values[needs] for needs in needed if needs in values}
            with pytest.raises(UsageError, match="recordings are served unchanged"):
                getattr(server, name)(**given)
