"""Ctrl-C: the first asks the command to end, the second has no effect, the third interrupts it."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from itertools import count
from types import FrameType
from typing import Any

import pytest

from depthcache.cli.interrupt import Interrupt


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_two_ask_and_the_third_interrupts() -> None:
    with Interrupt() as interrupt:
        assert not interrupt.has_happened
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupt.has_happened
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_word_of_a_supervisor_may_come_as_often_as_it_likes() -> None:
    with Interrupt() as interrupt:
        for _ in range(5):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupt.has_happened


async def test_a_wait_ends_at_the_first() -> None:
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert await interrupt.wait_async(60)


async def test_a_wait_ends_when_another_thread_ends_the_command() -> None:
    with Interrupt() as interrupt:
        threading.Timer(0.05, interrupt.end).start()
        async with asyncio.timeout(10):
            assert await interrupt.wait_async(60)


def test_once_all_is_closed_a_late_one_spoils_nothing() -> None:
    with Interrupt():
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_without_an_interrupt_the_signal_handlers_are_restored() -> None:
    with Interrupt():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("line", range(1, 13))
def test_a_signal_at_any_line_of_the_wait_ends_it(monkeypatch: pytest.MonkeyPatch, line: int) -> None:
    """A handler runs in the thread that waits, between any two lines: no lock of the wait may be its own."""
    monkeypatch.setattr("depthcache.cli.interrupt._LOOK_S", 0.001)
    interrupt, lines = Interrupt(), count(1)

    def trace(frame: FrameType, event: str, _value: Any) -> Any:
        if event == "line" and next(lines) == line:
            interrupt._on_signal(signal.SIGTERM, frame)
        return trace

    def wait() -> None:
        sys.settrace(trace)
        try:
            interrupt.wait()
        finally:
            sys.settrace(None)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()
