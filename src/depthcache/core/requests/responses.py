"""The meaning of an HTTP response to a snapshot request: one pure function from response to action.

The rules, with their sources (Binance REST documentation "General info" and "Error codes", spot
2026-07-21 and USD-M 2026-05-28):

- 200: a snapshot, to be validated by the book's parser. An error body with status 200 counts as the error
  that it names.
- 429 (limit exceeded), 418 (banned), 403 (firewall), 451 (not available in this region): the whole budget
  stops, for as long as Retry-After says. Any other error with Retry-After stops it as well.
- 4xx with a code: -1121 means that the symbol is unknown, -1122 and -4108 that it is not trading, -4021 that
  the limit is refused, others that something else about the request is. Each is the answer of one node to one
  request, which others may contradict; consequences are decided elsewhere.
- Everything else, including HTML and broken JSON: try again with growing pauses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from depthcache.core import reasons
from depthcache.core.bodies import UnreadableBody, read_json, whole
from depthcache.core.requests.retry_after import stop_seconds
from depthcache.core.servers import server_hint
from depthcache.foreign_text import clean

__all__ = [
    "ClassifiedResponse",
    "ResponseAction",
    "classify_handshake",
    "classify_response",
    "describe_refusal",
    "error_in",
    "told_limit",
    "used_weight",
]

_OK, _BAD_REQUEST, _TOO_MANY_REQUESTS, _SERVER_ERROR = 200, 400, 429, 500
_UNKNOWN_SYMBOL, _REFUSED_LIMIT, _TOO_MANY = -1121, -4021, -1003
_NOT_TRADING = frozenset({-1122, -4108, -4140, -4141})
"""Spot and USD-M error codes (2026-05-28): the symbol's status does not allow it; -4108 means "delivering,
delivered, settling, closed or pre-trading".
"""
_STOP_S = {403: 60.0, 418: 120.0, 429: 60.0, 451: 60.0}
"""Used without Retry-After: a clock minute for limits, the shortest ban (2 minutes, spot docs 2026-07-21).

They double if repeated without Retry-After.
"""
_BANS = frozenset({418, 429})
_LONGEST_TEXT = 200
_LONGEST_ERROR_BYTES = 64 * 1024
"""Binance's errors have about 100 bytes; anything longer is a page, not an error."""


class ResponseAction(Enum):
    """The action for a response."""

    INSTALL = "install"  # it may be a snapshot
    RETRY = "retry"  #     try again later
    STOP = "stop"  #       send no request for some time
    UNKNOWN = "unknown"  # the responding node does not know the symbol
    IDLE = "idle"  #       the symbol is not trading
    LIMIT = "limit"  #     request fewer levels
    REFUSED = "refused"  # refused for another reason; try again later


@dataclass(frozen=True, slots=True)
class ClassifiedResponse:
    """The action, its reason, how long to stop if the exchange said so, and the error."""

    action: ResponseAction
    reason: str = ""
    stop_s: float | None = None
    told: bool = False
    """Whether `stop_s` comes from the exchange; otherwise it may be extended."""
    status: int = _OK
    code: int | None = None
    text: str = ""

    @property
    def bans_address(self) -> bool:
        """Whether the whole address must stop, including connections: 418 and 429."""
        return self.action is ResponseAction.STOP and (self.status in _BANS or self.code == _TOO_MANY)


def classify_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    exchange_s: float | None = None,
    is_served: bool = False,
    has_token: bool = True,
) -> ClassifiedResponse:
    """Classify one response. Never raises.

    `is_served`: it comes from a book server, which limits an address only with 429. `has_token`: the request
    carried a token. `exchange_s`: seconds since 1970 on the exchange's clock, if known; used for a
    Retry-After date in a response without a Date header.
    """
    if status == _OK and not _may_be_error(body):
        return ClassifiedResponse(ResponseAction.INSTALL)
    code, text = error_in(body)
    if status == _OK and code is None and (b'"msg"' not in body or len(body) > _LONGEST_ERROR_BYTES):
        return ClassifiedResponse(ResponseAction.INSTALL)
    shown = describe_refusal(status, code, text)
    told_s = stop_seconds(_header(headers, "retry-after"), _header(headers, "date"), exchange_s)
    action, stop_s = _action(status, code, text), None
    if is_served and status != _TOO_MANY_REQUESTS:
        told_s = None
        action = ResponseAction.RETRY if action is ResponseAction.STOP else action
        shown = "; ".join(filter(None, (shown, server_hint(status, has_token=has_token))))
    if status == _OK:
        told_s = None
        shown = reasons.malformed_snapshot(shown) if action is ResponseAction.RETRY else shown
    if told_s is not None or action is ResponseAction.STOP:
        action, stop_s = (
            ResponseAction.STOP,
            told_s if told_s is not None else _STOP_S.get(status, _STOP_S[429]),
        )
    return ClassifiedResponse(
        action, shown, stop_s, told=told_s is not None, status=status, code=code, text=text
    )


