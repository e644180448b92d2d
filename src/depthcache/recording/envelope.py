"""Find the message and its receive time in the envelope that a recorder put around it.

Recorders write `{"recv_ns": 1723075200000000000, "payload": {…}}` and the like, each with its own keys. The
message is an object, or a string that contains one. The receive time is a number or an ISO time under a name
that suggests receipt; the size of a number determines its unit. `payload` then classifies the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Raw

from depthcache.recording.origin import origin_of_url

__all__ = [
    "MOST_NESTED",
    "TextError",
    "asked",
    "bodies",
    "fields",
    "has_no_more",
    "is_reply",
    "iso_ns",
    "number_ns",
    "received_ns",
    "requested_ns",
    "shape",
    "stream_beside",
]

MOST_NESTED = 3
"""Deepest nesting of envelopes: a broker's around a recorder's around a stream's."""
_KEYS_SHOWN, _KEY_CHARACTERS = 8, 24
_MOST_BODIES = 16

_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
_RECEIVED = re.compile(
    r"(?:recv|recvd|recieved|received?|receipt|arrived|arrival|local|capture|captured|collected|recorded|rx)"
    r"(?:at|time|timestamp|ts|t)?(?:ns|us|ms|s|nanos|micros|millis|nano|micro|milli|sec|seconds|utc)?"
)
_SOME_TIME = re.compile(
    r"(?:time|timestamp|ts|t|datetime|date|at)(?:ns|us|ms|s|nanos|micros|millis|utc)?(?:received|recv|local)?"
)
_REQUESTED = re.compile(r"(?:requested|request|asked|sent)(?:at|time|timestamp|ts)?(?:ns|us|ms|s)?")
_STREAM_KEYS = ("stream", "channel", "topic", "subject", "key")
_DEPTH_STREAM = re.compile(r"[^\s@]+@(?:depth|bookTicker|trade|aggTrade)[\w@]*")
_REPLIES = ({"id", "result"}, {"id", "error"}, {"code", "msg"}, {"id", "method"})
_OF_REPLIES = frozenset({"id", "result", "error", "code", "msg", "status", "rateLimits", "method", "params"})
_NORMALISED = frozenset(
    {"book_change", "book_snapshot", "quote", "trade", "derivative_ticker", "disconnect", "liquidation"}
    | {"option_summary", "book_ticker", "trade_bar"}
)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?")
_OLDEST_NS, _NEWEST_NS = 946_684_800_000_000_000, 7_258_118_400_000_000_000
"""The years 2000 and 2200: a number outside is no date, but for example the time since a start."""
_UNITS = ((Decimal(10**11), 10**9), (Decimal(10**14), 10**6), (Decimal(10**17), 10**3))
"""Below 10**11: seconds (until the year 5138); below 10**14: milliseconds; below 10**17: microseconds; else
nanoseconds."""

_decoder = msgspec.json.Decoder(dict[str, Raw])


class TextError(ValueError):
    """The text is not JSON, has no known shape, or lacks a required member."""


