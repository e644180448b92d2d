"""Strategies with the asyncio API in virtual time: real `Books`, a clock that jumps, repeatable runs."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import signal
import threading
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache import (
    BookClosed,
    InvalidArgument,
    Settings,
    SnapshotRequest,
    Status,
    SyncTimeout,
    Update,
    UsageError,
    simulator,
)
from depthcache.client.callbacks import CallbackHandle
from depthcache.client.client import Client
from depthcache.client.follow import Updates
from depthcache.client.live_book import LiveBook
from depthcache.client.waiters import Waiting
from depthcache.recording.lines import numbered_lines
from depthcache.simulator import TINY, ExchangeControls, Faults, Pair, SimulatedExchange

SPOT, FUTURES = "binance.com", "binance.com-futures"
CALM = replace(TINY, interval_ms=1_000)
MARKETS = {SPOT: {"BTCUSDT": CALM, "ETHUSDT": CALM}, FUTURES: {"BTCUSDT": CALM}}
HOUR_S = 3_600


def pair(*, faults: Faults | None = None, seed: int = 2) -> Pair:
    return Pair(SimulatedExchange(MARKETS, seed=seed, faults=faults), seed=seed)


def run(work: Callable[[Pair], Coroutine[Any, Any, Any]], *, within_s: float = 86_400) -> Any:
    """What a coroutine returns that is given a pair."""
    made = pair()
    return made.run(work(made), within_s=within_s)


# --- the same strategy in virtual time and on real sockets -----------------------------------------------


@dataclass
class Seen:
    """What a strategy has seen."""

    called: list[tuple[str, int | None]] = field(default_factory=list)
    followed: list[tuple[Status, int | None]] = field(default_factory=list)
    late: int = 0
    best: object = None


async def strategy(connect: Callable[..., depthcache.Books], *, seconds: float) -> Seen:
    """Callbacks, following, waiting and a time limit, as a user writes them."""
    seen = Seen()

    def on_update(update: Update) -> None:
        seen.called.append((update.symbol, update.last_update_id))

    async with connect(SPOT, ["BTCUSDT", "ETHUSDT"], speed_ms=1_000, on_stale="serve") as books:
        await books.wait_synced(timeout=30)
        books.on_update(on_update, "best")
        try:
            async with asyncio.timeout(seconds):
                async for update in books["BTCUSDT"].updates("every"):
                    seen.followed.append((update.status, update.last_update_id))
        except TimeoutError:
            seen.late += 1
        await books["BTCUSDT"].read(on_stale="wait")
        assert (await books["BTCUSDT"].audit()).differing == 0
        seen.best = books["BTCUSDT"].freeze(1, on_stale="serve").best
    return seen


def hour_of_faults() -> tuple[Seen, Pair]:
    faults = Faults(seed=7, drop=0.01, reorder=0.01, cut=0.001, lagging=0.3, until_ns=HOUR_S * 10**9)
    made = pair(faults=faults)
    return made.run(strategy(made.connect, seconds=HOUR_S)), made


@pytest.mark.slow
def test_an_hour_of_faults_in_virtual_time_is_the_same_every_time() -> None:
    seen, made = hour_of_faults()
    assert (seen, made.now_ns) == (hour_of_faults()[0], made.now_ns)
    assert seen.late == 1
    assert len(seen.followed) > 1_000
    assert len(seen.called) > 1_000
    assert {status for status, _ in seen.followed} > {Status.SYNCED, Status.DISCONNECTED}
    assert HOUR_S < made.now_ns / 1e9 < HOUR_S + 120
    assert made.unexpected == ()
    assert made.exchange.sessions() == ()


@pytest.mark.slow
async def test_the_same_strategy_runs_unchanged_on_real_sockets() -> None:
    with simulator.Server(SimulatedExchange({SPOT: {"BTCUSDT": TINY, "ETHUSDT": TINY}}, seed=2)) as server:
        seen = await strategy(partial(depthcache.connect, settings=server.settings), seconds=2)
    assert seen.late == 1
    assert seen.followed


# --- every part of the asyncio API -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["latest", "every", "interval", "best", "levels", "status"])
def test_books_are_followed_in_every_mode(mode: Any) -> None:
    async def work(made: Pair) -> float:
        loop = asyncio.get_running_loop()
        options: Any = {"interval_ms": 5_000} if mode == "interval" else {}
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            stream = books["BTCUSDT"].updates(mode, 5, **options)
            await anext(stream)
            began = loop.time()
            if mode == "status":
                made.cut()
            await anext(stream)
            return loop.time() - began

    took = run(work)
    if mode == "interval":
        assert 4.5 < took <= 5
    else:
        assert 0 < took < 60


def test_books_come_and_go_and_are_waited_for() -> None:
    async def work(made: Pair) -> None:
        async with made.connect({SPOT: ["BTCUSDT"], FUTURES: []}) as books:
            first = await books.wait_any_synced()
            assert [book.symbol for book in first] == ["BTCUSDT"]
            added = books.add("BTCUSDT", FUTURES)
            await added.wait_synced()
            assert made.differences() == 0
            assert made.is_synced()
            assert {book.symbol: book.status for book in books.stats().books} == {"BTCUSDT": "synced"}
            assert (await added.audit(seconds=30)).checked > 0
            assert made.now_ns > 30e9
            books.remove("BTCUSDT", FUTURES)
            with pytest.raises(BookClosed):
                await added.read()

    run(work)


def test_waiting_ends_after_the_virtual_time_that_was_given() -> None:
    async def work(made: Pair) -> float:
        loop = asyncio.get_running_loop()
        made.outage(HOUR_S)
        async with made.connect(SPOT, ["BTCUSDT"], on_stale="wait") as books:
            began = loop.time()
            with pytest.raises(SyncTimeout):
                await books["BTCUSDT"].read(timeout=600)
            return loop.time() - began

    assert run(work) == pytest.approx(600)


def test_the_age_of_a_book_is_virtual() -> None:
    async def work(made: Pair) -> float | None:
        async with made.connect(SPOT, ["BTCUSDT"], on_stale="serve") as books:
            await books.wait_synced()
            await asyncio.sleep(5)
            made.silence("BTCUSDT", exchange=SPOT)
            await asyncio.sleep(20)
            return books["BTCUSDT"].age

    assert 20 <= run(work) < 22


def test_waiters_are_woken_in_order() -> None:
    async def work(made: Pair) -> list[int]:
        told: list[int] = []

        async def wait(number: int, books: depthcache.Books) -> None:
            await books.wait_synced()
            told.append(number)

        async with made.connect(SPOT, ["BTCUSDT"]) as books, asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(wait(number, books))
        return told

    assert run(work) == list(range(100))


def test_a_custom_snapshot_source_takes_no_virtual_time() -> None:
    asked: list[SnapshotRequest] = []

    def source(request: SnapshotRequest) -> None:
        assert threading.current_thread() is threading.main_thread()
        asked.append(request)

    async def work(made: Pair) -> None:
        async with made.connect(SPOT, ["BTCUSDT"], snapshots=source) as books:
            await books.wait_synced()
        assert made.now_ns < 1e9

    run(work)
    assert [request.symbol for request in asked] == ["BTCUSDT"]


def test_several_clients_and_books_without_a_loop_share_one_clock() -> None:
    made = pair()
    plain = made.add(SPOT, "ETHUSDT")

    async def work() -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as one, made.connect(FUTURES, ["BTCUSDT"]) as two:
            await asyncio.gather(one.wait_synced(), two.wait_synced())
            await asyncio.sleep(10)
            assert made.differences() == 0
            assert made.is_synced()
            assert len(made.exchange.sessions()) == 3

    made.run(work())
    assert plain.status is Status.SYNCED
    assert len(made.exchange.sessions()) == 1
    assert made.exchange.breaches == []


def test_time_goes_on_from_run_to_run() -> None:
    made = pair()

    async def work() -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            await books.wait_synced()
            await asyncio.sleep(60)

    made.run(work())
    made.run_for(60)
    made.run(work())
    assert made.now_ns > 180e9
    later = Pair(made.exchange)
    assert later.now_ns == made.now_ns
    later.run(asyncio.sleep(1))


def test_what_happens_is_looked_at_after_every_step() -> None:
    made = pair()
    steps: list[int] = []
    made.on_step = lambda: steps.append(made.now_ns)

    async def work() -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            await books.wait_synced()

    made.run(work())
    assert steps == sorted(steps)
    assert len(steps) > 5


def test_the_machine_of_a_client_sleeps() -> None:
    async def work(made: Pair) -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            await books.wait_synced()
            made.sleep(600, half_open=True)
            assert books["BTCUSDT"].status is Status.STALE
            await books.wait_synced()
            assert 600e9 < made.now_ns < 660e9
            assert made.differences() == 0

    run(work)


def test_what_led_to_a_gap_is_written_with_the_times_of_the_virtual_clock(tmp_path: Path) -> None:
    async def work(made: Pair) -> None:
        async with made.connect(SPOT, ["BTCUSDT"], settings=Settings(flight_dumps_to=tmp_path)) as books:
            await books.wait_synced()
            await asyncio.sleep(10)
            made.next_diffs("BTCUSDT", "drop", exchange=SPOT)
            await asyncio.sleep(10)
            books["BTCUSDT"].save_flight_dump(tmp_path / "asked")

    run(work)
    for path in tmp_path.iterdir():
        lines = [json.loads(line) for _, line in numbered_lines(path)]
        [book] = [line["time"] for line in lines if line.get("event") == "book"]
        frames = [line["time"] for line in lines if "frame" in line]
        assert frames == sorted(frames)
        assert all(0 <= book - frame < 30e9 for frame in frames)
    assert len(tuple(tmp_path.iterdir())) == 2


# --- the event loop --------------------------------------------------------------------------------------


def test_sleeping_takes_virtual_time_to_the_nanosecond() -> None:
    made = pair()

    async def work() -> list[float]:
        loop, times = asyncio.get_running_loop(), []
        for seconds in (1, 0.1, 0.001, 86_400, 1e-9):
            began = loop.time()
            await asyncio.sleep(seconds)
            times.append(loop.time() - began - seconds)
        return times

    assert made.run(work(), within_s=1e6) == pytest.approx([0] * 5, abs=2e-9)


def test_time_stops_while_a_thread_works() -> None:
    async def work(made: Pair) -> str:
        gate = threading.Event()
        waiting = asyncio.create_task(asyncio.to_thread(gate.wait, 60))
        async with made.connect(SPOT, ["BTCUSDT"]), asyncio.timeout(1):
            await asyncio.sleep(0)
            threading.Timer(0.02, gate.set).start()
            assert await waiting
        assert made.now_ns < 1e9
        return "done"

    assert run(work) == "done"


def test_a_task_that_polls_does_not_stop_the_clock() -> None:
    async def work(made: Pair) -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            while books["BTCUSDT"].status is not Status.SYNCED:  # noqa: ASYNC110 - that is what is tested
                await asyncio.sleep(0)
        assert 0 < made.now_ns < 1e9

    run(work)


def test_a_deadlock_error_names_where_the_coroutine_waits() -> None:
    async def stuck(made: Pair) -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            await books.wait_synced()
        await asyncio.Event().wait()

    with pytest.raises(UsageError, match=r"nothing can happen any more.*waits in stuck, .*test_virtual_time"):
        run(stuck)


def test_a_coroutine_that_never_ends_is_ended_with_its_books() -> None:
    ended: list[LiveBook] = []

    async def endless(made: Pair) -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            ended.extend(books)
            await asyncio.Event().wait()

    with pytest.raises(UsageError, match=r"did not end .*waits in endless"):
        run(endless, within_s=600)
    assert [book.status for book in ended] == [Status.CLOSED]


def test_what_it_raises_is_raised_and_books_left_open_are_closed() -> None:
    made, left = pair(), []

    async def work() -> None:
        books = made.connect(SPOT, ["BTCUSDT"])
        left.append(await books.__aenter__())
        await books.wait_synced()
        raise LookupError("planted")

    with pytest.raises(LookupError, match="planted"):
        made.run(work())
    assert [book.status for book in left[0]] == [Status.CLOSED]
    assert made.exchange.sessions() == ()
    with pytest.raises(BookClosed):
        left[0]["BTCUSDT"].freeze()


def test_ctrl_c_ends_it() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    closed: list[str] = []

    async def work(made: Pair) -> None:
        async with made.connect(SPOT, ["BTCUSDT"]) as books:
            await books.wait_synced()
            try:
                asyncio.get_running_loop().call_later(10, signal.raise_signal, signal.SIGINT)
                await asyncio.sleep(HOUR_S)
            finally:
                closed.append(books["BTCUSDT"].status)

    try:
        with pytest.raises(KeyboardInterrupt):
            run(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert closed == [Status.SYNCED]


def test_real_sockets_are_refused() -> None:
    async def work(made: Pair) -> None:
        await asyncio.open_connection("127.0.0.1", 9)

    with pytest.raises(UsageError, match=r"use pair\.connect.* depthcache_server"):
        run(work)


def test_a_client_of_real_sockets_is_refused_at_once_with_what_to_use_instead() -> None:
    async def work(_: Pair) -> None:
        async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
            await books.wait_synced(timeout=30)

    with pytest.raises(UsageError, match=r"^this program opened a real socket") as caught:
        run(work)
    shown = "".join(traceback.format_exception(caught.value))
    assert "SyncTimeout" not in shown


# --- mistakes --------------------------------------------------------------------------------------------


async def test_it_is_not_run_inside_another_loop() -> None:
    with pytest.raises(UsageError, match="plain function"):
        pair().run(asyncio.sleep(1))


def test_only_coroutines_run() -> None:
    with pytest.raises(InvalidArgument, match=r"pair\.run\(strategy\(\)\)"):
        pair().run(strategy)  # type: ignore[arg-type]


async def test_books_are_entered_inside_run() -> None:
    with pytest.raises(UsageError, match=r"pair\.run"):
        await pair().connect(SPOT, ["BTCUSDT"]).__aenter__()


def test_inside_run_the_clock_is_moved_by_waiting_alone() -> None:
    async def work(made: Pair) -> None:
        made.run_for(1)

    with pytest.raises(UsageError, match=r"await asyncio\.sleep"):
        run(work)


def test_an_exchange_that_is_not_simulated_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"binance\.com or binance\.com-futures"):
        pair().connect("binance.us", ["BTCUSDT"])


def test_recording_needs_real_time(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="serve"):
        pair().connect(SPOT, ["BTCUSDT"], settings=Settings(record_to=tmp_path))


def test_hosts_of_given_settings_do_not_matter() -> None:
    elsewhere = depthcache.Endpoints(rest="http://127.0.0.1:1", websocket="ws://127.0.0.1:1")

    async def work(made: Pair) -> None:
        settings = Settings(endpoints={SPOT: elsewhere}, transport="aiohttp")
        async with made.connect(SPOT, ["BTCUSDT"], settings=settings) as books:
            await books.wait_synced()

    run(work)


def test_connect_takes_what_the_real_one_takes() -> None:
    virtual = inspect.signature(Pair.connect).parameters
    real = inspect.signature(depthcache.connect).parameters
    assert [str(each) for name, each in virtual.items() if name != "self"] == [
        str(each) for each in real.values()
    ]


@pytest.mark.parametrize("cls", [Client, LiveBook, CallbackHandle, Updates, Waiting, depthcache.Books])
def test_what_users_wait_for_knows_no_clock_but_that_of_its_network_and_its_loop(cls: type) -> None:
    module = inspect.getmodule(cls)
    assert module is not None
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    imported = [each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)]
    imported += [
        alias.name for each in ast.walk(tree) if isinstance(each, ast.Import) for alias in each.names
    ]
    assert "time" not in imported


def test_a_pair_is_controlled_as_a_server_is() -> None:
    assert issubclass(Pair, ExchangeControls)
    assert issubclass(simulator.Server, ExchangeControls)


# --- how long, and what went wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e300, -1, "3", None, True])
def test_a_time_that_cannot_go_by_is_refused_and_the_clock_stays(seconds: Any) -> None:
    made = pair()
    ways: list[Callable[[], object]] = [
        lambda: made.run_for(seconds),
        lambda: made.sleep(seconds),
        lambda: made.run_until(seconds),
        lambda: made.run_until_synced(within_s=seconds),
    ]
    for way in ways:
        with pytest.raises(InvalidArgument):
            way()
    assert made.now_ns == 0
    made.run_for(1)
    made.run_until(5)
    assert made.now_ns == 1_000_000_000


@pytest.mark.parametrize("within_s", [float("nan"), -1, "3"])
def test_a_coroutine_that_is_not_run_is_closed(within_s: Any, recwarn: pytest.WarningsRecorder) -> None:
    main = asyncio.sleep(1)
    with pytest.raises(InvalidArgument):
        pair().run(main, within_s=within_s)
    assert main.cr_frame is None
    assert not recwarn


@pytest.mark.parametrize("within_s", [float("inf"), 1e308, 10**400])
def test_a_run_may_have_no_end(within_s: float) -> None:
    made = pair()
    made.run(asyncio.sleep(100 * HOUR_S), within_s=within_s)
    assert made.now_ns == 100 * HOUR_S * 10**9


def test_troubles_of_connected_books_are_listed() -> None:
    made = pair()

    async def strategy() -> None:
        async with made.connect({SPOT: ["ETHUSDT", "BTCUSDT"]}) as books:
            await books.wait_synced()
            made.next_diffs("BTCUSDT", "drop", exchange=SPOT)
            await asyncio.sleep(10)
            assert books["BTCUSDT"].counters["gaps"] == 1

    made.run(strategy())
    assert [(each.market, each.cause) for each in made.troubles] == [(2, "gap")]