def classify_handshake(
    status: int, retry_after: str | None, date: str | None, *, exchange_s: float | None = None
) -> ClassifiedResponse | None:
    """How long to stop after a refused WebSocket handshake; None if unspecified."""
    told_s = stop_seconds(retry_after, date, exchange_s)
    stop_s = told_s if told_s is not None else _STOP_S.get(status)
    if stop_s is None or status < _BAD_REQUEST:
        return None
    return ClassifiedResponse(
        ResponseAction.STOP, f"HTTP {status}", stop_s, told=told_s is not None, status=status
    )


def describe_refusal(status: int, code: int | None, text: str) -> str:
    """`HTTP 400 code -1121: Invalid symbol.`, from the status and `error_in` of the body."""
    return f"HTTP {status}" + ("" if code is None else f" code {code}") + (f": {text}" if text else "")


def used_weight(headers: Mapping[str, str]) -> int | None:
    """The weight used by this address in the current minute, as counted by the exchange."""
    text = _header(headers, "x-mbx-used-weight-1m")
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


def told_limit(headers: Mapping[str, str], asked: int) -> int | None:
    """The limit of a book server's snapshot if it holds fewer complete levels than `asked`; else None."""
    text = _header(headers, "x-depthcache-limit") or ""
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if is_number and 0 < int(text) < asked else None


def _action(status: int, code: int | None, text: str) -> ResponseAction:
    if status in _STOP_S or code == _TOO_MANY:
        return ResponseAction.STOP
    if code is None or not (status == _OK or _BAD_REQUEST <= status < _SERVER_ERROR):
        return ResponseAction.RETRY
    if code == _UNKNOWN_SYMBOL:
        return ResponseAction.UNKNOWN
    if code in _NOT_TRADING:
        return ResponseAction.IDLE
    if not _blames_the_request(code):
        return ResponseAction.RETRY
    return (
        ResponseAction.LIMIT if code == _REFUSED_LIMIT or "limit" in text.lower() else ResponseAction.REFUSED
    )


def _may_be_error(body: bytes) -> bool:
    """Whether a body may be an error: a cheap check, because nearly all bodies are long and are not."""
    return b'"lastUpdateId"' not in body and (b'"code"' in body or b'"msg"' in body)


def _blames_the_request(code: int) -> bool:
    # -11xx: parameters (spot error codes, 2026-07-21); -4xxx: values (USD-M error codes, 2026-05-28).
    return -1199 <= code <= -1100 or -4999 <= code <= -4000


def error_in(body: bytes) -> tuple[int | None, str]:
    """Binance's code and message, sanitised; without a code, the start of the body."""
    try:
        value = read_json(body) if len(body) <= _LONGEST_ERROR_BYTES else None
    except UnreadableBody:
        value = None
    if isinstance(value, dict):
        outer = cast("dict[str, Any]", value)
        inner = outer.get("error")  # nested in some responses of 2021 and 2026
        found = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
        code, text = found.get("code"), found.get("msg")
        plain = whole(code)
        if plain is not None or isinstance(text, str):
            return plain, clean(text or "", most=_LONGEST_TEXT)
    return None, clean(body, most=_LONGEST_TEXT)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    found = headers.get(name)
    if found is None:  # the network lowers names; be kind to those that do not
        found = next((value for key, value in headers.items() if key.lower() == name), None)
    return found.strip() if isinstance(found, str) else None
