"""What market data looks like, in figures: those of four recorded days, and of any other data.

    python -m benches.market_statistics      compares made market data with the recorded, as a Markdown table

The cost of a frame depends on these figures: how many levels it changes, which of them are new, how far they
are from the best price, how many digits they have, and how large the book is. `made` produces market data
that has them.
"""

from __future__ import annotations

import json
import statistics
import time
from bisect import bisect_left, insort
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from benches import captures, made
from benches.captures import Capture
from benches.frames import fresh_book
from benches.measure import quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The figures of one market. Shares are of all levels in its diffs; distances are from the best price of
    the level's own side before the diff, as 1/10,000 of that price."""

    diffs: int
    levels_mean: float
    """Levels of a diff."""
    levels_median: float
    levels_p95: float
    new: float
    """Share of levels whose price was not held."""
    changed: float
    """Share with another quantity than held."""
    repeated: float
    """Share with the held quantity."""
    deleted: float
    """Share that delete a held price."""
    unknown: float
    """Share that delete a price which is not held."""
    best: float
    """Share at the best price or better."""
    distance_median_bps: float
    """Of the levels behind the best price."""
    distance_p90_bps: float
    price_bytes: float
    """Characters of a price, on average."""
    quantity_bytes: float
    """Characters of a quantity, on average."""
    quantity_digits: float
    """Digits of a quantity without leading and trailing zeros, on average."""
    message_bytes: float
    """Of a frame, on average."""
    snapshot_levels: float
    """Of a side, on average of both."""
    final_levels: float
    """Of a side, after the last diff."""


RECORDED = MappingProxyType(
    {
        "spot BTCUSDT 2024-08": Statistics(
            diffs=6_492,
            levels_mean=45.9,
            levels_median=22,
            levels_p95=173,
            new=0.4,
            changed=0.109,
            repeated=0.0127,
            deleted=0.39,
            unknown=0.0877,
            best=0.0425,
            distance_median_bps=17.4,
            distance_p90_bps=45.4,
            price_bytes=14,
            quantity_bytes=10,
            quantity_digits=1.99,
            message_bytes=1_605,
            snapshot_levels=1_000,
            final_levels=2_466,
        ),
        "USD-M ETHUSDT 2024-08": Statistics(
            diffs=6_579,
            levels_mean=65.1,
            levels_median=39,
            levels_p95=225,
            new=0.125,
            changed=0.688,
            repeated=0.0519,
            deleted=0.115,
            unknown=0.0204,
            best=0.0379,
            distance_median_bps=7.24,
            distance_p90_bps=3544,
            price_bytes=6.94,
            quantity_bytes=5.22,
            quantity_digits=3.03,
            message_bytes=1_487,
            snapshot_levels=1_000,
            final_levels=3_097,
        ),
        "COIN-M BTCUSD_PERP 2024-08": Statistics(
            diffs=44_770,
            levels_mean=14.7,
            levels_median=8,
            levels_p95=51,
            new=0.296,
            changed=0.252,
            repeated=0.0251,
            deleted=0.294,
            unknown=0.134,
            best=0.134,
            distance_median_bps=5.15,
            distance_p90_bps=32.5,
            price_bytes=6.99,
            quantity_bytes=1.81,
            quantity_digits=1.24,
            message_bytes=444,
            snapshot_levels=1_000,
            final_levels=1_622,
        ),
        "spot NEXOUSDT 2024-07": Statistics(
            diffs=99_030,
            levels_mean=2.03,
            levels_median=1,
            levels_p95=6,
            new=0.0212,
            changed=0.935,
            repeated=0.0205,
            deleted=0.0212,
            unknown=0.00186,
            best=0.172,
            distance_median_bps=33.8,
            distance_p90_bps=239,
            price_bytes=10,
            quantity_bytes=12.2,
            quantity_digits=5.04,
            message_bytes=195,
            snapshot_levels=562,
            final_levels=569,
        ),
    }
)
"""Of the recordings (`captures.RECORDINGS`), measured on 2026-11-30."""
FORMS = MappingProxyType(
    {
        "diffs": ("diffs", "{:,.0f}"),
        "levels_mean": ("levels of a diff, mean", "{:.1f}"),
        "levels_median": ("levels of a diff, median", "{:.0f}"),
        "levels_p95": ("levels of a diff, p95", "{:.0f}"),
        "new": ("new prices", "{:.1%}"),
        "changed": ("changed quantities", "{:.1%}"),
        "repeated": ("repeated quantities", "{:.1%}"),
        "deleted": ("deleted prices", "{:.1%}"),
        "unknown": ("deletes of unknown prices", "{:.1%}"),
        "best": ("at the best price or better", "{:.1%}"),
        "distance_median_bps": ("distance from the best price, median, bps", "{:.1f}"),
        "distance_p90_bps": ("distance from the best price, p90, bps", "{:,.0f}"),
        "price_bytes": ("characters of a price", "{:.1f}"),
        "quantity_bytes": ("characters of a quantity", "{:.1f}"),
        "quantity_digits": ("significant digits of a quantity", "{:.1f}"),
        "message_bytes": ("bytes of a frame", "{:,.0f}"),
        "snapshot_levels": ("levels a side of the snapshot", "{:,.0f}"),
        "final_levels": ("levels a side in the end", "{:,.0f}"),
    }
)
"""How the figures are called and written."""


