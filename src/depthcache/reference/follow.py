"""Following markets: what each follower receives, in bounded memory.

A market reports every change to its follower slots before the next input. Most modes conflate: they mark the
market once, and read the book when the consumer takes the mark, so a slow consumer misses the states in
between. Mode `every` keeps an item per update, bounded by count and bytes. Without room, a mark takes their
place; its item is a fresh book with the number of lost updates.

An item is *fresh* if the consumer must start over from it: the first item, and the first one after a loss of
sync, a snapshot that changed held levels, or an overflow. Every update of a book is either delivered by one
item that is not fresh, or counted in `skipped` of a later item.

A loss of sync is one item in every mode, unless `on_stale` is `wait`. The end of a book is always an item.
Before the book is first synced there are no items, except in mode `status`.

How a consumer waits is in `io.followers`; locks exist only in the native twin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from depthcache.model import Changes, Level, Status
from depthcache.reference import wire
from depthcache.reference.book import BookSide, at_width
from depthcache.reference.market import Market
from depthcache.reference.messages import DepthUpdate, Number
from depthcache.reference.reader import BookReader, FrozenBook, refuse_unusable

__all__ = ["FollowSpec", "Follower", "Followers", "MarketSource", "Update"]

_ITEM_BYTES, _LEVEL_BYTES = 512, 64


class MarketSource(Protocol):
    """A holder of markets: a router."""

    def market(self, market: int) -> Market:
        """The market with that number."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSpec:
    """What a follower wants; see `Router.follow`."""

    mode: str
    levels: int | None
    interval_ns: int
    start_ns: int
    on_stale: str
    most_items: int
    most_bytes: int


class Update(FrozenBook):
    """A frozen book, and its relation to the previous item."""

    skipped: int
    is_fresh: bool

    def __init__(
        self,
        market: Market,
        *,
        levels: int | None,
        skipped: int,
        is_fresh: bool,
        changes: Changes[Decimal] | None = None,
        refused: Exception | None = None,
    ) -> None:
        super().__init__(BookReader(market), levels)
        self.skipped, self.is_fresh, self._changes, self._refused = skipped, is_fresh, changes, refused

    @property
    def changes(self) -> Changes[Any] | None:
        """The levels that this update changed; None if the item is not a single update."""
        if self._changes is None or self._exact:
            return self._changes
        return Changes(*([Level(float(p), float(q)) for p, q in side] for side in self._changes))

    def to_dict(self, *, counters: bool = False) -> dict[str, Any]:
        """Convert to a message of the schema."""
        return wire.update(self, counters=counters)

    def held_bytes(self) -> int:
        """The approximate memory of this item."""
        changed = 0 if self._changes is None else sum(map(len, self._changes))
        held = len(self._market.bids.levels) + len(self._market.asks.levels)
        return _ITEM_BYTES + _LEVEL_BYTES * (changed + held)

    def _check(self) -> None:
        if self._refused is not None:
            raise self._refused

    def _parts(self) -> tuple[object, ...]:
        return (*super()._parts(), self.skipped, self.is_fresh, self._changes, self._refused)


class Follower:
    """One consumer's view of some markets."""

    number: int
    spec: FollowSpec
    held_items: int
    held_bytes: int

    def __init__(self, number: int, spec: FollowSpec, announce: Callable[[int], None]) -> None:
        self.number, self.spec = number, spec
        self._announce: Callable[[int], None] = announce
        self.due_ns: int | None = None
        self._markets: dict[int, Market] = {}
        self._entries: deque[tuple[int, Update | bool]] = deque()
        """Items, or marks with whether they waited for a time of the interval."""
        self._deferred: list[int] = []
        self._announced = self._finished = False
        self.held_items = self.held_bytes = 0

    @property
    def markets(self) -> int:
        """The number of markets followed."""
        return len(self._markets)

    @property
    def is_over(self) -> bool:
        """Whether all items were taken and none will follow."""
        return self._finished and not self._entries and not self._deferred

    def add(self, router: MarketSource, market: int) -> None:
        """Follow a market; its current state is not announced."""
        if market not in self._markets:
            self._markets[market] = followed = router.market(market)
            announce, self._announce = self._announce, _ignore
            _followers_of(followed).add(FollowerSlot(self, market, followed), followed)
            self._announce = announce

    def remove(self, market: int) -> None:
        """Stop following a market."""
        followed = self._markets.pop(market, None)
        if followed is not None:
            _followers_of(followed).remove(self)

    def take(self, now_ns: int) -> Update | None:
        """Return the next item; None if there is none."""
        if self.due_ns is not None and self.due_ns <= now_ns:
            self._entries.extend((market, True) for market in self._deferred)
            self._deferred, self.due_ns = [], None
        while self._entries:
            number, entry = self._entries.popleft()
            if isinstance(entry, Update):
                self.held_items -= 1
                self.held_bytes -= entry.held_bytes()
                item: Update | None = entry
            else:
                item = self._read(number, was_due=entry)
            if item is not None:
                if item.status is Status.CLOSED:
                    self.remove(number)
                return item
        self._announced = False
        return None

    def _read(self, number: int, *, was_due: bool) -> Update | None:
        market = self._markets.get(number)
        return None if market is None else _followers_of(market).take(self, market, was_due=was_due)

    def wait(self, timeout_s: float) -> None:
        """Return at once: items appear only when frames are fed."""

    def finish(self) -> None:
        """Accept no further items."""
        self._finished = True
        self.due_ns = None if self.due_ns is None else -(2**63)

    def close(self) -> None:
        """Stop following all markets and drop waiting items."""
        for market in tuple(self._markets):
            self.remove(market)
        self._entries.clear()
        self._deferred, self.due_ns, self._finished, self._announced = [], None, True, True
        self.held_items = self.held_bytes = 0

    # --- what markets do ---------------------------------------------------------------------

    def mark(self, market: int) -> None:
        """Mark a market to be read."""
        self._entries.append((market, False))
        self._announce_once()

    def defer(self, market: int, at_ns: int) -> None:
        """Mark a market to be read at the next time of the interval."""
        self._deferred.append(market)
        if self.due_ns is None:
            past = (at_ns - self.spec.start_ns) // self.spec.interval_ns
            self.due_ns = self.spec.start_ns + (past + 1) * self.spec.interval_ns
            self._announce(self.number)

    def keep(self, market: int, item: Update) -> bool:
        """Keep an item as it is; False if there is no room."""
        size = item.held_bytes()
        if self.held_items >= self.spec.most_items or self.held_bytes + size > self.spec.most_bytes:
            return False
        self._entries.append((market, item))
        self.held_items += 1
        self.held_bytes += size
        self._announce_once()
        return True

    def _announce_once(self) -> None:
        if not self._announced:
            self._announced = True
            self._announce(self.number)


