"""Every second: which live books to deepen next, and which are late or unconfirmed.

The router names books that are shallow or late, and books report themselves while their comparisons fail
(`Context`), so hundreds of correct books cost next to nothing. The shallowest come first. What a book needs
is in `maintenance`, the order of requests in `requests.scheduler`.
"""

from __future__ import annotations

from collections.abc import Mapping

from depthcache.core.context import NEVER_NS, Context
from depthcache.core.markets.supervisor import Supervisor
from depthcache.core.policy import to_ns
from depthcache.core.requests.scheduler import Purpose, RequestScheduler
from depthcache.core.timers import Timer
from depthcache.exchange_figures import SLOWEST_STREAM_NS

__all__ = ["DepthScheduler"]

_LOOK_S = 1.0
_MOST_AT_ONCE = 64
"""The number of requests made in one round; the next round has newer information."""
_DUE = 1.0
"""The urgency of a book that is deep enough: after all others."""
_OWNER = "depths"
_WHOLE = 8
"""Every eighth round checks all books, in case an error prevented a note."""
_LATE_US = SLOWEST_STREAM_NS // 1_000
"""The delay from which lateness of diffs matters."""


class DepthScheduler:
    """All live books of a client. Usage: `begin` when there are markets."""

    def __init__(
        self,
        context: Context,
        markets: Mapping[int, Supervisor],
        schedulers: Mapping[str, RequestScheduler],
    ) -> None:
        self._context, self._markets, self._schedulers = context, markets, schedulers
        self._looks = 0
        self._late: set[int] = set()

    def begin(self, now_ns: int) -> None:
        """Start the rounds."""
        if self._context.deadlines.pending(Timer.DEPTHS, _OWNER) is None:
            self._context.deadlines.set(Timer.DEPTHS, _OWNER, now_ns + to_ns(_LOOK_S))

    def end(self) -> None:
        """Stop the rounds."""
        self._context.deadlines.clear(_OWNER, Timer.DEPTHS)

    def on_timer(self, now_ns: int) -> None:
        """DEPTHS is due: let the most urgent books ask for more."""
        self.begin(now_ns)
        self._look_for_late(now_ns)
        audits: list[tuple[float, int, Supervisor, Purpose, int]] = []
        for shallow in self._context.router.shallow():
            supervisor = self._markets.get(shallow.market)
            if supervisor is None:
                continue
            with self._context.guard(supervisor.owner, "on_shallow", now_ns):
                if audit := supervisor.maintenance.on_shallow(
                    shallow.covered_levels, shallow.asked_levels, now_ns
                ):
                    urgency, purpose, limit = audit
                    audits.append((urgency, shallow.market, supervisor, purpose, limit))
        for market, supervisor in self._worth_a_look(now_ns):
            if supervisor.maintenance.may_be_unproven(now_ns):
                with self._context.guard(supervisor.owner, "look_for_proof", now_ns):
                    supervisor.look_for_proof(now_ns)
            if supervisor.maintenance.is_due(now_ns):
                audits.append((_DUE, market, supervisor, Purpose.DEEPEN, supervisor.limits.wanted))
        audits.sort(key=lambda audit: audit[:2])
        for _, _, supervisor, purpose, limit in audits[:_MOST_AT_ONCE]:
            with self._context.guard(supervisor.owner, "want", now_ns):
                supervisor.maintenance.want(purpose, limit, now_ns)

    def _worth_a_look(self, now_ns: int) -> list[tuple[int, Supervisor]]:
        """Books that may be unproven or due for a refresh.

        All of them if requests are stopped or a refresh is due.
        """
        context = self._context
        self._looks += 1
        is_stopped = any(each.budget.stopped_until_ns > now_ns for each in self._schedulers.values())
        if is_stopped or context.next_refresh_ns <= now_ns or self._looks % _WHOLE == 0:
            times = (supervisor.maintenance.next_refresh_ns for supervisor in self._markets.values())
            context.next_refresh_ns = min(times, default=NEVER_NS)
            return list(self._markets.items())
        noted = sorted(context.not_compared)
        return [(market, self._markets[market]) for market in noted if market in self._markets]

    def _look_for_late(self, now_ns: int) -> None:
        """Report to every market how late its newest diff was, while that matters."""
        found = self._context.router.late(_LATE_US)
        was_late, self._late = self._late, {late.market for late in found}
        for late in found:
            if supervisor := self._markets.get(late.market):
                with self._context.guard(supervisor.owner, "on_late", now_ns):
                    supervisor.late.on_late(late.late_us / 1e6, late.received_ns, now_ns)
        for market in was_late - self._late:
            if supervisor := self._markets.get(market):
                with self._context.guard(supervisor.owner, "on_in_time", now_ns):
                    supervisor.late.on_in_time(now_ns)