def measure(capture: Capture) -> Statistics:
    """The figures of market data: one pass over it with a book of texts."""
    body = json.loads(capture.snapshot)
    held = [dict(body["bids"]), dict(body["asks"])]
    prices = [sorted(Decimal(price) for price in side) for side in held]
    shown = statistics.mean(len(side) for side in held)
    levels: list[int] = []
    distances: list[float] = []
    widths = [0, 0, 0]
    counts = dict.fromkeys(("new", "changed", "repeated", "deleted", "unknown", "best"), 0)
    for frame in capture.after:
        data = json.loads(frame)
        data = data.get("data", data)
        if data["u"] <= body["lastUpdateId"]:
            continue
        levels.append(len(data["b"]) + len(data["a"]))
        best = [prices[0][-1] if prices[0] else None, prices[1][0] if prices[1] else None]
        for side, changes in enumerate((data["b"], data["a"])):
            for price, quantity in changes:
                exact = Decimal(price)
                kind = _apply(held[side], prices[side], price, quantity, exact)
                counts[kind] += 1
                widths[0] += len(price)
                widths[1] += len(quantity)
                widths[2] += len(quantity.replace(".", "").strip("0"))
                top = best[side]
                behind = Decimal(0) if top is None else (top - exact if side == 0 else exact - top)
                if behind <= 0:
                    counts["best"] += 1
                elif top is not None:
                    distances.append(float(behind / top) * 1e4)
    total = sum(levels)
    distances.sort()
    return Statistics(
        diffs=len(levels),
        levels_mean=total / len(levels),
        levels_median=statistics.median(levels),
        levels_p95=sorted(levels)[int(0.95 * len(levels))],
        **{kind: count / total for kind, count in counts.items()},
        distance_median_bps=distances[len(distances) // 2],
        distance_p90_bps=distances[int(0.9 * len(distances))],
        price_bytes=widths[0] / total,
        quantity_bytes=widths[1] / total,
        quantity_digits=widths[2] / total,
        message_bytes=statistics.mean(len(frame) for frame in capture.after),
        snapshot_levels=shown,
        final_levels=statistics.mean(len(side) for side in held),
    )


def _apply(held: dict[str, str], prices: list[Decimal], price: str, quantity: str, exact: Decimal) -> str:
    """Set one level; what kind of change that was."""
    before = held.get(price)
    if not quantity.strip("0."):
        if before is None:
            return "unknown"
        del held[price]
        del prices[bisect_left(prices, exact)]
        return "deleted"
    held[price] = quantity
    if before is None:
        insort(prices, exact)
        return "new"
    return "repeated" if before == quantity else "changed"


def comparison() -> str:
    """Recorded and made market data side by side: a Markdown table."""
    titles = list(RECORDED)
    made_figures = [measure(made.load(title)) for title in titles]
    rows = [
        [
            called,
            *(
                f"{form.format(getattr(RECORDED[title], name))} / {form.format(getattr(figures, name))}"
                for title, figures in zip(titles, made_figures, strict=True)
            ),
        ]
        for name, (called, form) in FORMS.items()
    ]
    if captures.available():
        costs = [f"{recorded:.1f} / {like_it:.1f}" for recorded, like_it in map(costs_of_a_level, titles)]
        rows.append(["**ns of `Book.apply` per level**", *costs])
    head = ["recorded / made", *titles]
    lines = [head, ["---", *["---:"] * len(titles)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def costs_of_a_level(title: str, *, rounds: int = 6) -> tuple[float, float]:
    """CPU nanoseconds of `Book.apply` per level with the recorded and with the made data, in turns."""
    both = (captures.load(title), made.load(title))
    levels = [sum(_levels(frame) for frame in each.after) for each in both]
    spent: tuple[list[float], list[float]] = ([], [])
    with quiet():
        for _ in range(rounds):
            for capture, count, times in zip(both, levels, spent, strict=True):
                apply = fresh_book(capture).apply
                begin = time.thread_time_ns()
                for frame in capture.after:
                    apply(frame)
                times.append((time.thread_time_ns() - begin) / count)
    return statistics.median(spent[0]), statistics.median(spent[1])


def _levels(frame: bytes) -> int:
    data = json.loads(frame)["data"]
    return len(data["b"]) + len(data["a"])


if __name__ == "__main__":
    print(comparison())