@dataclass(slots=True, kw_only=True)
class ChangeSummary:
    """What happened to a market since its followers were last notified."""

    status: Status
    status_changed: bool
    """The status has changed."""
    updated: bool = False
    """Updates were applied."""
    levels_changed: bool = False
    """Updates changed levels."""
    altered: bool = False
    """Something other than an update changed levels."""
    changes: Changes[Decimal] | None = None


@dataclass(slots=True)
class LastItem:
    """The content of the last item."""

    applied: int
    levels_changed: int = 0
    status: Status | None = None
    top: object = None


class FollowerSlot:
    """One follower's place on one market."""

    follower: Follower

    def __init__(self, follower: Follower, number: int, market: Market) -> None:
        self.follower, self._number, self._follow_spec = follower, number, follower.spec
        self._marked = self._deferred = False
        self._resumed = self._altered = False
        """Since the last item, sync or items were lost, or something other than updates changed levels."""
        self._last_item = LastItem(market.counters["applied"])

    def on_change(self, market: Market, summary: ChangeSummary) -> None:
        """The market has changed."""
        synced, spec = summary.status is Status.SYNCED, self._follow_spec
        self._resumed |= summary.status_changed and synced
        self._altered |= summary.altered
        if self._marked:
            return
        if spec.mode == "every":
            self._keep(market, summary)
        elif summary.status_changed and (synced or self._wants_loss(market, summary.status)):
            self._mark()
        elif not self._deferred and synced and (summary.levels_changed or summary.altered):
            if spec.mode == "interval":
                self._deferred = True
                self.follower.defer(self._number, max(market.updated_ns or 0, market.caused_ns))
            elif spec.mode == "latest" or (spec.mode in ("best", "levels") and self._differs(market)):
                self._mark()

    def take(self, market: Market, *, was_due: bool) -> Update | None:
        """The item for a mark; None if there is nothing new."""
        if was_due:
            self._deferred = False
        else:
            self._marked = False
        status = market.status()[0]
        status_changed = status is not self._last_item.status
        if status is Status.SYNCED and (status_changed or self._resumed or self._is_news(market)):
            return self._note_item(market, self._book(market))
        if status is not Status.SYNCED and status_changed and self._wants_loss(market, status):
            return self._note_item(market, self._loss(market))
        return None

    @property
    def _is_fresh(self) -> bool:
        return self._resumed or self._altered or self._last_item.status is None

    def _is_news(self, market: Market) -> bool:
        match self._follow_spec.mode:
            case "every":
                return True
            case "best" | "levels":
                return self._differs(market)
            case "status":
                return False
            case _:
                return self._altered or self._last_item.levels_changed != market.counters["levels_changed"]

    def _mark(self) -> None:
        self._marked = True
        self.follower.mark(self._number)

    def _keep(self, market: Market, summary: ChangeSummary) -> None:
        """Keep an item per update while there is room."""
        self._altered |= summary.updated and summary.changes is None
        if summary.status is Status.SYNCED:
            if not (summary.updated or self._is_fresh):
                return
            item = self._book(market) if self._is_fresh else self._book(market, summary.changes)
        elif summary.status_changed and self._wants_loss(market, summary.status):
            item = self._loss(market)
        else:
            return
        if self.follower.keep(self._number, item):
            self._note_item(market, item)
        else:
            self._resumed |= summary.status is Status.SYNCED
            self._mark()

    def _wants_loss(self, market: Market, status: Status) -> bool:
        spec, begun = self._follow_spec, self._last_item.status is not None
        if status is Status.CLOSED or spec.mode == "status":
            return True
        is_known = spec.on_stale == "serve" and market.last_update_id is not None
        return spec.on_stale != "wait" and (begun or is_known)

    def _top(self, market: Market) -> object:
        levels = 1 if self._follow_spec.mode == "best" else self._follow_spec.levels
        return [side.sorted()[:levels] for side in (market.bids, market.asks)]

    def _differs(self, market: Market) -> bool:
        return self._last_item.top != self._top(market)

    def _skipped(self, market: Market, *, brings_one: bool) -> int:
        return max(0, market.counters["applied"] - self._last_item.applied - brings_one)

    def _book(self, market: Market, changes: Changes[Decimal] | None = None) -> Update:
        """The synced book; all levels if the consumer applies changes to it."""
        fresh = self._is_fresh
        every = self._follow_spec.mode == "every"
        return Update(
            market,
            levels=None if every and fresh else self._follow_spec.levels,
            skipped=self._skipped(market, brings_one=not fresh),
            is_fresh=fresh,
            changes=changes,
        )

    def _loss(self, market: Market) -> Update:
        """The item for a book that is not synced."""
        levels, refused = self._follow_spec.levels, None
        try:
            serve_stale = self._follow_spec.on_stale == "serve"
            refuse_unusable(market, serve_stale=serve_stale, is_frozen=True)
        except Exception as error:  # noqa: BLE001 - raised when levels are read
            levels, refused = 0, error
        skipped = self._skipped(market, brings_one=False)
        return Update(market, levels=levels, skipped=skipped, is_fresh=False, refused=refused)

    def _note_item(self, market: Market, item: Update) -> Update:
        self._last_item.status = item.status
        self._last_item.applied = market.counters["applied"]
        self._last_item.levels_changed = market.counters["levels_changed"]
        if item.status is Status.SYNCED:
            self._resumed = self._altered = False
            if self._follow_spec.mode in ("best", "levels"):
                self._last_item.top = self._top(market)
        return item


