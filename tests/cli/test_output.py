"""Output that cannot be written: one line on stderr and exit code 2, for every command. `python -m`, too."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from depthcache.cli import main

FULL = Path("/dev/full")
COMMANDS = [
    ["--help"],
    ["--version"],
    ["exchanges"],
    ["exchanges", "--json"],
    ["verify", "--help"],
    pytest.param(["symbols", "binance.com"], marks=pytest.mark.slow, id="symbols"),
    pytest.param(["simulate"], marks=pytest.mark.slow, id="simulate"),
]


def run(shell: str, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """`depthcache <arguments>` with the redirections of a shell."""
    script = f'exec "$0" -m depthcache "$@" {shell}'
    ran = subprocess.run(
        ["sh", "-c", script, sys.executable, *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_said_in_one_line(arguments: list[str], served_by_the_embedded_exchange: None) -> None:
    told = "depthcache: cannot write the output: No space left on device\n"
    assert run("> /dev/full", *arguments) == (2, "", told)


@pytest.mark.parametrize("arguments", [*COMMANDS[1:4], *COMMANDS[5:]], ids=" ".join)
def test_a_closed_stdout_is_said_in_one_line(
    arguments: list[str], served_by_the_embedded_exchange: None
) -> None:
    assert run(">&-", *arguments) == (2, "", "depthcache: cannot write the output: Bad file descriptor\n")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.slow
def test_unbuffered_output_and_the_script_of_completion_are_no_exceptions() -> None:
    told = "depthcache: cannot write the output: No space left on device\n"
    assert run("> /dev/full", "exchanges", environment={"PYTHONUNBUFFERED": "1"}) == (2, "", told)
    code = "import sys; from depthcache.cli import main; sys.exit(main())"
    environment = {**os.environ, "_DEPTHCACHE_COMPLETE": "zsh_source"}
    with FULL.open("w") as full:
        call = [sys.executable, "-c", code]
        ran = subprocess.run(
            call, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ran.returncode, ran.stderr) == (2, told)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
def test_a_full_stderr_changes_no_exit_code() -> None:
    assert run("2> /dev/full", "exchanges", "--bogus") == (2, "", "")
    assert run("2> /dev/full", "symbols", "binance.con") == (2, "", "")
    assert run("2> /dev/full", "simulate", "--", "sh", "-c", "echo ran; exit 7") == (7, "ran\n", "")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.slow
def test_a_full_stderr_changes_no_exit_code_of_live_books(served_by_the_embedded_exchange: None) -> None:
    assert run("2> /dev/full", "watch", "BTCUSDT", "--seconds", "0")[0] == 1
    assert run("2> /dev/full", "demo", "--seconds", "0", "--seed", "1", "--json")[0] == 0


@pytest.mark.slow
def test_closed_streams_are_closed_for_a_program_too_and_no_socket_takes_their_place() -> None:
    script = '[ -e /proc/self/fd/0 ] || echo "no stdin" >&2; [ -e /proc/self/fd/1 ] || echo "no stdout" >&2'
    assert run("<&- >&-", "simulate", "--quiet", "--", "sh", "-c", script) == (0, "", "no stdin\nno stdout\n")


@pytest.mark.slow
def test_a_closed_stdin_is_no_terminal() -> None:
    code, out, errors = run("<&-", "demo", "--seconds", "0", "--seed", "1")
    assert (code, errors) == (0, "")
    assert out.endswith("differences: 0\n")


def test_a_reader_that_goes_away_is_141_and_not_the_1_of_a_no() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        call = [sys.executable, "-m", "depthcache", "exchanges", "--json"]
        ran = subprocess.run(call, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(theirs)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_python_m_names_itself_in_its_usage() -> None:
    code, out, _ = run("", "--version")
    assert (code, out) == (0, f"depthcache {version('depthcache')}\n")
    code, out, _ = run("", "symbols", "--help")
    assert out.startswith("Usage: python -m depthcache symbols [OPTIONS] EXCHANGE [PATTERN]\n")
    code, _, errors = run("", "symbols")
    assert code == 2
    assert "Try 'python -m depthcache symbols -" in errors


def test_the_script_keeps_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: depthcache [OPTIONS] COMMAND")
