"""A frozen book as a message of `depthcache.wire`: the readable twin of `crates/wire/src/encode.rs`.

Keys are in the order of the native encoder. Decoding is native only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from depthcache.reference.book import WHOLE, BookSide, at_width

__all__ = ["SCHEMA", "book", "text", "update"]

SCHEMA = 1


def book(frozen: Any, *, counters: bool) -> dict[str, Any]:
    """A `book` message from a `reader.FrozenBook`."""
    return _head(frozen, "book") | _body(frozen, readable=True, counters=counters)


def update(frozen: Any, *, counters: bool) -> dict[str, Any]:
    """An `update` message."""
    changes = None
    if frozen.changes is not None:
        bids, asks = (
            [[_number(frozen, number) for number in level] for level in side] for side in frozen.changes
        )
        changes = {"bids": bids, "asks": asks}
    own = {"skipped": frozen.skipped, "is_fresh": frozen.is_fresh, "changes": changes}
    return _head(frozen, "update") | own | _body(frozen, readable=frozen._refused is None, counters=counters)


def text(message: dict[str, Any]) -> bytes:
    """Encode a message as JSON."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _head(frozen: Any, kind: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "type": kind,
        "exchange": frozen.exchange,
        "symbol": frozen.symbol,
        "inverse": frozen._market.inverse,
        "status": frozen.status.value,
        "reason": frozen.reason,
        "since_ns": frozen.since_ns,
        "since_time_us": frozen._wall_us(frozen.since_ns),
        "unconfirmed": frozen.unconfirmed,
        "last_update_id": frozen.last_update_id,
        "event_time_us": frozen.event_time_us,
        "updated_ns": frozen.updated_ns,
        "received_time_us": frozen._wall_us(frozen.updated_ns),
        "confirmed_ns": frozen.confirmed_ns,
        "confirmed_time_us": frozen._wall_us(frozen.confirmed_ns),
    }


def _body(frozen: Any, *, readable: bool, counters: bool) -> dict[str, Any]:
    sides = {"bids": frozen._market.bids, "asks": frozen._market.asks}
    held = {name: _levels(frozen, side) if readable else None for name, side in sides.items()}
    return {
        "complete": frozen.complete,
        "complete_to": {name: _edge(frozen, side) for name, side in sides.items()},
        "coverage": frozen.coverage._asdict(),
        **held,
        **({"counters": frozen.counters} if counters else {}),
    }


def _edge(frozen: Any, side: BookSide) -> object:
    if side.bound is WHOLE and frozen.last_update_id is not None:
        return "all"
    if not isinstance(side.bound, Decimal):
        return None
    return _number(frozen, at_width(side.bound, side.price_scale))


def _levels(frozen: Any, side: BookSide) -> list[list[object]]:
    levels: Iterable[Any] = frozen._levels(side)
    return [[_number(frozen, price), _number(frozen, quantity)] for price, quantity in levels]


def _number(frozen: Any, number: Any) -> object:
    return format(number, "f") if frozen._exact else float(number)
