"""Handle the URL of a stream connection and its control messages, such as SUBSCRIBE.

Sans-I/O and the same for every embedded exchange: texts in, replies out. Replies and errors are those of
Binance (spot docs web-socket-streams, 2026-07-21; error texts as observed, 2021-2026). They are never
wrapped, and errors are nested: `{"error":{"code":2,"msg":"…"},"id":1}`.

Unknown streams are acknowledged and stay silent, as at Binance (measured 2026-10-07). `sessions` handles
message limits, pings and data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn, TypeGuard, cast
from urllib.parse import parse_qsl, unquote

from depthcache.simulator.interface import Close, split_target
from depthcache.venues import Family, Venue

__all__ = ["Commands", "Done", "RequestIds", "Target", "parse_target", "request_ids"]

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_ROUTES = ("public", "market", "private")
_INT64 = 2**63
_ID_TEXT = re.compile(r"[0-9A-Za-z-]{1,36}")
_MOST_ID_TEXT = 36
"""The limit of spot (docs 2026-07-21); the futures docs state none."""


class RequestIds(Enum):
    """What a venue accepts as the `id` of a message; the value is the wording of its error."""

    SPOT = "an integer, a text or null"
    """int64, a text of at most 36 letters, digits and dashes, or null (spot docs, 2026-07-21)."""
    FUTURES = "an unsigned integer or a text"
    """The documents say unsigned integer; Binance's SDKs send texts (UM 18.1.0, CM 14.1.0, 2026-11)."""
    OPTIONS = "an unsigned integer"
    """A UUID is refused (reported 2025-11)."""

    def take(self, value: object) -> bool:
        """Whether the value is a valid id."""
        if isinstance(value, bool):
            return False
        if isinstance(value, int):
            return -_INT64 <= value < _INT64 if self is RequestIds.SPOT else 0 <= value < 2 * _INT64
        if self is RequestIds.FUTURES:
            return isinstance(value, str) and 1 <= len(value) <= _MOST_ID_TEXT
        if self is RequestIds.OPTIONS:
            return False
        return value is None or (isinstance(value, str) and _ID_TEXT.fullmatch(value) is not None)


def request_ids(venue: Venue) -> RequestIds:
    """The ids that a venue accepts."""
    return _REQUEST_IDS[venue.family]


_REQUEST_IDS: Mapping[Family, RequestIds] = {
    "spot": RequestIds.SPOT,
    "linear": RequestIds.FUTURES,
    "inverse": RequestIds.FUTURES,
    "options": RequestIds.OPTIONS,
}


@dataclass(frozen=True, slots=True)
class Target:
    """The meaning of a WebSocket URL."""

    route: str
    """`public`, `market` or `private` of the futures venues; empty if there is none."""
    combined: bool
    """Whether frames are wrapped: those of `/stream` are, those of `/ws` are not."""
    streams: tuple[str, ...]
    time_unit: str | None
    """`MILLISECOND`, `MICROSECOND` or None (spot docs, 2024-12-17)."""


def parse_target(target: str, venue: Venue) -> Target | None:
    """The meaning of path and query of a handshake; None for an unknown path.

    Accepts the paths of Binance and that of the venue's combined stream.
    """
    path, asked = split_target(target)
    route = ""
    first = path.split("/")[1] if path.startswith("/") else ""
    if first in _ROUTES:
        route, path = first, path.removeprefix("/" + first)
    kind, _, rest = path.removeprefix("/").partition("/")
    if kind not in ("ws", "stream"):
        if split_target(target)[0] != venue.stream_route:
            return None
        route, kind = "", "stream"
    query = dict(parse_qsl(asked))
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
    """The effect of one message of the client. `close`: close frame to send after the reply, if any."""

    reply: str
    subscribed: tuple[str, ...] = ()
    """Newly subscribed streams."""
    unsubscribed: tuple[str, ...] = ()
    """Streams that are no longer subscribed."""
    close: Close | None = None
    repeated: bool = False
    """Whether it subscribed a stream that was already subscribed."""


class _RefusedError(Exception):
    """A faulty message of the client; `number` is its id, if it could be read."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class Commands:
    """The subscriptions of one connection and its control messages."""

    def __init__(self, *, combined: bool, streams: Iterable[str], most_streams: int, ids: RequestIds) -> None:
        """`streams`: the streams in the URL. `ids`: the ids that messages may have."""
        self.combined: bool = combined
        self._streams: dict[str, None] = dict.fromkeys(streams)
        self._most_streams: Final = most_streams
        self._ids: Final = ids

    def __contains__(self, stream: str) -> bool:
        """Whether a stream is subscribed."""
        return stream in self._streams

    @property
    def streams(self) -> tuple[str, ...]:
        """All subscribed names, including unknown ones, in order."""
        return tuple(self._streams)

    def wrap(self, stream: str, payload: str) -> str:
        """The frame of a payload: wrapped on combined streams, with `stream` first, as at Binance."""
        if not self.combined:
            return payload
        return f'{{"stream":{json.dumps(stream, ensure_ascii=False)},"data":{payload}}}'

    def on_text(self, text: str) -> Done:
        """Handle a text frame of the client. Never raises."""
        number: object = None
        try:
            message = _parsed(text)
            number = message.get("id")
            if not self._ids.take(number):
                number = None
                raise _RefusedError(2, f"Invalid request: request ID must be {self._ids.value}")
            return self._perform(message, number)
        except _RefusedError as refused:
            close = Close(1008, "Invalid request") if refused.code == 4 else None
            return Done(_error(refused.code, refused.words, number), close=close)

    def refusal(self, text: str, words: str) -> Done | None:
        """The error reply to a valid SUBSCRIBE that is to be refused; None for any other message. Never
        raises."""
        try:
            message = _parsed(text)
        except _RefusedError:
            return None
        if message["method"] != "SUBSCRIBE":
            return None
        number = message.get("id")
        return Done(_error(2, words, number if self._ids.take(number) else None))

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
            # For the 1,025th stream: this error, then close 1008 (USD-M, measured 2026-10-07).
            raise _RefusedError(4, "Too many subscriptions")
        repeated = any(name in self._streams for name in params)
        self._streams |= dict.fromkeys(new)
        return Done(_result(None, number), subscribed=new, repeated=repeated)


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object of a message with a known method."""
    try:
        return _checked(json.loads(text, parse_constant=_no_number))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise _RefusedError(3, f"Invalid JSON: expected value at {place}") from None
    except (ValueError, RecursionError):  # too many digits, half a surrogate pair; too deep
        raise _RefusedError(3, "Invalid JSON: expected value at line 1 column 1") from None


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)


def _checked(value: object) -> dict[str, Any]:
    _json(value).encode()  # raises here instead of in a reply that repeats parts of it
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


def _error(code: int, words: str, number: object) -> str:
    return _json({"error": {"code": code, "msg": words}, "id": number})


def _result(value: object, number: object) -> str:
    return _json({"result": value, "id": number})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
