"""The loop on a background thread: errors reach the caller, and it ends in any order of calls."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from depthcache.errors import UsageError
from depthcache.io.thread import LoopEnded, LoopThread

DEADLINE_S = 20.0


class Resource:
    """A context that remembers where it was entered and left."""

    def __init__(self) -> None:
        self.entered_on: threading.Thread | None = None
        self.left_on: threading.Thread | None = None
        self.on_enter: BaseException | None = None
        self.on_leave: BaseException | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        self.entered_on = threading.current_thread()
        if self.on_enter is not None:
            raise self.on_enter
        yield
        self.left_on = threading.current_thread()
        if self.on_leave is not None:
            raise self.on_leave


@pytest.fixture
def resource() -> Resource:
    return Resource()


@pytest.fixture
def thread(resource: Resource) -> Iterator[LoopThread]:
    before = threading.active_count()
    thread = LoopThread(resource.open(), name="under test")
    yield thread
    thread.stop()
    assert threading.active_count() == before


def test_the_context_lives_on_a_thread_that_is_no_daemon(thread: LoopThread, resource: Resource) -> None:
    thread.start()
    assert resource.entered_on is not None
    assert resource.entered_on is not threading.current_thread()
    assert not resource.entered_on.daemon
    thread.stop()
    assert resource.left_on is resource.entered_on
    assert not resource.entered_on.is_alive()


def test_calls_return_and_raise_what_the_coroutine_does(thread: LoopThread) -> None:
    async def where() -> threading.Thread:
        await asyncio.sleep(0)
        return threading.current_thread()

    async def fail() -> None:
        raise KeyError("mine")

    thread.start()
    assert thread.call(where) is not threading.current_thread()
    with pytest.raises(KeyError, match="mine"):
        thread.call(fail)
    assert thread.call(where)


def test_an_error_while_entering_comes_back_from_start_and_nothing_is_left(
    thread: LoopThread, resource: Resource
) -> None:
    resource.on_enter = OSError("no route to host")
    with pytest.raises(OSError, match="no route to host"):
        thread.start()
    assert resource.left_on is None
    with pytest.raises(LoopEnded):
        thread.call(lambda: asyncio.sleep(0))


def test_an_error_while_leaving_comes_back_from_stop_once(thread: LoopThread, resource: Resource) -> None:
    resource.on_leave = OSError("too late")
    thread.start()
    with pytest.raises(OSError, match="too late"):
        thread.stop()
    thread.stop()


def test_stopping_is_allowed_at_any_time_and_often(thread: LoopThread) -> None:
    thread.stop()
    thread.start()
    thread.stop()
    thread.stop()
    with pytest.raises(LoopEnded):
        thread.call(lambda: asyncio.sleep(0))


def test_a_stop_before_the_start_ends_it_at_once(resource: Resource) -> None:
    thread = LoopThread(resource.open(), name="under test")
    thread.stop()
    thread.start()
    thread.stop()
    assert resource.left_on is not None


def test_waiting_calls_raise_when_the_loop_ends(thread: LoopThread) -> None:
    thread.start()
    waiting, told = threading.Event(), []

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            thread.call(wait)
        except LoopEnded:
            told.append("ended")

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    assert waiting.wait(DEADLINE_S)
    thread.stop()
    for caller in callers:
        caller.join(DEADLINE_S)
    assert told == ["ended"] * 8


def test_many_threads_may_call_while_one_of_them_stops(resource: Resource) -> None:
    thread = LoopThread(resource.open(), name="under test")
    thread.start()
    ends: list[int] = []
    enough = threading.Barrier(9)

    def call() -> None:
        count = 0
        enough.wait(DEADLINE_S)
        while True:
            try:
                thread.call(lambda: asyncio.sleep(0))
            except LoopEnded:
                ends.append(count)
                return
            count += 1

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    enough.wait(DEADLINE_S)
    thread.call(lambda: asyncio.sleep(0.01))
    thread.stop()
    for caller in callers:
        caller.join(DEADLINE_S)
    assert len(ends) == 8


def test_giving_up_the_wait_cancels_the_work(thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while waiting: the wait is the main thread's, the work is the loop's."""
    thread.start()
    begun, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupted(future: object, timeout: float | None = None) -> None:
        assert begun.wait(DEADLINE_S)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("depthcache.io.thread.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thread.call(wait)
    assert cancelled.wait(DEADLINE_S)


def test_a_call_from_the_loops_own_thread_is_refused(thread: LoopThread) -> None:
    async def call_itself() -> None:
        thread.call(lambda: asyncio.sleep(0))

    thread.start()
    with pytest.raises(UsageError, match="own thread"):
        thread.call(call_itself)


def test_remaining_tasks_are_cancelled_at_the_end(thread: LoopThread) -> None:
    ended = threading.Event()

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def begin() -> None:
        task = asyncio.create_task(linger())
        await asyncio.sleep(0)
        assert not task.done()

    thread.start()
    thread.call(begin)
    thread.stop()
    assert ended.is_set()


# --- the end of the program -----------------------------------------------------------------

PROGRAM = """
import asyncio, sys, threading
from contextlib import asynccontextmanager
from depthcache.io.thread import LoopThread

@asynccontextmanager
async def resource():
    try:
        yield
    finally:
        await asyncio.sleep(0)
        print("left", flush=True)

thread = LoopThread(resource(), name="client")
thread.start()
"""

ENDINGS = {
    "in order": ("thread.stop()", 0, ""),
    "forgotten": ("", 0, ""),
    "forgotten after sys.exit": ("sys.exit(3)", 3, ""),
    "forgotten after an error": ("raise ValueError('mine')", 1, "ValueError: mine"),
    "forgotten with a name lookup behind it": (
        "thread.call(lambda: asyncio.get_running_loop().getaddrinfo('localhost', 1))",
        0,
        "",
    ),
    "forgotten by a thread that outlives the main one": (
        """
        def later():
            threading.main_thread().join()
            thread.call(lambda: asyncio.sleep(0.3))
            print("used", flush=True)
        threading.Thread(target=later).start()
        """,
        0,
        "",
    ),
    "two of them forgotten": ("other = LoopThread(resource(), name='other'); other.start()", 0, ""),
    "interrupted while waiting": (
        """
        import os, signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs begin without it
        async def press_ctrl_c():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        thread.call(press_ctrl_c)
        """,
        -2,
        "KeyboardInterrupt",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_program_ends_however_it_ends(ending: str) -> None:
    code, status, complaint = ENDINGS[ending]
    program = PROGRAM + textwrap.dedent(code)
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    expected = {
        "two of them forgotten": ["left", "left"],
        "forgotten by a thread that outlives the main one": ["used", "left"],
    }
    # Two threads may write their words before either writes the end of its line.
    assert re.findall("left|used", ran.stdout) == expected.get(ending, ["left"])
    assert ran.returncode == status
    if complaint:
        assert ran.stderr.strip().splitlines()[-1].startswith(complaint)
        assert ran.stderr.count("Traceback") == 1
    else:
        assert ran.stderr == ""
