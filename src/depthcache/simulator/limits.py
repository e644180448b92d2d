"""Count request weight like the exchange: per address and pool, in minutes of the clock.

Requests above the limit get 429 with Retry-After. An address that continues is banned (418), longer each time
(spot docs, rest-api "Limits", 2026-07-21; both futures venues share one pool since 2026-06-30).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from depthcache import venues
from depthcache.simulator.interface import HttpResponse
from depthcache.simulator.responses import error, weight_headers
from depthcache.venues import Venue

__all__ = ["Breaches", "Limits"]

_MINUTE_NS = 60_000_000_000
_FIVE_MINUTES_NS = 5 * _MINUTE_NS
_STUBBORN = 20
"""Refused requests in one minute that lead to a ban; the docs only say "repeatedly"."""
_FIRST_BAN_S = 120
"""Bans last 2 minutes to 3 days (spot docs, rest-api "IP limits", 2026-07-21)."""
_LONGEST_BAN_S = 3 * 86_400


_MOST_BREACHES, _LONGEST_BREACH = 1_000, 200


class Breaches(list[str]):
    """Breaches of the exchange's rules by clients: the first thousand, in 200 characters each."""

    def append(self, breach: str) -> None:
        """Add a breach, unless the list is full."""
        if len(self) < _MOST_BREACHES:
            super().append(breach[:_LONGEST_BREACH])


@dataclass(slots=True)
class _Account:
    minute: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_ns: int = 0
    others: int = 0
    most: int = 0
    all: int = 0


class Limits:
    """The weight used by all clients of an exchange."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._connects: dict[tuple[str, str], deque[int]] = {}

    def refusal(
        self, venue: Venue, weight: int, client: str, clock_ns: int, *, others: int = 0
    ) -> HttpResponse | None:
        """Charge a request. Returns the response that refuses it; None if it is allowed.

        `others`: weight used in this minute by other programs behind the same address. `clock_ns`: the
        exchange's clock in nanoseconds since 1970, which defines the minutes.
        """
        account = self._accounts.setdefault((venue.weight_pool, client), _Account())
        if clock_ns < account.banned_until_ns:
            return self._banned(account, clock_ns)
        minute = clock_ns // _MINUTE_NS
        if minute != account.minute:
            account.minute, account.used, account.refused = minute, 0, 0
        account.used += weight
        account.all += weight
        account.others = others
        account.most = max(account.most, account.used)
        if account.used + others <= venue.weight_per_minute:
            return None
        account.refused += 1
        if account.refused > _STUBBORN:
            length_s = min(_FIRST_BAN_S * 4**account.bans, _LONGEST_BAN_S)
            account.bans += 1
            account.banned_until_ns = clock_ns + length_s * 1_000_000_000
            return self._banned(account, clock_ns)
        words = (
            f"Too much request weight used; current limit is {venue.weight_per_minute} request weight per "
            "1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API."
        )
        return self._refused(429, words, (minute + 1) * _MINUTE_NS - clock_ns)

    def connect_refusal(self, venue: Venue, client: str, now_ns: int) -> HttpResponse | None:
        """Count a handshake. Returns the response that refuses it (429 is an assumption), or None."""
        recent = self._connects.setdefault((venue.weight_pool, client), deque())
        while recent and now_ns - recent[0] >= _FIVE_MINUTES_NS:
            recent.popleft()
        if len(recent) >= venue.connects_per_5_minutes:
            return self._refused(429, "Too many connection attempts.", recent[0] + _FIVE_MINUTES_NS - now_ns)
        recent.append(now_ns)
        return None

    def headers(self, venue: Venue, client: str) -> dict[str, str]:
        """The headers with the used weight."""
        account = self._accounts.get((venue.weight_pool, client), _Account())
        return weight_headers(venue, account.used + account.others)

    def most(self, exchange: str, client: str = "client") -> int:
        """The most weight that a client has used of an exchange's pool in any minute of the clock."""
        return self._account(exchange, client).most

    def all(self, exchange: str, client: str = "client") -> int:
        """The total weight that a client has used of an exchange's pool."""
        return self._account(exchange, client).all

    def _account(self, exchange: str, client: str) -> _Account:
        return self._accounts.get((venues.venue(exchange).weight_pool, client), _Account())

    def _banned(self, account: _Account, clock_ns: int) -> HttpResponse:
        until_ms = account.banned_until_ns // 1_000_000
        words = (
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return self._refused(418, words, account.banned_until_ns - clock_ns)

    def _refused(self, status: int, words: str, wait_ns: int) -> HttpResponse:
        response = error(-1003, words, status=status)
        retry_after = {"Retry-After": str(-(-wait_ns // 1_000_000_000))}
        return HttpResponse(response.status, response.body, {**response.headers, **retry_after})
