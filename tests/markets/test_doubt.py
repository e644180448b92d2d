"""A book that may have become outdated is stale until it is confirmed, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from depthcache import BookClosed, BookNotSynced, Status
from depthcache._native import Router, _pretend, now_ns
from depthcache.events import RefreshOutcome
from tests.engine import Engine, snapshot
from tests.markets.test_router import Rig

S = 1_000_000_000
SLEPT = "the machine slept for 20 s"


class Watched(Rig):
    """A rig with a book that is synced at id 11 and has a time to detect of 60 s."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.synced()
        self.router.set_time_to_detect(1, 60 * S)
        self.last = 11

    def move(self, at_ns: int, **more: Any) -> None:
        """One update that is received at that time."""
        self.last += 1
        self.now_ns = at_ns - 1
        self.feed(self.last, self.last, **more)

    def seen(self) -> tuple[str, str]:
        return str(self.book.status), self.book.reason


@pytest.fixture
def rig(engine: Engine) -> Watched:
    return Watched(engine)


def test_unchecked_silence_makes_a_book_stale_until_an_update(rig: Watched) -> None:
    follower = rig.router.follow("status", most_items=1, most_bytes=1)
    follower.add(rig.router, 1)
    assert follower.take(0).status is Status.SYNCED
    rig.router.judge_silence(60 * S)
    assert rig.book.status is Status.SYNCED
    rig.router.judge_silence(61 * S)
    assert rig.book.status is Status.STALE
    assert rig.book.reason == "no update for 60 s while the event loop is blocked"
    assert rig.book.since_ns == 61 * S
    with pytest.raises(BookNotSynced, match="no update for 60 s"):
        _ = rig.book.best
    assert rig.causes() == [{"doubted"}]
    assert follower.take(0).status is Status.STALE
    rig.move(70 * S)
    assert (rig.book.status, rig.book.since_ns) == (Status.SYNCED, 70 * S)
    assert rig.causes() == [{"proven"}]
    assert follower.take(0).status is Status.SYNCED


def test_while_the_loop_attends_it_decides(rig: Watched) -> None:
    for second in range(1, 200):
        rig.router.attend(second * S)
        rig.router.judge_silence((second + 3) * S)
        assert rig.book.status is Status.SYNCED
    rig.router.judge_silence(203 * S)
    assert rig.book.status is Status.STALE


def test_a_book_whose_updates_flow_or_that_was_compared_is_not_doubted(rig: Watched) -> None:
    for second in range(30, 600, 30):
        rig.move(second * S)
        rig.router.judge_silence((second + 29) * S)
        assert rig.book.status is Status.SYNCED
    assert rig.router.begin_refresh(1)
    merged = rig.router.refresh(1, snapshot(rig.last), limit=None, now_ns=620 * S)
    assert merged.outcome is RefreshOutcome.MERGED
    rig.router.judge_silence(670 * S)
    assert rig.book.status is Status.SYNCED


def test_a_book_from_a_snapshot_alone_is_doubted_too(engine: Engine) -> None:
    rig = Rig(engine)
    rig.router.set_time_to_detect(1, 60 * S)
    rig.install()
    assert rig.book.unconfirmed
    rig.router.judge_silence(61 * S)
    assert rig.book.status is Status.STALE


def test_a_pause_makes_every_book_stale_at_once(rig: Watched) -> None:
    assert rig.router.attend(79 * S) == 0
    rig.router.pause(SLEPT, 80 * S, 100 * S)
    assert rig.router.attend(101 * S) == 1
    assert (rig.seen(), rig.book.since_ns) == (("stale", SLEPT), 80 * S)
    assert rig.causes() == [{"doubted"}]
    rig.move(101 * S - 1)
    assert rig.seen() == ("stale", SLEPT), "it may have waited in a socket"
    rig.move(101 * S)
    assert rig.seen() == ("synced", "")


def test_a_pause_that_began_before_the_last_change_of_status_does_not_date_it_back(rig: Watched) -> None:
    rig.router.set_condition(1, "halted", "the exchange says HALT", 85 * S)
    rig.router.set_condition(1, None, "", 90 * S)
    assert rig.book.since_ns == 90 * S
    rig.router.pause(SLEPT, 80 * S, 100 * S)
    assert (rig.seen(), rig.book.since_ns) == (("stale", SLEPT), 90 * S)


def test_a_stalled_thread_dates_the_status_when_it_stalls_and_when_it_goes_on(rig: Watched) -> None:
    rig.router.set_stalled("the event loop stands still", 40 * S)
    assert (rig.book.status, rig.book.since_ns) == (Status.STALE, 40 * S)
    rig.router.set_stalled(None, 50 * S)
    assert (rig.book.status, rig.book.since_ns) == (Status.SYNCED, 50 * S)


