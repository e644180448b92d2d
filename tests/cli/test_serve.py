"""`depthcache serve` as a program: its lines, its JSON, SIGTERM, restarts, and what it refuses."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthcache import simulator, wire
from tests.cli.programs import running
from tests.server.asking import ask

pytestmark = pytest.mark.slow

CHECKED = "the options are right; the symbols were not looked up, the port was not tried"


@pytest.fixture(scope="module")
def exchange() -> Iterator[dict[str, str]]:
    with simulator.serve(seed=3) as server:
        yield dict(server.environment)


@pytest.fixture
def environment(exchange: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return exchange | {"XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)}


def test_it_says_how_to_read_and_ends_in_order(environment: dict[str, str], tmp_path: Path) -> None:
    with running("serve", "btcusdt", "ETHUSDT", "--port", "0", environment=environment) as program:
        assert program.line().startswith("depthcache serves 2 books, ready in ")
        page, read, docs, exchange = (program.line() for _ in range(4))
        token = (tmp_path / "depthcache" / "read.token").read_text().strip()
        assert token not in page + read, "what is no terminal may be a log"
        [label, address, *rest] = page.split()
        assert (label, address[-1]) == ("page", "/"), "an address that can be opened"
        assert rest == ["enter", "the", "token", "of", "~/depthcache/read.token"]
        assert 'Bearer $(cat ~/depthcache/read.token)" "http' in read
        assert "admin token in ~/depthcache/admin.token (0600)" in docs
        assert exchange.startswith("  binance  http://127.0.0.1:")
        assert exchange.endswith("/binance.com    for programs that speak Binance's own protocol")
        url = read.rsplit('"', 2)[1]
        port, path = int(url.split(":")[2].split("/")[0]), "/" + url.split("/", 3)[3]
        assert len(ask(port, path, token=token).json["bids"]) == 5
        code, out, errors = program.end(signal.SIGTERM)
    assert (code, out, errors) == (0, "", "depthcache: ending, requests in flight are answered\n")


def test_its_json_line_is_enough_for_a_program_and_a_reader_goes_on_after_kill_9(
    environment: dict[str, str],
) -> None:
    token, port = "", 0
    for _ in range(2):
        arguments = ("serve", "BTCUSDT", "--json", "--port", str(port))
        with running(*arguments, environment=environment) as program:
            facts = json.loads(program.line())
            files = {"admin_token_file", "exchange_key_file"}
            assert set(facts) == {"url", "page", "read_token", "books", "synced"} | files
            assert facts["page"] == f"{facts['url']}/#token={facts['read_token']}"
            port = int(facts["url"].rpartition(":")[2])
            token = token or facts["read_token"]  # of the first start: the reader asks for no other
            answer = ask(port, "/v1/books/binance.com/BTCUSDT", token=token)
            assert wire.decode(answer.body).symbol == "BTCUSDT"
            program.process.kill()
            program.rest()
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset: the reader tries again
            ask(port, "/healthz")


def test_a_file_names_books_and_options_and_options_win(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(
        '[books]\n"binance.com" = ["BTCUSDT"]\n"binance.com-futures" = ["ETHUSDT"]\n'
        "[server]\nport = 1\nworkers = 1\n"
    )
    with running(
        "serve", "--config", str(path), "--check", environment=environment | {"DEPTHCACHE_SERVER_PORT": "2"}
    ) as program:
        assert program.rest() == (0, f"2 books on 127.0.0.1 port 2 (http): {CHECKED}\n", "")
    old = ("--compat-listen", "127.0.0.1:42080", "--compat-manage")
    with running("serve", "BTCUSDT", "--check", *old, environment=environment) as program:
        words = f"1 book on 127.0.0.1 port 42081 (http), old clients on 127.0.0.1 port 42080: {CHECKED}\n"
        assert program.rest() == (0, words, "")
    more = ("--port", "0", "--json", "--compat-listen", "127.0.0.1:0", "--access-log", str(tmp_path / "log"))
    with running("serve", "--config", str(path), *more, environment=environment) as program:
        facts = json.loads(program.line())
        assert facts["books"] == 2
        [old_url] = facts["compat_urls"]
        asked = "/get_bids?exchange=binance.com&market=BTCUSDT"
        assert ask(int(old_url.rpartition(":")[2]), asked, token=None).json["result"] == "OK"
        assert program.end()[0] == 0
    assert json.loads((tmp_path / "log").read_text())["path"] == "/get_bids"
    assert not (tmp_path / "depthcache" / "nothing").exists()


def test_it_opens_the_page_by_a_file_that_only_its_owner_reads(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    lines = ("#!/bin/sh", 'path="${1#file://}"', f'(stat -c %a "$path"; cat "$path") > {told}')
    browser.write_text("\n".join(lines))
    browser.chmod(0o700)
    arguments = ("serve", "BTCUSDT", "--open", "--json", "--port", "0")
    with running(*arguments, environment=environment | {"BROWSER": f"{browser} %s"}) as program:
        page = json.loads(program.line())["page"]
        program.end(signal.SIGTERM)
    mode, file = told.read_text().split("\n", 1)
    assert mode == "600"
    assert f'content="0; url={page}"' in file
    assert list((tmp_path / "depthcache").glob("open-*")) == []


def test_without_a_browser_it_says_so_and_serves(environment: dict[str, str]) -> None:
    nothing = {"BROWSER": "/nonexistent/browser %s", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with running("serve", "BTCUSDT", "--open", "--port", "0", environment=environment | nothing) as program:
        program.until_error("there is no browser here")
        assert program.end(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name symbols"),
        (
            ("BTCUSDT", "--listen", "192.0.2.1"),
            (
                "invalid --listen 192.0.2.1: without TLS only this machine may connect (127.0.0.1, ::1); "
                "add --tls, or --certificate and --key"
            ),
        ),
        (("BTCUSDT", "--listen", "books.example"), "invalid --listen 'books.example': expected"),
        (("B!", "--check"), "invalid symbol"),
        (("BTCUSDT", "--certificate", "a.pem"), "--certificate needs --key"),
        (("BTCUSDT", "--key", "a.key"), "--key needs --certificate"),
        (("BTCUSDT", "--compat-listen", "0.0.0.0:0", "--check"), "unless --compat-allow names networks"),
        (("NOSUCH", "--port", "0"), "unknown symbol 'NOSUCH'"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    environment: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    with running("serve", *arguments, environment=environment) as program:
        code, out, errors = program.rest()
    assert (code, out) == (2, "")
    assert words in errors


def test_a_variable_is_named_as_it_was_given(environment: dict[str, str]) -> None:
    given = environment | {"DEPTHCACHE_SERVER_LISTEN": "192.0.2.1"}
    with running("serve", "BTCUSDT", "--check", environment=given) as program:
        code, _, errors = program.rest()
    assert code == 2
    assert "invalid DEPTHCACHE_SERVER_LISTEN 192.0.2.1: without TLS" in errors


def test_a_taken_port_is_said_with_what_to_choose(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for arguments, option in (
            (("--port", str(port)), "--port, or --port 0 for any free one"),
            (("--port", "0", "--compat-listen", f"127.0.0.1:{port}"), "--compat-listen"),
        ):
            with running("serve", "BTCUSDT", *arguments, environment=environment) as program:
                code, out, errors = program.rest()
            assert (code, out) == (2, "")
            assert f"depthcache: port {port} of 127.0.0.1 is taken" in errors
            assert f"choose another with {option}" in errors


def test_a_certificate_without_names_for_others_is_told(environment: dict[str, str]) -> None:
    arguments = ("serve", "BTCUSDT", "--port", "0", "--tls", "--listen", "0.0.0.0")  # noqa: S104
    for names, is_told in (((), True), (("--host", "books.example"), False)):
        with running(*arguments, *names, environment=environment) as program:
            assert "--cacert ~/depthcache/certificate-" in program.until("curl")
            assert program.until("SHA-256").startswith("  tls      ~/depthcache/certificate-")
            program.process.send_signal(signal.SIGTERM)
            note = program.line()
        assert note.startswith("  note     the certificate names only this machine. ") is is_told
        assert ("--host NAME or --host ADDRESS, or check the fingerprint" in note) is is_told
