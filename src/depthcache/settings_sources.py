"""Read settings from environment variables and TOML files.

A setting has the same name everywhere: limit_share is an argument of `Policy`, a key of the table
`[policy]`, and the variable DEPTHCACHE_LIMIT_SHARE. Wrong values and unknown names raise InvalidArgument with
their source. `settings` and `core.policy` document what each setting does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from os import PathLike, fspath
from typing import Any, cast

from depthcache import venues
from depthcache.core.policy import Policy
from depthcache.errors import InvalidArgument
from depthcache.service_links import without_service_links
from depthcache.venues import Endpoints

__all__ = ["FILE_VARIABLE", "PREFIX", "from_file", "from_variables", "variable_of"]

PREFIX = "DEPTHCACHE_"
FILE_VARIABLE = "DEPTHCACHE_SETTINGS"
_NOT_OURS = frozenset(
    {
        "DEPTHCACHE_CLUSTER_PROTOCOL",
        "DEPTHCACHE_DEBUG",
        "DEPTHCACHE_LOG_FORMAT",
        "DEPTHCACHE_RELEASES_URL",
        "DEPTHCACHE_TOKEN",
    }
)
"""Variables of tests of a cluster, of the command line, of the update check in `compat`, and a secret, which
are not settings."""
_SERVER_PREFIX = "DEPTHCACHE_SERVER_"
"""Variables of the book server, which checks them itself."""
_KINDS: dict[str, type[Any]] = {
    "proxies": bool,
    "transport": str,
    "server": str,
    "fingerprint": str,
    "ca_file": str,
    "record_to": str,
    "flight_dumps_to": str,
    "flight_bytes": int,
}
"""Type of each setting that text can express, apart from the endpoints and the policy."""
_TRUTHS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_WORDS: dict[type[Any], str] = {int: "a whole number", float: "a number", bool: "true or false"}
_POLICY: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(Policy)}


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def from_variables(
    given: Mapping[str, str], check: Callable[..., object], *, hosts: Mapping[str, Endpoints]
) -> dict[str, Any]:
    """Arguments for Settings from environment variables. `check` raises for those that it does not accept.

    `hosts`: those of the file, of which a variable replaces one part.
    Raises InvalidArgument.
    """
    places, ends = _variables(), _endpoint_variables()
    found: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    endpoints = dict(hosts)
    given = without_service_links(given)
    for variable in sorted(name for name in given if name.startswith(PREFIX)):
        text = given[variable]
        if variable in _NOT_OURS or variable == FILE_VARIABLE or variable.startswith(_SERVER_PREFIX):
            continue
        if variable in ends:
            exchange, part = ends[variable]
            before = endpoints.get(exchange, venues.venue(exchange).endpoints)
            endpoints[exchange] = _endpoints(variable, before, {part: text})
        elif variable in places:
            name, kind = places[variable]
            value = _value(variable, text, kind)
            (policy if name in _POLICY else found)[name] = value
        else:
            more = f"hosts are {PREFIX}<EXCHANGE>_REST and _WEBSOCKET"
            raise _no_such(variable, text, (*ends, *places), more)
    return _whole(found, policy, endpoints, variable_of, check)


def from_file(path: str | PathLike[str], check: Callable[..., object]) -> dict[str, Any]:
    """Arguments for Settings from a TOML file, with `check` as above. Raises InvalidArgument.

    transport = "aiohttp"

    [policy]
    limit_share = 0.25

    [endpoints."binance.com"]
    rest = "http://127.0.0.1:9000/binance.com"
    """
    shown = fspath(path)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - accepts any path-like object
            content = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:  # with the line and the column
        raise InvalidArgument(name="settings file", value=shown, allowed=f"valid TOML: {error}") from None
    except (OSError, ValueError, RecursionError) as error:  # unreadable, not UTF-8, nested too deeply
        allowed = f"the path of a TOML file with settings ({error})"
        raise InvalidArgument(name="settings file", value=shown, allowed=allowed) from None
    policy = _table(content.pop("policy", {}), "policy", shown)
    tables = _table(content.pop("endpoints", {}), "endpoints", shown)
    for name in content:
        if name in _POLICY:
            allowed = f"no setting here: {name} belongs under [policy]"
            raise InvalidArgument(name=f"{name} in {shown}", value=content[name], allowed=allowed)
        if name not in _KINDS:
            raise _no_such(f"{name} in {shown}", content[name], (*_KINDS, "policy", "endpoints"), "")
    for name in policy:
        if name not in _POLICY:
            raise _no_such(f"policy.{name} in {shown}", policy[name], tuple(_POLICY), "")
    endpoints: dict[str, Endpoints] = {}
    for exchange, parts in tables.items():
        place = f"endpoints.{exchange!r} in {shown}"
        parts = _table(parts, place, shown)
        if unknown := parts.keys() - {"rest", "websocket"}:
            raise _no_such(f"{place}: {min(unknown)}", parts[min(unknown)], ("rest", "websocket"), "")
        venue = venues.venue(exchange)
        before = endpoints.get(venue.name, venue.endpoints)  # two tables may spell one name differently
        endpoints[venue.name] = _endpoints(place, before, parts)
    return _whole(content, policy, endpoints, lambda name: f"{name} in {shown}", check)


def _whole(
    found: dict[str, Any],
    policy: dict[str, Any],
    endpoints: dict[str, Endpoints],
    place: Callable[[str], str],
    check: Callable[..., object],
) -> dict[str, Any]:
    """All arguments in one dictionary. Checks them here, so that an error names its source."""
    try:
        Policy(**policy)
        check(**found)
    except InvalidArgument as error:
        kind = (_KINDS | _POLICY).get(error.name, str)
        is_text = isinstance(error.value, str) and kind in (int, float, bool)
        allowed = f"{_WORDS[kind]}, not text" if is_text else error.allowed
        raise InvalidArgument(name=place(error.name), value=error.value, allowed=allowed) from None
    return found | {"policy": policy, "endpoints": endpoints}


def _value(variable: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in _TRUTHS:
            raise InvalidArgument(name=variable, value=text, allowed="true or false (also 1 or 0, on or off)")
        return _TRUTHS[text.lower()]
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError:
        raise InvalidArgument(name=variable, value=text, allowed=_WORDS[kind]) from None


def _endpoints(place: str, before: Endpoints, parts: Mapping[str, Any]) -> Endpoints:
    try:
        return venues.parse_endpoints(replace(before, **parts))
    except InvalidArgument as error:
        raise InvalidArgument(name=place, value=error.value, allowed=error.allowed) from None


def _table(value: object, name: str, shown: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidArgument(name=f"{name} in {shown}", value=value, allowed=f"a table: [{name}]")
    return cast("dict[str, Any]", value)


def _variables() -> dict[str, tuple[str, type[Any]]]:
    return {variable_of(name): (name, kind) for name, kind in (_KINDS | _POLICY).items()}


def _endpoint_variables() -> dict[str, tuple[str, str]]:
    """Variable to the exchange name and the part of its endpoints (`rest`, `websocket`) that it sets."""
    return {
        f"{PREFIX}{alias.upper().replace('.', '_').replace('-', '_')}_{part.upper()}": (name, part)
        for name in venues.names()
        for alias in (name, *venues.venue(name).aliases)
        for part in ("rest", "websocket")
    }


def _no_such(name: str, value: object, known: tuple[str, ...], more: str) -> InvalidArgument:
    asked = name.split(" in ")[0].rsplit(".", 1)[-1] if ": " not in name else name.rsplit(": ", 1)[1]
    plain = {each.removeprefix(PREFIX): each for each in known}
    near = get_close_matches(asked.removeprefix(PREFIX), plain, n=1, cutoff=0.7)
    others = f"{more}, such as {known[0]}" if more else f"such as {known[0]}"
    hint = f"did you mean {plain[near[0]]}?" if near else others
    allowed = f"the name of a setting; {hint}"
    return InvalidArgument(name=name, value=value, allowed=allowed)
