"""The order of requests: queues in front of one weight budget.

Requests queue per purpose, first in, first out; weighted round-robin, which favours books in trouble,
prevents starvation. Deepening books waits until all other queues are empty, and leaves a reserve for books
that lose levels meanwhile; comparing silent books may use only part of the budget. The limit of a first
snapshot is chosen when it is sent: the cheapest usable one while many wait, the requested depth if the budget
has room. The budget itself is in `budget`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from depthcache.core.commands import Fetch
from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.requests.budget import Allowance, Budget
from depthcache.core.requests.responses import ClassifiedResponse, told_limit
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["PendingRequest", "Purpose", "RequestScheduler", "Requester"]

_MINUTE_NS = 60_000_000_000
_MS_NS = 1_000_000
_BUCKETS = 18


class Purpose(Enum):
    """The purpose of a request."""

    RESYNC = "resync"  # a book lost sync
    FIRST = "first"  #   a new book
    THIN = "thin"  #     a live book has few complete levels left
    AUDIT = "audit"  #   requested by a user
    FACT = "fact"  #     the exchange's time, or its list of symbols
    CHECK = "check"  #   compare a silent book with the exchange
    DEEPEN = "deepen"  # a live book has fewer complete levels than its target


_TURNS = (
    Purpose.RESYNC,
    Purpose.THIN,
    Purpose.RESYNC,
    Purpose.FIRST,
    Purpose.RESYNC,
    Purpose.AUDIT,
    Purpose.FIRST,
    Purpose.FACT,
    Purpose.CHECK,
)


class Requester(Protocol):
    """The part that wants a request made."""

    owner: str
    """The part to restart if something raises: `market 3`, `listing binance.com` …"""

    def server(self) -> int | None:
        """The number of the book server that is to be asked; None for the one in use."""
        return None

    def on_sent(self, pending: PendingRequest, now_ns: int) -> None:
        """The request is sent now."""
        return

    def on_response(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None:
        """A response arrived."""

    def on_failure(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        """No response arrived."""


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request, from queue to response."""

    requester: Requester
    venue: Venue
    purpose: Purpose
    asked_ns: int
    symbol: str = ""
    limit: int = 0
    """The limit of a snapshot."""
    deep_limit: int | None = None
    """The limit used instead if the budget has room for all."""
    url: str = ""
    """The URL of any other request."""
    cost: int = 1
    copied_from: str = ""
    """Base URL of the book server from which a book is copied; `url` is of it."""
    timeout_s: float | None = None
    """None for that of the policy."""
    server: int = 0
    """The number of the book server that is asked."""
    told_limit: int | None = None
    """The limit of the response, if a book server holds fewer complete levels than requested; else None."""
    sent_ns: int | None = None
    withdrawn: bool = False

    @property
    def weight(self) -> int:
        """Its weight."""
        return self.cost if self.url else self.venue.snapshot_weight(self.limit)

    @property
    def target(self) -> str:
        """Its URL."""
        return self.url or self.venue.snapshot_url(self.symbol, self.limit, self.server)

    @property
    def answered_limit(self) -> int:
        """The number of levels up to which the response is complete."""
        return self.limit if self.told_limit is None else self.told_limit


