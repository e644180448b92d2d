"""`depthcache watch` as a program against an embedded exchange: state lines, Ctrl-C, unknown symbols."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from depthcache import simulator
from tests.cli.programs import DEADLINE_S, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with simulator.serve(seed=3) as server:
        yield dict(server.environment)


def test_every_book_has_its_line_until_ctrl_c(environment: dict[str, str]) -> None:
    with running("watch", "btcusdt", "ETHUSDT", environment=environment) as program:
        for _ in range(2):
            line = program.until("synced")
            assert re.search(
                r"(BTC|ETH)USDT +binance.com +synced +age +[\d.]+ m?s +id +\d+ +complete \d", line
            )
            assert re.search(r"updates/s  bid [\d.]+ ask [\d.]+$", line)
        code, _, errors = program.end()
    assert (code, errors) == (0, "")


def test_it_ends_by_itself_after_its_seconds(environment: dict[str, str]) -> None:
    with running(
        "watch", "BTCUSDT", "--exchange", "binance.com-futures", "--seconds", "0.5", environment=environment
    ) as program:
        code, out, _ = program.rest()
    assert code == 0
    assert "binance.com-futures" in out


def test_symbols_that_do_not_exist_are_said_and_the_others_live_on(environment: dict[str, str]) -> None:
    with running("watch", "NOSUCH", environment=environment) as program:
        code, _, errors = program.rest()
    assert (code, errors.count("\n")) == (2, 1)
    assert "unknown symbol 'NOSUCH'" in errors
    with running("watch", "NOSUCH", "BTCUSDT", environment=environment) as program:
        assert "Invalid symbol" in program.until("closed")
        assert "BTCUSDT" in program.until("synced")
        assert program.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SYMBOL"),
        (["BTCUSDT", "--exchange", "binance.con"], "did you mean 'binance.com'"),
        (["BTC/"], "symbol"),
        (["BTCUSDT", "--depth", "6000"], "1 to 5,000 levels"),
        (["BTCUSDT", "--levels", "0"], "levels"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], words: str) -> None:
    with running("watch", *arguments) as program:
        code, out, errors = program.rest()
    assert (code, out) == (2, "")
    assert words in errors
    assert "Traceback" not in errors


def test_a_terminal_shows_ladders_and_keeps_the_state_lines(environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    code = "import sys; from depthcache.cli import main; sys.exit(main())"
    arguments = ["watch", "BTCUSDT", "--levels", "5", "--seconds", "1.5"]
    terminal = {**os.environ, **environment, "TERM": "xterm", "COLUMNS": "180", "LINES": "40"}
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=theirs, env=terminal) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert process.wait(DEADLINE_S) == 0
    os.close(ours)
    text = shown.decode()
    assert "\x1b[?1049h" in text  # the screen was taken …
    after = text.rsplit("\x1b[?1049l", 1)[1]  # … and given back
    assert "spread" in text
    assert "synced" in after
    assert "█" not in after
