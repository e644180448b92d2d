"""The list of a venue: whether symbols are trading, halted or gone, and which names resemble a wrong one.

The list is requested periodically, and for a reason: a silent book, an unknown symbol, a diff of a halted
symbol. Its statuses are an open set (spot docs 2026-07-21, futures docs 2026-05-28): one that is known
neither as trading nor as ended counts as halted. Consequences are in `markets.supervisor`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import Enum
from typing import Protocol

from depthcache.core.bodies import UnreadableBody, listed_in
from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.core.requests.scheduler import PendingRequest, Purpose, Requester, RequestScheduler
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["ExchangeInfoPoller", "ListingSubscriber", "Trading", "near_symbols"]

_ON = frozenset({"TRADING", "CANCEL_ONLY"})
"""Spot docs, enums, 2026-07-21: with CANCEL_ONLY the book still changes."""
_ENDED = frozenset({"SETTLING", "DELIVERED", "CLOSE", "DELISTED"})
"""Futures docs, 2026-05-28; rows stay listed for long (OMGUSDT since 2025-01, measured 2026-10-07)."""
_SOONEST_S = 10.0
_AGAIN_S = 10.0
"""After a list that could not be read, doubled each time up to the usual interval."""
_HALTED_S = 30.0
"""How often to request the list while a symbol is halted …"""
_HALTED_FLOWS_S = 3.0
"""… and while its diffs arrive: it may be trading again.

