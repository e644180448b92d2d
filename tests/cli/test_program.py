"""A program beside the exchange: its exit code, and which signals reach it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthcache.cli.program import CANNOT_RUN, NOT_FOUND, Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    """Those of a program that a shell starts: a run of the tests in the background ignores some of them."""
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGQUIT: signal.SIG_DFL,
    }
    inherited = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    try:
        assert {number: signal.getsignal(number) for number in usual} == usual
    finally:
        for number, handler in inherited.items():
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run in the foreground of one."""
    monkeypatch.setattr("depthcache.cli.program._open_terminal", lambda: None)


def run(script: str, *arguments: str) -> int:
    with Program() as program:
        return program.run(["sh", "-c", script, *arguments], os.environ)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
)
def test_the_exit_code_is_that_of_the_program(script: str, code: int) -> None:
    assert run(script) == code


def test_what_is_not_found_is_127_and_what_cannot_be_run_is_126_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text")
    with Program() as program:
        assert program.run(["no-such-program-here"], os.environ) == NOT_FOUND == 127
        assert program.run([str(plain)], os.environ) == CANNOT_RUN == 126
        assert program.run([str(tmp_path)], os.environ) == CANNOT_RUN
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "depthcache: cannot run no-such-program-here: not found",
        f"depthcache: cannot run {plain}: Permission denied",
        f"depthcache: cannot run {tmp_path}: Permission denied",
    ]


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_for_us_alone_is_passed_on(name: str) -> None:
    # The program tells us itself, once it is ready for it.
    assert run(f"trap 'kill $!; exit 5' {name}; sleep 60 & kill -{name} $PPID; wait") == 5


def test_the_third_signal_kills_what_ignores_the_others() -> None:
    script = "trap '' INT TERM HUP; kill -HUP $PPID; kill -INT $PPID; kill -TERM $PPID; exec sleep 60"
    assert run(script) == 137


def test_ctrl_c_of_a_terminal_is_not_passed_on_for_the_program_has_it_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Program, "_is_in_front", lambda _: True)
    script = "trap 'kill $!; exit 9' INT; trap 'kill $!; exit 5' TERM; sleep 60 & "
    script += "kill -INT $PPID; kill -TERM $PPID; wait"
    assert run(script) == 5


def test_ctrl_c_while_the_program_starts_is_not_passed_on_either(monkeypatch: pytest.MonkeyPatch) -> None:
    start = subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> Any:
        process = start(*arguments, **options)
        signal.raise_signal(signal.SIGINT)  # the program is there, and we do not know it yet
        return process

    monkeypatch.setattr(Program, "_is_in_front", lambda _: True)
    monkeypatch.setattr("depthcache.cli.program.subprocess.Popen", interrupted)
    assert run("exit 3") == 3


def test_a_signal_before_the_program_runs_keeps_it_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthcache.cli.program.subprocess.Popen", lambda *_, **__: pytest.fail("started"))
    with Program() as program:
        signal.raise_signal(signal.SIGTERM)
        assert program.run(["true"], os.environ) == 143


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("kill -HUP $PPID; kill -HUP $$; exit 3") == 3
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_interrupts_no_call_of_the_main_thread_is_passed_on_at_once() -> None:
    """As one that comes just before the call blocks, but every time: another thread gets it."""
    ends = threading.Event()
    other = threading.Thread(target=ends.wait)
    other.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        script = "import os, signal, time; signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP]); "
        script += "os.kill(os.getppid(), signal.SIGHUP); time.sleep(20)"
        with Program() as program:
            assert program.run([sys.executable, "-S", "-c", script], os.environ) == 128 + signal.SIGHUP
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        ends.set()
        other.join()


def test_children_that_the_program_leaves_running_are_not_waited_for(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    assert run('sleep 60 & echo $! > "$0"', str(told)) == 0
    os.kill(int(told.read_text()), signal.SIGKILL)  # it was still there


def test_a_system_with_fewer_signals_and_no_terminals_has_it_too() -> None:
    """As Windows: neither SIGHUP nor SIGQUIT, `/dev/tty`, process groups."""
    code = """
import os, signal, sys
from depthcache.cli import main
del signal.SIGHUP, signal.SIGQUIT, os.getpgrp, os.tcgetpgrp, os.O_NOCTTY
sys.platform = "win32"
sys.modules.pop("depthcache.cli.program", None)
from depthcache.cli.program import Program, _SIGNALS
assert [each.name for each in _SIGNALS] == ["SIGINT", "SIGTERM"]
with Program() as program:
    sys.exit(program.run([sys.executable, "-S", "-c", "raise SystemExit(3)"], os.environ))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3
