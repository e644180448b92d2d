"""Classify one recorded JSON text as a diff, a bookTicker, a snapshot or something else.

One pass that skips the levels, because the book parses them itself. Envelopes of recorders are opened
(`envelope`). A text with no known shape raises TextError, so that its line counts as unusable.
"""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from depthcache.recording import envelope
from depthcache.recording.envelope import TextError
from depthcache.recording.origin import origin_of_payload
from depthcache.recording.records import Diff, Ticker

__all__ = ["SnapshotHead", "Text", "TextError", "parse"]

_FOUR_NUMBERS = re.compile(r"\d+(?:\.\d+)?(?: \d+(?:\.\d+)?){3}", re.ASCII)
_KINDS = {"1": 1, "2": 2}
_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)


class SnapshotHead(NamedTuple):
    """A depth snapshot without its levels."""

    body: bytes
    last_update_id: int
    symbol: str | None
    limit: int | None
    venue: str | None
    """Its origin; None if its keys do not tell it: old futures snapshots have the same keys as spot."""
    received_ns: int | None = None
    """Receive time in nanoseconds since 1970; None if no envelope gives it."""
    requested_ns: int | None = None


class Text(NamedTuple):
    """One frame; `payload` is the frame itself without an envelope."""

    payload: bytes
    stream: str | None
    about: Diff | Ticker | None
    received_ns: int | None = None
    """Receive time in nanoseconds since 1970; None if no envelope gives it."""


class _Payload(Struct):
    e: str | UnsetType | None = UNSET
    E: int | str | UnsetType | None = UNSET
    s: str | UnsetType = UNSET
    ps: str | UnsetType | None = UNSET
    st: int | str | UnsetType | None = UNSET
    T: int | str | UnsetType | None = UNSET
    U: int | UnsetType = UNSET
    u: int | UnsetType = UNSET
    pu: int | UnsetType | None = UNSET
    b: Raw | UnsetType = UNSET
    B: Raw | UnsetType = UNSET
    a: Raw | UnsetType = UNSET
    A: Raw | UnsetType = UNSET


class _Message(_Payload):
    stream: str | UnsetType = UNSET
    data: _Payload | UnsetType = UNSET
    lastUpdateId: int | UnsetType = UNSET  # noqa: N815 - the exchange's word
    bids: Raw | UnsetType = UNSET
    asks: Raw | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    pair: str | UnsetType = UNSET
    snapshot: Raw | UnsetType = UNSET
    frame: Raw | UnsetType = UNSET
    limit: int | UnsetType | None = UNSET


class _Wrapped(Struct):
    data: Raw


Parsed: TypeAlias = Text | SnapshotHead
_decoder = msgspec.json.Decoder(_Message)
_wrapped = msgspec.json.Decoder(_Wrapped)


def parse(text: bytes, *, is_timed: bool = True) -> Parsed:
    """Classify a text.

    Besides Binance's own messages, it understands `{"snapshot": {…}, "symbol": …, "limit": …}`,
    `{"frame": {…}}` and envelopes with one message. With `is_timed=False` it also looks for the receive time.

    Raises TextError if the text is not JSON, has no known shape, or is a diff without its ids.
    """
    if is_timed or envelope.has_no_more(text):
        return _parse(text, "", envelope.MOST_NESTED)
    parsed = _parse(text, "", envelope.MOST_NESTED)
    if parsed.received_ns is not None or not text.startswith(b"{"):
        return parsed
    return _with_times(parsed, envelope.fields(text), in_message=True)


def _parse(text: bytes, stream_hint: str, nested: int) -> Parsed:
    try:
        message = _decoder.decode(text)
    except msgspec.ValidationError:
        return _unusual(text, nested)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TextError(f"not JSON: {error}") from None
    if message.snapshot is not UNSET:
        return _wrapped_snapshot(message)
    if message.frame is not UNSET and nested:
        return _parse(bytes(message.frame), stream_hint, nested - 1)
    if message.stream is not UNSET and message.data is not UNSET:
        return _of_stream(text, message.stream, message.data, nested)
    if message.lastUpdateId is not UNSET and message.bids is not UNSET and message.asks is not UNSET:
        return _snapshot(text, message, stream_hint)
    if message.e == "depthUpdate" and not _carries_diffs(stream_hint):
        return Text(text, None, None)  # partial depth of futures, by its stream name
    about = _about(message)
    if about is not None or _is_event(message):
        return Text(text, None, about)
    return _enveloped(text, nested)


