"""Which update may follow which: the exchange's procedure as small pure functions.

"How to manage a local order book correctly", spot (Binance spot API docs, corrected 2025-11-12):

1. Open the diff stream. 2. Buffer the events; note `U` of the first.
3. Get a snapshot. 4. If its `lastUpdateId` (L) is strictly less than that `U`, get another one.
5. Discard buffered events with `u <= L`; the first one left has L in `[U; u]`.
6. Set the book to the snapshot, its id is L. 7. Apply the rest: ignore an event with `u` below the
   book's id; if `U` is above the book's id + 1, updates are missing: start again.

USD-M, COIN-M, options (futures docs, 2026-05-28): discard `u < L`; the first event has `U <= L` and
`u >= L`; each next one has `pu` equal to the previous `u`, otherwise start again.

Two wordings are not taken literally. Spot step 5: after discarding `u <= L` the first event may
begin at L + 1 (measured: L=99076734902, next U=99076734903, 2026-08-24). Futures: ids are shared
between symbols, so L may lie in the hole between `pu` and `U`; `pu <= L` is what proves that
nothing is missing (ids measured 2026-10-07).

Not here: what is done about it (`market`).
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

from depthcache.reference.messages import DepthUpdate

__all__ = ["RESET_AFTER_US", "Continuity", "Verdict", "judge", "looks_reset"]

Continuity: TypeAlias = Literal["contiguous", "chained"]

RESET_AFTER_US = 5_000_000
"""Older ids than held, with an event time this much later: the ids began anew (testnets, monthly)."""


class Verdict(Enum):
    """What an update is to a book that holds an id."""

    STALE = "stale"  #  all of it is in the book already
    NEXT = "next"  #    it continues, or bridges, what the book holds
    GAP = "gap"  #      updates between the book and it are missing


def judge(continuity: Continuity, held_id: int, update: DepthUpdate, *, confirmed: bool) -> Verdict:
    """Judge an update against the id of a book.

    `confirmed`: a diff has been applied since the snapshot, so `held_id` is the `u` of a diff and
    not the snapshot's L.
    """
    if continuity == "contiguous":
        return judge_contiguous(held_id, update)
    return judge_chained(held_id, update, confirmed=confirmed)


def judge_contiguous(held_id: int, update: DepthUpdate) -> Verdict:
    """Spot, US, TR: ids are the symbol's own, without holes. Overlaps are harmless."""
    if update.final_update_id <= held_id:
        return Verdict.STALE
    if update.first_update_id > held_id + 1:
        return Verdict.GAP
    return Verdict.NEXT


def judge_chained(held_id: int, update: DepthUpdate, *, confirmed: bool) -> Verdict:
    """Futures, options: ids are shared between symbols, only `pu` tells what came before."""
    assert update.previous_final_update_id is not None  # the market refuses chained diffs without pu
    if update.final_update_id < held_id or (confirmed and update.final_update_id == held_id):
        return Verdict.STALE
    if update.previous_final_update_id > held_id:
        return Verdict.GAP
    return Verdict.NEXT


def looks_reset(update: DepthUpdate, base_time_us: int | None) -> bool:
    """Whether a stale update is no late duplicate but the first of ids that began anew.

    `base_time_us`: event time of the last applied diff, else of the first stale one since the
    snapshot; None when there was neither.
    """
    return base_time_us is not None and update.event_time_us > base_time_us + RESET_AFTER_US
