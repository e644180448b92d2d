"""The ladder: books drawn as prices over quantities, asks above, bids below. Pure: states in, picture out.

No clock, no terminal, no book: sizes and states are arguments, the result is something that rich
can print. Not here: reading books (`state`), showing pictures again and again (`display`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import accumulate

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from depthcache.cli.state import BookState, state_line
from depthcache.model import Level, Status

__all__ = ["ladder", "screen", "state_lines"]

_LADDER_WIDTH = 44
_LADDER_FRAME = 3
"""Lines of one ladder besides its levels: title, heading, spread."""
_BAR_WIDTH = 8
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STYLES = {Status.SYNCED: "green", Status.BRIDGING: "yellow", Status.BUFFERING: "yellow"}


def screen(states: Sequence[BookState], *, width: int, height: int, levels: int) -> RenderableType:
    """All books beside each other as far as the width allows, and a state line for each below.

    At most `levels` a side are drawn, fewer where the height does not hold them.
    """
    if not states:
        return Text("no books")
    across = max(1, min(len(states), width // _LADDER_WIDTH))
    rows = -(-len(states) // across)
    for_ladders = height - len(states) - 1 - (rows - 1)
    shown = max(1, min(levels, (for_ladders // rows - _LADDER_FRAME) // 2))
    grid = Table.grid(padding=(0, 2))
    for _ in range(across):
        grid.add_column(width=_LADDER_WIDTH - 2)
    for start in range(0, len(states), across):
        if start:
            grid.add_row()
        grid.add_row(*(ladder(state, levels=shown) for state in states[start : start + across]))
    return Group(grid, Text(), state_lines(states))


def state_lines(states: Sequence[BookState]) -> RenderableType:
    """One coloured state line a book; each is cut at the edge, never wrapped."""
    return Group(
        *(
            Text(state_line(state), style=_STYLES.get(state.status, "red"), no_wrap=True, overflow="ellipsis")
            for state in states
        )
    )


def ladder(state: BookState, *, levels: int) -> Table:
    """One book: price, quantity, sum from the best price on, and a bar of the quantity."""
    table = Table(box=None, padding=(0, 1, 0, 0), title_justify="left", title_style="bold")
    table.title = Text(f"{state.symbol} {state.exchange}")
    for heading, style in (("price", ""), ("quantity", ""), ("sum", "dim")):
        table.add_column(heading, justify="right", style=style, header_style="dim", no_wrap=True)
    table.add_column("", width=_BAR_WIDTH, no_wrap=True)
    if state.frozen is None:
        table.add_row(*_nothing(state))
        return table
    asks, bids = state.frozen.asks[:levels], state.frozen.bids[:levels]
    texts = _Texts([*asks, *bids])
    faded = "" if state.status is Status.SYNCED else " dim"
    for row in reversed(texts.rows(asks)):
        table.add_row(*row, style="red" + faded)
    table.add_row(*_spread(asks, bids, texts), style="bold" + faded)
    for row in texts.rows(bids):
        table.add_row(*row, style="green" + faded)
    return table


class _Texts:
    """Numbers as texts of one width: decimals that are zero in all of them are left out."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self.price_decimals = _decimals(level.price for level in levels)
        self.quantity_decimals = _decimals(level.quantity for level in levels)
        self._largest = max((level.quantity for level in levels), default=0)

    def rows(self, side: Sequence[Level]) -> list[tuple[str, str, str, str]]:
        sums = accumulate(level.quantity for level in side)
        return [
            (
                self.price(level.price),
                self._quantity(level.quantity),
                self._quantity(total),
                self._bar(level.quantity),
            )
            for level, total in zip(side, sums, strict=True)
        ]

    def price(self, value: float | Decimal) -> str:
        return f"{value:.{self.price_decimals}f}"

    def _quantity(self, value: float | Decimal) -> str:
        return f"{value:.{self.quantity_decimals}f}"

    def _bar(self, quantity: float | Decimal) -> str:
        eighths = round(float(quantity) / float(self._largest) * _BAR_WIDTH * 8)
        return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _decimals(values: Iterable[float | Decimal]) -> int:
    """Decimals needed to show every value exactly."""
    longest = 0
    for value in values:
        fraction = format(value, "f").partition(".")[2].rstrip("0")
        longest = max(longest, len(fraction))
    return longest


def _spread(asks: Sequence[Level], bids: Sequence[Level], texts: _Texts) -> tuple[str, str, str, str]:
    if not asks or not bids:
        return ("one side is empty", "", "", "")
    spread = Decimal(asks[0].price) - Decimal(bids[0].price)
    return (texts.price(spread), "spread", "", "")


def _nothing(state: BookState) -> tuple[str, str, str, str]:
    return (f"{state.status}", "", "", "")
