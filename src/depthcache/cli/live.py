"""Live books on the terminal until it is time to end: what `watch` and `demo` share.

The terminal app where there is a terminal, lines everywhere else. All through the public API.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import click

from depthcache import now_ns as clock_ns
from depthcache.cli.plain import INTERVAL_S, Lines, json_state, print_lines, text_state
from depthcache.cli.state import BookState, Meter, state_figures
from depthcache.cli.streams import tell
from depthcache.model import Status

if TYPE_CHECKING:
    from depthcache import Books
    from depthcache.cli.interrupt import Interrupt

__all__ = ["View", "last_lines", "show"]

_LOOK_S = 0.5
_MOST_LAST_BOOKS = 10
_LEAST_WIDTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How to show books.

    Attributes:
        levels: per side, at first.
        seconds: end after this long; None for never.
        plain: lines also on a terminal.
        as_json: JSON instead of text; also means lines.
        banner: text above the books, read for every frame.
        on_look: called at least twice a second.
        dumps_to: the folder of flight dumps; None for the current one.
    """

    levels: int
    seconds: float | None
    plain: bool
    as_json: bool
    banner: Callable[[], tuple[str, ...]] = tuple
    on_look: Callable[[], None] = lambda: None
    dumps_to: str | PathLike[str] | None = None


async def show(books: Books, interrupt: Interrupt, view: View) -> None:
    """Show the books until Ctrl-C, for `seconds`, or until none of them will ever be live again."""
    loop = asyncio.get_running_loop()
    end_s = math.inf if view.seconds is None else loop.time() + view.seconds

    async def ended(wait_s: float) -> bool:
        view.on_look()
        if loop.time() >= end_s or all(book.status is Status.CLOSED for book in books):
            return True
        return await interrupt.wait_async(max(0.0, min(wait_s, end_s - loop.time())))

    if view.as_json or not _has_app(view):
        meters, lines = [Meter(book) for book in books], json_state if view.as_json else text_state
        printed_s = await _show_lines(meters, ended, lines)
        if not interrupt.has_happened and loop.time() - printed_s > INTERVAL_S / 10:
            print_lines(meters, clock_ns(), lines)  # how it ended
        return
    from depthcache.cli.terminal.app import run
    from depthcache.cli.terminal.session import Session

    dumps_to = None if view.dumps_to is None else Path(view.dumps_to)
    session = Session(books, levels=view.levels, banner=view.banner, dumps_to=dumps_to)
    if not await run(session, ended):
        return  # the terminal is gone
    width = shutil.get_terminal_size().columns
    for line in last_lines([meter.look(clock_ns()) for meter in session.meters], width):
        click.echo(line)


def last_lines(states: Sequence[BookState], width: int = 80) -> list[str]:
    """The lines left on the normal screen: a few per book; with many books, only those that are not synced.

    No line is longer than `width`, unless a single word is.
    """
    if len(states) <= _MOST_LAST_BOOKS:
        return [line for state in states for line in _last_lines_of(state, width)]
    others = [state for state in states if state.status is not Status.SYNCED]
    lines = [line for state in others[:_MOST_LAST_BOOKS] for line in _last_lines_of(state, width)]
    if len(others) > _MOST_LAST_BOOKS:
        lines.append(f"… and {len(others) - _MOST_LAST_BOOKS:,} more that are not synced")
    return [*lines, f"{len(states) - len(others):,} of {len(states):,} books synced"]


def _last_lines_of(state: BookState, width: int) -> list[str]:
    """The book, its status and why; then, indented, the figures. Broken only between them."""
    from depthcache.cli.terminal.lines import flow, text_of, wrap
    from depthcache.cli.terminal.status_lines import clock

    since = "" if state.since_at is None else f" since {clock(state.since_at)}"
    head = f"{state.symbol}  {state.exchange}  {state.status}{since}"
    room = max(_LEAST_WIDTH, width - 1) - 2
    lines = [head]
    if state.reason and len(head) + 2 + len(state.reason) < width:
        lines = [f"{head}: {state.reason}"]
    elif state.reason:
        lines = [f"{head}:", *(f"  {line}" for line in wrap(state.reason, room, most=9))]
    figures = [((" ".join(text.split()), ""),) for text in state_figures(state)]
    return [*lines, *(f"  {text_of(line)}" for line in flow([*figures], room, gap=2))]


async def _show_lines(
    meters: Sequence[Meter], ended: Callable[[float], Awaitable[bool]], lines: Lines
) -> float:
    """Print the lines once a second; return when they were printed last."""
    loop = asyncio.get_running_loop()
    printed_s = -math.inf
    while True:
        if loop.time() >= printed_s + INTERVAL_S:
            printed_s = loop.time()
            print_lines(meters, clock_ns(), lines)
        if await ended(min(_LOOK_S, max(0.0, printed_s + INTERVAL_S - loop.time()))):
            return printed_s


def _has_app(view: View) -> bool:
    """Whether the app can run here. Prints a hint if only its package is missing."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    kind = os.environ.get("TERM", "" if os.name == "posix" else "windows")
    if view.plain or not is_terminal or kind in ("", "dumb"):
        return False
    if find_spec("textual") is None:
        tell('depthcache: the terminal app needs Textual: pip install "depthcache[tui]"; lines until then')
        return False
    return True
