"""`depthcache simulate -- PROGRAM`: what the program gets, what is its own, and how both end."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from depthcache import venues
from depthcache.cli import main
from depthcache.simulator.environment import without_proxies
from tests.cli.programs import DEADLINE_S, running
from tests.simulator.recordings import Writer

ENV = ["sh", "-c", "env"]


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_program_finds_the_exchange_in_its_environment(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--symbols", "BTCUSDT", "--seed", "4", "--", *ENV]) == 0
    out, errors = capfd.readouterr()
    found = variables(out)
    told = re.fullmatch(r"depthcache: binance\.com at (http://127\.0\.0\.1:\d+), seed 4\n", errors)
    assert told is not None
    assert "export" not in out
    assert found["DEPTHCACHE_BINANCE_COM_REST"] == f"{told[1]}/binance.com"
    assert found["DEPTHCACHE_PROXIES"] == "false"
    assert "127.0.0.1" in found["NO_PROXY"].split(",")


def test_no_exchange_name_leads_the_program_to_binance(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--quiet", "--symbols", "binance.us:BTCUSDT", "--", *ENV]) == 0
    ends = {name: value for name, value in variables(capfd.readouterr().out).items() if "BINANCE" in name}
    assert len(ends) == 2 * len(venues.names())
    assert [value for value in ends.values() if not re.match(r"(http|ws)://127\.0\.0\.1:\d+/", value)] == []


@pytest.mark.slow
def test_what_is_not_simulated_gets_404(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "depthcache", "symbols", "binance.us"]
    assert main(["simulate", "--quiet", "--symbols", "BTCUSDT", "--", *command]) == 2
    told = r"depthcache: HTTP 404 for http://127\.0\.0\.1:\d+/binance\.us/\S+: simulated here: binance\.com\n"
    assert re.fullmatch(told, capfd.readouterr().err)


def test_the_variables_win_over_those_of_before(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEPTHCACHE_BINANCE_COM_REST", "https://api.example")
    monkeypatch.setenv("no_proxy", "intern.example")
    assert main(["simulate", "--quiet", "--", *ENV]) == 0
    found = variables(capfd.readouterr().out)
    assert found["DEPTHCACHE_BINANCE_COM_REST"].startswith("http://127.0.0.1:")
    assert found["no_proxy"] == found["NO_PROXY"] == "intern.example,127.0.0.1"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, "127.0.0.1"),
        ({"NO_PROXY": "a.example"}, "a.example,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*"),
        ({"no_proxy": "*", "NO_PROXY": "a.example"}, "*"),
    ],
)
def test_loopback_needs_no_proxy_and_what_needed_none_before_needs_none(
    given: dict[str, str], made: str
) -> None:
    assert without_proxies(given) == {"NO_PROXY": made, "no_proxy": made}


def test_quiet_prints_nothing_and_the_streams_are_the_programs_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--quiet", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]) == 7
    assert capfd.readouterr() == ("out\n", "err\n")


def test_whatever_stands_behind_the_dashes_is_the_programs(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--help", "--seed", "x", "--debug", "--", "a.gz"]
    assert main(["simulate", "--quiet", "--", "sh", "-c", 'echo "$0 $*"', *arguments]) == 0
    assert capfd.readouterr().out == "--help --seed x --debug -- a.gz\n"


def test_debug_behind_the_dashes_is_no_wish_for_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--symbols", "binance.con:BTCUSDT", "--", "true", "--debug"]) == 2
    assert capfd.readouterr().err.startswith("depthcache: unknown exchange 'binance.con': did you mean")


_SUBSCRIBES_AND_WAITS = """
import sys, time, depthcache
from depthcache import blocking
with blocking.connect("binance.us", ["ABCUSDT"]) as books:
    books.wait_synced(timeout=30)
    print("synced", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_program_is_ended_with_its_recording(tmp_path: Path) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    writer.snapshot(0.1, 12)
    writer.diff(0.2, 13, 14)
    path = str(writer.write(tmp_path / "recording"))
    arguments = ["simulate", path, "--exchange", "binance.us", "--exit-at-end"]
    with running(*arguments, "--", sys.executable, "-c", _SUBSCRIBES_AND_WAITS) as process:
        code, out, errors = process.rest()
    assert (code, out) == (143, "synced\n")
    assert errors.count("depthcache: the recording has ended\n") == 1


@pytest.mark.slow
def test_an_exchange_without_a_program_ends_with_its_recording_too(tmp_path: Path) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    path = str(writer.write(tmp_path / "recording"))
    with running("simulate", path, "--exchange", "binance.us", "--exit-at-end") as process:
        name, url = process.until("_WEBSOCKET").removeprefix("export ").split("=")
        assert name == "DEPTHCACHE_BINANCE_US_WEBSOCKET"

        async def subscribe() -> None:
            address = f"{url}/ws/abcusdt@depth"
            async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
                async for _ in socket:
                    pass

        asyncio.run(subscribe())  # until the exchange closes it
        code, _, errors = process.rest()
    assert code == 0
    assert errors.count("depthcache: the recording has ended\n") == 1


@pytest.mark.slow
def test_recordings_are_served_to_a_program_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    writer.snapshot(0.1, 12)
    path = str(writer.write(tmp_path / "recording"))
    arguments = ["--speed", "inf", "--exchange", "binance.us", "--quiet"]
    command = [sys.executable, "-m", "depthcache", "symbols", "binance.us", "--json"]
    assert main(["simulate", path, *arguments, "--", *command]) == 0
    assert "ABCUSDT" in capfd.readouterr().out


def test_the_env_file_is_there_while_the_program_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exchange.env"
    script = 'grep -v "^#" "$0" | sort; echo; env | grep ^DEPTHCACHE_ | sort'
    assert main(["simulate", "--quiet", "--env-file", str(path), "--", "sh", "-c", script, str(path)]) == 0
    in_file, in_environment = capfd.readouterr().out.split("\n\n")
    assert in_file.splitlines() == in_environment.splitlines()
    assert not path.exists()


@pytest.mark.slow
def test_faults_happen_and_are_counted_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--symbols", "BTCUSDT", "--faults", "fail=1,seed=3", "--seed", "1"]
    ask = "import os, sys\nfrom urllib.request import urlopen\ntry:\n    "
    ask += "urlopen(os.environ['DEPTHCACHE_BINANCE_COM_REST'] + '/api/v3/depth?symbol=BTCUSDT')\n"
    ask += "except OSError as error:\n    print(error)"
    assert main(["simulate", *options, "--", sys.executable, "-c", ask]) == 0
    out, errors = capfd.readouterr()
    assert "503" in out
    assert errors.endswith("depthcache: faults that struck: fail 1\n")
    assert main(["simulate", *options, "--", "true"]) == 0
    assert "depthcache: no fault struck (fail=1.0)\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--"], "Missing program after --"),
        (["--symbols", ",", "--", "true"], "invalid symbols ','"),
        (["--symbols", "binance.con:BTCUSDT", "--", "true"], "did you mean 'binance.com'"),
        (["--faults", "drop=2", "--", "true"], "invalid drop 2.0: expected a probability from 0.0 to 1.0"),
        (["--faults", "dorp=0.1", "--", "true"], "did you mean 'drop'?"),
        (["--faults", "drop", "--", "true"], "expected a value for drop, such as drop=0.01"),
        (["--faults", "rough,seed", "--", "true"], "expected a value for seed, such as seed=7"),
        (["--speed", "2", "--", "true"], "--speed applies to recordings; none was given"),
        (["--exit-at-end", "--", "true"], "--exit-at-end applies to recordings; none was given"),
        (["python", "foo.py"], "simulate -- python foo.py"),
        ([sys.executable], f"simulate -- {sys.executable}"),
        (
            ["--env-file", "/no/such/folder/x.env", "--", "true"],
            "cannot write /no/such/folder/x.env: the folder does not exist",
        ),
        (
            ["nothing.gz", "--symbols", "BTCUSDT", "--", "true"],
            "symbols and faults are for simulated markets",
        ),
        (["nothing.gz", "--faults", "rough", "--", "true"], "symbols and faults are for simulated markets"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_program_never_runs(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *arguments]) == 2
    out, errors = capfd.readouterr()
    assert out == ""
    assert words in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_client_that_starts_at_once_finds_a_live_book() -> None:
    program = "import depthcache\nwith depthcache.blocking.connect('binance.com', ['BTCUSDT']) as books:\n"
    program += "    books.wait_synced(timeout=30)\n    print(books['BTCUSDT'].status)"
    with running("simulate", "--quiet", "--tls", "--", sys.executable, "-c", program) as process:
        assert process.rest() == (0, "synced\n", "")


_ASKS_AFTER_CTRL_C = """
import os, signal, sys, urllib.request
def on_signal(*_):
    url = os.environ["DEPTHCACHE_BINANCE_COM_REST"] + "/api/v3/ping"
    print("the exchange says", urllib.request.urlopen(url).status, flush=True)
    sys.exit(3)
signal.signal(signal.SIGINT, on_signal)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_ends_the_program_first_and_the_exchange_after_it() -> None:
    ours, theirs = pty.openpty()
    code = "import sys; from depthcache.cli import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "simulate",
        "--quiet",
        "--",
        sys.executable,
        "-c",
        _ASKS_AFTER_CTRL_C,
    ]
    # A session of its own, whose terminal is the pty: Ctrl-C reaches both processes, as in a shell.
    starter = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    starter += "os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", starter, *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"ready" not in shown:
            shown += os.read(ours, 65_536)
        os.write(ours, b"\x03")
        while True:
            try:
                shown += os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
        assert process.wait(DEADLINE_S) == 3
    os.close(ours)
    assert b"the exchange says 200" in shown
    assert b"Traceback" not in shown
