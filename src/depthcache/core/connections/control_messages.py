"""Parsing of control messages: one pure function from bytes to a value.

Replies are not wrapped on combined sockets, and errors come bare (documentation) or nested
(measured 2026-10-07); `serverShutdown` comes raw or wrapped (spot docs, 2026-05-08):

    {"result":null,"id":1}
    {"error":{"code":4,"msg":"Too many subscriptions"},"id":2}
    {"code":2,"msg":"Invalid request: invalid stream","id":3}
    {"error":{"code":100,"msg":"this server holds no book …","streams":["ethusdt@depth@100ms@state1"]},"id":4}
    {"error":{"code":101,"msg":"…","streams":["a@depth@state1"],"holders":{"a@depth@state1":["host:42081"]}},"id":5}
    {"e":"nodes","nodes":["host:42081","other:42081"]}
    {"e":"holders","holders":{"a@depth@state1":["host:42081"]}}
    {"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from depthcache.core.bodies import UnreadableBody, read_json, whole
from depthcache.foreign_text import clean

__all__ = ["ErrorReply", "Holders", "Nodes", "Reply", "Shutdown", "read_reply"]

_LONGEST_TEXT = 300
_NUMBERS = range(1 << 63)


class ErrorReply(NamedTuple):
    """Why a control message was refused."""

    code: int | None
    text: str
    streams: tuple[str, ...] = ()
    """The streams because of which a book server refused a SUBSCRIBE, if it names them."""
    holders: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """By stream, where its book is instead, the best address first."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to a control message. `error`: None on success."""

    number: int | None
    error: ErrorReply | None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The exchange announces that it will close this connection soon."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """A book server says where all nodes of its cluster are."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holders:
    """A node keeps books of these streams for their readers alone: where the books are, the best address
    first."""

    holders: tuple[tuple[str, tuple[str, ...]], ...]


def read_reply(payload: bytes) -> Reply | Shutdown | Nodes | Holders | None:
    """Parse a control message; None for anything unknown. Never raises."""
    try:
        value = read_json(payload)
    except UnreadableBody:
        return None
    if not isinstance(value, dict):
        return None
    message = cast("dict[str, Any]", value)
    inner = message.get("data")
    event = cast("dict[str, Any]", inner).get("e") if isinstance(inner, dict) else None
    if "serverShutdown" in (message.get("e"), event):
        return Shutdown()
    if message.get("e") == "nodes":
        return Nodes(_names(message.get("nodes")))
    if message.get("e") == "holders":
        return Holders(_holders(message.get("holders")))
    number = whole(message.get("id"), _NUMBERS)
    error = message.get("error", message)
    if isinstance(error, dict) and ("code" in error or "msg" in error):
        fault = cast("dict[str, Any]", error)
        text = clean(fault.get("msg", ""), most=_LONGEST_TEXT)
        streams, holders = _names(fault.get("streams")), _holders(fault.get("holders"))
        return Reply(number, ErrorReply(whole(fault.get("code")), text, streams, holders))
    if "error" in message:
        return Reply(number, ErrorReply(None, clean(message["error"], most=_LONGEST_TEXT)))
    return Reply(number, None) if "result" in message else None


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(each for each in cast("list[object]", value) if isinstance(each, str))


def _holders(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        return ()
    return tuple((name, _names(each)) for name, each in cast("dict[str, object]", value).items())
