"""What one recorded JSON text is: a diff, a bookTicker, a snapshot, or none of them; levels unread.

One pass that skips over the levels. The book reads them, with rules of its own; this file only
finds out where a text belongs. Not here: lines and files.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from depthcache.recording.origin import family_of_payload
from depthcache.recording.records import Diff, Ticker

__all__ = ["TextError", "SnapshotHead", "Text", "parse"]


class TextError(ValueError):
    """The text is not JSON, or lacks what its kind must have."""


class SnapshotHead(NamedTuple):
    """The head of a depth snapshot: everything but the levels."""

    body: bytes
    last_update_id: int
    symbol: str | None
    limit: int | None
    venue: str | None
    """None when its keys do not tell: those of spot may be those of an old futures snapshot."""


class Text(NamedTuple):
    """One frame. `payload`: the bytes of the frame itself."""

    payload: bytes
    stream: str | None
    about: Diff | Ticker | None


class _Payload(Struct):
    e: str | UnsetType = UNSET
    E: int | UnsetType = UNSET
    s: str | UnsetType = UNSET
    ps: str | UnsetType = UNSET
    st: int | UnsetType = UNSET
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


Parsed: TypeAlias = Text | SnapshotHead
_decoder = msgspec.json.Decoder(_Message)


def parse(text: bytes) -> Parsed:
    """What a text is. Raises TextError when it is not JSON or is a diff without its ids.

    Besides Binance's own texts, `{"snapshot": {…}, "symbol": …, "limit": …}` and
    `{"frame": {…}}` are understood.
    """
    try:
        message = _decoder.decode(text)
    except msgspec.ValidationError:
        return _unusual(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TextError(f"not JSON: {error}") from None
    if message.snapshot is not UNSET:
        return _wrapped_snapshot(message)
    if message.frame is not UNSET:
        return parse(bytes(message.frame))
    if message.stream is not UNSET and message.data is not UNSET:
        return Text(text, message.stream, _about(message.data, message.stream))
    if message.lastUpdateId is not UNSET and message.bids is not UNSET and message.asks is not UNSET:
        return _snapshot(text, message)
    return Text(text, None, _about(message, None))


def _about(payload: _Payload, stream: str | None) -> Diff | Ticker | None:
    kind = None if stream is None else stream.partition("@")[2]
    if payload.e == "depthUpdate" and (kind is None or kind == "depth" or kind.startswith("depth@")):
        return _diff(payload)
    if payload.e in (UNSET, "bookTicker") and kind in (None, "bookTicker", ""):
        return _ticker(payload)
    return None


def _diff(payload: _Payload) -> Diff:
    if payload.s is UNSET or payload.U is UNSET or payload.u is UNSET:
        raise TextError("a depth update without s, U and u")
    previous = None if payload.pu is UNSET else payload.pu
    return Diff(
        payload.s,
        payload.U,
        payload.u,
        previous,
        None if payload.E is UNSET else payload.E,
        _family(payload, chained=previous is not None, pair=payload.ps),
    )


def _ticker(payload: _Payload) -> Ticker | None:
    texts = [_text(raw) for raw in (payload.b, payload.B, payload.a, payload.A)]
    if payload.s is UNSET or payload.u is UNSET or not all(texts):
        return None
    family = _family(payload, chained=payload.e is not UNSET, pair=payload.ps)
    return Ticker(payload.s, payload.u, texts[0], texts[1], texts[2], texts[3], family)


def _snapshot(text: bytes, message: _Message) -> SnapshotHead:
    assert message.lastUpdateId is not UNSET  # noqa: S101 - the caller looked
    futures = message.E is not UNSET or message.pair is not UNSET
    family = _family(message, chained=True, pair=message.pair) if futures else None
    return SnapshotHead(text, message.lastUpdateId, _optional(message.symbol), None, family)


def _wrapped_snapshot(message: _Message) -> SnapshotHead:
    head = parse(bytes(message.snapshot)) if message.snapshot is not UNSET else None
    if not isinstance(head, SnapshotHead):
        raise TextError("a snapshot without lastUpdateId, bids and asks")
    limit = None if message.limit is UNSET else message.limit
    return head._replace(symbol=_optional(message.symbol) or head.symbol, limit=limit)


def _unusual(text: bytes) -> Parsed:
    """A text with keys of other types than usual: fine, unless it is a diff."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TextError(f"not JSON: {error}") from None
    stream = _member(value, "stream")
    payload = _member(value, "data") if isinstance(stream, str) else value
    kind = stream.partition("@")[2] if isinstance(stream, str) else "depth"
    if _member(payload, "e") == "depthUpdate" and (kind == "depth" or kind.startswith("depth@")):
        raise TextError("a depth update with a value of a wrong type")
    return Text(text, stream if isinstance(stream, str) else None, None)


def _member(value: object, key: str) -> Any:
    return cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None


def _text(raw: Raw | UnsetType) -> str:
    """The content of a JSON string; empty for anything else. Numbers need no escapes."""
    quoted = b"" if raw is UNSET else bytes(raw)
    return quoted[1:-1].decode() if quoted[:1] == b'"' else ""


def _optional(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value


def _family(payload: _Payload, *, chained: bool, pair: str | UnsetType) -> str:
    kind = None if payload.st is UNSET else payload.st
    return family_of_payload(chained=chained, pair=_optional(pair), kind=kind)
