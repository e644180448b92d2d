"""Showing states again and again: a live ladder in a terminal, plain lines everywhere else.

Not here: what a state is (`state`) and how it is drawn (`ladder`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import click

from depthcache.cli.state import BookState, state_line

__all__ = ["Display", "display"]


class Display(Protocol):
    """Enter it, `show` every `interval_s`, leave it."""

    interval_s: float

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def show(self, states: Sequence[BookState]) -> None:
        """Show the books as they are now."""


def display(*, levels: int) -> Display:
    """The display for this stdout."""
    if sys.stdout.isatty():
        return _Live(levels)
    return _Lines()


class _Lines:
    """A state line a book with its best prices, once a second."""

    interval_s = 1.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, states: Sequence[BookState]) -> None:
        for state in states:
            click.echo(f"{state_line(state)}{_best(state)}")


class _Live:
    """The whole terminal, redrawn four times a second; the last state lines stay when it ends."""

    interval_s = 0.25

    def __init__(self, levels: int) -> None:
        from rich.console import Console
        from rich.live import Live

        self._levels = levels
        self._console = Console()
        self._live: Any = Live(console=self._console, screen=True, auto_refresh=False)
        self._last: Sequence[BookState] = ()

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        from depthcache.cli.ladder import state_lines

        self._live.__exit__(*error)
        if self._last:
            self._console.print(state_lines(self._last))

    def show(self, states: Sequence[BookState]) -> None:
        from depthcache.cli.ladder import screen

        self._last = states
        size = self._console.size
        self._live.update(
            screen(states, width=size.width, height=size.height, levels=self._levels), refresh=True
        )


def _best(state: BookState) -> str:
    if state.frozen is None:
        return ""
    best = state.frozen.best
    bid = "-" if best.bid is None else f"{best.bid.price:f}"
    ask = "-" if best.ask is None else f"{best.ask.price:f}"
    return f"  bid {bid} ask {ask}"
