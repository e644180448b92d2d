"""Every setting from code, environment and file: the same meaning and checks, and errors with the source."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from depthcache import Policy, Settings
from depthcache.errors import InvalidArgument
from depthcache.server.config import from_environment as server_variables

OTHERS: dict[str, Any] = {
    "proxies": False,
    "transport": "aiohttp",
    "record_to": "records",
    "flight_dumps_to": "flights",
    "flight_bytes": 4096,
}


def other(name: str) -> Any:
    """A value that works and is not the default."""
    default = getattr(Policy(), name)
    if isinstance(default, bool):
        return not default
    return type(default)(default / 2) if default > 1 else default / 2


POLICY = {field.name: other(field.name) for field in fields(Policy)}


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", POLICY)
def test_every_choice_of_the_policy_has_a_variable_and_a_key(name: str, tmp_path: Path) -> None:
    value = POLICY[name]
    by_code = Policy(**{name: value})
    assert by_code != Policy()
    assert Settings.from_environment({f"DEPTHCACHE_{name.upper()}": str(value)}).policy == by_code
    path = written(tmp_path, f"[policy]\n{name} = {toml(value)}\n")
    assert Settings.from_toml(path).policy == by_code
    assert Settings.from_environment({"DEPTHCACHE_SETTINGS": str(path)}).policy == by_code


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_setting_has_a_variable_and_a_key(name: str, tmp_path: Path) -> None:
    value = OTHERS[name]
    by_code = Settings(**{name: value})
    assert by_code != Settings()
    assert Settings.from_environment({f"DEPTHCACHE_{name.upper()}": str(value)}) == by_code
    assert Settings.from_toml(written(tmp_path, f"{name} = {toml(value)}\n")) == by_code


def test_hosts_are_in_tables_by_exchange(tmp_path: Path) -> None:
    path = written(tmp_path, '[endpoints."binance.com"]\nrest = "http://127.0.0.1:9000"\n')
    ends = Settings.from_toml(path).venue("binance.com").endpoints
    assert ends.rest == "http://127.0.0.1:9000"
    assert ends.websocket == "wss://stream.binance.com:9443"


def test_a_variable_replaces_one_host_and_keeps_the_other_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[endpoints."binance.com"]\nrest = "http://127.0.0.1:9000"\n')
    given = {"DEPTHCACHE_SETTINGS": str(path), "DEPTHCACHE_BINANCE_COM_WEBSOCKET": "ws://127.0.0.1:9001"}
    ends = Settings.from_environment(given).venue("binance.com").endpoints
    assert (ends.rest, ends.websocket) == ("http://127.0.0.1:9000", "ws://127.0.0.1:9001")


def test_tables_of_two_spellings_of_one_exchange_add_up(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[endpoints."binance.com"]\nrest = "http://127.0.0.1:9000"\n'
        '[endpoints."BINANCE.COM"]\nwebsocket = "ws://127.0.0.1:9001"\n',
    )
    ends = Settings.from_toml(path).venue("binance.com").endpoints
    assert (ends.rest, ends.websocket) == ("http://127.0.0.1:9000", "ws://127.0.0.1:9001")


def test_variables_win_over_the_file_and_code_over_both(tmp_path: Path) -> None:
    path = written(
        tmp_path, 'transport = "aiohttp"\n[policy]\nlimit_share = 0.25\nbootstrap_from_depth20 = true\n'
    )
    given = {"DEPTHCACHE_SETTINGS": str(path), "DEPTHCACHE_LIMIT_SHARE": "0.75"}
    settings = Settings.from_environment(given)
    assert (settings.policy.limit_share, settings.policy.bootstrap_from_depth20, settings.transport) == (
        0.75,
        True,
        "aiohttp",
    )
    assert Settings.from_environment(given, transport="native").transport == "native"


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("DEPTHCACHE_LIMIT_SHARE", "half", "a number"),
        ("DEPTHCACHE_LIMIT_SHARE", "2", "above 0, at most 1"),
        ("DEPTHCACHE_LIMIT_SHARE", "nan", "above 0, at most 1"),
        ("DEPTHCACHE_BOOTSTRAP_FROM_DEPTH20", "maybe", "true or false"),
        ("DEPTHCACHE_REQUESTS_IN_FLIGHT", "2.5", "a whole number"),
        (
            "DEPTHCACHE_TRANSPORT",
            "pigeon",
            "invalid DEPTHCACHE_TRANSPORT 'pigeon': expected 'native' or 'aiohttp'",
        ),
        ("DEPTHCACHE_CA_FILE", "/no/such.pem", "invalid DEPTHCACHE_CA_FILE"),
        ("DEPTHCACHE_FLIGHT_BYTES", "-1", "invalid DEPTHCACHE_FLIGHT_BYTES -1"),
        ("DEPTHCACHE_QQQQQQ", "1", "hosts are DEPTHCACHE_<EXCHANGE>_REST and _WEBSOCKET"),
        ("DEPTHCACHE_LIMIT_SHAER", "0.5", "did you mean DEPTHCACHE_LIMIT_SHARE"),
        ("DEPTHCACHE_SETTINGS", "/no/such/file.toml", "a TOML file"),
    ],
)
def test_a_wrong_variable_is_refused_with_what_is_allowed(variable: str, text: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Settings.from_environment({variable: text})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limit_share = 0.5\n", "limit_share belongs under [policy]"),
        ("nonsense = 0.5\n", "expected the name of a setting"),
        ("transport = 'Native'\n", "invalid transport in"),
        ("flight_bytes = '9'\n", "expected a whole number, not text"),
        ("proxies = 'yes'\n", "expected true or false, not text"),
        ("[policy]\nlimit_share = '0.25'\n", "expected a number, not text"),
        ("[policy]\nrequests_in_flight = '5'\n", "expected a whole number, not text"),
        ("transprot = 'native'\n", "did you mean transport"),
        ("[policy]\nlimit_shaer = 0.5\n", "did you mean limit_share"),
        ("[policy]\nlimit_share = 'half'\n", "limit_share in"),
        ("policy = 5\n", "a table"),
        ("[endpoints.'binance.com']\nrset = 'http://h'\n", "did you mean rest"),
        ("[endpoints.'binance.com']\nrest = 5\n", "endpoints.'binance.com' in"),
        ("[endpoints.'kraken']\nrest = 'http://h'\n", "unknown exchange"),
        (
            "proxies = true\nnot toml",
            "expected valid TOML: Expected '=' after a key in a key/value pair (at line 2",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"kraken|settings\.toml") as caught:
        Settings.from_toml(written(tmp_path, text))
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"transport = '\xe9'", b"x = " + b"[" * 100_000, b"a = 1\x00"])
def test_a_file_that_cannot_be_read_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    for given in (path, "a\0b", "\ud800"):
        with pytest.raises(InvalidArgument, match="settings file"):
            Settings.from_toml(given)


def test_the_page_of_settings_lists_every_one_with_its_default() -> None:
    page = (Path(__file__).parents[1] / "docs" / "reference" / "settings.md").read_text("utf-8")
    for field in fields(Policy):
        line = f"| `{field.name}` | `{toml(field.default)}` | `DEPTHCACHE_{field.name.upper()}` |"
        assert line in page, line
    for name in OTHERS:
        assert f"`DEPTHCACHE_{name.upper()}`" in page


def links(service: str, port: int) -> dict[str, str]:
    """What Kubernetes sets in every container for a service."""
    name, address = service.upper().replace("-", "_"), "10.96.0.17"
    tcp = f"{name}_PORT_{port}_TCP"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_READERS": str(port),
        f"{name}_PORT": f"tcp://{address}:{port}",
        tcp: f"tcp://{address}:{port}",
        f"{tcp}_PROTO": "tcp",
        f"{tcp}_PORT": str(port),
        f"{tcp}_ADDR": address,
    }


@pytest.mark.parametrize("service", ["depthcache", "depthcache-server", "depthcache-limit-share"])
def test_variables_of_a_service_with_our_name_are_no_settings(service: str) -> None:
    given = {**links(service, 42081), "DEPTHCACHE_LIMIT_SHARE": "0.25"}
    assert Settings.from_environment(given) == Settings.from_environment({"DEPTHCACHE_LIMIT_SHARE": "0.25"})
    assert server_variables(given) == {}
    # A port that somebody set wins over that of the service.
    assert server_variables({**given, "DEPTHCACHE_SERVER_PORT": "8000"}) == {"port": 8000}


def test_a_misspelled_setting_that_looks_like_one_of_a_service_is_still_refused() -> None:
    for name in ("DEPTHCACHE_PORT", "DEPTHCACHE_SERVICE_PORT", "DEPTHCACHE_PORT_80_TCP"):
        with pytest.raises(InvalidArgument, match=name):
            Settings.from_environment({name: "1"})
    with pytest.raises(InvalidArgument, match="DEPTHCACHE_PROT"):
        Settings.from_environment({**links("depthcache", 42081), "DEPTHCACHE_PROT": "1"})
