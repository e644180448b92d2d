"""The state of one book above its ladder: status and reason first, then the figures that have room. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from depthcache.cli.state import BookState, age_text, completeness, gap_text
from depthcache.cli.terminal.book_list import status_style
from depthcache.cli.terminal.lines import Line, cells, fill, fit, flow, width_of, wrap

__all__ = ["status_lines"]

_MOST_REASON_LINES = 4
_LEAST_REASON = 12


def status_lines(
    state: BookState,
    width: int,
    widths: dict[str, int],
    *,
    most: int,
    frozen_at: datetime | None = None,
) -> list[Line]:
    """Up to `most` lines of `width` cells. A reason comes before any figure; a figure is whole or not there.

    `widths`: how wide each figure was so far; they only grow.
    """
    since = f"since {clock(state.since_at)}" if state.since_at is not None else ""
    head = _head(state, width, frozen_at)
    room = width - width_of(head) - 1
    words, style = (state.reason, "reason") if state.reason else (since, "label")
    if cells(words) <= room:
        lines: list[Line] = [(*head, (f" {words}", style))]
    elif room >= _LEAST_REASON:
        first = wrap(words, room, most=2)[0]
        lines = [(*head, (f" {first}", style)), *_more(words[len(first) :], width, style, most=most)]
    else:
        lines = [head, *_more(words, width, style, most=most)]
    lines = lines[: max(1, most)]
    figures = flow(_figures(state, widths, since if state.reason else ""), width - 1)
    lines += [((" ", ""), *line) for line in figures[: max(0, most - len(lines))]]
    return [fill(line, width) for line in lines]


def clock(at: datetime) -> str:
    """A time of day in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S} UTC"


def _head(state: BookState, width: int, frozen_at: datetime | None) -> Line:
    kind, word = status_style(state.status), str(state.status).upper()
    chips: Line = ((f" {word} ", f"chip-{kind}"),)
    if frozen_at is not None:
        chips = ((f" FROZEN since {clock(frozen_at)} ", "chip-frozen"), (" ", ""), *chips)
    return chips if width_of(chips) < width else ((fit(word, width - 1).rstrip(" "), kind),)


def _more(words: str, width: int, style: str, *, most: int) -> list[Line]:
    lines = wrap(words.lstrip(" "), width - 1, most=max(1, min(most, _MOST_REASON_LINES) - 1))
    return [((f" {line}", style),) for line in lines]


def _figures(state: BookState, widths: dict[str, int], since: str) -> list[Line]:
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
    figures: list[Line] = [
        (("age ", "label"), (texts["age"], "figure")),
        (("id ", "label"), (texts["id"], "figure")),
        ((texts["rate"], "figure"), (" updates/s", "label")),
        (("complete ", "label"), (texts["complete"], "figure")),
        ((texts["gaps"], "figure" if state.gaps else "label"),),
    ]
    return [*figures, ((since, "label"),)] if since else figures
