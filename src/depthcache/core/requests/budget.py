"""What one address may ask of one exchange: request weight and connects, shared by all clients of a process.

Theory of operation. The exchange counts the weight of all programs behind one address per minute of its
own clock. Without trusting that clock, this is safe: at most a share of the limit in ANY 60 seconds,
where a request counts from its sending until 60 s after its response. (The exchange counted it before it
answered. So two requests that it counts within one minute are never separated by more than 60 s here,
whatever the network delays.)

The exchange's own count, in the headers, includes other programs: when it reaches `limit_ceiling` of the
limit, requests stop until that minute must be over. 429, 418, 403, 451 and Retry-After stop every
client for the time they name. After any stop one request goes alone; its response releases the rest.

A ban is of an address: 418 and 429 stop requests and connects alike, whichever of both was refused. Any
other refusal of a handshake that names a time, 403 and 451 stop connects alone, because streams and REST are
served by different hosts. After a stop, connects go one by one until one is open.

Several clients of a process may share a budget, each with a share of its own; sharing it between
threads requires a lock (`guard`). Not here: which request goes first (`scheduler`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from depthcache.core.policy import Policy, to_ns
from depthcache.core.requests.responses import (
    ClassifiedResponse,
    ResponseAction,
    classify_handshake,
    used_weight,
)
from depthcache.venues.venue import Venue

__all__ = ["Allowance", "Budget", "Budgets"]

_MINUTE_NS = 60_000_000_000
_FIVE_MINUTES_NS = 5 * _MINUTE_NS
_LONGEST_GUESS_S = 3_600.0
"""Stops that the exchange did not time double up to an hour …"""
_LONGEST_CONNECT_GUESS_S = 300.0
"""… and those of connects alone to five minutes: that is as far as connects are counted."""
_CLOCK_DOUBT_NS = 1_000_000_000
"""A minute of the exchange's clock is over so much after it should be."""
_IMPLAUSIBLE_FACTOR = 10
"""Times the limit: an address is banned long before it has used so much, so such a count is none."""
_OTHERS_NS = 250_000_000
"""How long to wait where only a response to another client makes room."""
_CONNECTS_APART_NS = 1_000_000_000
"""After a stop: how long a handshake is alone."""

_Guard = AbstractContextManager[object]


class Allowance:
    """At most so many units in any `window_ns`; each unit counts from taking until a window after."""

    __slots__ = ("_freed", "_used", "_window_ns")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._freed: deque[tuple[int, int]] = deque()
        self._used = 0

    def free_at(self, units: int, most: int, now_ns: int) -> int | None:
        """When `units` more are at most `most`: now or later; None when only units held stand in the way."""
        missing = self.used(now_ns) + units - most
        if missing <= 0:
            return now_ns
        for at_ns, freed in self._freed:
            missing -= freed
            if missing <= 0:
                return at_ns
        return None

    def used(self, now_ns: int) -> int:
        """Units that count now."""
        while self._freed and self._freed[0][0] <= now_ns:
            self._used -= self._freed.popleft()[1]
        return self._used

    def hold(self, units: int) -> None:
        """Take units; they count until a window after `release`."""
        self._used += units

    def release(self, units: int, now_ns: int) -> None:
        """Start the window of units that were held."""
        self._freed.append((now_ns + self._window_ns, units))


