"""Following a market: which follower gets what and when, on both engines."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from depthcache import BookClosed, BookNotSynced, Status
from depthcache.events import FollowerReady, RefreshOutcome
from tests.engine import Engine, sides, snapshot
from tests.markets.test_router import Rig

Texts = list[tuple[str, str]]
KEPT = {"most_items": 1_000, "most_bytes": 1 << 24}
MODES = ("every", "latest", "interval", "best", "levels", "status")


class Followed(Rig):
    """A rig with a book that is synced at id 11, and followers of it."""

    def __init__(self, engine: Engine, **options: Any) -> None:
        super().__init__(engine, **options)
        self.synced()
        self.last = 11
        self.numbers: dict[int, Any] = {}

    def follow(self, mode: str, levels: int | None = 5, **options: Any) -> Any:
        follower = self.router.follow(mode, levels=levels, **(KEPT | options))
        follower.add(self.router, 1)
        self.numbers[follower.number] = follower
        return follower

    def move(self, *levels: Any) -> int:
        """One update that changes these levels; its id."""
        self.last += 1
        self.feed(self.last, self.last, *levels)
        return self.last

    def ready(self) -> list[Any]:
        """The followers that the router says are ready."""
        events = [event for event in self.router.take_events() if isinstance(event, FollowerReady)]
        return [self.numbers[event.follower] for event in events]

    def take(self, follower: Any) -> list[Any]:
        items = []
        while (item := follower.take(self.now_ns)) is not None:
            items.append(item)
        return items

    def take_one(self, follower: Any) -> Any:
        (item,) = self.take(follower)
        return item


@pytest.fixture
def rig(engine: Engine) -> Followed:
    return Followed(engine)


def texts(levels: list[Any]) -> Texts:
    return [(format(price, "f"), format(quantity, "f")) for price, quantity in levels]


def shown(item: Any) -> tuple[int, int, bool]:
    return item.last_update_id, item.skipped, item.is_fresh


# --- when there is an item ------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_first_item_is_a_fresh_book_and_there_at_once(rig: Followed, mode: str) -> None:
    follower = rig.follow(mode, interval_ns=1_000)
    item = rig.take_one(follower)
    assert shown(item) == (11, 0, True)
    assert (item.status, item.changes, item.symbol) == (Status.SYNCED, None, "BTCUSDT")
    assert item.best == ((99.0, 1.0), (101.0, 1.0), 11)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_told_before_the_book_is_synced_but_of_its_status(engine: Engine, mode: str) -> None:
    rig = Followed.__new__(Followed)
    Rig.__init__(rig, engine)
    rig.numbers, rig.last = {}, 11
    follower = rig.follow(mode, interval_ns=1_000)
    rig.feed(11, 11)
    told = [item.status for item in rig.take(follower)]
    assert told == ([Status.BUFFERING] if mode == "status" else [])
    rig.install()
    item = rig.take_one(follower)
    assert (item.status, item.is_fresh, item.last_update_id) == (Status.SYNCED, True, 11)


def test_every_update_is_an_item_with_the_levels_it_changed(rig: Followed) -> None:
    follower = rig.follow("every")
    rig.take(follower)
    rig.move([("99.5", "2"), ("99", "0")])
    rig.move([], [("101", "3.5"), ("100.9", "1")])
    one, two = rig.take(follower)
    assert (shown(one), shown(two)) == ((12, 0, False), (13, 0, False))
    assert one.changes == ([(99.5, 2.0), (99.0, 0.0)], [])
    assert two.changes == ([], [(100.9, 1.0), (101.0, 3.5)])
    assert texts(two.exact.changes.asks) == [("100.9", "1.0"), ("101.0", "3.5")]
    assert isinstance(two.exact.changes.asks[0].price, Decimal)
    assert one.best.update_id == 12


def test_what_a_message_repeats_or_deletes_for_nothing_is_no_change(rig: Followed) -> None:
    follower = rig.follow("every")
    rig.take(follower)
    rig.move([("99", "1.0"), ("42", "0")], [("101", "7"), ("101", "1")])
    item = rig.take_one(follower)
    assert item.changes == ([], [])
    assert item.skipped == 0


@pytest.mark.parametrize("mode", ["latest", "best", "levels", "interval"])
def test_unchanged_values_and_unknown_deletes_bring_no_item(rig: Followed, mode: str) -> None:
    follower = rig.follow(mode, interval_ns=1_000)
    rig.take(follower)
    rig.router.take_events()
    for _ in range(3):
        rig.move([("99", "1"), ("98", "0.00")], [("200", "0")])
    rig.now_ns += 5_000
    assert rig.ready() == []
    assert rig.take(follower) == []
    rig.move([("99", "2")])
    rig.now_ns += 5_000
    assert shown(rig.take_one(follower)) == (15, 3, False)


def test_latest_gives_the_newest_book_and_counts_what_was_skipped(rig: Followed) -> None:
    follower = rig.follow("latest")
    rig.take(follower)
    for number in range(10):
        rig.move([("99", str(number + 2))])
    item = rig.take_one(follower)
    assert shown(item) == (21, 9, False)
    assert item.best.bid == (99.0, 11.0)
    assert rig.take(follower) == []


def test_best_yields_only_when_a_best_level_has_changed(rig: Followed) -> None:
    follower = rig.follow("best")
    rig.take(follower)
    rig.router.take_events()
    rig.move([("98", "4")])
    assert rig.ready() == []
    rig.move([("99", "2")])
    assert rig.ready() == [follower]
    assert shown(rig.take_one(follower)) == (13, 1, False)
    rig.move([("99.5", "1")])
    rig.move([("99.5", "0")])
    assert rig.take(follower) == [], "it came back before anybody looked"
    rig.move([("99.5", "1")])
    assert shown(rig.take_one(follower)) == (16, 2, False)


def test_wider_decimals_do_not_make_another_best(rig: Followed) -> None:
    best, levels = rig.follow("best"), rig.follow("levels", 1)
    rig.take(best)
    rig.take(levels)
    rig.move([("90.00001", "0.00000001")], [("150.00001", "0.00000001")])
    assert rig.take(best) == rig.take(levels) == []


def test_levels_yield_only_when_one_of_them_has_changed(rig: Followed) -> None:
    follower = rig.follow("levels", 2)
    rig.move([("98", "1"), ("97", "1")])
    rig.take(follower)
    rig.move([("97", "5")])
    rig.move([("96", "5")], [("102", "1"), ("103", "1")])
    assert shown(rig.take_one(follower)) == (14, 1, False)
    rig.move([], [("103", "9")])
    assert rig.take(follower) == []
    rig.move([("98", "0")])
    item = rig.take_one(follower)
    assert shown(item) == (16, 1, False)
    assert item.bids[:] == [(99.0, 1.0), (97.0, 5.0)]


def test_an_interval_is_a_grid_on_the_clock_of_the_frames(rig: Followed) -> None:
    follower = rig.follow("interval", interval_ns=1_000, start_ns=0)
    rig.take(follower)
    rig.router.take_events()
    rig.now_ns = 2_499
    rig.move([("99", "2")])
    assert rig.ready() == [follower]
    assert (rig.take(follower), follower.due_ns) == ([], 3_000)
    rig.now_ns = 2_990
    rig.move([("99", "3")])
    assert rig.ready() == [], "once for each time of the grid"
    rig.now_ns = 3_000
    assert shown(rig.take_one(follower)) == (13, 1, False)
    assert follower.due_ns is None
    rig.now_ns = 3_000
    rig.move([("99", "4")])
    assert follower.due_ns == 4_000
    rig.now_ns = 9_999
    assert shown(rig.take_one(follower)) == (14, 0, False)


def test_a_loss_of_sync_does_not_wait_for_the_interval(rig: Followed) -> None:
    follower = rig.follow("interval", interval_ns=1_000, start_ns=0)
    rig.take(follower)
    rig.move([("99", "2")])
    rig.router.resync(1, "for a test", rig.now_ns)
    item = rig.take_one(follower)
    assert (item.status, item.skipped) == (Status.BUFFERING, 1)


def test_status_follows_the_status_alone(rig: Followed) -> None:
    follower = rig.follow("status")
    rig.take(follower)
    rig.move([("99.9", "2")])
    assert rig.take(follower) == []
    for status in ("stale", "halted", "disconnected"):
        rig.router.set_condition(1, status, f"made {status}", rig.now_ns)
        item = rig.take_one(follower)
        assert (item.status, item.reason) == (status, f"made {status}")
    rig.router.set_condition(1, None, "", rig.now_ns)
    assert rig.take_one(follower).is_fresh
    rig.router.set_stalled("the loop stands still", rig.now_ns)
    assert rig.take_one(follower).status is Status.STALE
    rig.router.set_stalled(None, rig.now_ns)
    assert rig.take_one(follower).status is Status.SYNCED


# --- books that are not synced ----------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_of_sync_is_one_item_whose_levels_may_not_be_read(rig: Followed, mode: str) -> None:
    follower = rig.follow(mode, interval_ns=1_000)
    rig.take(follower)
    rig.feed(20, 21)
    item = rig.take_one(follower)
    assert (item.status, item.is_fresh, item.changes) == (Status.BUFFERING, False, None)
    assert "gap" in item.reason
    assert item.last_update_id == 11
    for read in (lambda: item.best, lambda: item.bids[0], item.freeze, lambda: len(item.asks)):
        with pytest.raises(BookNotSynced, match="gap"):
            read()
    rig.feed(22, 22, [("99", "9")])
    assert rig.take(follower) == []
    rig.install(21, bids=[("98", "1")])
    item = rig.take_one(follower)
    assert (item.status, item.is_fresh, item.last_update_id) == (Status.SYNCED, True, 22)
    assert item.skipped == 1, "the update that went in beside the snapshot"


@pytest.mark.parametrize("mode", MODES)
def test_the_last_known_levels_are_served_where_wanted(rig: Followed, mode: str) -> None:
    follower = rig.follow(mode, interval_ns=1_000, on_stale="serve")
    rig.take(follower)
    rig.router.set_condition(1, "disconnected", "cut", rig.now_ns)
    item = rig.take_one(follower)
    assert (item.status, item.best.bid, len(item.bids)) == (Status.DISCONNECTED, (99.0, 1.0), 1)
    rig.router.remove_market(1, "removed", rig.now_ns)
    item = rig.take_one(follower)
    assert (item.status, item.best.bid) == (Status.CLOSED, (99.0, 1.0))


@pytest.mark.parametrize("mode", ["every", "latest", "interval", "best", "levels"])
def test_a_waiting_follower_gets_nothing_until_it_is_synced_again(rig: Followed, mode: str) -> None:
    follower = rig.follow(mode, interval_ns=1_000, on_stale="wait")
    rig.take(follower)
    rig.feed(20, 21)
    rig.router.set_condition(1, "stale", "silent", rig.now_ns)
    assert rig.take(follower) == []
    rig.install(21)
    assert rig.take(follower) == []
    rig.router.set_condition(1, None, "", rig.now_ns)
    assert shown(rig.take_one(follower)) == (21, 0, True)


@pytest.mark.parametrize("on_stale", ["raise", "serve", "wait"])
@pytest.mark.parametrize("mode", MODES)
def test_the_end_of_a_book_is_its_last_item_and_leaves_nothing(
    rig: Followed, mode: str, on_stale: str
) -> None:
    follower = rig.follow(mode, interval_ns=1_000, on_stale=on_stale)
    rig.take(follower)
    rig.router.remove_market(1, "removed by a test", rig.now_ns)
    assert rig.ready() == [follower]
    item = rig.take_one(follower)
    assert (item.status, item.reason) == (Status.CLOSED, "removed by a test")
    if on_stale != "serve":
        with pytest.raises(BookClosed, match="removed by a test"):
            item.best  # noqa: B018
    assert follower.markets == 0


def test_a_crossed_book_is_a_loss_and_returns_fresh(rig: Followed) -> None:
    follower = rig.follow("every", on_stale="serve")
    rig.take(follower)
    rig.move([("102", "1")])
    item = rig.take_one(follower)
    assert item.status is Status.CROSSED
    with pytest.raises(BookNotSynced):
        item.best  # noqa: B018
    rig.move([("102", "2")])
    rig.move([("102", "0")])
    item = rig.take_one(follower)
    assert shown(item) == (14, 2, True)
    assert item.changes is None


def test_a_loss_and_recovery_between_two_reads_is_one_fresh_item(rig: Followed) -> None:
    for mode in ("latest", "best", "levels", "status"):
        follower = rig.follow(mode)
        rig.take(follower)
        rig.router.resync(1, "for a test", rig.now_ns)
        rig.install(rig.last)
        item = rig.take_one(follower)
        assert (item.status, item.is_fresh) == (Status.SYNCED, True), mode


# --- snapshots that change levels -----------------------------------------------------------------


def refresh(rig: Followed, bids: Texts, limit: int | None = None) -> None:
    assert rig.router.begin_refresh(1)
    body = snapshot(rig.last, bids)
    assert rig.router.refresh(1, body, limit=limit, now_ns=rig.now_ns).outcome is RefreshOutcome.MERGED


@pytest.mark.parametrize("mode", ["every", "latest"])
def test_a_snapshot_that_changes_held_levels_makes_the_next_item_fresh(rig: Followed, mode: str) -> None:
    follower = rig.follow(mode)
    rig.take(follower)
    refresh(rig, [("99", "1")])
    assert rig.take(follower) == [], "nothing was wrong and nothing was added"
    refresh(rig, [("99", "1"), ("98", "4")])
    item = rig.take_one(follower)
    assert shown(item) == (11, 0, True)
    assert item.bids[:] == [(99.0, 1.0), (98.0, 4.0)]
    refresh(rig, [("99", "5"), ("98", "4")])
    assert rig.take_one(follower).best.bid == (99.0, 5.0)


def test_a_distant_correction_does_not_concern_followers_of_the_best(rig: Followed) -> None:
    follower = rig.follow("best")
    rig.take(follower)
    refresh(rig, [("99", "1"), ("98", "4")])
    assert rig.take(follower) == []
    rig.move([("99", "2")])
    assert shown(rig.take_one(follower)) == (12, 1, True)


# --- bounds -------------------------------------------------------------------------------------------


def test_where_every_update_does_not_fit_a_fresh_book_and_the_count_take_their_place(rig: Followed) -> None:
    follower = rig.follow("every", most_items=3)
    for number in range(10):
        rig.move([("99", str(number + 2))])
    items = rig.take(follower)
    assert [shown(item) for item in items] == [(11, 0, True), (12, 0, False), (13, 0, False), (21, 8, True)]
    assert items[-1].best.bid == (99.0, 11.0)
    assert items[-1].changes is None
    rig.move([("99", "1")])
    assert rig.take_one(follower).changes == ([(99.0, 1.0)], [])


def test_the_bytes_that_are_kept_are_bounded_and_can_be_read(rig: Followed) -> None:
    follower = rig.follow("every", most_bytes=10_000)
    for number in range(200):
        rig.move([("99", str(number + 2))])
        assert follower.held_bytes <= 10_000
    assert 2 <= follower.held_items < 50
    assert follower.held_bytes > 1_000
    items = rig.take(follower)
    assert (follower.held_items, follower.held_bytes) == (0, 0)
    assert sum(item.skipped for item in items) + sum(not item.is_fresh for item in items) == 200
    assert (items[-1].last_update_id, items[-1].is_fresh) == (rig.last, True)


@pytest.mark.parametrize("mode", ["latest", "interval", "best", "levels", "status"])
def test_other_modes_keep_nothing(rig: Followed, mode: str) -> None:
    follower = rig.follow(mode, interval_ns=1_000)
    for number in range(200):
        rig.move([("99", str(number + 2))])
    assert (follower.held_items, follower.held_bytes) == (0, 0)


def test_without_any_room_each_item_is_made_when_it_is_taken(rig: Followed) -> None:
    follower = rig.follow("every", most_items=0)
    rig.move([("99", "2")])
    assert shown(rig.take_one(follower)) == (12, 1, True)
    rig.move([("99", "3")])
    rig.move([("99", "4")])
    assert shown(rig.take_one(follower)) == (14, 2, True)


# --- being told -----------------------------------------------------------------------------------------


def test_a_follower_is_announced_once_until_it_was_found_empty(rig: Followed) -> None:
    follower = rig.follow("every")
    rig.take(follower)
    rig.move([("99", "2")])
    assert rig.ready() == [follower]
    rig.move([("99", "3")])
    rig.move([("99", "4")])
    assert rig.ready() == []
    assert follower.take(rig.now_ns) is not None
    rig.move([("99", "5")])
    assert rig.ready() == []
    assert len(rig.take(follower)) == 3
    rig.move([("99", "6")])
    assert rig.ready() == [follower]


def test_feed_reports_that_a_follower_has_an_item(rig: Followed) -> None:
    follower = rig.follow("latest")
    assert rig.feed(12, 12, [("99", "2")]) is False, "its first item was never asked for"
    rig.take(follower)
    assert rig.feed(13, 13, [("99", "2")]) is False, "nothing changed"
    assert rig.feed(14, 14, [("99", "3")]) is True


def test_a_follower_that_does_not_announce_is_never_reported(rig: Followed) -> None:
    follower = rig.follow("latest", announces=False)
    rig.take(follower)
    rig.move([("99", "2")])
    assert rig.ready() == []
    follower.wait(60)
    assert len(rig.take(follower)) == 1


def test_many_followers_of_one_book_do_not_disturb_each_other(rig: Followed) -> None:
    followers = [rig.follow(mode, interval_ns=1_000) for mode in MODES]
    for follower in followers:
        rig.take(follower)
    rig.move([("99", "2")])
    rig.now_ns += 1_000
    assert [len(rig.take(follower)) for follower in followers] == [1, 1, 1, 1, 1, 0]
    rig.router.take_events()
    for follower in followers:
        follower.close()
        assert (follower.markets, rig.take(follower)) == (0, [])
    rig.move([("99", "3")])
    assert rig.ready() == []


def test_many_books_come_as_one_stream_in_order(engine: Engine) -> None:
    rig = Followed(engine)
    for number, symbol in ((2, "ETHUSDT"), (3, "BNBUSDT")):
        rig.router.add_market(number, "binance.com", symbol, "contiguous")
        rig.router.install_snapshot(number, snapshot(5), limit=None, live=True, now_ns=1)
    follower = rig.router.follow("latest", levels=5, **KEPT)
    for number in (1, 2, 3):
        follower.add(rig.router, number)
        follower.add(rig.router, number)
    assert [item.symbol for item in rig.take(follower)] == ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
    rig.router.resync(3, "for a test", 2)
    rig.move([("99", "2")])
    rig.router.remove_market(2, "gone", 3)
    told = [(item.symbol, item.status) for item in rig.take(follower)]
    assert told == [("BNBUSDT", "buffering"), ("BTCUSDT", "synced"), ("ETHUSDT", "closed")]
    assert follower.markets == 2
    follower.remove(3)
    rig.router.remove_market(3, "gone", 3)
    assert rig.take(follower) == []


def test_the_end_comes_after_what_is_there(rig: Followed) -> None:
    follower = rig.follow("interval", interval_ns=10**12)
    rig.take(follower)
    rig.move([("99", "2")])
    assert rig.take(follower) == []
    follower.finish()
    assert not follower.is_over
    assert len(rig.take(follower)) == 1
    assert follower.is_over


# --- what an item is ------------------------------------------------------------------------------------


def test_an_item_is_a_frozen_book_with_the_facts_of_its_moment(rig: Followed) -> None:
    follower = rig.follow("every", 1)
    rig.take(follower)
    rig.move([("98", "1")])
    at_ns, item = rig.now_ns, rig.take_one(follower)
    rig.move([("99.5", "1")])
    assert item.best.bid == (99.0, 1.0)
    assert (item.updated_ns, item.confirmed_ns, item.event_time_us) == (at_ns, at_ns, 1_700_000_000_000_000)
    assert item.updated_at == item.confirmed_at == datetime(2026, 9, 21, 14, 13, 20, at_ns // 1_000, UTC)
    assert (len(item.bids), item.complete_to.bids, item.complete) == (1, 99.0, True)
    assert item.counters["applied"] == 2
    frozen = rig.book.freeze(5)
    assert (frozen.updated_ns, frozen.confirmed_ns) == (rig.now_ns, rig.now_ns)


def test_a_fresh_item_of_every_update_holds_all_levels(rig: Followed) -> None:
    rig.move([("98", "1"), ("97", "1")])
    follower = rig.follow("every", 1)
    assert sides(rig.take_one(follower))[0] == [("99", "1"), ("98", "1"), ("97", "1")]
    rig.move([("96", "1")])
    assert sides(rig.take_one(follower))[0] == [("99", "1")]


def test_a_refused_item_says_so_on_its_exact_view_too(rig: Followed) -> None:
    follower = rig.follow("latest")
    rig.take(follower)
    rig.router.resync(1, "for a test", rig.now_ns)
    item = rig.take_one(follower)
    assert item.exact.skipped == 0
    with pytest.raises(BookNotSynced):
        item.exact.best  # noqa: B018
