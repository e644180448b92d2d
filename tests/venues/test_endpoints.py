"""Other hosts of a venue: good URLs are accepted, bad ones are refused with what is allowed."""

from __future__ import annotations

import pytest

from depthcache import Settings, venues
from depthcache.errors import ConnectionFailed, InvalidArgument, RequestRejected
from depthcache.venues import Endpoints

SPOT = venues.venue("binance.com")


def test_other_endpoints_replace_hosts_and_nothing_else() -> None:
    here = Endpoints(rest="http://127.0.0.1:8080/binance.com/", websocket="ws://127.0.0.1:8080/binance.com//")
    moved = venues.with_endpoints(SPOT, here)
    assert moved.stream_url() == "ws://127.0.0.1:8080/binance.com/stream"
    assert moved.snapshot_url("BTCUSDT", 100).startswith("http://127.0.0.1:8080/binance.com/api/v3/depth?")
    assert (moved.name, moved.depth_weights) == (SPOT.name, SPOT.depth_weights)
    assert SPOT.endpoints.rest == "https://api.binance.com"


@pytest.mark.parametrize(
    "url", ["https://gateway.example", "http://[::1]:9/x", "https://gateway.example:8443/a"]
)
def test_good_rest_urls_are_accepted(url: str) -> None:
    assert venues.parse_endpoints(Endpoints(rest=url, websocket="wss://h")).rest == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gateway.example",
        "//gateway.example",
        "ws://gateway.example",
        "ftp://gateway.example",
        "https://",
        "https://:80",
        "https://h?",
        "https://h?key=1",
        "https://h#part",
        "https://h:0",
        "https://h:99999",
        "https://h:port",
        "https://h /x",
        " https://h",
        "https://h\n",
        "https://[::1",
        None,
        80,
    ],
)
def test_what_is_no_base_url_is_refused_with_what_is_allowed(url: object) -> None:
    with pytest.raises(InvalidArgument, match="expected https://host") as caught:
        venues.parse_endpoints(Endpoints(rest=url, websocket="wss://h"))  # type: ignore[arg-type]
    assert caught.value.name == "REST URL"


@pytest.mark.parametrize("url", ["https://h", "", "wss://", "wss://h?streams=x"])
def test_bad_websocket_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="expected wss://host"):
        venues.with_endpoints(SPOT, Endpoints(rest="https://h", websocket=url))


def test_a_password_inside_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidArgument) as caught:
        venues.parse_endpoints(Endpoints(rest="https://me:hunter2@h", websocket="wss://h"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://gateway.example/a", "https://GATEWAY.example:443/b"),
        ("http://gateway.example", "http://gateway.example:80/"),
        ("https://gateway.example:8443", "https://Gateway.Example:8443/x"),
    ],
)
def test_one_address_is_one_budget_however_it_is_spelled(one: str, other: str) -> None:
    places = {
        venues.with_endpoints(SPOT, Endpoints(rest=url, websocket="wss://h")).weight_place
        for url in (one, other)
    }
    assert len(places) == 1
    assert places != {""}


def test_the_usual_address_in_another_spelling_has_the_usual_budget() -> None:
    same = Endpoints(rest="https://API.binance.com:443", websocket="wss://h")
    assert venues.with_endpoints(SPOT, same).weight_place == SPOT.weight_place
    other = Endpoints(rest="https://api.binance.com:8443", websocket="wss://h")
    assert venues.with_endpoints(SPOT, other).weight_place != SPOT.weight_place


def test_the_key_of_a_book_server_is_in_no_repr() -> None:
    key = "dcx_not_for_logs"
    ends = Endpoints(rest=f"https://h:1/k/{key}/binance.com", websocket=f"wss://h:1/k/{key}/binance.com")
    settings = Settings(endpoints={"binance.com": ends})
    assert (
        repr(ends) == "Endpoints(rest='https://h:1/k/…/binance.com', websocket='wss://h:1/k/…/binance.com')"
    )
    assert key not in repr(settings) + repr(settings.venue("binance.com"))


def test_the_key_of_a_book_server_is_in_no_error() -> None:
    url = "https://h:1/k/dcx_not_for_logs/binance.com/api/v3/depth?symbol=X"
    for error in (
        ConnectionFailed(url=url, reason="away"),
        RequestRejected(url=url, status=403, code=None, text="no"),
        InvalidArgument(name="url", value=url, allowed="another"),
    ):
        assert "https://h:1/k/…/binance.com/api/v3/depth" in str(error)
        assert "dcx" not in str(error)
