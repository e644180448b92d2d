"""What an HTTP answer to a snapshot request means: one pure function from answer to verdict.

The rules, with their sources (Binance REST documentation "General info" and "Error codes", spot
2026-07-21 and USD-M 2026-05-28):

- 200: a snapshot, or at least bytes that claim to be one; the book's scanner has the last word.
- 429 (limit broken), 418 (banned), 403 (firewall), 451 (not served in this region): the whole
  budget stops, for as long as Retry-After says. Any other error with Retry-After stops it, too.
- 400 with a code that blames the request (-1121 "Invalid symbol." above all): asking again is
  useless, this market ends.
- everything else, HTML and broken JSON included: try again, slower each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from depthcache.core.bodies import UnreadableBody, read_json, whole
from depthcache.foreign_text import clean

__all__ = ["Answer", "Verdict", "error_in", "judge", "used_weight"]

_UNKNOWN_SYMBOL = -1121
_STOP_S = {403: 60.0, 418: 120.0, 429: 60.0, 451: 60.0}
"""Used where Retry-After is missing: a clock minute for limits, the shortest ban (2 minutes, spot docs
2026-07-21). Repeated without Retry-After they double."""
_LONGEST_STOP_S = 3 * 86_400.0
"""Bans last up to three days (spot docs, 2026-07-21)."""
_LONGEST_TEXT = 200
_LONGEST_ERROR_BYTES = 64 * 1024
"""Binance's own are about 100 bytes; what is longer is no error of the exchange, but a page."""


class Verdict(Enum):
    """What to do with an answer."""

    INSTALL = "install"  # it may be a snapshot
    RETRY = "retry"  #     ask again later
    STOP = "stop"  #       nobody may ask for a while
    UNKNOWN = "unknown"  # the symbol does not exist
    REFUSED = "refused"  # the request can never succeed


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict, why in words, and how long to stop where the exchange said so."""

    verdict: Verdict
    reason: str = ""
    stop_s: float | None = None
    told: bool = False
    """Whether `stop_s` comes from the exchange; otherwise it may be made longer."""


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """The meaning of one answer. Never raises, whatever was sent."""
    if status == 200:
        return Answer(Verdict.INSTALL)
    code, text = error_in(body)
    shown = f"HTTP {status}" + (f" code {code}" if code is not None else "") + (f": {text}" if text else "")
    told_s = _seconds(_header(headers, "retry-after"))
    if status in _STOP_S or told_s is not None:
        stop_s = told_s if told_s is not None else _STOP_S[status]
        return Answer(Verdict.STOP, shown, stop_s, told=told_s is not None)
    if status == 400 and code == _UNKNOWN_SYMBOL:
        return Answer(Verdict.UNKNOWN, shown)
    if status == 400 and code is not None and _blames_the_request(code):
        return Answer(Verdict.REFUSED, shown)
    return Answer(Verdict.RETRY, shown)


def used_weight(headers: Mapping[str, str]) -> int | None:
    """The exchange's count of weight used by this address in the current minute."""
    text = _header(headers, "x-mbx-used-weight-1m")
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


def _blames_the_request(code: int) -> bool:
    # -11xx: parameters (spot error codes, 2026-07-21); -4xxx: values (USD-M error codes, 2026-05-28).
    return -1199 <= code <= -1100 or -4999 <= code <= -4000


def error_in(body: bytes) -> tuple[int | None, str]:
    """Binance's code and message, safe to show; no code and the first letters for anything else."""
    try:
        value = read_json(body) if len(body) <= _LONGEST_ERROR_BYTES else None
    except UnreadableBody:
        value = None
    if isinstance(value, dict):
        outer = cast("dict[str, Any]", value)
        inner = outer.get("error")  # nested in some answers of 2021 and 2026
        found = cast("dict[str, Any]", inner) if isinstance(inner, dict) else outer
        code, text = found.get("code"), found.get("msg")
        plain = whole(code)
        if plain is not None or isinstance(text, str):
            return plain, clean(text or "", most=_LONGEST_TEXT)
    return None, clean(body, most=_LONGEST_TEXT)


def _seconds(text: str | None) -> float | None:
    """Retry-After as seconds; its date form is not used by Binance and counts as missing."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 12:
        return None
    return min(max(float(text), 1.0), _LONGEST_STOP_S)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    found = headers.get(name)
    if found is None:  # the network lowers names; be kind to those that do not
        found = next((value for key, value in headers.items() if key.lower() == name), None)
    return found.strip() if isinstance(found, str) else None
