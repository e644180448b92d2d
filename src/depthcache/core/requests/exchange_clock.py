"""An estimate of the exchange's clock: its offset from the caller's monotonic clock, and the error.

A response with the exchange's time was made at some moment between sending and receiving: half the round trip
is the error. The best of the last responses counts. The system's clock is never used, so changes of it have
no effect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from depthcache.core.bodies import UnreadableBody, time_in
from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.core.requests.scheduler import PendingRequest, Purpose, Requester, RequestScheduler
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["Clock", "Estimate"]

_REMEMBERED = 6
_BEGIN_S = 3.0
"""After the first books have requested their snapshots."""
_SETTLED_S = 5.0
"""After a sleep, connections are restored first."""
_DRIFT = 20e-6
"""The seconds that quartz clocks may drift apart per second."""
_MS_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """The exchange's clock, in nanoseconds since 1970, is the caller's plus `offset_ns`, ± `error_ns`."""

    offset_ns: int
    error_ns: int
    at_ns: int

    def between_us(self, sent_ns: int | None, came_ns: int, *, lag_s: float) -> tuple[int, int]:
        """The time range, on the exchange's clock, in which a response was made, in microseconds.

        It was requested at `sent_ns` (None if unknown) and arrived at `came_ns`, and may show the state of
        `lag_s` earlier. The earliest time is 0 if unknown.
        """
        error_ns = self.error_ns + int(abs(came_ns - self.at_ns) * _DRIFT)
        latest_us = (came_ns + self.offset_ns + error_ns) // 1_000
        if sent_ns is None:
            return 0, latest_us
        return max(0, (sent_ns + self.offset_ns - error_ns - to_ns(lag_s)) // 1_000), latest_us


class Clock(Requester):
    """The clock of one venue. Call `begin` once."""

    def __init__(
        self,
        context: Context,
        venue: Venue,
        scheduler: RequestScheduler,
        *,
        on_estimate: Callable[[Estimate], None],
    ) -> None:
        """`on_estimate`: called with each better estimate."""
        self._context, self._venue, self._scheduler = context, venue, scheduler
        self.owner: str = f"clock {venue.name}"
        self._on_estimate = on_estimate
        self._heard: deque[Estimate] = deque(maxlen=_REMEMBERED)
        self._best: Estimate | None = None

    @property
    def estimate(self) -> Estimate | None:
        """The best estimate; None before the first response."""
        return self._best

    def begin(self, now_ns: int) -> None:
        """Ask for the time soon, then periodically."""
        if self._context.deadlines.pending(Timer.CLOCK, self._venue.name) is None:
            self._context.deadlines.set(Timer.CLOCK, self._venue.name, now_ns + to_ns(_BEGIN_S))

    def on_resumed(self, now_ns: int) -> None:
        """The machine slept, in which clocks drift by up to a second: earlier responses no longer count."""
        if self._context.deadlines.pending(Timer.CLOCK, self._venue.name) is not None:
            self._heard.clear()
            self._context.deadlines.set(Timer.CLOCK, self._venue.name, now_ns + to_ns(_SETTLED_S))

    def end(self) -> None:
        """Stop asking."""
        self._context.deadlines.clear(self._venue.name, Timer.CLOCK)

    def on_timer(self, now_ns: int) -> None:
        """CLOCK is due."""
        self._context.deadlines.set(
            Timer.CLOCK, self._venue.name, now_ns + to_ns(self._context.policy.clock_s)
        )
        url = self._venue.time_url(self._context.servers.current)
        pending = PendingRequest(self, self._venue, Purpose.FACT, now_ns, url=url)
        self._scheduler.ask(pending, now_ns)

    def on_response(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None:
        """A response arrived; if it has no valid time, the next one will do."""
        if response.action is not ResponseAction.INSTALL or pending.sent_ns is None:
            return
        try:
            time_ms = time_in(body)
        except UnreadableBody:
            return
        half_ns = (now_ns - pending.sent_ns) // 2
        offset_ns = time_ms * _MS_NS + _MS_NS // 2 - (pending.sent_ns + half_ns)
        self._heard.append(Estimate(offset_ns, half_ns + _MS_NS // 2, now_ns))
        self._best = min(self._heard, key=lambda each: each.error_ns + int((now_ns - each.at_ns) * _DRIFT))
        self._scheduler.budget.keep_clock(self._best.offset_ns)
        self._on_estimate(self._best)

    def on_failure(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        """There was no response; the next one will do."""