def _of_stream(text: bytes, stream: str, payload: _Payload, nested: int) -> Parsed:
    symbol, _, kind = stream.partition("@")
    about: Diff | Ticker | None = None
    if kind == "bookTicker" and payload.e in (UNSET, "bookTicker"):
        about = _ticker(payload)
        if about is not None:
            return Text(text, stream, about)
    if kind.startswith("depthSnapshot"):
        head = _parse(bytes(_wrapped.decode(text).data), stream, nested - 1) if nested else None
        if not isinstance(head, SnapshotHead):
            raise TextError("a depthSnapshot without lastUpdateId, bids and asks")
        return head._replace(symbol=head.symbol or symbol.translate(_UPPER))
    if kind == "depth" or kind.startswith("depth@") or not stream:
        if payload.e == "bookState":  # of a book server, among the diffs
            return Text(text, stream, None)
        if payload.e != "depthUpdate":
            raise TextError("a message of a depth stream that is not a depth update")
        about = _diff(payload)
    elif not kind and payload.e in (UNSET, "bookTicker"):
        about = _ticker(payload)
    if about is None and kind in ("", "bookTicker") and payload.e in (UNSET, None, "bookTicker"):
        raise TextError("a message of a stream that is not a bookTicker and has no event type")
    return Text(text, stream, about)


def _carries_diffs(stream: str) -> bool:
    kind = stream.partition("@")[2]
    return not stream or kind == "depth" or kind.startswith("depth@")


def _about(payload: _Payload) -> Diff | Ticker | None:
    if payload.e == "depthUpdate":
        return _diff(payload)
    return _ticker(payload) if payload.e in (UNSET, "bookTicker") else None


def _is_event(payload: _Payload) -> bool:
    """Whether it is another event of the exchange, which has a type and a time, or what a node of a cluster
    says of other nodes."""
    if payload.e in ("nodes", "holders"):  # without a time
        return True
    return isinstance(payload.e, str) and payload.E is not UNSET and payload.e not in ("", "depthUpdate")


def _enveloped(text: bytes, nested: int) -> Parsed:
    """The message in an envelope: something that is neither a frame nor a snapshot itself."""
    values = envelope.fields(text)
    if nested:
        stream = envelope.stream_beside(values)
        found: list[Parsed] = []
        for body in envelope.bodies(values):
            try:
                found.append(_parse(body, stream, nested - 1))
            except TextError:
                continue
        if len(found) == 1:
            return _with_times(found[0], values)
        if found:
            raise TextError(f"{len(found)} messages in one line")
    if envelope.is_reply(values):
        return Text(text, None, None)
    raise TextError(envelope.shape(values))


def _with_times(parsed: Parsed, values: dict[str, Raw], *, in_message: bool = False) -> Parsed:
    received_ns = envelope.received_ns(values, in_message=in_message)
    if isinstance(parsed, Text):
        return parsed if parsed.received_ns is not None else parsed._replace(received_ns=received_ns)
    symbol, limit, venue = envelope.asked(values)
    return parsed._replace(
        symbol=parsed.symbol or symbol,
        limit=limit if parsed.limit is None else parsed.limit,
        venue=parsed.venue or venue,
        received_ns=received_ns if parsed.received_ns is None else parsed.received_ns,
        requested_ns=envelope.requested_ns(values),
    )


def _diff(payload: _Payload) -> Diff:
    if payload.s is UNSET or payload.U is UNSET or payload.u is UNSET:
        raise TextError("a depth update without s, U and u")
    previous = None if payload.pu is UNSET else payload.pu
    futures = (previous is not None and previous >= 0) or isinstance(payload.T, int)
    return Diff(
        payload.s,
        payload.U,
        payload.u,
        previous,
        _event_time(payload.E),
        _origin(payload, chained=futures, pair=payload.ps),
    )


