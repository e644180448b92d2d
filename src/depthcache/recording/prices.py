"""Assign a snapshot to a market by its prices: the last resort when names and ids do not decide."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

import msgspec
from msgspec import Struct

__all__ = ["priced_alike"]

Market = TypeVar("Market", bound=Hashable)

_MOST_PRICES = 2_000
"""Most prices of one market that are compared."""
_LEAST_SHARE = 0.3
"""Share of the prices in a market's diffs that must lie within its snapshot; the rest are distant levels."""


class _Sides(Struct):
    b: list[list[str]] = []
    a: list[list[str]] = []


class _Payload(_Sides):
    data: _Sides | None = None


class _Body(Struct):
    bids: list[list[str]]
    asks: list[list[str]]


_payload = msgspec.json.Decoder(_Payload, strict=False)
_body = msgspec.json.Decoder(_Body, strict=False)


def priced_alike(body: bytes, diffs: Iterable[tuple[Market, bytes]]) -> set[Market]:
    """The only market whose diffs have prices within the snapshot; all markets if that is not unique.

    `diffs`: pairs of market and frame. A market without known prices cannot be ruled out.
    """
    ends = _ends(body)
    inside: dict[Market, list[bool]] = {}
    for market, frame in diffs:
        found = inside.setdefault(market, [])
        if ends is not None and len(found) < _MOST_PRICES:
            found += (ends[0] <= price <= ends[1] for price in _prices(frame))
    fitting = {market for market, found in inside.items() if not found or any(found)}
    likely = {market for market in fitting if sum(inside[market]) > _LEAST_SHARE * len(inside[market])}
    return likely if len(fitting) == 1 and likely else set(inside)


def _ends(body: bytes) -> tuple[float, float] | None:
    try:
        sides = _body.decode(body)
        prices = [float(level[0]) for level in (*sides.bids, *sides.asks)]
    except (msgspec.MsgspecError, ValueError, IndexError, RecursionError):
        return None
    return (min(prices), max(prices)) if prices else None


def _prices(frame: bytes) -> list[float]:
    try:
        message = _payload.decode(frame)
        sides = message.data or message
        return [float(level[0]) for level in (*sides.b, *sides.a)]
    except (msgspec.MsgspecError, ValueError, IndexError, RecursionError):
        return []
