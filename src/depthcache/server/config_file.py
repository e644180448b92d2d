"""The TOML file of `depthcache serve`: which books, and every field of `ServerConfig` but the secrets.

depth = 100                       # as for connect; so is speed_ms
sync_timeout_s = 30               # how long to wait for the books before the server says it is ready
settings = "settings.toml"        # of the client, beside this file; without it the environment's

[books]
"binance.com" = ["BTCUSDT", "ETHUSDT"]

[server]
listen = "0.0.0.0"
tls = true
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

from depthcache.arguments import parse_real
from depthcache.errors import InvalidArgument
from depthcache.foreign_text import clean
from depthcache.server.config import PREFIX, ServerConfig, unknown_name
from depthcache.settings import Settings

__all__ = ["ServeFile", "read_serve_file"]

_SECRETS = {"read_token": "read.token", "admin_token": "admin.token", "exchange_key": "exchange.token"}
"""They come from files of their own (these, in `data_dir`) or from the environment:
others may read this file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeFile:
    """What a file says: books by exchange, arguments of `connect` and of `ServerConfig`."""

    books: Mapping[str, tuple[str, ...]]
    connect: Mapping[str, Any]
    server: Mapping[str, Any]
    sync_timeout_s: float | None


def read_serve_file(path: str | PathLike[str]) -> ServeFile:
    """Read a file. Raises InvalidArgument, which names the key, its value and what is allowed."""
    shown = fspath(path)
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        allowed = f"the path of a TOML file ({error})"
        raise InvalidArgument(name="config file", value=shown, allowed=allowed) from None
    _known(content, ("depth", "speed_ms", "sync_timeout_s", "settings", "books", "server"), shown)
    connect: dict[str, Any] = {name: content[name] for name in ("depth", "speed_ms") if name in content}
    if "settings" in content:
        if not isinstance(content["settings"], str):
            allowed = "the path of a TOML file"
            raise InvalidArgument(name=f"settings in {shown}", value=content["settings"], allowed=allowed)
        connect["settings"] = Settings.from_toml(Path(path).parent / content["settings"])
    server = _table(content, "server", shown)
    names = tuple(each.name for each in fields(ServerConfig) if each.name not in _SECRETS)
    for name in sorted(server.keys() & _SECRETS):
        where = f"set {PREFIX}{name.upper()}, or use {_SECRETS[name]}"
        text = f"{shown}: tokens do not belong in this file: {where}"
        raise InvalidArgument(name=name, value="(not shown)", allowed=where, text=text)
    _known(server, names, shown, table=" in [server]")
    for name in ("hosts", "compat_allow", "exchange_allow"):
        if isinstance(server.get(name), list):
            server[name] = tuple(server[name])
    books: dict[str, tuple[str, ...]] = {}
    for exchange, symbols in _table(content, "books", shown).items():
        listed: list[Any] = cast("list[Any]", symbols)
        if isinstance(symbols, dict):  # TOML takes the dot of a bare key for a table
            raise _unquoted(exchange, cast("dict[str, Any]", symbols), shown)
        if not isinstance(symbols, list) or not all(isinstance(each, str) for each in listed):
            allowed = 'a list of symbols: ["BTCUSDT"]'
            raise InvalidArgument(name=f"books.{exchange!r} in {shown}", value=listed, allowed=allowed)
        books[exchange] = tuple(listed)
    timeout_s = content.get("sync_timeout_s")
    if timeout_s is not None:
        timeout_s = parse_real(timeout_s, name="sync_timeout_s", allowed="seconds, 0 or more", least=0)
    return ServeFile(books=books, connect=connect, server=server, sync_timeout_s=timeout_s)


def _table(content: Mapping[str, Any], name: str, shown: str) -> dict[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise InvalidArgument(name=f"{name} in {shown}", value=value, allowed=f"a table: [{name}]")
    return cast("dict[str, Any]", value)


def _unquoted(exchange: str, table: Mapping[str, Any], shown: str) -> InvalidArgument:
    below = next(iter(table), "com")
    symbols = table.get(below)
    first: object = cast("list[object]", symbols)[0] if isinstance(symbols, list) and symbols else "BTCUSDT"
    example = f'"{clean(exchange)}.{clean(below)}" = ["{clean(first)}"]'
    text = f"{shown}: put the exchange in quotes: {example}"
    return InvalidArgument(name=f"books.{exchange}", value=table, allowed=example, text=text)


def _known(content: Mapping[str, Any], names: tuple[str, ...], shown: str, *, table: str = "") -> None:
    for name in content:
        if name not in names:
            raise unknown_name(name, names, kind="key", place=shown, within=table)
