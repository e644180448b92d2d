"""Which update may follow which: the exchange's procedure as small pure functions.

"How to manage a local order book correctly", spot (Binance spot API docs, corrected 2025-11-12):

1. Open the diff stream. 2. Buffer the events; note `U` of the first.
3. Get a snapshot. 4. If its `lastUpdateId` (L) is strictly less than that `U`, get another one.
5. Discard buffered events with `u <= L`; the first one left has L in `[U; u]`.
6. Set the book to the snapshot, its id is L. 7. Apply the rest: ignore an event with `u` below the
   book's id; if `U` is above the book's id + 1, updates are missing: start again.

USD-M, COIN-M, options (futures docs, 2026-05-28): discard `u < L`; the first event has `U <= L` and
`u >= L`; each next one has `pu` equal to the previous `u`, otherwise start again.

Three wordings are not taken literally:

- Spot step 5: after discarding `u <= L` the first event may begin at L + 1 (measured: L=99076734902,
  next U=99076734903, 2026-08-24).
- Futures, the first event: ids are shared between symbols, so L may lie in the hole between `pu` and
  `U`; `pu <= L` is what proves that nothing is missing (ids measured 2026-10-07).
- Futures, every next event: `pu` may also lie below the held id, as long as `u` is above it. The event
  then covers `(pu, u]`, which overlaps what the book holds and leaves no hole. Quantities are absolute,
  so applying the overlap again changes nothing: the book at `u` is the exchange's. Calling it a gap
  would cost a snapshot and prove nothing. `pu` above the held id is a gap.

The order in time. Ids alone do not distinguish a backlog (old diffs that arrive late, however late) from
a reset of the ids (testnets, about monthly): both lie at or below the held id, both chain, both rise. Event
times do. What a book holds up to an id was there at the event time of that id's diff; a snapshot's id
was there when it was made. A diff of an id at or below it with an event time clearly later than that has
new ids. Where either time is unknown nothing is concluded from diffs: a later snapshot decides, by
whether its id fell.

Not here: what is done about it (`market`).
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
"""Older ids than held, with an event time this much later: the ids were reset (testnets, monthly). A diff
is sent up to 1 s after the changes in it (the slowest streams); the rest is for clocks of the exchange's
servers that differ."""

NODE_LAG_US = NODE_LAG_S * 1_000_000
"""The book of a REST node may be that far behind the time in its response."""

LARGEST_PLAUSIBLE_ID = 10**15
"""Ids above it are no exchange's: USD-M, the largest, was at 1.2e13 and gained about 1e5 a second
(2026-10-07), so it needs three centuries."""


LARGEST_JUMP = 10**12
"""How far a snapshot may be above the diffs that are known: months of USD-M's ids."""


class SequenceCheck(Enum):
    """What an update is to a book that holds an id."""

    OLD = "old"  #    all of it is in the book already
    NEXT = "next"  #    it continues, or bridges, what the book holds
    GAP = "gap"  #      updates between the book and it are missing


def check_sequence(
    continuity: Continuity, held_id: int, update: DepthUpdate, *, has_diff: bool
) -> SequenceCheck:
    """Judge an update against the id of a book.

    `has_diff`: a diff has been applied since the snapshot, so `held_id` is the `u` of a diff and
    not the snapshot's L.
    """
    if continuity == "contiguous":
        return judge_contiguous(held_id, update)
    return judge_chained(held_id, update, has_diff=has_diff)


def judge_contiguous(held_id: int, update: DepthUpdate) -> SequenceCheck:
    """Spot, US, TR: ids are the symbol's own, without holes. Overlaps are harmless."""
    if update.final_update_id <= held_id:
        return SequenceCheck.OLD
    if update.first_update_id > held_id + 1:
        return SequenceCheck.GAP
    return SequenceCheck.NEXT


def judge_chained(held_id: int, update: DepthUpdate, *, has_diff: bool) -> SequenceCheck:
    """Futures, options: ids are shared between symbols, only `pu` says what came before."""
    assert update.previous_final_update_id is not None  # the market refuses chained diffs without pu
    if update.final_update_id < held_id or (has_diff and update.final_update_id == held_id):
        return SequenceCheck.OLD
    if update.previous_final_update_id > held_id:
        return SequenceCheck.GAP
    return SequenceCheck.NEXT


def looks_reset(update: DepthUpdate, base_time_us: int | None) -> bool:
    """Whether an old update is no backlog but the first after a reset of the ids.

    `base_time_us`: when the ids up to the update's were there, at the latest; None when that is unknown.
    """
    return base_time_us is not None and update.event_time_us > base_time_us + RESET_AFTER_US


def is_plausible(snapshot_id: int, known_id: int | None) -> bool:
    """Whether a snapshot may have that id; `known_id`: of the newest diff that is kept or applied."""
    most = LARGEST_PLAUSIBLE_ID
    return snapshot_id <= (most if known_id is None else min(most, known_id + LARGEST_JUMP))


@dataclass(frozen=True, slots=True)
class DatedId:
    """Up to which id a book was there at which time (exchange's clock, at the latest)."""

    update_id: int
    latest_us: int


@dataclass(frozen=True, slots=True)
class SnapshotTime:
    """Between which times a snapshot was made, on the exchange's clock; `earliest_us` 0: unknown."""

    earliest_us: int
    latest_us: int

    def is_after(self, held: DatedId) -> bool:
        """Whether it was clearly made after the book was at that id."""
        return self.earliest_us > held.latest_us + RESET_AFTER_US


def snapshot_time(snapshot: DepthSnapshot, known: SnapshotTime | None = None) -> SnapshotTime | None:
    """When a snapshot was made: as its requester knows (`known`), else by its own `E` and `T` (USD-M
    and COIN-M have both, options `T` alone); None where that is unknown."""
    times = [time for time in (snapshot.event_time_us, snapshot.transaction_time_us) if time]
    if not times:
        return known
    by_itself = SnapshotTime(max(0, min(times) - NODE_LAG_US), max(times))
    if known is None:
        return by_itself
    return SnapshotTime(known.earliest_us or by_itself.earliest_us, known.latest_us)