A HALT on spot delivers diffs all the time (spot docs, glossary, 2026-07-21), so not more often than this.
"""
_LOOK_NS = 250_000_000
"""How often to check whether they arrive."""
_WHOLE_APART_S = 1.0
"""The minimum time between whole lists, so that many unknown symbols do not request one each."""
_DOUBT_S = 10.0
"""How often to request the list while responses contradict a symbol."""
_MOST_NAMES = 100
"""The number of symbols named in one request; above that the whole list is requested."""
_MOST_NEAR = 3
_BLAMES_NAMES = frozenset(
    {ResponseAction.UNKNOWN, ResponseAction.IDLE, ResponseAction.LIMIT, ResponseAction.REFUSED}
)
"""One invalid name may make the exchange refuse the request."""


class Trading(Enum):
    """The state of a symbol on the list."""

    ON = "on"  #         trading
    HALTED = "halted"  # not trading at present
    ENDED = "ended"  #   listed, but never trading again
    GONE = "gone"  #     not listed
    UNTOLD = "untold"  # unknown: the list was not complete


class ListingSubscriber(Protocol):
    """A consumer of the list: the supervisor of a market."""

    symbol: str
    owner: str
    """As `Requester.owner`."""

    @property
    def is_halted(self) -> bool:
        """Whether it was notified that the symbol is halted."""
        ...

    @property
    def is_doubted(self) -> bool:
        """Whether responses contradict the symbol, so that a whole list is needed."""
        ...

    @property
    def heard_ns(self) -> int | None:
        """When the last diff arrived."""
        ...

    def on_listed(
        self, trading: Trading, status: str, near: tuple[str, ...], *, asked_ns: int, now_ns: int
    ) -> None:
        """The list, requested at `asked_ns`, arrived."""


class ExchangeInfoPoller(Requester):
    """The list of one venue. Usage: `watch` and `forget`; `look` when there is a reason."""

    def __init__(self, context: Context, venue: Venue, scheduler: RequestScheduler) -> None:
        self._context, self._venue, self._scheduler = context, venue, scheduler
        self.owner: str = f"listing {venue.name}"
        self._watchers: list[ListingSubscriber] = []
        self._pending: PendingRequest | None = None
        self._asked_whole = self._wants_whole = False
        self._asked_ns: int | None = None
        self._failures = self._not_for_diffs_before_ns = 0

    # --- commands --------------------------------------------------------------------------

    def watch(self, listed: ListingSubscriber, now_ns: int) -> None:
        """Add a subscriber. A book server reports the end of a symbol in the states of its book instead."""
        if self._venue.servers:
            return
        self._watchers.append(listed)
        if self._context.deadlines.pending(Timer.LISTING, self._venue.name) is None:
            self._look_in(self._context.policy.listing_s, now_ns)

    def forget(self, listed: ListingSubscriber) -> None:
        """Remove a subscriber."""
        if listed in self._watchers:
            self._watchers.remove(listed)
        if not self._watchers:
            self._context.deadlines.clear(self._venue.name, Timer.LISTING, Timer.HALTED)

    def look(self, now_ns: int, *, whole: bool = False) -> None:
        """Request the list soon. `whole`: names similar to an unknown one are wanted."""
        if self._venue.servers:
            return
        self._wants_whole |= whole
        if self._asked_ns is None:
            self._ask(now_ns)
        else:
            self._look_after(_WHOLE_APART_S if whole else _SOONEST_S, now_ns)

    def on_halted(self, now_ns: int) -> None:
        """A symbol is halted: check from now on whether its diffs arrive."""
        if (
            not self._venue.servers
            and self._context.deadlines.pending(Timer.HALTED, self._venue.name) is None
        ):
            self._context.deadlines.set(Timer.HALTED, self._venue.name, now_ns + _LOOK_NS)

    def recover(self, now_ns: int) -> None:
        """Restart after an exception: request the list again soon."""
        if self._pending is not None:
            self._scheduler.withdraw(self._pending)
            self._pending = None
        self._failures += 1
        self._go_on(now_ns)
        if any(each.is_halted for each in self._watchers):
            self.on_halted(now_ns)

    # --- what happened ---------------------------------------------------------------------

    def on_timer(self, timer: Timer, now_ns: int) -> None:
        """LISTING or HALTED is due."""
        if timer is Timer.HALTED:
            self._look_at_halted(now_ns)
            return
        self._wants_whole |= any(each.is_doubted for each in self._watchers)
        self._ask(now_ns)

    def on_response(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None:
        """The list arrived, or a refusal, perhaps because one name is unknown."""
        self._pending = None
        try:
            rows = listed_in(body, self._venue) if response.action is ResponseAction.INSTALL else {}
        except UnreadableBody:
            rows = {}
        self._failures = 0 if rows else self._failures + 1
        if rows:
            self._tell(rows, pending, now_ns)
        elif not self._asked_whole and response.action in _BLAMES_NAMES:
            self._wants_whole, self._failures = True, 0
        self._go_on(now_ns)

    def on_failure(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        """No list arrived; the next request will do."""
        self._pending = None
        self._failures += 1
        self._go_on(now_ns)

    # --- inside ----------------------------------------------------------------------------

    def _ask(self, now_ns: int) -> None:
        if self._pending is not None or not self._watchers:
            return
        names = sorted(each.symbol for each in self._watchers)
        whole = self._wants_whole or len(names) > _MOST_NAMES
        self._asked_whole, self._wants_whole, self._asked_ns = whole, False, now_ns
        venue = self._venue
        url = venue.exchange_info_url(() if whole else names)
        self._asked_whole = whole or url == venue.exchange_info_url()
        cost = venue.exchange_info_weight
        self._pending = PendingRequest(self, venue, Purpose.FACT, now_ns, url=url, cost=cost)
        self._scheduler.ask(self._pending, now_ns)

    def _tell(self, rows: dict[str, str], pending: PendingRequest, now_ns: int) -> None:
        asked_ns = pending.asked_ns if pending.sent_ns is None else pending.sent_ns
        for each in tuple(self._watchers):
            with self._context.guard(each.owner, "on_listed", now_ns):
                self._tell_one(each, rows, asked_ns, now_ns)

    def _tell_one(self, each: ListingSubscriber, rows: dict[str, str], asked_ns: int, now_ns: int) -> None:
        status, near = rows.get(each.symbol), tuple[str, ...]()
        if status is not None:
            trading = _trading(status)
        elif self._asked_whole:
            trading, near = Trading.GONE, near_symbols(each.symbol, rows)
        else:
            trading = Trading.UNTOLD
        each.on_listed(trading, status or "", near, asked_ns=asked_ns, now_ns=now_ns)

    def _go_on(self, now_ns: int) -> None:
        doubted = any(each.is_doubted for each in self._watchers)
        if self._failures and (doubted or self._wants_whole):
            self._look_in(self._context.retry_ns(self._failures - 1) / 1e9, now_ns)
        elif self._wants_whole:
            self._look_after(_WHOLE_APART_S, now_ns)
        elif self._watchers:
            halted = any(each.is_halted for each in self._watchers)
            usual_s = _HALTED_S if halted else self._context.policy.listing_s
            again_s = _AGAIN_S * 2.0 ** min(self._failures - 1, 30) if self._failures else usual_s
            self._look_in(_DOUBT_S if doubted else min(again_s, usual_s), now_ns)

    def _look_at_halted(self, now_ns: int) -> None:
        """Request the list for a diff of a halted symbol, however recent the last list is."""
        halted = [each for each in self._watchers if each.is_halted]
        if not halted:
            return
        self.on_halted(now_ns)
        asked_ns = self._asked_ns or 0
        may_ask = self._pending is None and now_ns >= self._not_for_diffs_before_ns
        if may_ask and any((each.heard_ns or 0) > asked_ns for each in halted):
            self._not_for_diffs_before_ns = now_ns + to_ns(_HALTED_FLOWS_S)
            self._ask(now_ns)

    def _look_after(self, seconds: float, now_ns: int) -> None:
        """Request the list this long after the last one, or at once if that has passed."""
        due_s = ((self._asked_ns or 0) - now_ns) / 1e9 + seconds
        if due_s > 0:
            self._look_in(due_s, now_ns)
        else:
            self._ask(now_ns)

    def _look_in(self, seconds: float, now_ns: int) -> None:
        deadlines, due_ns = self._context.deadlines, now_ns + to_ns(seconds)
        pending_ns = deadlines.pending(Timer.LISTING, self._venue.name)
        if pending_ns is None or due_ns < pending_ns:
            deadlines.set(Timer.LISTING, self._venue.name, due_ns)


def _trading(status: str) -> Trading:
    if status in _ON:
        return Trading.ON
    return Trading.ENDED if status in _ENDED else Trading.HALTED


def near_symbols(symbol: str, rows: Iterable[str]) -> tuple[str, ...]:
    """The listed symbols that resemble this one, best match first."""
    return tuple(get_close_matches(symbol, list(rows), n=_MOST_NEAR, cutoff=0.6))
