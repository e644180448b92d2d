"""Book states made by hand, for drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from depthcache.cli.state import BookState
from depthcache.model import Best, CompleteTo, Coverage, Level, Status


def levels(*pairs: tuple[str, str]) -> list[Level]:
    return [Level(Decimal(price), Decimal(quantity)) for price, quantity in pairs]


@dataclass(frozen=True)
class Frozen:
    """What the drawing needs of a frozen book."""

    bids: Sequence[Level] = field(
        default_factory=lambda: levels(("61837.63000000", "3.78826000"), ("61837.62000000", "0.61700000"))
    )
    asks: Sequence[Level] = field(
        default_factory=lambda: levels(("61837.64000000", "1.54698000"), ("61838.04000000", "12.00000000"))
    )
    last_update_id: int = 50093239218

    @property
    def best(self) -> Best:
        return Best(
            self.bids[0] if self.bids else None, self.asks[0] if self.asks else None, self.last_update_id
        )


SYNCED = BookState(
    exchange="binance.com",
    symbol="BTCUSDT",
    status=Status.SYNCED,
    reason="",
    age_s=0.0824,
    update_id=50093239218,
    complete_to=CompleteTo(61730.17, 62010.5),
    coverage=Coverage(998, 1000),
    updates_per_second=9.96,
    frozen=Frozen(),
)

BUFFERING = replace(
    SYNCED,
    exchange="binance.com-futures",
    symbol="ETHUSDT",
    status=Status.BUFFERING,
    reason="a snapshot is on its way",
    age_s=None,
    update_id=None,
    complete_to=CompleteTo(None, None),
    coverage=Coverage(0, 0),
    updates_per_second=0.0,
    frozen=None,
)

WHOLE = replace(
    SYNCED,
    symbol="NEXOUSDT",
    age_s=43.52,
    update_id=134180599,
    complete_to=CompleteTo(0.0, math.inf),
    coverage=Coverage(305, 818),
    updates_per_second=0.8,
    frozen=Frozen(levels(("1.214", "63.38")), levels(("1.215", "125.93"), ("1.231", "282.87")), 134180599),
)


def stale(**changes: Any) -> BookState:
    return replace(SYNCED, status=Status.DISCONNECTED, reason="the connection broke", **changes)