@dataclass(slots=True)
class Followers:
    """The followers of a market, and what they were last notified of."""

    slots: list[FollowerSlot] = field(default_factory=list)
    altered: bool = False
    changes: Changes[Decimal] | None = None
    _status: Status = Status.EMPTY
    _applied: int = 0
    _levels_changed: int = 0

    def add(self, slot: FollowerSlot, market: Market) -> None:
        """Add a slot."""
        if not self.slots:
            self._note(market)
        slot.on_change(market, ChangeSummary(status=market.status()[0], status_changed=True))
        self.slots.append(slot)

    def remove(self, follower: Follower) -> None:
        """Remove a slot."""
        self.slots = [slot for slot in self.slots if slot.follower is not follower]

    def take(self, follower: Follower, market: Market, *, was_due: bool) -> Update | None:
        """The item for a mark, from the current state of the market."""
        found = (slot for slot in self.slots if slot.follower is follower)
        slot = next(found, None)
        return None if slot is None else slot.take(market, was_due=was_due)

    def note_changes(self, market: Market, update: DepthUpdate) -> None:
        """Record what is new in an update that is about to be applied."""
        self.changes = None
        if market.state.status is Status.SYNCED and any(
            slot.follower.spec.mode == "every" for slot in self.slots
        ):
            self.changes = Changes(_new(market.bids, update.bids), _new(market.asks, update.asks))

    def notify(self, market: Market) -> None:
        """Notify all slots of what happened since the last call."""
        summary = ChangeSummary(
            status=market.status()[0],
            status_changed=market.status()[0] is not self._status,
            updated=market.counters["applied"] != self._applied,
            levels_changed=market.counters["levels_changed"] != self._levels_changed,
            altered=self.altered,
            changes=self.changes,
        )
        if summary.status_changed or summary.updated or summary.altered:
            for slot in tuple(self.slots):
                slot.on_change(market, summary)
        self._note(market)

    def _note(self, market: Market) -> None:
        self.altered, self.changes = False, None
        self._status = market.status()[0]
        self._applied = market.counters["applied"]
        self._levels_changed = market.counters["levels_changed"]


def _followers_of(market: Market) -> Followers:
    """The followers of a market, which notifies them from now on."""
    if not isinstance(market.followers, Followers):
        market.followers = Followers()
    return market.followers


def _new(side: BookSide, levels: list[tuple[Number, Number]]) -> list[Level[Decimal]]:
    """The levels in a message that change the side, best first; the last entry of a price wins."""
    wanted = {price.value: quantity.value for price, quantity in levels}
    price_scale = max([side.price_scale, *(price.scale for price, _ in levels)])
    scales = (quantity.scale for _, quantity in levels if quantity.value)
    quantity_scale = max([side.quantity_scale, *scales])
    changed = [(p, q) for p, q in wanted.items() if side.levels.get(p, 0) != q]
    return [
        Level(at_width(p, price_scale), at_width(q, quantity_scale))
        for p, q in sorted(changed, reverse=side.sign > 0)
    ]


def _ignore(_number: int) -> None:
    pass
