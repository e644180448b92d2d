"""Settings: hosts from the environment or from code; wrong values are refused by name."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict

import pytest

from depthcache import venues
from depthcache.core.policy import Policy
from depthcache.errors import InvalidArgument, UnknownExchange
from depthcache.settings import Settings
from depthcache.venues import Endpoints

LOCAL = Endpoints(rest="http://127.0.0.1:9000/binance.com", websocket="ws://127.0.0.1:9000/binance.com")


def test_without_settings_every_exchange_is_reached_at_binance() -> None:
    settings = Settings()
    for name in venues.names():
        assert asdict(settings.venue(name)) == asdict(venues.venue(name))
    assert settings.policy == Policy()
    assert settings.proxies is True


def test_other_endpoints_move_one_exchange_and_no_other() -> None:
    settings = Settings(endpoints={"binance.com": LOCAL})
    assert settings.venue("binance.com").stream_url() == "ws://127.0.0.1:9000/binance.com/stream"
    assert asdict(settings.venue("binance.us")) == asdict(venues.venue("binance.us"))


def test_an_alias_names_the_same_exchange() -> None:
    settings = Settings(endpoints={"binance.tr": LOCAL})
    assert settings.venue("trbinance.com").endpoints == LOCAL
    assert settings.venue("binance.tr").endpoints == LOCAL


def test_settings_are_constants() -> None:
    given = {"binance.com": LOCAL}
    settings = Settings(endpoints=given)
    given.clear()
    assert dict(settings.endpoints) == {"binance.com": LOCAL}
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.proxies = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.endpoints["binance.us"] = LOCAL  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"endpoints": [("binance.com", LOCAL)]}, "endpoints"),
        ({"endpoints": {"binance.com": "http://h"}}, "endpoints of 'binance.com'"),
        ({"endpoints": {"binance.com": LOCAL, "Binance.com": LOCAL}}, "endpoints"),
        ({"endpoints": {"trbinance.com": LOCAL, "binance.tr": LOCAL}}, "endpoints"),
        ({"endpoints": {"binance.com": Endpoints(rest="ftp://h", websocket="ws://h")}}, "REST URL"),
        ({"endpoints": {"binance.com": Endpoints(rest="http://h", websocket="http://h")}}, "WebSocket URL"),
        ({"policy": 0.5}, "policy"),
        ({"proxies": "off"}, "proxies"),
        ({"transport": "carrier pigeon"}, "transport"),
        ({"ca_file": 7}, "ca_file"),
        ({"record_to": 7}, "record_to"),
        ({"flight_dumps_to": b"x"}, "flight_dumps_to"),
        *[
            ({name: path}, name)
            for name in ("ca_file", "record_to", "flight_dumps_to")
            for path in ("a\0b", "\ud800")
        ],
        ({"flight_bytes": -1}, "flight_bytes"),
        ({"flight_bytes": True}, "flight_bytes"),
        ({"flight_bytes": 2**31}, "flight_bytes"),
        ({"ca_file": "/nowhere/at/all.pem"}, "ca_file"),
    ],
)
def test_wrong_settings_are_refused_by_their_name(arguments: dict[str, object], name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Settings(**arguments)  # type: ignore[arg-type]
    assert caught.value.name == name


@pytest.mark.parametrize("share", [0, -1, 1.5, True, "0.5", float("nan"), None])
def test_a_share_that_cannot_work_is_refused(share: object) -> None:
    with pytest.raises(InvalidArgument, match="share"):
        Settings(policy=Policy(limit_share=share))  # type: ignore[arg-type]


def test_an_unknown_exchange_in_the_settings_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownExchange) as caught:
        Settings(endpoints={"binance.con": LOCAL})
    assert caught.value.near[0] == "binance.com"


# --- the environment ------------------------------------------------------------------------


def test_each_exchange_has_its_two_variables() -> None:
    for name in venues.names():
        prefix = "DEPTHCACHE_" + name.upper().replace(".", "_").replace("-", "_")
        environment = {f"{prefix}_REST": "http://h:1/x", f"{prefix}_WEBSOCKET": "ws://h:2/y", "PATH": "/bin"}
        settings = Settings.from_environment(environment)
        assert dict(settings.endpoints) == {name: Endpoints(rest="http://h:1/x", websocket="ws://h:2/y")}


def test_the_names_of_the_variables_are_what_the_simulator_prints() -> None:
    settings = Settings.from_environment({"DEPTHCACHE_BINANCE_COM_COIN_FUTURES_REST": "http://h"})
    assert list(settings.endpoints) == ["binance.com-coin_futures"]


def test_one_variable_alone_leaves_the_other_end_as_it_is() -> None:
    settings = Settings.from_environment({"DEPTHCACHE_BINANCE_COM_REST": "https://data.example"})
    assert settings.endpoints["binance.com"].websocket == venues.venue("binance.com").endpoints.websocket


def test_an_alias_has_variables_too() -> None:
    settings = Settings.from_environment({"DEPTHCACHE_BINANCE_TR_REST": "https://h"})
    assert list(settings.endpoints) == ["trbinance.com"]


def test_the_environment_of_the_process_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHCACHE_BINANCE_US_REST", "http://127.0.0.1:1")
    assert Settings.from_environment().endpoints["binance.us"].rest == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "value", ["", "127.0.0.1:9000", "ws://h", "http://", "http://h?x=1", "http://h:99999", "http://h h"]
)
def test_a_wrong_url_is_refused_naming_variable_value_and_what_is_allowed(value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Settings.from_environment({"DEPTHCACHE_BINANCE_COM_REST": value})
    assert caught.value.name == "DEPTHCACHE_BINANCE_COM_REST"
    assert caught.value.value == value
    assert "https://host" in caught.value.allowed


def test_a_password_in_a_wrong_url_is_not_repeated() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Settings.from_environment({"DEPTHCACHE_BINANCE_COM_REST": "https://user:secret@h"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("DEPTHCACHE_BINANCE_COM_RESTS", "did you mean DEPTHCACHE_BINANCE_COM_REST?"),
        ("DEPTHCACHE_BINANCE_COM_FUTURE_REST", "did you mean DEPTHCACHE_BINANCE_COM_FUTURES_REST?"),
        ("DEPTHCACHE_BINANCE_COM_WS", "did you mean DEPTHCACHE_BINANCE_COM_"),
        ("DEPTHCACHE_X", "such as DEPTHCACHE_BINANCE_COM_REST"),
    ],
)
def test_a_variable_that_does_not_exist_is_refused_with_a_hint(variable: str, hint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Settings.from_environment({variable: "http://h"})
    assert caught.value.name == variable
    assert hint in str(caught.value)


def test_variables_of_others_are_none_of_our_business() -> None:
    environment = {"HTTPS_PROXY": "http://p", "DEPTHCACHED": "1", "depthcache_binance_com_rest": "x"}
    assert Settings.from_environment({**environment, "DEPTHCACHE_DEBUG": "1"}) == Settings()


def test_other_settings_are_given_beside_the_environment() -> None:
    environment = {"DEPTHCACHE_BINANCE_COM_REST": "http://127.0.0.1:1"}
    settings = Settings.from_environment(environment, transport="aiohttp", flight_bytes=0)
    assert settings.endpoints["binance.com"].rest == "http://127.0.0.1:1"
    assert (settings.transport, settings.flight_bytes) == ("aiohttp", 0)
    with pytest.raises(InvalidArgument, match="transport"):
        Settings.from_environment(environment, transport="pigeon")
