"""When a request may be sent: one weight budget per pool of venues, never exceeded.

Theory of operation. The exchange counts the weight of all programs behind one address per clock
minute of its own clock. Without knowing that clock, this is safe: at most `share` of the limit in
ANY 60 seconds, where a request counts from its sending until 60 s after its answer. (The exchange
counted it before it answered. So two requests that it counts within one minute are never
separated by more than 60 s here, whatever the network delays.)

The exchange's own count, in the headers, includes other programs: when it reaches `ceiling` of the
limit, requests stop until that minute must be over. 429, 418, 403, 451 and Retry-After stop the
whole pool for as long as told. After any stop one request goes alone; its answer opens the rest.

Waiting requests stand in one line per purpose, first come, first served; the lines take turns, books
in trouble most often, and no line waits for ever. Not here: what the requests are for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from depthcache.core.answers import Answer, Verdict, used_weight
from depthcache.core.commands import FetchSnapshot
from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["Allowance", "Pacer", "Purpose", "Ticket"]

_MINUTE_NS = 60_000_000_000
_LONGEST_GUESS_S = 3_600.0
"""Stops that the exchange did not time double up to an hour."""


class Purpose(Enum):
    """What a snapshot is for."""

    RESYNC = "resync"  # a book that users had is not synced
    FIRST = "first"  #   a book begins
    CHECK = "check"  #   a look whether a silent book still is what the exchange has


_TURNS = (
    Purpose.RESYNC,
    Purpose.RESYNC,
    Purpose.FIRST,
    Purpose.RESYNC,
    Purpose.RESYNC,
    Purpose.FIRST,
    Purpose.CHECK,
)


@dataclass(slots=True, eq=False)
class Ticket:
    """One wish for a snapshot, from waiting in line to its answer."""

    market: int
    venue: Venue
    symbol: str
    limit: int
    purpose: Purpose
    asked_ns: int
    sent_ns: int | None = None
    withdrawn: bool = False

    @property
    def weight(self) -> int:
        """What it costs."""
        return self.venue.snapshot_weight(self.limit)


class Allowance:
    """At most `most` units in any `window_ns`; each unit counts from taking until a window after."""

    __slots__ = ("_freed", "_most", "_used", "_window_ns")

    def __init__(self, most: int, window_ns: int) -> None:
        self._most, self._window_ns = most, window_ns
        self._freed: deque[tuple[int, int]] = deque()
        self._used = 0

    @property
    def most(self) -> int:
        """Units per window."""
        return self._most

    def free_at(self, units: int, now_ns: int) -> int | None:
        """When `units` fit: now or later; None when only units still held stand in the way."""
        self._expire(now_ns)
        missing = self._used + units - self._most
        if missing <= 0:
            return now_ns
        for at_ns, freed in self._freed:
            missing -= freed
            if missing <= 0:
                return at_ns
        return None

    def hold(self, units: int) -> None:
        """Take units; they count until a window after `release`."""
        self._used += units

    def release(self, units: int, now_ns: int) -> None:
        """Start the window of units that were held."""
        self._freed.append((now_ns + self._window_ns, units))

    def _expire(self, now_ns: int) -> None:
        while self._freed and self._freed[0][0] <= now_ns:
            self._used -= self._freed.popleft()[1]


class Pacer:
    """One weight budget. Order of calls: `ask`, then `on_answer` or `on_failure` for what was sent."""

    def __init__(self, context: Context, venue: Venue) -> None:
        self.pool = venue.weight_pool
        self._context = context
        self._limit = venue.weight_per_minute
        self._own = Allowance(int(self._limit * context.policy.share), _MINUTE_NS)
        self._lines: dict[Purpose, deque[Ticket]] = {purpose: deque() for purpose in Purpose}
        self._turn = 0
        self._in_flight: dict[int, Ticket] = {}
        self._stopped_until_ns = 0
        self._guesses = 0
        self._alone = False
        self._counted: tuple[int, int] | None = None
        self._sent_since_counted = 0

    # --- getters ---------------------------------------------------------------------------

    @property
    def budget(self) -> int:
        """Weight this client may use in any 60 s."""
        return self._own.most

    @property
    def waiting(self) -> int:
        """Tickets in line."""
        return sum(not ticket.withdrawn for line in self._lines.values() for ticket in line)

    @property
    def stopped_until_ns(self) -> int:
        """No request leaves before this time."""
        return self._stopped_until_ns

    # --- commands --------------------------------------------------------------------------

    def ask(self, ticket: Ticket, now_ns: int) -> None:
        """Put a ticket in line; it is sent as soon as the budget allows."""
        self._lines[ticket.purpose].append(ticket)
        self._send_what_may_go(now_ns)

    def withdraw(self, ticket: Ticket) -> None:
        """Its answer is no longer wanted; if it still waits, it is not sent."""
        ticket.withdrawn = True

    # --- what happened ---------------------------------------------------------------------

    def on_answer(
        self, request: int, answer: Answer, headers: Mapping[str, str], now_ns: int
    ) -> Ticket | None:
        """An HTTP answer arrived; the ticket it belongs to, None for unknown or withdrawn ones."""
        ticket = self._landed(request, now_ns)
        if ticket is None:
            return None
        used = used_weight(headers)
        if used is not None:
            self._counted, self._sent_since_counted = (used, now_ns), 0
        if answer.verdict is Verdict.STOP:
            self._stop(answer, now_ns)
        elif answer.verdict is Verdict.INSTALL and now_ns >= self._stopped_until_ns:
            self._alone, self._guesses = False, 0
        return None if ticket.withdrawn else ticket

    def on_failure(self, request: int, now_ns: int) -> Ticket | None:
        """No answer arrived; the ticket it belongs to, None for unknown or withdrawn ones."""
        ticket = self._landed(request, now_ns)
        return None if ticket is None or ticket.withdrawn else ticket

    def on_room(self, now_ns: int) -> None:
        """Time passed or a ticket's answer was dealt with: send what may go."""
        self._send_what_may_go(now_ns)

    def holds(self, request: int) -> bool:
        """Whether that request is on its way."""
        return request in self._in_flight

    # --- inside ----------------------------------------------------------------------------

    def _send_what_may_go(self, now_ns: int) -> None:
        deadlines = self._context.deadlines
        while (ticket := self._first_in_line()) is not None:
            free_at_ns = self._free_at(ticket.weight, now_ns)
            if free_at_ns is None:  # an answer makes room, not time
                deadlines.clear(self.pool, Timer.BUDGET)
                return
            if free_at_ns > now_ns:
                deadlines.set(Timer.BUDGET, self.pool, free_at_ns)
                return
            self._send(ticket, now_ns)
        deadlines.clear(self.pool, Timer.BUDGET)

    def _send(self, ticket: Ticket, now_ns: int) -> None:
        context = self._context
        self._lines[ticket.purpose].popleft()
        self._turn = (self._turn + 1) % len(_TURNS)
        request = next(context.request_numbers)
        ticket.sent_ns = now_ns
        self._in_flight[request] = ticket
        self._own.hold(ticket.weight)
        self._sent_since_counted += ticket.weight
        timeout_s = context.policy.snapshot_timeout_s
        url = ticket.venue.snapshot_url(ticket.symbol, ticket.limit)
        context.commands.append(FetchSnapshot(request, url, timeout_s))
        context.deadlines.set(Timer.ANSWER, request, now_ns + to_ns(2 * timeout_s))

    def _first_in_line(self) -> Ticket | None:
        """Who is next: the first line with somebody in it, from the current turn on."""
        for step in range(len(_TURNS)):
            turn = (self._turn + step) % len(_TURNS)
            line = self._lines[_TURNS[turn]]
            while line and line[0].withdrawn:
                line.popleft()
            if line:
                self._turn = turn
                return line[0]
        return None

    def _free_at(self, weight: int, now_ns: int) -> int | None:
        """When that weight may be sent: now, a later time, or None: after the next answer."""
        policy = self._context.policy
        if now_ns < self._stopped_until_ns:
            return self._stopped_until_ns
        if self._counted is not None and now_ns >= self._counted[1] + _MINUTE_NS:
            self._counted = None
        if len(self._in_flight) >= (1 if self._alone else policy.requests_in_flight):
            return None
        if self._counted is not None:
            used, counted_ns = self._counted
            if used + self._sent_since_counted + weight > self._limit * policy.ceiling:
                self._alone = True
                return counted_ns + _MINUTE_NS
        return self._own.free_at(weight, now_ns)

    def _landed(self, request: int, now_ns: int) -> Ticket | None:
        ticket = self._in_flight.pop(request, None)
        if ticket is not None:
            self._own.release(ticket.weight, now_ns)
            self._context.deadlines.clear(request, Timer.ANSWER)
        return ticket

    def _stop(self, answer: Answer, now_ns: int) -> None:
        stop_s = answer.stop_s or 1.0
        if not answer.told:
            # Requests sent together fail together; that is one stop, not several.
            if now_ns >= self._stopped_until_ns:
                self._guesses += 1
            stop_s = min(stop_s * 2.0 ** (min(self._guesses, 30) - 1), _LONGEST_GUESS_S)
        self._stopped_until_ns = max(self._stopped_until_ns, now_ns + to_ns(stop_s))
        self._alone = True
