"""The log of requests: one JSON line each, without a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.asking import ADMIN, PATH, READ, ask, book, raw, serving
from tests.server.exchanging import KEY, options


def logged(path: Path) -> list[dict[str, Any]]:
    """The lines of a server that has ended."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_request_has_one_line(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    path.write_text('{"earlier":1}\n')
    with serving(access_log=str(path)) as native:
        native.add("binance.com", "BTCUSDT", book())
        size = len(ask(native.port, f"{PATH}?levels=5&exact=false").body)
        ask(native.port, "/v1/books/binance.com/NO", token=ADMIN)
        ask(native.port, "/healthz", token=None, headers={"Host": "evil.example"})
        ask(native.port, "/v1/books/x/y", method="PUT")
    earlier, read, unknown, foreign, refused = logged(path)
    assert earlier == {"earlier": 1}, "it appends"
    assert read.pop("time_us") > 1_700_000_000_000_000
    assert 0 <= read.pop("took_us") < 10_000_000
    assert read == {
        "peer": "127.0.0.1",
        "method": "GET",
        "path": PATH,
        "query": "levels=5&exact=false",
        "role": "read",
        "status": 200,
        "bytes": size,
    }
    assert (unknown["status"], unknown["role"]) == (404, "manage")
    assert (foreign["status"], "role" in foreign) == (403, False)
    assert (refused["method"], refused["status"]) == ("PUT", 403)


def test_the_requests_of_old_clients_have_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    listener = ("127.0.0.1", 0, "ubdcc-restapi", [], False)
    with serving(access_log=str(path), compat=[listener]) as native:
        old = native.compat_ports[0]
        ask(old, "/get_asks?exchange=binance.com&market=BTCUSDT&limit_count=2", token=None)
        ask(old, "/submit_license?api_secret=hunter2&license_token=hunter2", token=None)
    read, license_ = logged(path)
    assert (read["path"], read["query"]) == (
        "/get_asks",
        "exchange=binance.com&market=BTCUSDT&limit_count=2",
    )
    assert license_["query"] == "api_secret=…&license_token=…"


@pytest.mark.parametrize("secret", [READ, ADMIN, KEY])
def test_no_line_has_a_secret_wherever_it_was_sent(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "access.jsonl"
    with serving(access_log=str(path)) as native:
        for place in (
            f"/v1/books?token={secret}",
            f"/v1/books?symbol={secret}",
            f"/{secret}",
            f"/k/{secret}/x",
        ):
            ask(native.port, place, token=secret)
        ask(native.port, f"/v1/books?{secret}", token=None, headers={"Authorization": f"Basic {secret}"})
        raw(native.port, f"GET /{secret} HTTP/9\r\n\r\n".encode())
    text = path.read_text("utf-8")
    assert text.count("\n") == 5
    assert secret not in text


def test_a_key_is_in_no_line_however_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    with serving(access_log=str(path), exchange=options()) as native:
        native.add("binance.com", "BTCUSDT", book())
        for key in (KEY, "an-own-key-of-the-user"):
            ask(native.port, f"/k/{key}/binance.com/api/v3/depth?symbol=BTCUSDT&limit=5", token=None)
        ask(native.port, "/k/an-own-key-of-the-user?limit=5", token=None)
    held, unknown, alone = logged(path)
    assert (held["path"], held["query"]) == ("/k/…/binance.com/api/v3/depth", "symbol=BTCUSDT&limit=5")
    assert (held["status"], unknown["status"], alone["status"]) == (200, 403, 404)
    assert (unknown["path"], alone["path"], alone["query"]) == (held["path"], "/k/…/", "limit=5")


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    path = str(tmp_path / "missing" / "access.jsonl")
    with pytest.raises(FileNotFoundError) as caught, serving(access_log=path):
        pass
    assert (caught.value.strerror, caught.value.filename) == ("No such file or directory", path)


def test_standard_error_is_a_file_like_others(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(access_log="-") as native:
        ask(native.port, "/healthz", token=None)
    [line] = capfd.readouterr().err.splitlines()
    assert json.loads(line)["path"] == "/healthz"
