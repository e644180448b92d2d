"""The arguments of `connect` for a book server, and their variables: what is meant; refusals."""

from __future__ import annotations

from typing import Any

import pytest

import depthcache
from depthcache import InvalidArgument, Settings, blocking, venues
from depthcache.client.config import parse_config

FINGERPRINT = ":".join(["0A"] * 32)
DEFAULTS: dict[str, Any] = {"depth": 100, "on_stale": "raise", "speed_ms": None, "settings": Settings()}


def config(**given: Any) -> Any:
    return parse_config("binance.com", ["BTCUSDT"], **(DEFAULTS | given))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://books.example:42081", "https://books.example:42081"),
        ("wss://books.example:42081/", "https://books.example:42081"),
        ("https://books.example", "https://books.example"),
        ("https://example.com/books/", "https://example.com/books"),
        ("books.example", "https://books.example:42081"),
        ("books.example:99", "https://books.example:99"),
        ("localhost", "http://localhost:42081"),
        ("ws://127.0.0.1:42081", "http://127.0.0.1:42081"),
        ("http://[::1]:42081", "http://[::1]:42081"),
        ("https://[2001:db8::1]:42081", "https://[2001:db8::1]:42081"),
    ],
)
def test_a_url_in_any_usual_spelling(given: str, meant: str) -> None:
    settings = Settings(server=given)
    assert settings.server == (meant,)
    venue = settings.venue("binance.com")
    assert venue.snapshot_url("BTCUSDT", 100) == f"{meant}/binance.com/api/v3/depth?symbol=BTCUSDT&limit=100"
    assert venue.stream_url() == f"ws{meant.removeprefix('http')}/binance.com/stream"
    assert venue.stream("BTCUSDT") == "btcusdt@depth@100ms@state1"
    assert venue.server_name(0) == f"server {meant.partition('://')[2].partition('/')[0]}"


def test_several_servers_in_their_order() -> None:
    both = ("https://a.example:42081", "http://127.0.0.1:42081")
    assert Settings(server=" a.example, 127.0.0.1 ,").server == both
    assert Settings(server=[*both, both[0]]).server == both
    venue = Settings(server=both).venue("binance.com-futures")
    assert venue.stream_url(1) == "ws://127.0.0.1:42081/binance.com-futures/public/stream"
    assert Settings(server="").server is None


@pytest.mark.parametrize(
    "url",
    [
        "http://books.example:42081",
        "http://10.0.0.1",
        "ftp://books.example",
        "https://user:hunter2@books.example",
        "https://books.example/#token=hunter2",
        "https://books.example?token=hunter2",
        "https://books.example/k/hunter2",
        "https://books.example:0",
        "https://books.example:99999",
        "https://",
        "a b",
        7,
        [7],
    ],
)
def test_other_urls_are_refused_and_no_secret_is_shown(url: Any) -> None:
    with pytest.raises(InvalidArgument) as raised:
        Settings(server=url)
    assert raised.value.name == "server"
    assert "hunter2" not in str(raised.value)


def test_plain_http_to_another_machine_says_why() -> None:
    with pytest.raises(InvalidArgument, match="nobody on the way reads the token"):
        config(server="http://10.0.0.1:42081")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"token": "x"}, "token"),
        ({"ca": "/nowhere.pem"}, "ca"),
        ({"fingerprint": FINGERPRINT}, "fingerprint"),
        ({"server": "localhost", "token": "a b"}, "token"),
        ({"server": "localhost", "token": "a\r\nX: y"}, "token"),
        ({"server": "localhost", "fingerprint": "AB:CD"}, "fingerprint"),
        ({"server": "localhost", "ca": "/nowhere.pem"}, "ca_file"),
        ({"server": "localhost", "snapshots": lambda _: None}, "snapshots"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        config(**given)
    assert raised.value.name == name


def test_the_token_comes_from_the_argument_or_the_environment_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEPTHCACHE_SERVER", "localhost")
    monkeypatch.setenv("DEPTHCACHE_TOKEN", "dcr_hunter2")
    monkeypatch.setenv("DEPTHCACHE_FINGERPRINT", FINGERPRINT.replace(":", "").lower())
    made = config(settings=None)
    assert (made.access.token, made.access.fingerprint) == ("dcr_hunter2", b"\x0a" * 32)
    assert made.settings.server == ("http://localhost:42081",)
    assert "hunter2" not in repr(made)
    other = config(settings=None, token="dcr_other")  # noqa: S106
    assert other.access.token == "dcr_other"  # noqa: S105
    for connect in (depthcache.connect, blocking.connect):
        assert "hunter2" not in repr(connect("binance.com", ["BTCUSDT"]))


def test_an_argument_wins_over_the_other_way_to_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHCACHE_FINGERPRINT", FINGERPRINT)
    made = config(settings=None, server="books.example")
    assert made.access.fingerprint is not None
    other = config(settings=None, server="books.example", fingerprint="CD" * 32)
    assert other.access.fingerprint == b"\xcd" * 32


def test_a_served_venue_has_no_limits_of_weight() -> None:
    venue = venues.with_servers(venues.venue("binance.com"), ("https://a.example:42081",))
    assert venue == venues.venue("binance.com")
    assert venue.weight_per_minute >= 10**9
    assert venue.connects_per_5_minutes >= 10**9
    assert (venue.top_stream, venue.snapshot_lag_s) == (None, 0.0)
