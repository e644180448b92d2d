"""The app in a real terminal: `watch` as a program on a pseudo terminal, whose screen is read back."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from decimal import Decimal
from pathlib import Path

import pyte
import pytest

from depthcache import simulator
from tests.cli.programs import DEADLINE_S

pytestmark = pytest.mark.slow

CODE = "import sys; from depthcache.cli import main; sys.exit(main())"
WITHOUT_TEXTUAL = f"import sys; sys.modules['textual'] = None\n{CODE}"
TAKEN, GIVEN_BACK, CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with simulator.serve(seed=3) as server:
        yield dict(server.environment)


class Terminal:
    """A terminal of this size with a program in it."""

    def __init__(
        self, process: subprocess.Popen[bytes], ours: int, theirs: int, size: tuple[int, int]
    ) -> None:
        self.process, self._ours, self._theirs = process, ours, theirs
        self._before = termios.tcgetattr(theirs)
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""

    @property
    def lines(self) -> list[str]:
        return list(self._screen.display)

    def read(self, is_there: Callable[[], bool]) -> None:
        """Read what is drawn until that holds, or the program has ended."""
        deadline = time.monotonic() + DEADLINE_S
        while not is_there():
            assert time.monotonic() < deadline, "\n".join(self.lines)
            if not select.select([self._ours], [], [], 0.05)[0]:
                if self.process.poll() is not None:
                    return
                continue
            try:
                part = os.read(self._ours, 65_536)
            except OSError:  # the other end is closed
                return
            self.raw += part
            self._stream.feed(part)

    def until(self, words: str) -> str:
        self.read(lambda: words in "\n".join(self.lines))
        text = "\n".join(self.lines)
        assert words in text
        return text

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._screen.resize(height, width)
        self.process.send_signal(signal.SIGWINCH)

    def rest(self) -> int:
        """Read until the program ends; its exit code."""
        self.read(lambda: False)
        return self.process.wait(DEADLINE_S)

    def is_as_before(self) -> bool:
        """Whether modes, screen and cursor of the terminal were given back."""
        after = self.raw.rpartition(TAKEN)[2]
        return termios.tcgetattr(self._theirs) == self._before and GIVEN_BACK in after and CURSOR in after

    def hang_up(self) -> None:
        """The terminal is closed."""
        os.close(self._ours)
        os.close(self._theirs)


@contextmanager
def terminal(
    *arguments: str,
    environment: Mapping[str, str],
    size: tuple[int, int] = (80, 24),
    code: str = CODE,
    errors: Path | None = None,
) -> Iterator[Terminal]:
    """Not as its controlling terminal: the system drops unread output when the owner of one ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    own = {**os.environ, "TERM": "xterm-256color", **environment}
    for name in ("COLUMNS", "LINES", *(() if "NO_COLOR" in environment else ("NO_COLOR",))):
        own.pop(name, None)
    with (
        nullcontext(theirs) if errors is None else errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=stderr,
            env=own,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Terminal(process, ours, theirs, size)
        finally:
            process.kill()
    for each in (ours, theirs):
        with suppress(OSError):  # hung up
            os.close(each)


def levels(lines: list[str]) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Price, size and total of each line of the ladder."""
    found = []
    for line in lines:
        if line[0] in "▾▴" and line.strip():
            price, size, total = map(Decimal, line[1:].split()[:3])
            found.append((price, size, total))
    return found


def test_prices_are_whole_and_add_up_at_every_size_and_ctrl_c_gives_the_terminal_back(
    environment: dict[str, str],
) -> None:
    with terminal("watch", "BTCUSDT", "ETHUSDT", environment=environment) as shown:
        shown.until("asks   no gaps")
        shown.type(b" ")
        shown.until("FROZEN")
        shown.type(b"?")  # drawn after all that was there: what is on the screen then is one picture
        shown.until("this help")
        shown.type(b"?")
        shown.until("bids within")
        found = levels(shown.lines)
        assert len(found) >= 10
        assert [price for price, _, _ in found] == sorted((price for price, _, _ in found), reverse=True)
        at = next(number for number, line in enumerate(shown.lines) if " spread " in line)
        bids = levels(shown.lines[at:])
        assert [total for _, _, total in bids] == [
            sum((size for _, size, _ in bids[: number + 1]), Decimal(0)) for number in range(len(bids))
        ]
        assert "…" not in "".join(line.split("│")[0] for line in shown.lines)
        shown.resize(120, 40)
        shown.read(lambda: "dump" in shown.lines[39])
        shown.resize(40, 10)
        shown.read(lambda: "quit" in shown.lines[9])
        assert "…" not in "".join(shown.lines)
        shown.type(b"\x03")
        assert shown.rest() == 0
        assert shown.is_as_before()
    after = shown.raw.rpartition(GIVEN_BACK)[2].decode()
    assert after.count("  synced since ") == 2
    assert "Traceback" not in shown.raw.decode()


def test_a_suspended_app_gives_the_terminal_back_and_comes_again_until_a_supervisor_ends_it(
    environment: dict[str, str],
) -> None:
    with terminal("watch", "BTCUSDT", environment=environment) as shown:
        shown.until("SYNCED")
        shown.type(b"\x1a")
        shown.read(lambda: os.waitpid(shown.process.pid, os.WUNTRACED | os.WNOHANG)[0] != 0)
        assert shown.is_as_before()
        taken = shown.raw.count(TAKEN)
        shown.process.send_signal(signal.SIGCONT)
        shown.read(lambda: shown.raw.count(TAKEN) > taken)
        shown.process.send_signal(signal.SIGTERM)
        assert shown.rest() == 0
        assert shown.is_as_before()


def test_a_hangup_ends_the_program_after_the_terminal_is_as_it_was(environment: dict[str, str]) -> None:
    with terminal("watch", "BTCUSDT", environment=environment) as shown:
        shown.until("SYNCED")
        shown.process.send_signal(signal.SIGHUP)
        assert shown.rest() == -signal.SIGHUP
        assert shown.is_as_before()


def test_a_terminal_that_goes_away_ends_the_program_without_a_traceback(
    environment: dict[str, str], tmp_path: Path
) -> None:
    errors = tmp_path / "errors"
    with terminal("watch", "BTCUSDT", environment=environment, errors=errors) as shown:
        shown.until("SYNCED")
        shown.hang_up()
        shown.process.wait(DEADLINE_S)
    assert "Traceback" not in errors.read_text("utf-8")
    assert errors.read_text("utf-8").count("\n") <= 1


def test_without_textual_one_line_says_so_and_lines_follow(environment: dict[str, str]) -> None:
    with terminal(
        "watch", "BTCUSDT", "--seconds", "0.5", environment=environment, code=WITHOUT_TEXTUAL
    ) as shown:
        assert shown.rest() == 0
    hint, *lines = shown.raw.decode().splitlines()
    assert (
        hint == 'depthcache: the terminal app needs Textual: pip install "depthcache[tui]"; lines until then'
    )
    assert lines
    assert all("  BTCUSDT  " in line for line in lines)
    assert b"\x1b" not in shown.raw


def test_the_demo_says_simulated_and_counts_its_comparisons() -> None:
    with terminal("demo", "--seed", "1", environment={}) as shown:
        shown.read(lambda: re.search(r"[1-9]\d* comparisons", "\n".join(shown.lines)) is not None)
        assert shown.lines[0].endswith("simulated market, embedded exchange ")
        assert "comparisons with the truth, differences: 0" in shown.lines[1]
        shown.type(b"q")
        assert shown.rest() == 0
    assert re.fullmatch(
        r"5 books, [\d,]+ updates, [\d,]+ gaps?, [\d,]+ resyncs?, differences: 0",
        shown.raw.decode().splitlines()[-1],
    )
