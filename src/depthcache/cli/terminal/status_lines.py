"""The state of one book above its ladder: status, since when, why; then the figures that fit. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from depthcache.cli.state import BookState, age_text, completeness, gap_text
from depthcache.cli.terminal.book_list import status_style
from depthcache.cli.terminal.lines import Line, cells, fill, fit, flow, width_of, wrap

__all__ = ["clock", "status_lines"]

_LEAST_REASON = 12


def status_lines(
    state: BookState,
    width: int,
    widths: dict[str, int],
    *,
    most: int,
    frozen_at: datetime | None = None,
    note: str = "",
) -> list[Line]:
    """Exactly `most` lines of `width` cells, so that nothing below them moves when the book changes: status,
    since when, why; then the figures that fit. A figure is never cut.

    `widths`: the widest text of each figure so far; they only grow. `note`: text after the reason.
    """
    since = f"since {clock(state.since_at)}" if state.since_at is not None else ""
    head = _head(state, width, frozen_at)
    if since and state.reason:
        since += ":"
    lines, is_whole = _told(head, [(since, "label"), (state.reason, "reason"), (note, "label")], width, most)
    if not is_whole:  # the reason is worth more than the rest
        lines, _ = _told(head, [(state.reason or since, "reason" if state.reason else "label")], width, most)
    figures = flow(_figures(state, widths), width - 1)
    lines += [((" ", ""), *line) for line in figures[: max(0, most - len(lines))]]
    lines += [()] * (most - len(lines))
    return [fill(line, width) for line in lines]


def _told(head: Line, parts: list[tuple[str, str]], width: int, most: int) -> tuple[list[Line], bool]:
    """The parts after the head on up to `most` lines, broken at spaces, and whether all of it is there."""
    lines: list[Line] = []
    line = head
    for text, style in parts:
        rest = text
        while rest:
            room = width - width_of(line) - 1
            is_last = len(lines) + 1 >= most
            if cells(rest) <= room:
                part = rest
            elif is_last:
                part = _cut(rest, room)
                return [*lines, (*line, (f" {part}", style) if part else ("", ""))], False
            else:
                part = "" if line and (room < _LEAST_REASON or style == "label") else _head_of(rest, room)
            rest = rest[len(part) :].lstrip(" ")
            line = (*line, (f" {part}", style)) if part else line
            if rest:
                lines.append(line)
                line = ()
    return ([*lines, line] if line else lines), True


def _cut(text: str, room: int) -> str:
    """As much of a longer text as fits, broken at a space where there is one, with an ellipsis."""
    head, space, _ = fit(text, room).rstrip(" ").rpartition(" ")
    return f"{head} …" if space else fit(text, room)


def _head_of(text: str, room: int) -> str:
    """As much of a longer text as one line holds."""
    return wrap(text, max(1, room), most=2)[0]


def clock(at: datetime) -> str:
    """A time of day in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"


def _head(state: BookState, width: int, frozen_at: datetime | None) -> Line:
    kind, word = status_style(state.status), str(state.status).upper()
    chips: Line = ((f" {word} ", f"chip-{kind}"),)
    if frozen_at is not None:
        chips = ((f" FROZEN since {clock(frozen_at)} ", "chip-frozen"), (" ", ""), *chips)
    return chips if width_of(chips) < width else ((fit(word, width - 1).rstrip(" "), kind),)


def _figures(state: BookState, widths: dict[str, int]) -> list[Line]:
    texts = {
        "age": age_text(state.age_s).rjust(7),
        "id": "-" if state.update_id is None else str(state.update_id),
        "rate": f"{state.updates_per_second:.1f}".rjust(6),
        "complete": completeness(state),
        "gaps": gap_text(state),
    }
    for name, text in texts.items():
        widths[name] = max(widths.get(name, 0), len(text))
        texts[name] = text.rjust(widths[name]) if name == "rate" else text.ljust(widths[name])
    return [
        (("age ", "label"), (texts["age"], "figure")),
        (("id ", "label"), (texts["id"], "figure")),
        ((texts["rate"], "figure"), (" updates/s", "label")),
        ((texts["complete"], "figure"),),
        ((texts["gaps"], "figure" if state.gaps else "label"),),
    ]
