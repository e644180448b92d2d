"""What a control message of the exchange means: one pure function from bytes to a value.

Replies are not wrapped on combined sockets, and errors come bare (documentation) or nested
(measured 2026-10-07); `serverShutdown` comes raw or wrapped (spot docs, 2026-05-08):

    {"result":null,"id":1}
    {"error":{"code":4,"msg":"Too many subscriptions"},"id":2}
    {"code":2,"msg":"Invalid request: invalid stream","id":3}
    {"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["Reply", "Shutdown", "read_reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a control message. `error`: code and words, None for success."""

    number: int | None
    error: tuple[int | None, str] | None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The exchange will close this connection soon."""


def read_reply(payload: bytes) -> Reply | Shutdown | None:
    """The meaning of a control message; None for everything unknown. Never raises."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    message = cast("dict[str, Any]", value)
    inner = message.get("data")
    event = cast("dict[str, Any]", inner).get("e") if isinstance(inner, dict) else None
    if "serverShutdown" in (message.get("e"), event):
        return Shutdown()
    number = message.get("id")
    number = number if isinstance(number, int) and not isinstance(number, bool) else None
    error = message.get("error", message)
    if isinstance(error, dict) and ("code" in error or "msg" in error):
        fault = cast("dict[str, Any]", error)
        return Reply(number, (_code(fault), str(fault.get("msg", ""))[:200]))
    if "error" in message:
        return Reply(number, (None, str(message["error"])[:200]))
    return Reply(number, None) if "result" in message else None


def _code(error: dict[str, Any]) -> int | None:
    code = error.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None
