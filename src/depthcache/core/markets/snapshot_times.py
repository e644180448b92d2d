"""The order in time of one market: when its snapshots were made, and how late its diffs arrive.

A snapshot was made between the departure of its request and the arrival of its response, by the estimate of
the exchange's clock; where that is not known yet, the router is told when it is. Not here: what the order in
time means (the router), when to ask for a snapshot (`supervisor`, `maintenance`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from depthcache.core.commands import TellTrouble
from depthcache.core.context import Context
from depthcache.core.markets.watchdogs import LateWatch
from depthcache.core.policy import to_ns
from depthcache.core.requests.exchange_clock import Estimate
from depthcache.core.timers import Timer
from depthcache.errors import MalformedSnapshot, SymbolMismatch
from depthcache.model import SnapshotOutcome

if TYPE_CHECKING:
    from depthcache._native import BookReader, Router

__all__ = ["Bridging", "Lateness", "SnapshotClock", "refusal"]

_LAG_MARGIN = 1.2
_MOST_WAITS = 6
"""So often the diff that confirms a snapshot is waited for again where nothing tells the order in time."""
_NODE_LAG_S = 30.0
"""How far the book of a REST node may be behind (options, 2026-04), besides the lag of its venue."""


class SnapshotClock:
    """When the snapshots of one market were made, as far as that is known."""

    late_ns: int
    """How late the diffs of the book arrive, as far as that is believed."""

    def __init__(self, router: Router, market: int, lag_s: float, *, may_be_cached: bool) -> None:
        """`lag_s`: how far snapshots of the venue are behind when they are newly served. `may_be_cached`:
        they come from somebody who may have kept them for any time."""
        self._router, self._market = router, market
        self._venue_lag_s = lag_s
        self._lag_s, self._may_be_cached = _NODE_LAG_S + 2 * lag_s, may_be_cached
        self._estimate: Estimate | None = None
        self._undated: tuple[int | None, int] | None = None
        self.late_ns = 0

    def between_us(self, sent_ns: int | None, came_ns: int) -> tuple[int, int] | None:
        """As `Estimate.between_us`; None while the exchange's clock is not known."""
        if self._estimate is None:
            return None
        sent_ns = None if self._may_be_cached else sent_ns
        return self._estimate.between_us(sent_ns, came_ns, lag_s=self._lag_s)

    def is_newer(self, sent_ns: int | None, live_ns: int) -> bool:
        """Whether a snapshot is younger than the subscription: those of some venues are half a minute old."""
        return (sent_ns or 0) >= live_ns + to_ns(_LAG_MARGIN * self._venue_lag_s)

    def install(
        self, body: bytes, *, limit: int, live: bool, sent_ns: int | None, now_ns: int
    ) -> SnapshotOutcome:
        """Install a snapshot with what is known of its time. Raises MalformedSnapshot, SymbolMismatch."""
        made_us = self.between_us(sent_ns, now_ns)
        outcome = self._router.install_snapshot(
            self._market, body, limit=limit, live=live, now_ns=now_ns, made_us=made_us
        )
        if outcome is not SnapshotOutcome.TOO_OLD:
            self._undated = (sent_ns, now_ns) if made_us is None else None
        return outcome

    def on_clock(self, known: Estimate) -> None:
        """The exchange's clock is known, or known better."""
        self._estimate = known
        self._router.set_clock_offset(self._market, known.offset_ns)
        undated, self._undated = self._undated, None
        made_us = None if undated is None else self.between_us(*undated)
        if made_us is not None:
            self._router.date_snapshot(self._market, made_us)


class Bridging:
    """How long the diff that confirms a snapshot is waited for: on, as long as older ones come."""

    def __init__(self, context: Context, market: int, book: BookReader) -> None:
        self._context, self._market, self._book = context, market, book
        self._waits = self._stale = 0

    def begin(self, now_ns: int) -> None:
        """The snapshot is installed."""
        self._waits = 0
        self._wait(now_ns)

    def goes_on(self, now_ns: int) -> bool:
        """No diff has confirmed it: whether that is to be waited for again, because it is on its way."""
        heard = self._context.router.heard(self._market)
        is_backlog = heard is not None and heard[0] > now_ns - to_ns(self._context.policy.bridging_s)
        may_be = self._book.counters["stale"] > self._stale and self._waits < _MOST_WAITS
        if is_backlog or may_be:
            self._waits += 1
            self._wait(now_ns)
        return is_backlog or may_be

    def _wait(self, now_ns: int) -> None:
        self._stale = self._book.counters["stale"]
        due_ns = now_ns + to_ns(self._context.policy.bridging_s)
        self._context.deadlines.set(Timer.BRIDGING, self._market, due_ns)


class Lateness:
    """How late the diffs of one market are: said once, and beyond the policy's `late_s` the book is stale.

    It is no reason for a new snapshot: that would only be further ahead of them.
    """

    reason: str
    """Why the book is stale; empty where it is not."""

    def __init__(
        self, context: Context, market: int, clock: SnapshotClock, *, on_change: Callable[[int], None]
    ) -> None:
        """`on_change(now)`: the reason is another."""
        self._context, self._market, self._clock = context, market, clock
        self._on_change = on_change
        self._watch = LateWatch()
        self._proven_ns = 0
        self.reason = ""

    def on_proven(self, now_ns: int) -> None:
        """A comparison has proven the book."""
        self._proven_ns = now_ns

    def on_late(self, late_s: float, received_ns: int, now_ns: int) -> None:
        """The newest diff was late when it came at `received_ns`. Told every second as long as it is so."""
        if received_ns <= self._proven_ns:
            self.on_in_time(now_ns)  # the book was compared since: it is right whatever that diff was
        elif self._watch.believes(late_s, received_ns):
            self._clock.late_ns = to_ns(late_s)
            if self._watch.is_to_be_told(late_s, received_ns):
                reason = f"its diffs arrive {late_s:.1f} s late"
                self._context.commands.append(TellTrouble(self._market, "late", reason))
            most_s = self._context.policy.late_s
            self._say(f"its diffs arrive more than {most_s:g} s late" if late_s > most_s else "", now_ns)

    def on_in_time(self, now_ns: int) -> None:
        """Diffs are late no longer."""
        self._watch.end()
        self._clock.late_ns = 0
        self._say("", now_ns)

    def _say(self, reason: str, now_ns: int) -> None:
        if reason != self.reason:
            self.reason = reason
            self._on_change(now_ns)


def refusal(error: MalformedSnapshot | SymbolMismatch) -> str:
    """Why a snapshot was not taken, in words."""
    if isinstance(error, SymbolMismatch):
        return f"the snapshot is of {error.received}"
    return f"malformed snapshot: {error.what}"
