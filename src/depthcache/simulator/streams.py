"""Messages about a market: diffs at each speed, partial depth, bookTicker, and snapshots.

A diff stream combines the single changes since its last message: the last value of each price wins, `U` and
`u` are the first and last id, and `pu` is the `u` of the previous message *on this stream*. The order of keys
and levels and the widths of numbers are those of Binance (spot: best first; USD-M and COIN-M: ascending on
both sides; recordings 2021-2026, spot docs 2026-07-21, futures docs 2026-05-28; options like USD-M without
`ps` and `st`, options docs 2026-05-28).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Final

from depthcache import wire
from depthcache.simulator.market import ASKS, BIDS, Change, Market, decimal_text
from depthcache.venues import Venue

__all__ = ["Diffs", "best_ticker", "partial_depth", "snapshot"]

_KINDS = {"linear": 1, "inverse": 2}
"""`st`, which both futures families have sent since 2026-06-30 with the pair (`ps`); options have neither."""
_TRANSACTION_BEFORE_EVENT_MS = 2
"""Time from a transaction to its event (`E - T`, USD-M recordings 2024-08)."""


class Diffs:
    """One diff stream of one market at one speed."""

    def __init__(self, venue: Venue, symbol: str, market: Market) -> None:
        self._family: Final = venue.family
        self._is_chained: Final = venue.continuity == "chained"
        self._symbol: Final = symbol
        self._market: Final = market
        self._changes: list[Change] = []
        self._sent: list[Change] = []
        self._sent_after = self._last_sent_id = market.last_update_id

    @property
    def is_due(self) -> bool:
        """Whether there is a change to send."""
        return bool(self._changes)

    def on_changes(self, changes: Iterable[Change]) -> None:
        """The market changed."""
        self._changes.extend(changes)

    def on_new_ids(self) -> None:
        """The ids have restarted: changes that were not sent yet are dropped."""
        self._changes, self._sent = [], []
        self._sent_after = self._last_sent_id = self._market.last_update_id

    def take(self, time_ms: int, *, repeats: float = 0.0) -> str | None:
        """The message with the changes since the last one; None if there are none.

        `repeats`: share of the single changes of the previous message to repeat. The message then begins at
        an id that was already sent, with the values at its last id.
        """
        if not self._changes:
            return None
        begin = len(self._sent) - math.ceil(len(self._sent) * repeats)
        changes = [*self._sent[begin:], *self._changes]
        after = self._sent[begin - 1].update_id if begin else self._sent_after
        if begin == len(self._sent):
            after = self._last_sent_id
        first = changes[0].update_id if self._is_chained else after + 1
        last = self._market.last_update_id
        message: dict[str, object] = {"e": "depthUpdate", "E": time_ms}
        if self._family != "spot":
            message["T"] = time_ms - _TRANSACTION_BEFORE_EVENT_MS
        message["s"] = self._symbol
        if self._family in _KINDS:
            message["ps"] = _pair(self._symbol)
        message |= {"U": first, "u": last}
        if self._is_chained:
            message["pu"] = after
        sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for change in changes:
            sides[change.side][change.price] = change.quantity
        message |= {"b": self._levels(BIDS, sides[BIDS]), "a": self._levels(ASKS, sides[ASKS])}
        if self._family in _KINDS:
            message["st"] = _KINDS[self._family]
        self._sent_after, self._last_sent_id = self._last_sent_id, last
        self._sent, self._changes = self._changes, []
        return _json(message)

    def _levels(self, side: int, levels: dict[int, int]) -> list[list[str]]:
        best_first = self._family == "spot" and side == BIDS
        return _texts(self._market, sorted(levels.items(), reverse=best_first))


def snapshot(
    venue: Venue,
    symbol: str,
    market: Market,
    sides: tuple[list[tuple[int, int]], list[tuple[int, int]]],
    *,
    update_id: int,
    time_ms: int,
) -> bytes:
    """The body of a depth snapshot with these levels, best first."""
    return wire.depth_snapshot_of(
        _texts(market, sides[BIDS]),
        _texts(market, sides[ASKS]),
        family=venue.family,
        update_id=update_id,
        symbol=symbol,
        event_time_ms=time_ms,
        transaction_time_ms=time_ms if venue.family == "options" else time_ms - _TRANSACTION_BEFORE_EVENT_MS,
    )


def partial_depth(venue: Venue, symbol: str, market: Market, levels: int, time_ms: int) -> str:
    """The best levels in the format of `@depth5`, `@depth10` and `@depth20`."""
    bids, asks = (_texts(market, market.levels(side, levels)) for side in (BIDS, ASKS))
    held = market.last_update_id
    if venue.family == "spot":
        return _json({"lastUpdateId": held, "bids": bids, "asks": asks})
    message: dict[str, object] = {"e": "depthUpdate", "E": time_ms}
    message |= {"T": time_ms - _TRANSACTION_BEFORE_EVENT_MS}
    message |= {"s": symbol} | _pair_of(venue, symbol)
    message |= {"U": held, "u": held, "pu": held - 1, "b": bids, "a": asks}
    kind = _KINDS.get(venue.family)
    return _json(message if kind is None else message | {"st": kind})


def best_ticker(venue: Venue, symbol: str, market: Market, time_ms: int) -> str | None:
    """The best prices of both sides (`@bookTicker`); None while a side is empty."""
    best = [_texts(market, market.levels(side, 1)) for side in (BIDS, ASKS)]
    if not best[BIDS] or not best[ASKS]:
        return None
    (bid, bids), (ask, asks) = best[BIDS][0], best[ASKS][0]
    prices: dict[str, object] = {"b": bid, "B": bids, "a": ask, "A": asks}
    if venue.family == "spot":
        return _json({"u": market.last_update_id, "s": symbol} | prices)
    message: dict[str, object] = {"e": "bookTicker", "u": market.last_update_id, "s": symbol}
    message |= _pair_of(venue, symbol) | prices
    return _json(message | {"T": time_ms - _TRANSACTION_BEFORE_EVENT_MS, "E": time_ms})


def _pair_of(venue: Venue, symbol: str) -> dict[str, object]:
    return {"ps": _pair(symbol)} if venue.family in _KINDS else {}


def _pair(symbol: str) -> str:
    return symbol.partition("_")[0]


def _texts(market: Market, levels: Iterable[tuple[int, int]]) -> list[list[str]]:
    price_decimals, quantity_decimals = market.profile.price_decimals, market.profile.quantity_decimals
    return [
        [decimal_text(price, price_decimals), decimal_text(held, quantity_decimals)] for price, held in levels
    ]


def _json(message: dict[str, object]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
