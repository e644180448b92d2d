"""What clients say to a stream socket: the URL they open, and SUBSCRIBE and its relatives.

Sans-I/O and the same for every embedded exchange: texts in, replies out. Replies and errors are
Binance's (spot docs web-socket-streams, 2026-07-21; error texts as seen on the wire, 2021-2026), never
wrapped, errors nested: `{"error":{"code":2,"msg":"…"},"id":1}`.

Whether a stream exists is nobody's question here: unknown names are acknowledged and stay silent, as
at Binance (measured 2026-10-07). Not here: message limits, pings, data (`sessions`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeGuard, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from depthcache.simulator.interface import Close

__all__ = ["Commands", "Done", "Target", "parse_target"]

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_ROUTES = ("public", "market", "private")
_INT64 = 2**63
_ID_TEXT = re.compile(r"[0-9A-Za-z-]{1,36}")


@dataclass(frozen=True, slots=True)
class Target:
    """What a WebSocket URL asks for."""

    route: str
    """`public`, `market` or `private` of the futures venues; empty without one."""
    combined: bool
    """Whether frames are wrapped: `/stream` is, `/ws` is not."""
    streams: tuple[str, ...]
    time_unit: str | None
    """`MILLISECOND`, `MICROSECOND` or None (spot docs, 2024-12-17)."""


def parse_target(target: str) -> Target | None:
    """The meaning of path and query of a handshake; None for a path that no stream socket has."""
    parts = urlsplit(target)
    route, path = "", parts.path
    first = path.split("/")[1] if path.startswith("/") else ""
    if first in _ROUTES:
        route, path = first, path.removeprefix("/" + first)
    kind, _, rest = path.removeprefix("/").partition("/")
    if kind not in ("ws", "stream"):
        return None
    query = dict(parse_qsl(parts.query))
    unit = query.get("timeUnit", "").upper()
    named = unquote(rest) if kind == "ws" else query.get("streams", "")
    return Target(
        route=route,
        combined=kind == "stream",
        streams=tuple(dict.fromkeys(name for name in named.split("/") if name)),
        time_unit=unit if unit in ("MILLISECOND", "MICROSECOND") else None,
    )


@dataclass(frozen=True, slots=True)
class Done:
    """What one message of the client did. `close`: sent after the reply, where the message ends it."""

    reply: str
    subscribed: tuple[str, ...] = ()
    """Streams that are new by it."""
    unsubscribed: tuple[str, ...] = ()
    """Streams that were there before it."""
    close: Close | None = None


class _RefusedError(Exception):
    """A message with a fault of the client's; `number` is its id as far as one was read."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Commands:
    """The subscriptions of one connection, and whether it wraps frames."""

    def __init__(
        self, *, combined: bool, streams: Iterable[str], most_streams: int, ids_are_numbers: bool
    ) -> None:
        """`streams`: those of the URL. `ids_are_numbers`: futures take unsigned integers alone; spot takes
        integers, texts of at most 36 letters and digits, and null."""
        self.combined: bool = combined
        self._streams: dict[str, None] = dict.fromkeys(streams)
        self._most_streams: Final = most_streams
        self._ids_are_numbers: Final = ids_are_numbers

    def __contains__(self, stream: str) -> bool:
        """Whether that stream is subscribed."""
        return stream in self._streams

    @property
    def streams(self) -> tuple[str, ...]:
        """All subscribed names, also bogus ones, in the order they came."""
        return tuple(self._streams)

    def wrap(self, stream: str, payload: str) -> str:
        """The frame of a payload: wrapped on combined sockets, `stream` first as on the wire."""
        if not self.combined:
            return payload
        return f'{{"stream":{json.dumps(stream, ensure_ascii=False)},"data":{payload}}}'

    def on_text(self, text: str) -> Done:
        """A text frame of the client. Never raises."""
        number: object = None
        try:
            message = _parsed(text)
            number = message.get("id")
            if not self._is_id(number):
                number = None
                kind = "an unsigned integer" if self._ids_are_numbers else "an integer, a text or null"
                raise _RefusedError(2, f"Invalid request: request ID must be {kind}")
            return self._perform(message, number)
        except _RefusedError as refused:
            error = {"code": refused.code, "msg": refused.words}
            close = Close(1008, "Invalid request") if refused.code == 4 else None
            return Done(_json({"error": error, "id": number}), close=close)

    def _perform(self, message: dict[str, Any], number: object) -> Done:
        method, params = message["method"], message.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return Done(_result(list(self._streams), number))
        if method == "GET_PROPERTY":
            _check_property(params, 1)
            return Done(_result(self.combined, number))
        if method == "SET_PROPERTY":
            _check_property(params, 2)
            if not isinstance(params[1], bool):
                raise _RefusedError(1, "Invalid value type: expected Boolean")
            self.combined = params[1]
            return Done(_result(None, number))
        if "params" not in message:
            raise _RefusedError(2, _missing("params", message))
        if not _are_names(params):
            raise _RefusedError(2, "Invalid request: invalid stream")
        if method == "UNSUBSCRIBE":
            gone = tuple(name for name in dict.fromkeys(params) if name in self._streams)
            for name in gone:
                del self._streams[name]
            return Done(_result(None, number), unsubscribed=gone)
        new = tuple(name for name in dict.fromkeys(params) if name not in self._streams)
        if len(self._streams) + len(new) > self._most_streams:
            # The 1,025th stream: this error, then close 1008 (USD-M, measured 2026-10-07).
            raise _RefusedError(4, "Too many subscriptions")
        self._streams |= dict.fromkeys(new)
        return Done(_result(None, number), subscribed=new)

    def _is_id(self, number: object) -> bool:
        if isinstance(number, bool):
            return False
        if isinstance(number, int):
            return 0 <= number < 2 * _INT64 if self._ids_are_numbers else -_INT64 <= number < _INT64
        if self._ids_are_numbers:
            return False
        return number is None or (isinstance(number, str) and _ID_TEXT.fullmatch(number) is not None)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise _RefusedError(3, f"Invalid JSON: expected value at {place}") from None
    except (ValueError, RecursionError):
        raise _RefusedError(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(value, dict):
        raise _RefusedError(2, "Invalid request: expected an object at line 1 column 1")
    message = cast("dict[str, Any]", value)
    method = message.get("method")
    if "method" not in message:
        raise _RefusedError(2, _missing("method", message))
    if method not in _METHODS:
        named = ", ".join(f"`{each}`" for each in _METHODS)
        shown = method if isinstance(method, str) else json.dumps(method)
        raise _RefusedError(
            2, f"Invalid request: unknown variant `{shown}`, expected one of {named} at line 1 column 1"
        )
    return message


def _are_names(params: object) -> TypeGuard[list[str]]:
    return isinstance(params, list) and all(
        isinstance(name, str) and name for name in cast("list[object]", params)
    )


def _check_property(value: object, count: int) -> None:
    params = cast("list[object]", value) if isinstance(value, list) else []
    if not params or not isinstance(params[0], str):
        raise _RefusedError(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise _RefusedError(0, "Unknown property")
    if len(params) > count:
        raise _RefusedError(2, "Invalid request: too many parameters")
    if len(params) < count:
        raise _RefusedError(1, "Invalid value type: expected Boolean")


def _missing(name: str, message: dict[str, Any]) -> str:
    return f"Invalid request: missing field `{name}` at line 1 column {len(_json(message))}"


def _result(value: object, number: object) -> str:
    return _json({"result": value, "id": number})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