class Budget:
    """One pool of weight, and the connects beside it. Order of calls: `take`, then `on_response` or
    `on_failure` for what was taken."""

    def __init__(self, limit: int, connects: int, guard: _Guard) -> None:
        self.limit = limit
        self._most_connects = connects
        self._guard = guard
        self._weight = Allowance(_MINUTE_NS)
        self._connects = Allowance(_FIVE_MINUTES_NS)
        self._in_flight = 0
        self._stopped_until_ns = 0
        self._no_connects_until_ns = self._next_connect_ns = 0
        self._connects_alone = False
        self._guesses = self._connect_guesses = 0
        self._alone = False
        self._counted: tuple[int, int] | None = None
        self._sent_since_counted = 0
        self._clock_offset_ns: int | None = None

    # --- getters ---------------------------------------------------------------------------

    @property
    def stopped_until_ns(self) -> int:
        """No request leaves before this time."""
        return self._stopped_until_ns

    def exchange_s(self, now_ns: int) -> float | None:
        """Seconds since 1970 on the exchange's clock; None while it is not known."""
        offset_ns = self._clock_offset_ns
        return None if offset_ns is None else (now_ns + offset_ns) / 1e9

    @property
    def counted(self) -> int | None:
        """The weight that the exchange itself counted last, all programs together."""
        return None if self._counted is None else self._counted[0]

    @property
    def count(self) -> tuple[int, int] | None:
        """The same, and when it was told."""
        return self._counted

    def most(self, share: float) -> int:
        """Weight in any 60 s for that share."""
        return int(self.limit * share)

    def used(self, now_ns: int) -> int:
        """Weight of this process in the last 60 s."""
        with self._guard:
            return self._weight.used(now_ns)

    # --- commands --------------------------------------------------------------------------

    def take(self, weight: int, policy: Policy, now_ns: int, *, reserve: int = 0) -> int:
        """Take that weight: `now_ns` when it was taken, else when to ask again. `reserve`: weight that
        must be left afterwards."""
        with self._guard:
            at_ns = self._free_at(weight, reserve, policy, now_ns)
            if at_ns <= now_ns:
                self._weight.hold(weight)
                self._in_flight += 1
                self._sent_since_counted += weight
            return at_ns

    def take_connect(self, share: float, now_ns: int) -> int:
        """Count one connect: `now_ns` when it may be made, else when to ask again."""
        with self._guard:
            held_until_ns = max(self._no_connects_until_ns, self._next_connect_ns)
            if now_ns < held_until_ns:
                return held_until_ns
            most = max(1, int(self._most_connects * share))
            at_ns = self._connects.free_at(1, most, now_ns)
            if at_ns == now_ns:
                self._connects.hold(1)
                self._connects.release(1, now_ns)
                if self._connects_alone:
                    self._next_connect_ns = now_ns + _CONNECTS_APART_NS
            return now_ns + _OTHERS_NS if at_ns is None else at_ns

    def keep_clock(self, offset_ns: int) -> None:
        """The exchange's clock, as nanoseconds since 1970, is the caller's plus this."""
        self._clock_offset_ns = offset_ns

    # --- what happened ---------------------------------------------------------------------

    def on_response(
        self, weight: int, response: ClassifiedResponse, headers: Mapping[str, str], now_ns: int
    ) -> None:
        """An HTTP response arrived for weight that was taken."""
        with self._guard:
            self._land(weight, now_ns)
            used = used_weight(headers)
            if used is not None and used <= _IMPLAUSIBLE_FACTOR * self.limit:
                self._counted, self._sent_since_counted = (used, now_ns), 0
            if response.action is ResponseAction.STOP:
                self._stop(response, now_ns)
            elif response.action is ResponseAction.INSTALL and now_ns >= self._stopped_until_ns:
                self._alone, self._guesses = False, 0

    def on_failure(self, weight: int, now_ns: int) -> None:
        """No response arrived for weight that was taken."""
        with self._guard:
            self._land(weight, now_ns)

    def on_connected(self, now_ns: int) -> None:
        """A handshake succeeded."""
        with self._guard:
            if now_ns >= self._no_connects_until_ns:
                self._connects_alone, self._connect_guesses, self._next_connect_ns = False, 0, 0

    def on_refused_connect(
        self, status: int, retry_after: str | None, date: str | None, now_ns: int
    ) -> float | None:
        """A handshake was answered with that HTTP status and these headers: for how many seconds nothing of
        this address connects; None where nothing says so."""
        response = classify_handshake(status, retry_after, date, exchange_s=self.exchange_s(now_ns))
        if response is None:
            return None
        with self._guard:
            if response.bans_address:
                self._stop(response, now_ns)
            else:
                self._stop_connects(response, now_ns)
            return (self._no_connects_until_ns - now_ns) / 1e9

    # --- inside ----------------------------------------------------------------------------

    def _free_at(self, weight: int, reserve: int, policy: Policy, now_ns: int) -> int:
        if now_ns < self._stopped_until_ns:
            return self._stopped_until_ns
        if self._counted is not None and now_ns >= self._minute_over_ns(self._counted[1]):
            self._counted = None
        if self._alone and self._in_flight:
            return now_ns + _OTHERS_NS
        if self._counted is not None:
            used, counted_ns = self._counted
            if used + self._sent_since_counted + weight > self.limit * policy.limit_ceiling:
                self._alone = True
                return self._minute_over_ns(counted_ns)
        at_ns = self._weight.free_at(weight + reserve, self.most(policy.limit_share), now_ns)
        return now_ns + _OTHERS_NS if at_ns is None else at_ns

    def _minute_over_ns(self, counted_ns: int) -> int:
        """When a count of that time is forgotten by the exchange at the latest."""
        latest_ns = counted_ns + _MINUTE_NS
        if self._clock_offset_ns is None:
            return latest_ns
        into_ns = (counted_ns + self._clock_offset_ns) % _MINUTE_NS
        return min(latest_ns, counted_ns + _MINUTE_NS - into_ns + _CLOCK_DOUBT_NS)

    def _land(self, weight: int, now_ns: int) -> None:
        self._weight.release(weight, now_ns)
        self._in_flight -= 1

    def _stop(self, response: ClassifiedResponse, now_ns: int) -> None:
        # Requests sent together fail together; that is one stop, not several.
        if not response.told and now_ns >= self._stopped_until_ns:
            self._guesses += 1
        until_ns = now_ns + to_ns(_stop_s(response, self._guesses, _LONGEST_GUESS_S))
        self._stopped_until_ns = max(self._stopped_until_ns, until_ns)
        self._alone = True
        if response.bans_address:
            self._no_connects_until_ns = max(self._no_connects_until_ns, until_ns)
            self._connects_alone = True

    def _stop_connects(self, response: ClassifiedResponse, now_ns: int) -> None:
        if not response.told and now_ns >= self._no_connects_until_ns:
            self._connect_guesses += 1
        until_ns = now_ns + to_ns(_stop_s(response, self._connect_guesses, _LONGEST_CONNECT_GUESS_S))
        self._no_connects_until_ns = max(self._no_connects_until_ns, until_ns)
        self._connects_alone = True


def _stop_s(response: ClassifiedResponse, guesses: int, longest_s: float) -> float:
    """How long to stop: as the exchange said, else longer each time in a row."""
    stop_s = response.stop_s or 1.0
    return stop_s if response.told else min(stop_s * 2.0 ** (min(guesses, 30) - 1), longest_s)


class Budgets:
    """All budgets of a client, or of a process: one for each pool and address."""

    def __init__(self, make_guard: Callable[[], _Guard] = nullcontext) -> None:
        self._make_guard = make_guard
        self._guard = make_guard()
        self._budgets: dict[tuple[str, str], Budget] = {}

    def of(self, venue: Venue) -> Budget:
        """The budget of a venue's pool; hosts of one's own have pools of their own."""
        with self._guard:
            key = (venue.weight_pool, venue.weight_place)
            budget = self._budgets.get(key)
            if budget is None:
                budget = Budget(venue.weight_per_minute, venue.connects_per_5_minutes, self._make_guard())
                self._budgets[key] = budget
            return budget
