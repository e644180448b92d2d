"""Log lines: named, and never a flood."""

from __future__ import annotations

import logging

import pytest

from depthcache import logs


def test_of_one_kind_a_hundred_lines_are_written_and_the_rest_is_counted(
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
        "400 more lines of the next kind were left out",
        "LATE on binance.com is stale: why",
    ]


def test_one_kind_does_not_silence_another(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_CONNECTIONS", logs._Limited())
    monkeypatch.setattr(logs, "_REQUESTS", logs._Limited())
    caplog.set_level(logging.INFO, logger="depthcache")
    for number in range(500):
        logs.connection_open(connection=number)
    logs.request_failed(request=1, reason="HTTP 503")
    assert "request 1 failed: HTTP 503" in caplog.text


def test_a_program_without_logging_hears_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    logs.book_status(exchange="binance.com", symbol="BTCUSDT", status="synced", reason="")
    assert capfd.readouterr() == ("", "")
