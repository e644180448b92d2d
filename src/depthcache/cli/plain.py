"""Books as lines, for programs and files: one line per book each second, as text or as JSON (NDJSON)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import click

from depthcache import wire
from depthcache.cli.state import BookState, Meter, state_line
from depthcache.errors import BookError
from depthcache.foreign_text import json_line

__all__ = ["INTERVAL_S", "Lines", "json_state", "print_lines", "text_state"]

INTERVAL_S = 1.0

Lines = Callable[[Meter, BookState, datetime], str]


def text_state(_meter: Meter, state: BookState, at: datetime) -> str:
    """The state line of a book with the time before it."""
    return f"{_iso(at)}  {state_line(state)}"


def json_state(meter: Meter, state: BookState, at: datetime) -> str:
    """A `best` message of `depthcache.wire` with the time before it and the figures of a state line after it.

    `wire.decode` reads it and ignores the other keys: `time`, `age_s`, `complete_to`, `coverage`,
    `updates_per_second`, `gaps` and `gap_s`.
    """
    complete_to: Any = state.complete_to.to_dict()
    figures = {
        "age_s": state.age_s,
        "complete_to": complete_to,
        "coverage": state.coverage._asdict(),
        "updates_per_second": round(state.updates_per_second, 3),
        "gaps": state.gaps,
        "gap_s": state.gap_s,
    }
    message = {"time": _iso(at), **_best(meter.book), **figures}
    return json_line(json.dumps(message, ensure_ascii=False, separators=(",", ":")))


def print_lines(meters: Iterable[Meter], now_ns: int, lines: Lines) -> None:
    """One line for each book as it is now."""
    at = datetime.now(UTC)
    for meter in meters:
        click.echo(lines(meter, meter.look(now_ns), at))


def _best(book: Any) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(wire.encode_best(book))
    except BookError:
        message = {**json.loads(wire.encode_status(book)), "type": "best", "best": None}
    return message


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