def fields(text: bytes) -> dict[str, Raw]:
    """The members of a JSON object, undecoded. Raises TextError for anything else."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TextError(f"not a JSON object: {error}") from None


def has_no_more(text: bytes) -> bool:
    """Whether the text is a bare frame or snapshot without an envelope, judged by its two ends alone."""
    if text.startswith(b'{"stream":'):
        return text.endswith((b"}}", b"}]}"))
    return text.startswith((b'{"e":"', b'{"lastUpdateId":')) and text.endswith(b"]}")


def is_reply(values: Mapping[str, Raw]) -> bool:
    """Whether it is only a control message: a request, its reply or its error, without a message inside."""
    if not any(each <= values.keys() for each in _REPLIES):
        return False
    others = {key: raw for key, raw in values.items() if key not in _OF_REPLIES}
    return not any(bytes(raw).startswith((b"{", b"[")) for raw in others.values()) and not any(bodies(others))


def bodies(values: Mapping[str, Raw]) -> Iterator[bytes]:
    """Candidates for the message: every object, and every string that contains one."""
    for raw in [*values.values()][:_MOST_BODIES]:
        value = bytes(raw)
        if value.startswith(b"{"):
            yield value
        elif value.startswith(b'"') and b"{" in value[:8]:
            body = _text(raw).strip()
            if body.startswith("{"):
                yield body.encode("utf-8", "surrogatepass")


def stream_beside(values: Mapping[str, Raw]) -> str:
    """The stream name that the envelope gives; empty if it gives none."""
    for key in _STREAM_KEYS:
        if key in values and _DEPTH_STREAM.fullmatch(name := _text(values[key])):
            return name
    return ""


def asked(values: Mapping[str, Raw]) -> tuple[str | None, int | None, str | None]:
    """Symbol, limit and origin of a snapshot from its envelope, or from a URL in it."""
    symbol, limit, origin = _text(values.get("symbol")), _integer(values.get("limit")), None
    for key in ("url", "endpoint", "request"):
        url = _text(values.get(key))
        if "/depth" in url:
            query = parse_qs(urlsplit(url).query)
            symbol = symbol or query.get("symbol", [""])[0]
            told = query.get("limit", [""])[0]
            limit = int(told) if limit is None and told.isascii() and told.isdigit() else limit
            origin = origin_of_url(url)
    return symbol.translate(_UPPER) or None, limit, origin


def received_ns(values: Mapping[str, Raw], *, in_message: bool = False) -> int | None:
    """The receive time in nanoseconds since 1970; None if there is none.

    Names that suggest receipt take precedence over other names of times. Times of the exchange do not count.
    `in_message`: the values are those of the message itself, whose one-letter names are the exchange's.
    """
    if in_message:
        values = {key: raw for key, raw in values.items() if len(key) > 1}
    return _first_time(values, _RECEIVED) or _first_time(values, _SOME_TIME)


def requested_ns(values: Mapping[str, Raw]) -> int | None:
    """When a snapshot was requested, in nanoseconds since 1970; None if not recorded."""
    return _first_time(values, _REQUESTED)


def shape(values: Mapping[str, Raw]) -> str:
    """A description of an object with no known shape, for error messages."""
    kind = _text(values.get("type"))
    if kind and (kind in _NORMALISED or kind.startswith(("book_snapshot_", "trade_bar_"))):
        return f"normalised by tardis-machine ({kind}), without update ids: replay the raw data instead"
    if not values:
        return "an empty object"
    shown = ", ".join(repr(key[:_KEY_CHARACTERS]) for key in [*values][:_KEYS_SHOWN])
    more = f" and {len(values) - _KEYS_SHOWN:,} more" if len(values) > _KEYS_SHOWN else ""
    return f"no message of Binance, bare or in a known envelope; its keys are {shown}{more}"


def iso_ns(text: str) -> int | None:
    """Nanoseconds since 1970 of an ISO time, in UTC unless it has an offset; None for anything else."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, offset = match.groups()
    seconds = _seconds(day, time, offset or "Z")
    return None if seconds is None else seconds * 10**9 + int((fraction or "0").ljust(9, "0"))


def number_ns(text: str) -> int | None:
    """Nanoseconds since 1970 of a number whose size determines its unit; None outside 2000 to 2200."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or not 0 < value < 10**20:
        return None
    scale = next((scale for below, scale in _UNITS if value < below), 1)
    time_ns = int(value * scale)
    return time_ns if _OLDEST_NS <= time_ns <= _NEWEST_NS else None


@lru_cache(maxsize=64)
def _seconds(day: str, time: str, offset: str) -> int | None:
    try:
        return int(datetime.fromisoformat(f"{day}T{time}{offset}").timestamp())
    except (ValueError, OverflowError):
        return None


def _first_time(values: Mapping[str, Raw], names: re.Pattern[str]) -> int | None:
    for key, raw in values.items():
        if names.fullmatch(key.lower().replace("_", "").replace("-", "")):
            time_ns = _time_ns(raw)
            if time_ns is not None:
                return time_ns
    return None


def _time_ns(raw: Raw) -> int | None:
    text = bytes(raw)[:64].decode("utf-8", "replace")
    if text.startswith('"'):
        text = _text(raw)
        return iso_ns(text) or number_ns(text)
    return number_ns(text)


def _text(raw: Raw | None) -> str:
    """The content of a JSON string; empty for any other value."""
    if raw is None or bytes(raw)[:1] != b'"':
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return ""


def _integer(raw: Raw | None) -> int | None:
    text = b"" if raw is None else bytes(raw)
    return int(text) if text.isdigit() and len(text) < 10 else None
