"""When the snapshots of one market were made, on the exchange's clock.

A snapshot was made between sending its request and receiving its response, by the estimate of the exchange's
clock; if that is unknown, the router gets the times later. The order in time is used in the router; requests
are made in `supervisor` and `maintenance`.
"""

from __future__ import annotations

from depthcache.core.context import Context, MarketSpec
from depthcache.core.policy import to_ns
from depthcache.core.requests.exchange_clock import Estimate
from depthcache.exchange_figures import NODE_LAG_S
from depthcache.model import SnapshotOutcome

__all__ = ["SnapshotClock"]

_LAG_MARGIN = 1.2


class SnapshotClock:
    """The times of the snapshots of one market, as far as known."""

    late_ns: int
    """The delay of the book's diffs, as far as it is believed."""

    def __init__(self, context: Context, spec: MarketSpec) -> None:
        self._context, self._market = context, spec.market
        self._venue_lag_s = spec.venue.snapshot_lag_s
        self._lag_s = NODE_LAG_S + 2 * self._venue_lag_s
        self._estimate: Estimate | None = None
        self._undated: tuple[int | None, int] | None = None
        self.late_ns = 0

    def between_us(self, sent_ns: int | None, came_ns: int) -> tuple[int, int] | None:
        """As `Estimate.between_us`; None while the exchange's clock is unknown."""
        if self._estimate is None:
            return None
        sent_ns = None if self._context.own_snapshots else sent_ns
        return self._estimate.between_us(sent_ns, came_ns, lag_s=self._lag_s)

    def is_newer(self, sent_ns: int | None, live_ns: int) -> bool:
        """Whether a snapshot is newer than the subscription; on some venues they are half a minute old."""
        return (sent_ns or 0) >= live_ns + to_ns(_LAG_MARGIN * self._venue_lag_s)

    def install(
        self, body: bytes, *, limit: int, live: bool, sent_ns: int | None, now_ns: int
    ) -> SnapshotOutcome:
        """Install a snapshot with its known time range. Raises MalformedSnapshot, SymbolMismatch."""
        made_us = self.between_us(sent_ns, now_ns)
        outcome = self._context.router.install_snapshot(
            self._market, body, limit=limit, live=live, now_ns=now_ns, made_us=made_us
        )
        if outcome is not SnapshotOutcome.TOO_OLD:
            self._undated = (sent_ns, now_ns) if made_us is None else None
        return outcome

    def on_clock(self, known: Estimate) -> None:
        """The estimate of the exchange's clock is new or better."""
        self._estimate = known
        self._context.router.set_clock_offset(self._market, known.offset_ns)
        undated, self._undated = self._undated, None
        made_us = None if undated is None else self.between_us(*undated)
        if made_us is not None:
            self._context.router.date_snapshot(self._market, made_us)
