"""After the machine slept or the process paused, books are stale at once and sockets are pinged at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from depthcache import Settings, Status, blocking, simulator
from depthcache._native import _pretend
from tests.support.peers import Listening, serving, talking

DEADLINE_S = 20.0
S = 1_000_000_000
WANTED = ("binance.com", ["BTCUSDT", "ETHUSDT"])


def sleep(seconds: float) -> None:
    """Let the clocks say that the machine slept."""
    _pretend(round(seconds * S), slept_ns=round(seconds * S))


@contextmanager
def client(transport: str) -> Iterator[blocking.Books]:
    """A client whose books are synced."""
    with simulator.serve(seed=5, symbols={"binance.com": ["BTCUSDT", "ETHUSDT"]}) as server:
        settings: Settings = replace(server.settings, transport=transport)
        with blocking.connect(*WANTED, settings=settings) as books:
            books.wait_synced()
            yield books


@pytest.mark.slow
def test_the_first_read_after_a_sleep_says_stale_and_data_proves_the_book_again(transport: str) -> None:
    with client(transport) as books:
        book = books["BTCUSDT"]
        with books.updates("status") as updates:
            seen = [updates.take(timeout=DEADLINE_S) for _ in range(2)]
            assert {update.status for update in seen if update} == {Status.SYNCED}
            with book.updates("every") as changes:
                while book.updated_ns is None:
                    assert changes.take(timeout=DEADLINE_S)
            sleep(20)
            status, reason, age = book.status, book.reason, book.age
            assert (status, reason) == (Status.STALE, "the machine slept for 20 s")
            assert age is not None
            assert age >= 20
            told = []
            while (update := updates.take(timeout=DEADLINE_S)) is not None:
                told.append((update.symbol, update.status))
                if {each for each, status in told if status is Status.SYNCED} == {"BTCUSDT", "ETHUSDT"}:
                    break
            assert {each for each, status in told if status is Status.STALE} == {"BTCUSDT", "ETHUSDT"}
        books.wait_synced(timeout=DEADLINE_S)
        assert book.age is not None
        assert book.age < 15


@pytest.mark.slow
async def test_a_half_open_connection_is_found_at_once_after_a_sleep_whatever_waits_in_it(
    transport: str, listening: Listening
) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        async for _ in socket:  # pings are read and not answered
            await socket.send_str('{"result":null,"id":1}')

    async with serving({"/": talking(talk)}) as place, listening(quiet_s=60, pong_s=60) as (network, ear):
        network.open(1, f"ws://{place}/")
        await ear.until(lambda: ear.opened)
        sleep(20)
        closed = await ear.closing_of(1)
        assert closed.reason == "half-open: no pong within 2 s after a pause"


@pytest.mark.slow
async def test_a_connection_that_answers_lives_on_after_a_sleep(transport: str, listening: Listening) -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        async for _ in socket:
            pass

    async with (
        serving({"/": talking(talk, autoping=True)}) as place,
        listening(quiet_s=60, pong_s=60) as (network, ear),
    ):
        network.open(1, f"ws://{place}/")
        await ear.until(lambda: ear.opened)
        for nth in (1, 2):
            sleep(20)
            await ear.until(lambda nth=nth: len(ear.alive) == nth)
        assert ear.closed == {}


@pytest.mark.slow
async def test_what_became_due_in_the_sleep_is_looked_at_again(listening: Listening) -> None:
    async with listening() as (network, ear):
        network.wake_at(network.now_ns() + 3_600 * S)
        sleep(4_000)
        await ear.until(lambda: ear.wakes)


CHILD = """
import sys, time
from dataclasses import replace
from depthcache import Endpoints, Settings, blocking, now_ns

settings = replace(Settings.from_environment(), transport=sys.argv[1])
with blocking.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
    books.wait_synced()
    book = books["BTCUSDT"]
    before_ns, seen, end_s = now_ns(), None, time.monotonic() + 25
    print("ready", flush=True)
    while seen != "synced" and time.monotonic() < end_s:
        time.sleep(0.01)
        at_ns = now_ns()
        status, reason = book.status.value, book.reason
        if at_ns - before_ns > 5e9 or seen is not None:
            if status != seen:
                print(status, reason, flush=True)
            seen = status
        before_ns = at_ns
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped on this system")
def test_a_process_that_was_stopped_says_so_with_its_first_read() -> None:
    with simulator.serve(seed=5, symbols={"binance.com": ["BTCUSDT"]}) as server:
        environment = {**os.environ, **server.environment}
        command = [sys.executable, "-c", CHILD, "native"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            os.kill(child.pid, signal.SIGSTOP)
            threading.Event().wait(5.5)  # the very thing under test: so long it does not run
            os.kill(child.pid, signal.SIGCONT)
            said = child.stdout.read().splitlines()
    assert said[0].startswith("stale this process was paused for ")
    assert said[-1] == "synced "
