"""The budget of one address at one exchange: request weight and connects, shared by all clients of a process.

The exchange counts the weight of all programs at one address per minute of its own clock. The following is
safe without trusting that clock: at most a share of the limit in ANY 60 seconds, where a request counts from
its sending until 60 s after its response. (The exchange counted it before it responded. So two requests that
it counts within one minute are never more than 60 s apart here, whatever the network delays.)

The exchange's own count, in the headers, includes other programs: when it reaches `limit_ceiling` of the
limit, requests stop until that minute must be over. 429, 418, 403, 451 and Retry-After stop every client for
the time that they name. After any stop one request is sent alone; its response releases the rest.

A ban applies to an address: 418 and 429 stop requests and connects alike, whichever was refused. 403, 451 and
any other refusal of a handshake that names a time stop only connects, because streams and REST are served by
different hosts. After a stop, connects are made one by one until one is open.

Several clients of a process may share a budget, each with its own share; sharing it between threads requires
a lock (`guard`). The order of requests is in `scheduler`.
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
"""Stops without a time from the exchange double up to an hour …"""
_LONGEST_CONNECT_GUESS_S = 300.0
"""… and those of connects alone up to five minutes, the window in which connects are counted."""
_CLOCK_DOUBT_NS = 1_000_000_000
"""How much later than expected a minute of the exchange's clock may end."""
_IMPLAUSIBLE_FACTOR = 10
"""A count of this many times the limit is ignored: the address would have been banned long before."""
_OTHERS_NS = 250_000_000
"""How long to wait if only a response to another client makes room."""
_CONNECTS_APART_NS = 1_000_000_000
"""How long a handshake after a stop stays the only one."""

_Guard = AbstractContextManager[object]


class Allowance:
    """At most a number of units in any `window_ns`; each unit counts from its use until one window later."""

    __slots__ = ("_freed", "_used", "_window_ns")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._freed: deque[tuple[int, int]] = deque()
        self._used = 0

    def free_at(self, units: int, most: int, now_ns: int) -> int | None:
        """When `units` more are within `most`: now or later; None if only held units are in the way."""
        missing = self.used(now_ns) + units - most
        if missing <= 0:
            return now_ns
        for at_ns, freed in self._freed:
            missing -= freed
            if missing <= 0:
                return at_ns
        return None

    def used(self, now_ns: int) -> int:
        """The units that count now."""
        while self._freed and self._freed[0][0] <= now_ns:
            self._used -= self._freed.popleft()[1]
        return self._used

    def hold(self, units: int) -> None:
        """Take units; they count until a window after `release`."""
        self._used += units

    def release(self, units: int, now_ns: int) -> None:
        """Start the window of held units."""
        self._freed.append((now_ns + self._window_ns, units))


class Budget:
    """One pool of weight, and its connects.

    Usage: `take`, then `on_response` or `on_failure` for what was taken.
    """

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
        """No request is sent before this time."""
        return self._stopped_until_ns

    def stopped_s(self, now_ns: int) -> float:
        """Seconds until requests resume; 0.0 if they are not stopped."""
        return max(0, self._stopped_until_ns - now_ns) / 1e9

    def exchange_s(self, now_ns: int) -> float | None:
        """Seconds since 1970 on the exchange's clock; None if unknown."""
        offset_ns = self._clock_offset_ns
        return None if offset_ns is None else (now_ns + offset_ns) / 1e9

    @property
    def counted(self) -> int | None:
        """The weight last reported by the exchange, for all programs together."""
        return None if self._counted is None else self._counted[0]

    @property
    def count(self) -> tuple[int, int] | None:
        """The same, and when it was reported."""
        return self._counted

    def most(self, share: float) -> int:
        """The weight in any 60 s for that share."""
        return int(self.limit * share)

    def used(self, now_ns: int) -> int:
        """The weight used by this process in the last 60 s."""
        with self._guard:
            return self._weight.used(now_ns)

    # --- commands --------------------------------------------------------------------------

    def take(self, weight: int, policy: Policy, now_ns: int, *, reserve: int = 0, share: float = 1.0) -> int:
        """Take that weight: returns `now_ns` if it was taken, else when to ask again.

        `reserve`: the weight that must remain afterwards. `share`: of the weight that the policy allows; a
        request that costs more than it is still made if nothing else was used.
        """
        with self._guard:
            at_ns = self._free_at(weight, reserve, policy, now_ns, share=share)
            if at_ns <= now_ns:
                self._weight.hold(weight)
                self._in_flight += 1
                self._sent_since_counted += weight
            return at_ns

    def take_connect(self, share: float, now_ns: int) -> int:
        """Count one connect: returns `now_ns` if it may be made, else when to ask again."""
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
        """Set the offset from the caller's clock to the exchange's, in nanoseconds since 1970."""
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
        """A handshake was refused with that HTTP status and these headers.

        Returns for how many seconds this address must not connect; None if unspecified.
        """
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

    def _free_at(self, weight: int, reserve: int, policy: Policy, now_ns: int, *, share: float) -> int:
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
        whole = self.most(policy.limit_share)
        most = min(max(int(whole * share), weight + reserve), whole)
        at_ns = self._weight.free_at(weight + reserve, most, now_ns)
        return now_ns + _OTHERS_NS if at_ns is None else at_ns

    def _minute_over_ns(self, counted_ns: int) -> int:
        """The latest time at which the exchange resets a count of that time."""
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
    """All budgets of a client or process: one per pool and address."""

    def __init__(self, make_guard: Callable[[], _Guard] = nullcontext) -> None:
        self._make_guard = make_guard
        self._guard = make_guard()
        self._budgets: dict[tuple[str, str], Budget] = {}

    def of(self, venue: Venue) -> Budget:
        """The budget of a venue's pool; your own hosts have their own pools."""
        with self._guard:
            key = (venue.weight_pool, venue.weight_place)
            budget = self._budgets.get(key)
            if budget is None:
                budget = Budget(venue.weight_per_minute, venue.connects_per_5_minutes, self._make_guard())
                self._budgets[key] = budget
            return budget
