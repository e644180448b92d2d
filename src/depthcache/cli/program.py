"""Another program, run beside something of ours that must outlive it: started, told of signals, waited for.

A terminal sends Ctrl-C to its whole foreground process group, so the program gets it without our help,
however often it is pressed. A signal sent to this process alone is passed on: the first as it is, the second
as SIGTERM, the third as SIGKILL. Only the program itself is waited for, not what it leaves running.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from depthcache.cli.streams import tell
from depthcache.foreign_text import escaped

__all__ = ["CANNOT_RUN", "NOT_FOUND", "Program"]

NOT_FOUND = 127
CANNOT_RUN = 126
"""Exit codes as shells have them."""
_KILLED_BY = 128
"""What is added to the number of the signal."""
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")
_SIGNALS = tuple(signal.Signals[name] for name in _NAMES if hasattr(signal, name))
_BY_TERMINAL = frozenset({"SIGINT", "SIGQUIT", "SIGBREAK"})
"""What a terminal, or the console of Windows, sends to all processes in front."""


class Program:
    """`with Program() as program:` on the main thread, then `run`. Signals wait until it runs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = False
        """From here on the program may be there, and gets what the terminal sends."""
        self._before: dict[signal.Signals, Any] = {}
        self._came: list[signal.Signals] = []
        self._wakeup_before = -1
        self._terminal = _open_terminal()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if (before := signal.getsignal(number)) is not signal.SIG_IGN:  # `nohup`, or `&` in a script
                self._before[number] = before
                signal.signal(number, self._on_signal)
        self._wakeup_before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._wake.close()
        self._waker.close()
        if self._terminal is not None:
            os.close(self._terminal)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a program with this `environment` and return its exit code, 128 and the number of a signal that
        killed it. What cannot be run is said on stderr: 127 for one that is not found, 126 otherwise."""
        if self._came:
            return _KILLED_BY + self._came[0]
        self._starts = True
        try:
            process = self._process = subprocess.Popen(command, env=environment)  # noqa: S603
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            why = "not found" if is_missing else error.strerror or str(error)
            tell(escaped(f"depthcache: cannot run {command[0]}: {why}"))
            return NOT_FOUND if is_missing else CANNOT_RUN
        if self._came:  # while it was started
            self._pass_on(process)
        code = self._wait(process)
        return _KILLED_BY - code if code < 0 else code

    def terminate(self) -> None:
        """Send the program SIGTERM, if it still runs. Any thread may call it."""
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Until it has ended. A signal that comes just before `waitpid` blocks would wait for the end of the
        program: this thread waits for bytes instead, one for each signal and one for the end."""
        ended = threading.Thread(target=self._tell_end, args=(process,), daemon=True)
        ended.start()
        while process.returncode is None:
            select.select([self._wake], [], [])
            with suppress(BlockingIOError):
                self._wake.recv(64)
        ended.join()
        return process.returncode

    def _tell_end(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        with suppress(BlockingIOError):  # full of bytes that wake it as well
            self._waker.send(b"\0")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        came = signal.Signals(number)
        if self._starts and came.name in _BY_TERMINAL and self._is_in_front():
            return  # the program has got it, too
        self._came.append(came)
        if self._process is not None:
            self._pass_on(self._process)

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(OSError, ValueError):  # it has ended, or Windows has no such signal
            match len(self._came):
                case 1:
                    process.send_signal(self._came[0])
                case 2:
                    process.terminate()
                case _:
                    process.kill()

    def _is_in_front(self) -> bool:
        """Whether the terminal sends Ctrl-C to this process, and so to the program in the same group."""
        if sys.platform == "win32":
            return True
        with suppress(OSError):
            return self._terminal is not None and os.tcgetpgrp(self._terminal) == os.getpgrp()
        return False


def _open_terminal() -> int | None:
    """The terminal that controls this process, whatever its standard streams are; None without one."""
    if sys.platform != "win32":
        with suppress(OSError):
            return os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    return None
