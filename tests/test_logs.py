"""Log lines: one function each, limited in number, silent without logging."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from typing import Any

import pytest

from depthcache import logs
from depthcache.foreign_text import host_of


def test_a_hundred_lines_of_one_kind_are_written_and_the_rest_is_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(logs, "monotonic", lambda: now)
    monkeypatch.setattr(logs, "_BOOKS", logs._Limited())
    caplog.set_level(logging.INFO, logger="depthcache")
    for number in range(500):
        logs.book_status(exchange="binance.com", symbol=f"S{number}", status="synced", reason="")
    assert len(caplog.records) == 100
    now += 10.0
    logs.book_status(exchange="binance.com", symbol="LATE", status="stale", reason="why")
    assert [record.getMessage() for record in caplog.records[100:]] == [
        "400 similar lines were suppressed",
        "LATE on binance.com is stale: why",
    ]


def test_one_kind_does_not_silence_another(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_CONNECTIONS", logs._Limited(quiet=True))
    monkeypatch.setattr(logs, "_REQUESTS", logs._Limited())
    caplog.set_level(logging.INFO, logger="depthcache")
    for number in range(500):
        logs.connection_open(connection=number, host="x")
    logs.request_failed(request=1, host="api.binance.com", reason="HTTP 503")
    assert "request 1 to api.binance.com failed: HTTP 503" in caplog.text


def test_a_program_without_logging_gets_no_lines_about_books_and_connections() -> None:
    """Python itself would write warnings to stderr, where nothing is set up."""
    code = (
        "from depthcache import logs\n"
        "logs.book_lost(exchange='x', symbol='S', status='stale', reason='why')\n"
        "logs.book_ended(exchange='x', symbol='S', reason='why')\n"
        "logs.connection_failed(connection=1, host='x', reason='why')\n"
        "logs.connection_broke(connection=1, host='x', code=None, reason='why')\n"
        "logs.request_failed(request=1, host='x', reason='why')\n"
    )
    begin = "import logging; logging.basicConfig()\n"
    told = [
        subprocess.run([sys.executable, "-c", each + code], capture_output=True, text=True, check=True)
        for each in ("", begin)
    ]
    assert (told[0].stdout, told[0].stderr) == ("", "")
    assert [line.split(":")[0] for line in told[1].stderr.splitlines()] == ["WARNING"] * 5


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("wss://stream.binance.com:9443/stream?streams=btcusdt@depth", "stream.binance.com:9443"),
        ("https://user:secret@api.binance.com/api/v3/depth?symbol=BTCUSDT&key=secret", "api.binance.com"),
        ("https://user:se/cr?et@api.binance.com/x", ""),
        ("http://[::1]:80/secret#secret", "[::1]:80"),
        ("https://a\x1b[31mb/x", "a\\x1b[31mb"),
        ("secret", ""),
        ("", ""),
    ],
)
def test_a_line_shows_only_the_host_of_a_url(url: str, host: str) -> None:
    assert host_of(url) == host


def test_a_callback_that_always_raises_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken_callback() -> None:
        """Never called: its name is told."""

    for _ in range(50):
        logs.callback_failed(callback=broken_callback, error=ValueError("bad"))
    logs.callback_failed(callback=broken_callback, error=KeyError("another"))
    logs.callback_failed(callback=print, error=ValueError("of another callback"))
    kinds = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert kinds == [ValueError] * 5 + [KeyError, ValueError]


def sample(annotation: str) -> object:
    samples: dict[str, object] = {"int": 3, "float": 1.5, "str": "text", "bool": True, "int | None": 4}
    return samples.get(annotation, ValueError("bad") if "Exception" in annotation else print)


@pytest.mark.parametrize("name", logs.__all__)
def test_the_arguments_of_every_line_are_attributes_of_its_record(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="depthcache")
    function = getattr(logs, name)
    given = {
        each.name: sample(str(each.annotation)) for each in inspect.signature(function).parameters.values()
    }
    function(**given)
    record = caplog.records[-1]
    assert record.name in ("depthcache", "depthcache.cluster"), "the second is of nodes"
    for argument, value in given.items():
        if argument == "error":
            assert vars(record)["error_type"] == "ValueError"
        else:
            assert vars(record)[argument] == ("print" if value is print else value)


def test_a_failed_request_says_what_it_was_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="depthcache")
    logs.request_failed(
        request=3,
        host="api.binance.com",
        reason="HTTP 400 code -1121: Invalid symbol.",
        resource="depth",
        symbol="BTCUSDT",
        http_status=400,
        code=-1121,
    )
    told = "request 3 (depth of BTCUSDT) to api.binance.com failed: HTTP 400 code -1121: Invalid symbol."
    assert caplog.records[-1].getMessage() == told


def test_a_record_factory_that_sets_a_fact_itself_costs_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="depthcache")
    before = logging.getLogRecordFactory()

    def with_host(*values: Any, **more: Any) -> logging.LogRecord:
        record = before(*values, **more)
        record.host = "node-7"
        return record

    logging.setLogRecordFactory(with_host)
    try:
        logs.connection_open(connection=3, host="stream.binance.com")
    finally:
        logging.setLogRecordFactory(before)
    record = caplog.records[-1]
    assert record.getMessage() == "connection 3 to stream.binance.com is open"
    assert (vars(record)["host"], vars(record)["connection"]) == ("node-7", 3)
