"""The whole screen of a session as lines, at every size. Pure, except that it sets the page length of the
session."""

from __future__ import annotations

from depthcache.cli.terminal.book_list import list_lines
from depthcache.cli.terminal.keys import footer, help_lines
from depthcache.cli.terminal.lines import Line, beside, cells, fill, fit, flow, wrap
from depthcache.cli.terminal.session import HELP, LADDER, LIST, Session
from depthcache.cli.terminal.status_lines import status_lines
from depthcache.model import Status

__all__ = ["picture"]

_LEAST_LIST = 18
_MOST_LIST = 72
_RULES_FROM = 22
"""Lines from which there is room for rules between the parts."""
_DEPTH_FROM = 18
_STATUS_LINES_FROM = ((20, 4), (14, 3), (9, 2), (0, 1))
_WIDE_FROM = 100
"""Cells from which three lines of status hold as much as four."""


def picture(session: Session, width: int, height: int) -> list[Line]:
    """Exactly `height` lines of exactly `width` cells."""
    if width <= 0 or height <= 0:
        return []
    foot = _foot(session, width)
    head = _head(session, width, height)
    room = height - len(foot) - len(head)
    if room < 1:
        head, room = head[: max(0, height - len(foot))], max(0, height - len(foot) - len(head))
    if session.mode == HELP:
        body = _help(session, width, room)
        if session.help_scrolls:
            foot = [((" ↑ ↓ scroll · other keys close the help", "label"),)]
    elif session.mode == LIST:
        session.page = max(1, room - 1)
        body = _list(session, width, room)
    else:
        body = _ladder_and_more(session, width, room, height)
    lines = [*head, *body[:room], *[()] * max(0, room - len(body)), *foot]
    if told := _notice(session, width, most=max(1, height // 4)):
        lines[-len(told) :] = told
    return [fill(line, width, _title_style(at)) for at, line in enumerate(lines[:height])]


def _title_style(at: int) -> str:
    return "title" if at == 0 else ""


def _head(session: Session, width: int, height: int) -> list[Line]:
    banner = session.banner() if session.mode != HELP else ()
    title, rest = _title(session, width, banner)
    lines = [title]
    if rest:
        lines += flow([((text, "banner"),) for text in rest], width)[: 2 if height >= _DEPTH_FROM else 1]
    if session.mode == HELP:
        return lines
    most = next(most for least, most in _STATUS_LINES_FROM if height >= least)
    if width >= _WIDE_FROM:
        most = min(most, 3)
    frozen_at = session.frozen_at
    note = "(the list is live)" if frozen_at is not None and len(session.meters) > 1 else ""
    lines += status_lines(session.state, width, session.widths, most=most, frozen_at=frozen_at, note=note)
    if height >= _RULES_FROM:
        lines.append(_rule_with_grouping(session, width))
    return lines


def _rule_with_grouping(session: Session, width: int) -> Line:
    """A rule that names the grouping and levels of the ladder below."""
    told = f" {session.ladder.grouping} " if session.mode == LADDER and not session.ladder.is_empty else ""
    if cells(told) + 4 > width:
        told = ""
    end = "──" if told else ""
    rule = "─" * (width - cells(told) - cells(end))
    return ((rule, "rule"), (told, "label"), (end, "rule"))


def _title(session: Session, width: int, banner: tuple[str, ...]) -> tuple[Line, tuple[str, ...]]:
    """The title, and the parts of the banner that did not fit."""
    state = session.state
    place = ""
    if len(session.meters) > 1:
        at = session.order.index(session.current) + 1 if session.current in session.order else "-"
        place = f"  {at}/{len(session.order)}"
    full = f" {state.symbol}  {state.exchange}{place} "
    left = full if cells(full) <= width else fit(f" {state.symbol}", width)
    if banner and cells(left) + cells(banner[0]) + 2 <= width:
        right = banner[0]
        space = width - cells(left) - cells(right) - 1
        return ((left, "title"), (" " * space, "title"), (right + " ", "title-note")), banner[1:]
    return ((left, "title"),), banner


def _foot(session: Session, width: int) -> list[Line]:
    if session.is_finding:
        found = len(session.order)
        asked = f" / {session.pattern}▏"
        told = f"  {found} of {len(session.meters)} books · Enter shows · Esc clears"
        return [
            (
                (fit(asked, min(cells(asked), width)), "key"),
                (fit(told, max(0, width - cells(asked))), "label"),
            )
        ]
    return [footer(width)]


def _notice(session: Session, width: int, *, most: int) -> list[Line]:
    """A message covers the last lines while it is shown, so nothing else moves."""
    text, style = session.notice
    if not text or session.is_finding:
        return []
    return [fill(((part, style),), width) for part in wrap(text, width, most=most)]


def _help(session: Session, width: int, height: int) -> list[Line]:
    lines = help_lines(width)
    session.page = max(1, height)
    session.help_scrolls = len(lines) > height
    session.help_offset = min(session.help_offset, max(0, len(lines) - height))
    return lines[session.help_offset : session.help_offset + height]


def _list(session: Session, width: int, height: int) -> list[Line]:
    if not session.order:
        return [(("no book matches", "note"),)]
    shown = [session.states[number] for number in session.order]
    selected = session.order.index(session.current) if session.current in session.order else -1
    synced = sum(state.status is Status.SYNCED for state in session.states)
    count = f"{synced}/{len(session.states)}"
    headings = [f"{count} synced", count]
    if session.pattern:
        headings = [f"“{session.pattern}”"]
    return list_lines(shown, selected, width, height, headings=headings, sort=session.sort)


def _ladder_and_more(session: Session, width: int, room: int, height: int) -> list[Line]:
    depth = session.history.lines(width) if height >= _DEPTH_FROM else []
    if depth and height >= _RULES_FROM:
        depth = [(("─" * width, "rule"),), *depth]
    ladder_height = room - len(depth)
    session.page = max(1, ladder_height - 1)
    needed = session.ladder.width()
    ladder_width = max(needed, min(needed + 30, width * 55 // 100))
    list_width = min(_MOST_LIST, width - ladder_width - 3)
    if len(session.meters) < 2 or list_width < _LEAST_LIST:
        return [*_ladder(session, width, ladder_height, height), *depth]
    ladder_width = width - list_width - 3
    left = _ladder(session, ladder_width, ladder_height, height)
    right = _list(session, list_width, ladder_height)
    right += [()] * (len(left) - len(right))
    return [
        *(
            beside(one, ((" │ ", "rule"), *other), left_width=ladder_width)
            for one, other in zip(left, right, strict=True)
        ),
        *depth,
    ]


def _ladder(session: Session, width: int, height: int, screen_height: int) -> list[Line]:
    state, ladder = session.state, session.ladder
    if ladder.is_empty:
        words = "no book yet" if state.best is None else "the book is empty"
        return [fill(((f"  {words}", "note"),), width), *[()] * max(0, height - 1)]
    lines = ladder.lines(width, height, is_faded=state.status is not Status.SYNCED)
    if lines and screen_height < _RULES_FROM:
        lines[0] = _heading(session, lines[0], width)
    return lines


def _heading(session: Session, line: Line, width: int) -> Line:
    """The heading of the columns, with levels and groups where there is room behind it and no rule above."""
    text, told = "".join(part for part, _ in line).rstrip(), session.ladder.grouping
    space = width - cells(text) - cells(told)
    if space < 2:
        return line
    return ((text, "heading"), (" " * space, ""), (told, "label"))
