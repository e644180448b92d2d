"""The list of all books: filtered, sorted, with the columns that fit. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from depthcache.cli.state import BookState, age_text
from depthcache.cli.terminal.lines import Line, cells, fill, fit
from depthcache.cli.terminal.venue_names import venue_word
from depthcache.model import Status

__all__ = ["MARKS", "SORTS", "bps_text", "list_lines", "matches", "status_style"]

_ORDER = {status: number for number, status in enumerate(Status)}
MARKS = {Status.SYNCED: "●", Status.CLOSED: "✕"}
_OTHER_MARK = "○"
_ON_THE_WAY = (Status.BRIDGING, Status.BUFFERING, Status.EMPTY)
_LEAST_NAMES, _LEAST_SYMBOL = 16, 8
_WIDE = 72

SORTS: dict[str, Callable[[BookState], tuple[float, str, str]]] = {
    "symbol": lambda state: (0.0, state.symbol, state.exchange),
    "status": lambda state: (-_ORDER[state.status], state.symbol, state.exchange),
    "age": lambda state: (-_number(state.age_s, math.inf), state.symbol, state.exchange),
    "updates/s": lambda state: (-state.updates_per_second, state.symbol, state.exchange),
    "spread": lambda state: (-_number(state.spread_bps, -1.0), state.symbol, state.exchange),
}
"""Each order by its name: worst, oldest, busiest, widest first."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    width: int
    text: Callable[[BookState], str]


_FIELDS = (
    _Field("age", 7, lambda state: age_text(state.age_s)),
    _Field("updates/s", 10, lambda state: f"{state.updates_per_second:.1f}"),
    _Field("spread", 10, lambda state: bps_text(state.spread_bps)),
    _Field("gaps", 6, lambda state: f"{state.gaps:,}"),
    _Field("update id", 15, lambda state: "-" if state.update_id is None else str(state.update_id)),
)
"""In the order in which they are added while they fit."""


def matches(state: BookState, pattern: str) -> bool:
    """Whether symbol, exchange (by its name or its short word) or status contain the pattern, in any case."""
    wanted = pattern.casefold()
    texts = (state.symbol, state.exchange, venue_word(state.exchange), state.status)
    return any(wanted in text.casefold() for text in texts)


def status_style(status: Status) -> str:
    """The name of a style: `good`, `waiting` or `bad`."""
    if status is Status.SYNCED:
        return "good"
    return "waiting" if status in _ON_THE_WAY else "bad"


def list_lines(
    states: Sequence[BookState],
    selected: int,
    width: int,
    height: int,
    *,
    headings: Sequence[str],
    sort: str,
) -> list[Line]:
    """A heading and the books around the selected one. `headings`: the first that fits is used. `sort`: the
    column to mark; named in the heading if that column is not shown.

    A book that is not synced shows its status and reason instead of its figures.
    """
    if height <= 0 or width <= 0:
        return []
    symbol, exchange, is_short = _names(states, width)
    names = 2 + symbol + (exchange + 2 if exchange else 0)
    fields: list[_Field] = []
    used = names
    for field in _FIELDS:
        used += field.width + 2
        if used > width:
            break
        fields.append(field)
    if sort != "symbol" and sort not in [field.name for field in fields]:
        headings = [*(f"{text}  ↓{sort}" for text in headings), f"↓{sort}"]
    room = names if fields else width
    heading = next((text for text in headings if cells(text) <= room), headings[-1])
    marked = {field.name: "↓" if field.name == sort else "" for field in fields}
    head = fit(heading, room) + "".join(
        f"  {marked[field.name] + field.name:>{field.width}}" for field in fields
    )
    lines: list[Line] = [fill(((head, "heading"),), width)]
    first = _first(selected, len(states), height - 1)
    for number, state in enumerate(states[first : first + height - 1], first):
        name = (venue_word(state.exchange) if is_short else state.exchange) if exchange else ""
        style = "selected" if number == selected else ""
        lines.append(_line(state, fields, (symbol, exchange, width), exchange=name, style=style))
    return lines


def _names(states: Sequence[BookState], width: int) -> tuple[int, int, bool]:
    """Cells for symbols and for exchanges (0: not shown), and whether exchanges are shortened."""
    least = _LEAST_NAMES if width > _WIDE else _LEAST_SYMBOL
    symbol = min(max([least, *(cells(state.symbol) for state in states)]), max(6, width // 2))
    exchanges = {state.exchange for state in states}
    full = max(map(cells, exchanges), default=0)
    short = max((cells(venue_word(name)) for name in exchanges), default=0)
    age = _FIELDS[0].width + 2
    if len(exchanges) > 1 or width > 90:
        if 2 + symbol + 2 + full + age <= width * 2 // 3:
            return symbol, full, False
        if 2 + symbol + 2 + short <= width:
            return symbol, short, True
    return symbol, 0, False


def _line(
    state: BookState,
    fields: Sequence[_Field],
    widths: tuple[int, int, int],
    *,
    exchange: str,
    style: str,
) -> Line:
    symbol, exchange_width, width = widths
    kind = status_style(state.status)
    line: list[tuple[str, str]] = [
        (MARKS.get(state.status, _OTHER_MARK) + " ", style or kind),
        (fit(state.symbol, symbol), style),
    ]
    if exchange_width:
        line.append(("  " + fit(exchange, exchange_width), style or "label"))
    room = width - 2 - symbol - (exchange_width + 2 if exchange_width else 0) - 2
    if state.status is not Status.SYNCED:
        words = f"{state.status}: {state.reason}" if state.reason else str(state.status)
        line.append(("  " + fit(words, room), style or kind))
    else:
        line.append(("".join(f"  {field.text(state):>{field.width}}" for field in fields), style))
    return fill(tuple(line), width, style)


def _first(selected: int, count: int, room: int) -> int:
    """The first shown book: in a list longer than the screen, the selected book stays in the middle."""
    return min(max(0, selected - room // 2), max(0, count - room))


def bps_text(spread: float | None) -> str:
    """A spread in basis points, short, but with enough decimals not to read as 0."""
    if spread is None:
        return "-"
    return f"{spread:,.{0 if spread >= 1_000 else 2 if spread >= 0.1 else 4}f} bps"


def _number(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