def test_an_update_that_waited_in_a_socket_during_the_pause_proves_nothing(rig: Watched) -> None:
    rig.router.set_clock_offset(1, 1_700_000_000 * S)
    rig.router.pause(SLEPT, 80 * S, 100 * S)
    rig.move(100 * S + 5, E=1_700_000_079_000)
    assert rig.seen() == ("stale", SLEPT)
    rig.move(100 * S + 10, E=1_700_000_099_000)
    assert rig.seen() == ("synced", "")


def test_a_clock_that_is_wrong_by_hours_does_not_doubt_forever(rig: Watched) -> None:
    rig.router.set_clock_offset(1, 1_700_007_200 * S)
    rig.router.pause(SLEPT, 80 * S, 100 * S)
    rig.move(109 * S, E=1_700_000_109_000)
    assert rig.seen() == ("stale", SLEPT)
    rig.move(110 * S, E=1_700_000_110_000)
    assert rig.seen() == ("synced", "")


def test_a_comparison_proves_it_unless_it_was_asked_before(rig: Watched) -> None:
    assert rig.router.begin_refresh(1)
    rig.router.pause(SLEPT, 80 * S, 100 * S)
    assert rig.router.refresh(1, snapshot(11), limit=None, now_ns=101 * S).outcome is RefreshOutcome.NOT_LIVE
    assert rig.book.status is Status.STALE
    assert rig.router.begin_refresh(1)
    assert rig.router.refresh(1, snapshot(11), limit=None, now_ns=102 * S).outcome is RefreshOutcome.MERGED
    assert rig.book.status is Status.SYNCED


def test_a_gap_says_what_it_is_and_a_new_snapshot_ends_all_doubt(rig: Watched) -> None:
    rig.router.pause(SLEPT, 80 * S, 100 * S)
    rig.feed(14, 14)
    assert rig.book.status is Status.BUFFERING
    rig.router.pause(SLEPT, 110 * S, 130 * S)
    assert rig.book.status is Status.BUFFERING
    rig.install(13)
    assert rig.seen() == ("synced", "")


def test_of_a_halted_book_the_worse_is_told_and_the_doubt_stays(rig: Watched) -> None:
    rig.router.set_condition(1, "halted", "the exchange says BREAK", 50 * S)
    rig.router.pause(SLEPT, 80 * S, 100 * S)
    assert rig.seen() == ("halted", "the exchange says BREAK")
    rig.router.set_condition(1, None, "", 110 * S)
    assert rig.seen() == ("stale", SLEPT)


def test_the_end_of_the_loop_closes_every_book_and_tells_followers(rig: Watched) -> None:
    follower = rig.router.follow("latest", most_items=1, most_bytes=1)
    follower.add(rig.router, 1)
    assert follower.take(0).status is Status.SYNCED
    rig.router.close("the event loop ended", 5 * S)
    assert rig.seen() == ("closed", "the event loop ended")
    assert follower.take(0).status is Status.CLOSED
    with pytest.raises(BookClosed, match="the event loop ended"):
        _ = rig.book.best
    rig.router.set_condition(1, None, "", 6 * S)
    assert rig.book.status is Status.CLOSED


READS = {
    "status": lambda book: book.status,
    "best": lambda book: book.best,
    "freeze": lambda book: book.freeze(5),
    "a level": lambda book: book.bids[0],
    "all levels": lambda book: list(book.asks),
    "numpy": lambda book: book.to_numpy(5),
    "columns": lambda book: book.to_arrow(5),
    "mid": lambda book: book.mid,
    "exact": lambda book: book.exact.best,
    "repr": repr,
}


@pytest.mark.parametrize("read", READS)
def test_the_first_read_after_a_sleep_marks_every_book(read: str) -> None:
    router = Router()
    for market in (1, 2):
        router.add_market(market, "binance.com", "BTCUSDT", "contiguous")
        router.install_snapshot(market, snapshot(10), limit=100, live=True, now_ns=now_ns())
    books = [router.reader(market) for market in (1, 2)]
    router.start_watch()
    READS[read](books[0])
    _pretend(20 * S, slept_ns=20 * S)
    try:
        assert "stale" in str(READS[read](books[0]))
    except BookNotSynced as error:
        assert error.reason == SLEPT  # noqa: PT017 - what does not raise says so itself
    assert [book.status for book in books] == [Status.STALE, Status.STALE]
    assert router.attend(now_ns()) == 1
    router.stop_watch()
    _pretend(20 * S, slept_ns=20 * S)
    assert router.attend(now_ns()) == 1, "nobody ticks"


def test_a_frozen_book_stays_as_it_was_whatever_its_market_meets(rig: Watched) -> None:
    frozen = rig.book.freeze()
    rig.router.pause(SLEPT, 40 * S, 60 * S)
    assert rig.book.status is Status.STALE
    assert (frozen.status, frozen.reason) == (Status.SYNCED, "")
    rig.router.set_stalled("the event loop stands still", 61 * S)
    rig.router.set_condition(1, "halted", "the exchange says HALT", 62 * S)
    assert (frozen.status, frozen.reason) == (Status.SYNCED, "")
    assert frozen.best is not None
