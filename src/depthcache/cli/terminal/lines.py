"""Lines of styled text, measured in cells: a Chinese character takes two. Pure values."""

from __future__ import annotations

from typing import TypeAlias

from rich.cells import cell_len, chop_cells, set_cell_size

__all__ = ["Line", "Span", "beside", "cells", "fill", "fit", "flow", "text_of", "width_of", "wrap"]

Span: TypeAlias = tuple[str, str]
"""A text and the name of its style; `app` knows what each name looks like."""
Line: TypeAlias = tuple[Span, ...]

cells = cell_len


def text_of(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


def width_of(line: Line) -> int:
    """How many cells a line takes."""
    return sum(cells(text) for text, _ in line)


def fit(text: str, width: int) -> str:
    """A text in exactly `width` cells, cut with an ellipsis where it is longer. Not for prices and sizes."""
    if width <= 0:
        return ""
    if cells(text) <= width:
        return set_cell_size(text, width)
    return f"{set_cell_size(text, width - 1)}…"


def fill(line: Line, width: int, style: str = "") -> Line:
    """A line in exactly `width` cells: spaces after it, or cut without a mark."""
    room = width
    parts: list[Span] = []
    for text, name in line:
        taken = cells(text)
        if taken > room:
            parts.append((set_cell_size(text, room), name))
            return tuple(parts)
        parts.append((text, name))
        room -= taken
    if room:
        parts.append((" " * room, style))
    return tuple(parts)


def beside(left: Line, right: Line, *, left_width: int) -> Line:
    """Two lines beside each other."""
    return (*fill(left, left_width), *right)


def wrap(text: str, width: int, *, most: int) -> list[str]:
    """A text on up to `most` lines of `width` cells, broken at spaces where it can be."""
    if width < 2:
        return [fit(text, width)]
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most - 1 and cells(rest) > width:
        head = chop_cells(rest, width)[0]
        at = head.rfind(" ")
        if at > 0 and not rest[len(head) :].startswith(" "):
            head = head[:at]
        lines.append(head)
        rest = rest[len(head) :].lstrip(" ")
    if rest:
        lines.append(fit(rest, width).rstrip(" ") if cells(rest) > width else rest)
    return lines


def flow(parts: list[Line], width: int, *, gap: int = 3) -> list[Line]:
    """Parts one after another, on as many lines as they need; a part that no line holds is left out."""
    lines: list[Line] = []
    line: Line = ()
    for part in parts:
        if width_of(part) > width:
            continue
        joined = (*line, (" " * gap, ""), *part) if line else part
        if width_of(joined) > width:
            lines.append(line)
            joined = part
        line = joined
    return [*lines, line] if line else lines