class RequestScheduler:
    """The queues of one client in front of one budget.

    Usage: `ask`, then `on_response` or `on_failure` for what was sent.
    """

    def __init__(self, context: Context, pool: str, budget: Budget) -> None:
        self.pool = pool
        self.budget = budget
        self._context = context
        self._queues: dict[Purpose, deque[PendingRequest]] = {purpose: deque() for purpose in Purpose}
        self._turn = 0
        self._in_flight: dict[int, PendingRequest] = {}
        self._checks = Allowance(_MINUTE_NS)
        self.times: list[int] = [0] * _BUCKETS
        """A histogram of response times: entry i counts those above 2**(i-1) and up to 2**i ms."""
        self.times_ns: int = 0
        """The sum of these times."""
        self._needy: dict[int, int] = {}
        self._needed = 0

    # --- getters ---------------------------------------------------------------------------

    @property
    def most(self) -> int:
        """The weight that this client may use in any 60 s."""
        return self.budget.most(self._context.policy.limit_share * self._context.budget_share)

    @property
    def waiting(self) -> int:
        """The number of queued requests."""
        return sum(not pending.withdrawn for queue in self._queues.values() for pending in queue)

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return len(self._in_flight)

    # --- commands --------------------------------------------------------------------------

    def ask(self, pending: PendingRequest, now_ns: int) -> None:
        """Queue a request; it is sent as soon as the budget allows."""
        self._queues[pending.purpose].append(pending)
        self._send_what_may_go(now_ns)

    def withdraw(self, pending: PendingRequest) -> None:
        """Discard a request: it is not sent, or its response is ignored."""
        pending.withdrawn = True

    def need(self, market: int, weight: int) -> None:
        """A market needs a snapshot, which costs this much at the requested depth; 0: it has a book."""
        self._needed += weight - self._needy.pop(market, 0)
        if weight:
            self._needy[market] = weight

    # --- what happened ---------------------------------------------------------------------

    def on_response(
        self, request: int, response: ClassifiedResponse, headers: Mapping[str, str], now_ns: int
    ) -> PendingRequest | None:
        """A response arrived; returns its request, None if unknown or withdrawn."""
        pending = self._landed(request, now_ns)
        if pending is None:
            return None
        self.budget.on_response(pending.weight, response, headers, now_ns)
        pending.told_limit = told_limit(headers, pending.limit)
        took_ns = now_ns - (now_ns if pending.sent_ns is None else pending.sent_ns)
        self.times[min(max(0, took_ns - 1) // _MS_NS, 2 ** (_BUCKETS - 1) - 1).bit_length()] += 1
        self.times_ns += took_ns
        return None if pending.withdrawn else pending

    def on_failure(self, request: int, now_ns: int) -> PendingRequest | None:
        """No response arrived; returns its request, None if unknown or withdrawn."""
        pending = self._landed(request, now_ns)
        if pending is None:
            return None
        self.budget.on_failure(pending.weight, now_ns)
        return None if pending.withdrawn else pending

    def on_room(self, now_ns: int) -> None:
        """Time passed or a response was handled: send what the budget allows."""
        self._send_what_may_go(now_ns)

    def holds(self, request: int) -> bool:
        """Whether that request is in flight."""
        return request in self._in_flight

    def is_served(self, request: int) -> bool:
        """Whether that request goes to a book server."""
        pending = self._in_flight.get(request)
        return pending is not None and bool(pending.venue.servers or pending.copied_from)

    def requester_of(self, request: int) -> str:
        """The requester of that request; the scheduler itself if it is unknown."""
        pending = self._in_flight.get(request)
        return self.owner if pending is None else pending.requester.owner

    @property
    def owner(self) -> str:
        """As `Requester.owner`."""
        return f"budget {self.pool}"

    # --- inside ----------------------------------------------------------------------------

    def _send_what_may_go(self, now_ns: int) -> None:
        deadlines, policy = self._context.deadlines, self._context.policy
        again_ns: int | None = None
        barred: set[Purpose] = set()
        while (pending := self._next(barred)) is not None:
            if len(self._in_flight) >= policy.requests_in_flight:
                break  # an answer makes room, not time
            try:
                at_ns = self._take(pending, now_ns)
            except Exception as error:  # noqa: BLE001 - what is queued behind it must still be sent
                self.withdraw(pending)
                self._context.on_fault(pending.requester.owner, "a request", error, now_ns)
                continue
            if at_ns <= now_ns:
                with self._context.guard(pending.requester.owner, "a request", now_ns):
                    self._send(pending, now_ns)
                continue
            again_ns = at_ns if again_ns is None else min(again_ns, at_ns)
            if pending.purpose not in (Purpose.CHECK, Purpose.DEEPEN):
                break
            barred.add(pending.purpose)
        if again_ns is None:
            deadlines.clear(self.pool, Timer.BUDGET)
        else:
            deadlines.set(Timer.BUDGET, self.pool, again_ns)

    def _take(self, pending: PendingRequest, now_ns: int) -> int:
        """Take the weight of a request: returns now, or when to ask again."""
        policy = self._context.policy
        if pending.deep_limit is not None and self._is_roomy(now_ns):
            pending.limit = pending.deep_limit
        weight, reserve = pending.weight, 0
        if pending.purpose is Purpose.CHECK:
            checks_ns = self._checks.free_at(
                weight, max(weight, int(self.most * policy.silence_check_share)), now_ns
            )
            if checks_ns is None or checks_ns > now_ns:
                return checks_ns or now_ns + _MINUTE_NS
        elif pending.purpose is Purpose.DEEPEN:
            reserve = min(int(self.most * policy.reserve), max(0, self.most - weight))
        share = self._context.budget_share
        at_ns = self.budget.take(weight, policy, now_ns, reserve=reserve, share=share)
        if at_ns <= now_ns and pending.purpose is Purpose.CHECK:
            self._checks.hold(weight)
            self._checks.release(weight, now_ns)
        return at_ns

    def _is_roomy(self, now_ns: int) -> bool:
        """Whether the budget has room for every missing snapshot at full depth, twice."""
        return 2 * self._needed <= self.most - self.budget.used(now_ns)

    def _send(self, pending: PendingRequest, now_ns: int) -> None:
        context = self._context
        self._queues[pending.purpose].popleft()
        if pending.purpose is not Purpose.DEEPEN:
            self._turn = (self._turn + 1) % len(_TURNS)
        request = next(context.request_numbers)
        server = pending.requester.server()
        pending.sent_ns, pending.server = now_ns, context.servers.current if server is None else server
        self._in_flight[request] = pending
        timeout_s = context.policy.snapshot_timeout_s if pending.timeout_s is None else pending.timeout_s
        context.deadlines.set(Timer.RESPONSE, request, now_ns + to_ns(2 * timeout_s))
        pending.requester.on_sent(pending, now_ns)
        context.commands.append(Fetch(request, pending.target, timeout_s))

    def _next(self, barred: set[Purpose]) -> PendingRequest | None:
        """The next request: from the first non-empty queue in turn; deepening comes last."""
        for step in range(len(_TURNS)):
            turn = (self._turn + step) % len(_TURNS)
            if _TURNS[turn] not in barred and (pending := self._head(_TURNS[turn])):
                self._turn = turn
                return pending
        return None if Purpose.DEEPEN in barred else self._head(Purpose.DEEPEN)

    def _head(self, purpose: Purpose) -> PendingRequest | None:
        queue = self._queues[purpose]
        while queue and queue[0].withdrawn:
            queue.popleft()
        return queue[0] if queue else None

    def _landed(self, request: int, now_ns: int) -> PendingRequest | None:
        pending = self._in_flight.pop(request, None)
        if pending is not None:
            self._context.deadlines.clear(request, Timer.RESPONSE)
        return pending
