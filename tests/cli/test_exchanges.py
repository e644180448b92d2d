"""`depthcache exchanges` and `depthcache symbols`: names, patterns, both forms of output, exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from depthcache import rest, simulator, venues
from depthcache.cli import main
from depthcache.cli.symbols import _matching


@pytest.fixture(autouse=True)
def embedded(served_by_the_embedded_exchange: None) -> None:
    """Nothing of this file asks Binance."""


def test_every_exchange_has_a_line_with_its_aliases_and_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["exchanges"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "NAME"
    assert [line.split()[0] for line in lines] == list(venues.names())
    by_name = {line.split()[0]: line.split(maxsplit=3) for line in lines}
    assert by_name["trbinance.com"][1:] == ["binance.tr", "spot", "Binance TR spot"]
    assert by_name["binance.com-margin"][3] == "spot; the same books as binance.com"
    assert by_name["binance.com-data"][3] == "spot; market data of binance.com on separate hosts"
    assert by_name["binance.com-futures-demo"][2:] == ["linear", "USD-M futures, demo trading"]


def test_exchanges_as_json_have_their_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchanges", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(venues.names())
    assert rows[0] == {
        "name": "binance.com",
        "aliases": [],
        "family": "spot",
        "environment": "production",
        "description": "spot",
        "rest": "https://api.binance.com",
        "websocket": "wss://stream.binance.com:9443",
    }


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("btc", ["BTCUSDT"]),
        ("B*", ["BNBUSDT", "BTCUSDT"]),
        ("*o*", ["NEXOUSDT", "SOLUSDT"]),
        ("?tc*", ["BTCUSDT"]),
        ("[bx]*", ["BNBUSDT", "BTCUSDT", "XRPUSDT"]),
        ("币安", ["币安人生USDT"]),
        ("*人生usdt", ["币安人生USDT"]),
    ],
)
def test_a_pattern_is_a_part_of_a_symbol_or_a_glob_for_all_of_it(
    pattern: str, found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["symbols", "binance.com", pattern, "--json"]) == 0
    assert [row["symbol"] for row in json.loads(capsys.readouterr().out)] == found


def test_the_columns_are_aligned_with_wide_characters_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symbols", "binance.com", "*usdt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SYMBOL", "STATUS", "BASE", "QUOTE"]
    assert lines[1] == "BNBUSDT       TRADING  BNB       USDT"
    assert lines[-1] == "币安人生USDT  TRADING  币安人生  USDT"


@pytest.mark.parametrize(
    ("exchange", "headings", "last"),
    [
        (
            "binance.com-futures",
            "SYMBOL STATUS BASE QUOTE CONTRACT",
            "币安人生USDT TRADING 币安人生 USDT PERPETUAL",
        ),
        (
            "binance.com-coin_futures",
            "SYMBOL STATUS BASE QUOTE CONTRACT",
            "ETHUSD_PERP TRADING ETH USD PERPETUAL",
        ),
        (
            "binance.com-vanilla-options",
            "SYMBOL STATUS UNDERLYING SIDE STRIKE",
            "ETH-261225-4000-P TRADING ETHUSDT PUT 4000",
        ),
        ("binance.tr", "SYMBOL STATUS BASE QUOTE", "币安人生USDT TRADING 币安人生 USDT"),
    ],
)
def test_every_family_has_its_columns(
    exchange: str, headings: str, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["symbols", exchange]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == headings.split()
    assert lines[-1].split() == last.split()


def test_nothing_that_matches_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symbols", "binance.com", "zzz"]) == 1
    assert capsys.readouterr() == ("", "depthcache: binance.com lists no symbol that matches 'zzz'\n")
    assert main(["symbols", "binance.com", "zzz", "--json"]) == 1
    assert capsys.readouterr().out == "[]\n"


def test_an_unknown_exchange_is_told_with_what_is_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symbols", "binance.con"]) == 2
    assert capsys.readouterr().err.startswith(
        "depthcache: unknown exchange 'binance.con': did you mean 'binance.com'"
    )


def answer(monkeypatch: pytest.MonkeyPatch, body: bytes) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def ask(_: object, exchange: str, path: str, **options: Any) -> rest.RestResponse:
        asked.append({"exchange": exchange, "path": path, **options})
        return rest.RestResponse("http://127.0.0.1/x", 200, {}, body, 0.1)

    monkeypatch.setattr(rest.Rest, "ask", ask)
    return asked


def test_one_request_of_the_documented_weight_asks_for_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answer(monkeypatch, b'{"symbols":[{"symbol":"BTCUSDT","status":"TRADING"}]}')
    assert main(["symbols", "binance.com"]) == 0
    [request] = asked
    assert (request["path"], request["weight"]) == ("/api/v3/exchangeInfo", 20)
    assert request["query"] == {"showPermissionSets": "false"}
    assert capsys.readouterr().out.splitlines()[1].split() == ["BTCUSDT", "TRADING", "-", "-"]


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"symbols":{}}', b"<html>", b'"x"'])
def test_what_is_no_list_is_said_in_one_line(
    body: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, body)
    assert main(["symbols", "binance.com"]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)


def test_rows_that_cannot_be_read_are_left_out_and_no_text_reaches_the_terminal_raw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = r'{"symbols":[1,{},{"symbol":7},{"symbol":"A\u001b[2J","status":null,"baseAsset":3}]}'
    answer(monkeypatch, body.encode())
    assert main(["symbols", "binance.com"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [r"A\x1b[2J", "-", "3", "-"]


def test_a_pattern_with_an_open_bracket_is_no_error() -> None:
    assert _matching([{"symbol": "BTCUSDT"}], "[btc") == []


def test_symbols_works_on_a_server_with_few_symbols(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulator.serve(seed=1, symbols={"binance.us": ["ABCUSDT"]}) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        assert main(["symbols", "binance.us"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["ABCUSDT", "TRADING", "ABC", "USDT"]
