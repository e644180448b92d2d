"""`depthcache simulate` as a program: export lines first, then an exchange until it is told to end."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

import depthcache
from depthcache import blocking
from tests.cli.programs import DEADLINE_S, Program, running
from tests.server.asking import ask
from tests.simulator.recordings import Writer

pytestmark = pytest.mark.slow

AUTHORITY = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


def exports(program: Program) -> dict[str, str]:
    """The variables of the export lines, as a shell understands them, and the line after them."""
    lines = []
    while (line := program.line()).startswith("export "):
        lines.append(line)
    assert line.startswith(("# http://127.0.0.1:", "# https://127.0.0.1:"))
    script = "\n".join([*lines, "env -0"])
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={})
    pairs = (each.split("=", 1) for each in ran.stdout.split("\0") if each)
    return {name: value for name, value in pairs if name.startswith(("DEPTHCACHE_", *AUTHORITY))}


def get(url: str) -> object:
    with build_opener(ProxyHandler({})).open(url, timeout=DEADLINE_S) as response:
        return json.load(response)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_export_lines_lead_a_client_to_it_and_it_ends_in_order(number: int, tmp_path: Path) -> None:
    file = tmp_path / "exchange.env"
    with running("simulate", "--seed", "5", "--env-file", str(file)) as program:
        environment = exports(program)
        in_file = dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines()[1:])
        assert environment.items() <= in_file.items()
        assert len(environment) == 13
        settings = depthcache.Settings.from_environment(environment)
        assert not settings.proxies  # no proxy reaches loopback
        with blocking.connect("binance.com", ["ETHUSDT"], settings=settings) as books:
            books["ETHUSDT"].wait_synced(timeout=DEADLINE_S)
            assert len(books["ETHUSDT"].bids[:100]) == 100
        code, _, errors = program.end(number)
    assert (code, errors) == (0, "Ctrl-C ends it.\n")
    assert not file.exists()


def test_the_same_seed_is_the_same_market() -> None:
    found = []
    for _ in range(2):
        with running("simulate", "--seed", "5") as program:
            rest = exports(program)["DEPTHCACHE_BINANCE_US_REST"]
            found.append(get(f"{rest}/api/v3/depth?symbol=NEXOUSDT&limit=1000"))
            program.end()
    assert found[0] == found[1]


def test_a_recording_waits_for_its_page_to_be_opened(tmp_path: Path) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    writer.snapshot(0.1, 12)
    for number in range(20):
        writer.diff(0.2 + number / 100, 13 + 2 * number, 14 + 2 * number)
    path = writer.write(tmp_path / "recording")
    with running("simulate", str(path), "--exchange", "binance.us") as program:
        url, token = program.until("# page ").removeprefix("# page ").split("/#token=")
        port = int(url.rpartition(":")[2])
        assert ask(port, "/", token=None).status == 200
        assert ask(port, "/v1/books", token=token).json["books"] == []
        assert ask(port, "/v1/stats", token=token).json["recording"] == "playing"
        follower = HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        follower.request("GET", "/v1/stream?symbols=*", headers={"Authorization": f"Bearer {token}"})
        events = iter(follower.getresponse().readline, b"")
        assert any(b'"symbol":"ABCUSDT"' in line and b'"type":"snapshot"' in line for line in events)
        program.until_error("the recording has ended")
        deadline_s = time.monotonic() + DEADLINE_S
        while ask(port, "/v1/stats", token=token).json["recording"] != "ended":
            assert time.monotonic() < deadline_s
        follower.close()
        assert program.end()[0] == 0


@pytest.mark.parametrize("arguments", [("--no-page",), ("--", "true")])
def test_a_recording_without_a_page_has_no_second_client(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    path = writer.write(tmp_path / "recording")
    with running("simulate", str(path), "--exchange", "binance.us", *arguments) as program:
        if arguments[0] == "--no-page":
            program.until("binance.us:")
        code, out, _ = program.end() if arguments[0] == "--no-page" else program.rest()
    assert (code, "# page" in out) == (0, False)


def test_recordings_are_served_as_their_exchange(tmp_path: Path) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    body = writer.snapshot(0.1, 12)
    writer.diff(0.2, 13, 14)
    path = writer.write(tmp_path / "recording")
    with running("simulate", str(path), "--speed", "inf", "--exchange", "binance.us") as program:
        environment = exports(program)
        ends = {"DEPTHCACHE_BINANCE_US_REST", "DEPTHCACHE_BINANCE_US_WEBSOCKET"}
        assert set(environment) == {*ends, "DEPTHCACHE_PROXIES"}
        rest = environment["DEPTHCACHE_BINANCE_US_REST"]
        assert get(f"{rest}/api/v3/depth?symbol=ABCUSDT") == json.loads(body)
        assert program.end()[0] == 0


def test_with_tls_its_export_lines_lead_watch_to_it_and_nothing_is_left() -> None:
    with running("simulate", "--seed", "5", "--tls") as program:
        environment = exports(program)
        file = Path(environment["DEPTHCACHE_CA_FILE"])
        assert {environment[name] for name in AUTHORITY} == {str(file)}
        assert environment["DEPTHCACHE_BINANCE_COM_WEBSOCKET"].startswith("wss://")
        with running("watch", "ETHUSDT", environment=environment) as watching:
            assert "ETHUSDT" in watching.until("synced")
            assert watching.end()[0] == 0
        assert file.exists()
        assert program.end(signal.SIGTERM)[0] == 0
    assert not file.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "65536"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["nothing.gz"], "cannot read nothing.gz"),
        (["nothing.gz", "--speed", "0"], "invalid speed 0.0"),
        (["--exchange", "binance.com"], "exchange"),
        (["nothing.gz", "--seed", "1"], "seed"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: list[str], words: str) -> None:
    with running("simulate", *arguments) as program:
        code, out, errors = program.rest()
    assert (code, out) == (2, "")
    assert words in errors
    assert "Traceback" not in errors


def test_a_port_in_use_is_said() -> None:
    with running("simulate", "--port", "0") as first:
        port = exports(first)["DEPTHCACHE_BINANCE_COM_REST"].split(":")[2].split("/")[0]
        with running("simulate", "--port", port) as second:
            code, _, errors = second.rest()
        assert code == 2
        assert "in use" in errors.lower()
        first.end()
