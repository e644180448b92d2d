"""Draw docs/concepts/market-machine.md and its picture from the table of transitions of the reference engine.

    python tools/market_machine.py

`tests/test_reference_pages.py` fails if a file differs from what this writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from depthcache.model import Status
from depthcache.reference.transitions import BY_HAND, TRANSITIONS, Event

DOCS = Path(__file__).parents[1] / "docs"
STATES = (Status.EMPTY, Status.BUFFERING, Status.BRIDGING, Status.SYNCED)
HEAD = """# The market machine

Each book is a small state machine. This page is generated from the table in
`src/depthcache/reference/transitions.py`, which the reference engine executes; the tests hold the native
engine to the same table. [How a book stays correct](kept-right.md) explains the states and the rules.
"""
PICTURE = "![The states of a market and the events that change them](../pictures/market-machine.svg)"
FOOT = """An empty cell is a pair that cannot occur; the reference engine raises there. A pair with *
occurs only in a book without a network. Random schedules of faults visit every other pair, and
`tests/properties/test_coverage.py` fails if one is missed. External conditions (disconnected, stale,
halted, closed) and crossed prices are not part of the machine: `book.status` combines them with its
state."""

Arrows = Mapping[tuple[str, str], Sequence[str]]
"""The names of the events that lead from one state to another."""

_SPACING, _WIDTH, _HEIGHT, _MARGIN = 230, 120, 44, 40
_LINE_HEIGHT = 15
_ARC_PER_STATE = {"forward": 62, "back": 104}
_ABOVE = 196
_BELOW = 196
_INK = "#76828f"
"""Readable on a white page and on a dark one."""
_FILLS = {
    "synced": ("#1b9e77", "#ffffff"),
    "bridging": ("#e6ab02", "#1c1c1c"),
    "buffering": ("#e6ab02", "#1c1c1c"),
}
_PLAIN = ("#8a94a6", "#ffffff")
_OPEN = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
    'font-family="system-ui, sans-serif" font-size="12">'
)
_MARKER = (
    '<marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0L10 5L0 10z" fill="{_INK}"/></marker>'
)


def files() -> dict[Path, str]:
    """Each file that this writes, with its content."""
    return {
        DOCS / "concepts" / "market-machine.md": page(),
        DOCS / "pictures" / "market-machine.svg": picture(),
    }


def page() -> str:
    """The picture and the table of transitions."""
    lines = [HEAD, PICTURE, ""]
    lines += ["| event | " + " | ".join(STATES) + " |", "|---|" + "---|" * len(STATES)]
    for event in Event:
        cells = " | ".join(_cell(state, event) for state in STATES)
        lines.append(f"| {event.name}: {event.value} | {cells} |")
    return "\n".join([*lines, "", FOOT, ""])


def picture() -> str:
    """The states, and every event that a live market meets and that changes its state."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), after in TRANSITIONS.items():
        if state is not after and (state, event) not in BY_HAND:
            arrows.setdefault((state, after), []).append(event.name)
    return draw(STATES, arrows)


def _cell(state: Status, event: Event) -> str:
    after = TRANSITIONS.get((state, event))
    if after is None:
        return ""
    return ("stays" if after is state else str(after)) + (" *" if (state, event) in BY_HAND else "")


def draw(states: Sequence[str], arrows: Arrows) -> str:
    """The picture of `states`, in this order from left to right, and the `arrows` between them."""
    centres = {state: _MARGIN + _WIDTH // 2 + number * _SPACING for number, state in enumerate(states)}
    width = 2 * _MARGIN + _WIDTH + _SPACING * (len(states) - 1)
    lines = [
        _OPEN.format(width=width, height=_ABOVE + _BELOW),
        f"<title>The states of a market: {', '.join(states)}</title>",
        f"<defs>{_MARKER}</defs>",
    ]
    for (state, after), events in arrows.items():
        start, end = states.index(state), states.index(after)
        if end == start + 1:
            lines += _straight(centres[state], centres[after], events)
        else:
            lines += _arc(centres[state], centres[after], abs(end - start), events)
    for state in states:
        fill, ink = _FILLS.get(state, _PLAIN)
        lines.append(
            f'<rect x="{centres[state] - _WIDTH // 2}" y="{_ABOVE - _HEIGHT // 2}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="22" fill="{fill}"/>'
        )
        lines += _text(centres[state], _ABOVE + 5, [state], f'fill="{ink}" font-size="15" font-weight="600"')
    return "\n".join([*lines, "</svg>", ""])


def _straight(start: int, end: int, events: Sequence[str]) -> list[str]:
    left, right = start + _WIDTH // 2 + 4, end - _WIDTH // 2 - 4
    rows = list(events)
    return [
        _path(f"M{left} {_ABOVE}L{right} {_ABOVE}"),
        *_text((left + right) // 2, _ABOVE - 8 - _LINE_HEIGHT * (len(rows) - 1), rows),
    ]


def _arc(start: int, end: int, span: int, events: Sequence[str]) -> list[str]:
    forward = end > start
    sign = -1 if forward else 1
    edge = _ABOVE + sign * (_HEIGHT // 2 + 3)
    lean = sign * span * _ARC_PER_STATE["forward" if forward else "back"]
    left, right = start + sign * -18, end + sign * (18 - 9 * (span - 1))
    # A cubic with both handles at the same height reaches three quarters of it.
    top = edge + lean * 3 // 4
    rows = [", ".join(events[at : at + 2]) for at in range(0, len(events), 2)]
    first = top - (7 if forward else 14) - _LINE_HEIGHT * (len(rows) - 1)
    path = f"M{left} {edge}C{left} {edge + lean} {right} {edge + lean} {right} {edge}"
    return [_path(path), *_text((left + right) // 2, first, rows)]


def _path(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{_INK}" stroke-width="1.5" marker-end="url(#tip)"/>'


def _text(x: int, y: int, rows: Sequence[str], style: str = f'fill="{_INK}"') -> list[str]:
    return [
        f'<text x="{x}" y="{y + number * _LINE_HEIGHT}" text-anchor="middle" {style}>{escape(row)}</text>'
        for number, row in enumerate(rows)
    ]


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
