"""Which update may follow which: the exchange's procedure, as small pure functions.

"How to manage a local order book correctly", spot (Binance spot API docs, corrected 2025-11-12):

1. Open the diff stream. 2. Buffer the events; note `U` of the first.
3. Get a snapshot. 4. If its `lastUpdateId` (L) is strictly less than that `U`, get another one.
5. Discard buffered events with `u <= L`; the first one left has L in `[U; u]`.
6. Set the book to the snapshot, its id is L. 7. Apply the rest: ignore an event with `u` below the
   book's id; if `U` is above the book's id + 1, updates are missing: start again.

USD-M, COIN-M, options (futures docs, 2026-05-28): discard `u < L`; the first event has `U <= L` and
`u >= L`; each next one has `pu` equal to the previous `u`, otherwise start again.

This module deviates from the wording in three places:

- Spot step 5: after discarding `u <= L` the first event may begin at L + 1 (measured: L=99076734902,
  next U=99076734903, 2026-08-24).
- Futures, first event: ids are shared between symbols, so L may lie in the gap between `pu` and
  `U`; `pu <= L` is what proves that nothing is missing (ids measured 2026-10-07).
- Futures, every next event: `pu` may also lie below the held id, as long as `u` is above it. The event
  then covers `(pu, u]`, which overlaps the book and leaves no gap. Quantities are absolute, so applying
  the overlap again changes nothing: the book at `u` is the exchange's. Treating it as a gap would cost a
  snapshot without need. `pu` above the held id is a gap.

The order in time. Ids alone do not distinguish a backlog (old diffs that arrive late) from a reset of the
ids (testnets, about monthly): in both cases they lie at or below the held id, chain and rise. Event times
do. A book reached an id by the event time of that id's diff; a snapshot had its id when it was made. A diff
at or below that id with a clearly later event time belongs to new ids. If either time is unknown, diffs
decide nothing: a later snapshot does, by whether its id is lower.

What follows from it is in `market`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from depthcache.exchange_figures import NODE_LAG_S
from depthcache.model import Continuity
from depthcache.reference.messages import DepthSnapshot, DepthUpdate

__all__ = [
    "LARGEST_JUMP",
    "LARGEST_PLAUSIBLE_ID",
    "NODE_LAG_US",
    "RESET_AFTER_US",
    "Continuity",
    "DatedId",
    "SequenceCheck",
    "SnapshotTime",
    "check_sequence",
    "is_plausible",
    "looks_reset",
    "snapshot_time",
]

RESET_AFTER_US = 5_000_000
"""An older id with an event time this much later means a reset of the ids (testnets, monthly).

A diff is sent up to 1 s after its changes (the slowest streams); the rest allows for differing clocks of the
exchange's servers.
"""

NODE_LAG_US = NODE_LAG_S * 1_000_000
"""How far the book of a REST node may lag behind the time in its response."""

LARGEST_PLAUSIBLE_ID = 10**15
"""No exchange has higher ids: USD-M, the highest, was at 1.2e13 and gained about 1e5 per second (2026-10-07),
so it would take three centuries.
"""


LARGEST_JUMP = 10**12
"""How far a snapshot may be ahead of the known diffs: months of USD-M's ids."""


class SequenceCheck(Enum):
    """How an update relates to a book at some id."""

    OLD = "old"  #    already in the book
    NEXT = "next"  #    continues or bridges the book
    GAP = "gap"  #      updates before it are missing


def check_sequence(
    continuity: Continuity, held_id: int, update: DepthUpdate, *, has_diff: bool
) -> SequenceCheck:
    """Compare an update with the id of a book.

    `has_diff`: whether a diff has been applied since the snapshot, so that `held_id` is the `u` of a diff and
    not the snapshot's L.
    """
    if continuity == "contiguous":
        return judge_contiguous(held_id, update)
    return judge_chained(held_id, update, has_diff=has_diff)


def judge_contiguous(held_id: int, update: DepthUpdate) -> SequenceCheck:
    """Spot, US, TR: ids belong to the symbol and have no gaps. Overlaps are harmless."""
    if update.final_update_id <= held_id:
        return SequenceCheck.OLD
    if update.first_update_id > held_id + 1:
        return SequenceCheck.GAP
    return SequenceCheck.NEXT


def judge_chained(held_id: int, update: DepthUpdate, *, has_diff: bool) -> SequenceCheck:
    """Futures, options: ids are shared between symbols; only `pu` tells what came before."""
    assert update.previous_final_update_id is not None  # the market refuses chained diffs without pu
    if update.final_update_id < held_id or (has_diff and update.final_update_id == held_id):
        return SequenceCheck.OLD
    if update.previous_final_update_id > held_id:
        return SequenceCheck.GAP
    return SequenceCheck.NEXT


def looks_reset(update: DepthUpdate, base_time_us: int | None) -> bool:
    """Whether an old update is the first after a reset of the ids rather than backlog.

    `base_time_us`: when the book had reached the update's ids, at the latest; None if unknown.
    """
    return base_time_us is not None and update.event_time_us > base_time_us + RESET_AFTER_US


def is_plausible(snapshot_id: int, known_id: int | None) -> bool:
    """Whether a snapshot may have that id. `known_id`: that of the newest buffered or applied diff."""
    most = LARGEST_PLAUSIBLE_ID
    return snapshot_id <= (most if known_id is None else min(most, known_id + LARGEST_JUMP))


@dataclass(frozen=True, slots=True)
class DatedId:
    """The latest time, on the exchange's clock, by which a book had reached an id."""

    update_id: int
    latest_us: int


@dataclass(frozen=True, slots=True)
class SnapshotTime:
    """The time range in which a snapshot was made, on the exchange's clock; `earliest_us` 0 if unknown."""

    earliest_us: int
    latest_us: int

    def is_after(self, held: DatedId) -> bool:
        """Whether it was clearly made after the book reached that id."""
        return self.earliest_us > held.latest_us + RESET_AFTER_US


def snapshot_time(snapshot: DepthSnapshot, known: SnapshotTime | None = None) -> SnapshotTime | None:
    """When a snapshot was made: as known to its requester (`known`), else by its `E` and `T`.

    USD-M and COIN-M have both, options only `T`. None if unknown.
    """
    times = [time for time in (snapshot.event_time_us, snapshot.transaction_time_us) if time]
    if not times:
        return known
    by_itself = SnapshotTime(max(0, min(times) - NODE_LAG_US), max(times))
    if known is None:
        return by_itself
    return SnapshotTime(known.earliest_us or by_itself.earliest_us, known.latest_us)