def _event_time(value: int | str | UnsetType | None) -> int | None:
    """The event time. No rule needs it, so strings of digits are accepted and anything else is None."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    return value if isinstance(value, int) else None


def _ticker(payload: _Payload) -> Ticker | None:
    texts = [_text(raw) for raw in (payload.b, payload.B, payload.a, payload.A)]
    if payload.s is UNSET or payload.u is UNSET or _FOUR_NUMBERS.fullmatch(" ".join(texts)) is None:
        return None
    origin = _origin(payload, chained=payload.e is not UNSET, pair=payload.ps)
    return Ticker(payload.s, payload.u, texts[0], texts[1], texts[2], texts[3], origin)


def _snapshot(text: bytes, message: _Message, stream_hint: str) -> SnapshotHead:
    assert message.lastUpdateId is not UNSET  # noqa: S101 - the caller looked
    futures = message.E is not UNSET or message.pair is not UNSET
    pair = None if message.pair is UNSET else message.pair
    origin = _origin(message, chained=True, pair=pair) if futures else None
    symbol, _, kind = stream_hint.partition("@")
    told = symbol.translate(_UPPER) if kind.startswith("depthSnapshot") else None
    return SnapshotHead(text, message.lastUpdateId, _optional(message.symbol) or told, None, origin)


def _wrapped_snapshot(message: _Message) -> SnapshotHead:
    head = _parse(bytes(message.snapshot), "", 0) if message.snapshot is not UNSET else None
    if not isinstance(head, SnapshotHead):
        raise TextError("a snapshot without lastUpdateId, bids and asks")
    limit = None if message.limit is UNSET else message.limit
    return head._replace(symbol=_optional(message.symbol) or head.symbol, limit=limit)


def _unusual(text: bytes, nested: int) -> Parsed:
    """Classify a text whose keys have unusual types: allowed, except in diffs and snapshots."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TextError(f"not JSON: {error}") from None
    if isinstance(value, list):
        values = cast("list[object]", value)
        if values and all(map(_names_event, values)):
            return Text(text, None, None)  # such as !miniTicker@arr without its wrapper
        raise TextError(f"a JSON array of {len(values):,} values instead of one message per line")
    if not isinstance(value, dict):
        raise TextError("JSON, but not an object")
    about = cast("dict[str, object]", value)
    stream, payload, event = about.get("stream"), about.get("data"), about.get("e")
    if isinstance(stream, str) and isinstance(payload, dict | list):
        if _carries_diffs(stream) or (stream.partition("@")[2].startswith(("depthSnapshot", "bookTicker"))):
            raise TextError(f"a message of {_kind(stream)} with a value of the wrong type")
        if "@" in stream or _names_event(cast("object", payload)):
            return Text(text, stream, None)
    elif event in ("depthUpdate", "bookTicker"):
        raise TextError(f"a {event} with a value of the wrong type")
    elif _names_event(about):
        return Text(text, None, None)
    return _enveloped(text, nested)


def _names_event(value: object) -> bool:
    name = _member(value, "e")
    return isinstance(name, str) and _member(value, "E") is not None and name != "depthUpdate"


def _kind(stream: str) -> str:
    return "@" + stream.partition("@")[2][:20] if "@" in stream else "a stream without a name"


def _member(value: object, key: str) -> Any:
    return cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None


def _text(raw: Raw | UnsetType) -> str:
    """The content of a JSON string, for strings without escapes; empty for any other value."""
    quoted = b"" if raw is UNSET else bytes(raw)
    return quoted[1:-1].decode() if quoted[:1] == b'"' else ""


def _optional(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value


def _origin(payload: _Payload, *, chained: bool, pair: str | UnsetType | None) -> str:
    kind = _KINDS.get(str(payload.st))
    return origin_of_payload(chained=chained, pair=None if pair is UNSET else pair, kind=kind)
