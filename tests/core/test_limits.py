"""The choice of the snapshot limit: one class decides it for a market, by purpose and refusals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from depthcache.core.context import Context, MarketSpec
from depthcache.core.markets.snapshot_limits import SnapshotLimits
from depthcache.core.notices import LimitRefused
from depthcache.core.policy import Policy
from depthcache.core.requests.budget import Budgets
from depthcache.errors import InvalidArgument
from tests.core.harness import FUTURES, MINUTE, SPOT

NOW = 7 * MINUTE


@dataclass
class Told:
    """A router that remembers how many levels are enough."""

    enough: list[tuple[int, int]] = field(default_factory=list)

    def set_depth_target(self, _market: int, levels: int, *, requested: int) -> None:
        self.enough.append((levels, requested))


def limits(depth: int, *, venue: Any = SPOT, **choices: Any) -> tuple[SnapshotLimits, Context, Told]:
    told = Told()
    context = Context(told, Policy(**choices), lambda: 0.5, Budgets())  # type: ignore[arg-type]
    spec = MarketSpec(3, venue, "BTCUSDT", venue.stream("BTCUSDT"), depth)
    return SnapshotLimits(context, spec), context, told


@pytest.mark.parametrize(
    ("venue", "depth", "first", "full", "cheapest"),
    [
        (SPOT, 20, 100, 100, 100),
        (SPOT, 1000, 100, 1000, 100),
        (SPOT, 5000, 100, 5000, 100),
        (FUTURES, 5, 10, 10, 50),
        (FUTURES, 500, 50, 1000, 50),
    ],
)
def test_a_book_begins_with_the_cheapest_snapshot_of_use_and_wants_its_depth(
    venue: Any, depth: int, first: int, full: int, cheapest: int
) -> None:
    ours, _, _ = limits(depth, venue=venue)
    assert (ours.first, ours.full, ours.cheapest, ours.wanted) == (first, full, cheapest, full)
    assert ours.weight == venue.snapshot_weight(full)


def test_what_somebody_reads_makes_the_target_deeper_and_the_router_knows_it() -> None:
    ours, _, told = limits(20)
    ours.on_synced(NOW)
    ours.on_read(0)
    ours.on_read(900)
    assert (ours.wanted, ours.target.wanted, ours.full) == (1000, 900, 100)
    assert told.enough == [(20, 0), (900, 900)]
    ours.on_read(900)
    assert len(told.enough) == 2, "once for each change"


def test_the_target_leaves_room_where_the_limit_brings_no_more_than_is_wanted() -> None:
    ours, _, _ = limits(1000)
    assert (ours.target.thin, ours.target.enough) == (50, 800)
    shallow, _, _ = limits(20, venue=FUTURES)
    assert (shallow.target.thin, shallow.target.enough) == (10, 20)


def test_a_thin_book_asks_for_the_smallest_limit_that_is_enough() -> None:
    ours, _, _ = limits(1000, venue=FUTURES)
    assert [ours.at_least(levels) for levels in (1, 100, 101, 4000)] == [5, 100, 500, 1000]


def test_a_refused_limit_gives_way_to_the_next_smaller_one_for_everything_that_is_asked() -> None:
    ours, context, told = limits(1000)
    assert ours.on_refused(1000, "HTTP 400", NOW) == 500
    assert (ours.full, ours.wanted, ours.for_audit(None), ours.for_audit(1000)) == (500, 500, 500, 500)
    assert (ours.target.wanted, ours.target.enough) == (500, 400)
    assert told.enough[-1] == (400, 0)
    assert ours.for_audit(5000) == 5000, "nothing was said of that one"
    assert context.notices == [LimitRefused(SPOT.name, "BTCUSDT", 1000, 500, "HTTP 400")]


def test_a_refused_limit_is_reported_once_for_all_books_of_an_exchange() -> None:
    ours, context, _ = limits(1000)
    another = SnapshotLimits(context, MarketSpec(4, SPOT, "ETHUSDT", "ethusdt@depth@100ms", 1000))
    ours.on_refused(1000, "HTTP 400", NOW)
    another.on_refused(1000, "HTTP 400", NOW)
    assert len(context.notices) == 1
    assert another.full == 500


def test_where_the_smallest_limit_is_refused_nothing_is_left_to_ask_instead() -> None:
    ours, context, _ = limits(1000, venue=replace(SPOT, depth_limits=(1000,)))
    assert ours.on_refused(1000, "HTTP 400", NOW) is None
    assert ours.full == 1000, "it is asked again, later"
    assert context.notices == []


@pytest.mark.parametrize("happens", ["on_synced", "on_compared"])
def test_what_was_refused_is_forgotten_after_an_hour(happens: str) -> None:
    ours, _, told = limits(1000)
    ours.on_refused(1000, "HTTP 400", NOW)
    getattr(ours, happens)(NOW + 60 * MINUTE - 1)
    assert ours.full == 500
    getattr(ours, happens)(NOW + 60 * MINUTE)
    assert (ours.full, ours.wanted) == (1000, 1000)
    assert told.enough[-1] == (800, 0)


def test_an_audit_of_a_limit_the_exchange_does_not_have_is_the_callers_mistake() -> None:
    ours, _, _ = limits(20, venue=FUTURES)
    with pytest.raises(InvalidArgument):
        ours.for_audit(37)
