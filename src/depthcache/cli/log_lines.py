"""Log lines of a command on stderr: as text for people, or one JSON object per line for machines.

    with written(Lines.OF_A_NODE):
        ...

The option `--log-format` (`log_format`) says which. With JSON, everything that the command tells on stderr is
such a line, also why it fails. Not here: the words of the lines (`depthcache.logs`).
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any

from depthcache import logs
from depthcache.cli import streams
from depthcache.foreign_text import escaped

__all__ = ["JsonLines", "Lines", "TextLines", "choose", "identify", "written"]

_MOST_TRACEBACK = 16_000
"""Characters of a traceback that are kept, those at its end."""
_MOST_INTEGER = 1 << 63
_SECRET = re.compile(r"\b(dc[a-z]_)[A-Za-z0-9_-]{8,}")
"""Access tokens and join tokens. No line should have one; none is written either."""
_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; all else are facts."""
_OWN = ("time", "level", "logger", "event", "message", "node", "cluster", "exception")


class Lines(Enum):
    """Which lines a command writes."""

    OF_A_NODE = "node"
    """What concerns the node as a whole: it may hold thousands of books."""
    ALL = "all"
    """Also those of single books, connections and requests."""


class TextLines(logging.Formatter):
    """Time, level and message; a message is one line, whatever it contains."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the base class
        """The line without the traceback that may follow."""
        return _without_secrets(escaped(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the base class
        """The traceback, on lines of its own."""
        return _without_secrets("\n".join(map(escaped, super().formatException(ei).split("\n"))))


class JsonLines(logging.Formatter):
    """One JSON object per record, in ASCII; docs/reference/logs.md describes its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.identity: dict[str, str] = {}
        """Who writes: `node` and `cluster`, once that is known."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. It never raises: a value that cannot be shown is named by its type."""
        at = datetime.fromtimestamp(record.created, UTC)
        given = vars(record)
        facts = {name: value for name, value in given.items() if name not in _RECORD and name not in _OWN}
        line: dict[str, object] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": _text(record.name),
        }
        if "event" in given:
            line["event"] = _text(given["event"])
        line["message"] = _text(_message(record))
        line |= {name: _plain(given[name]) for name in ("node", "cluster") if name in given}
        line |= self.identity
        line |= {_text(name): _plain(value) for name, value in facts.items()}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _exception(record.exc_info[1])
        return _without_secrets(json.dumps(line, allow_nan=False))


_formatter: logging.Formatter | None = None
"""Of the command that runs; None where no format was chosen."""


def choose(format_: str | None) -> None:
    """Write lines so from now on: `text`, `json`, or None where nothing was chosen."""
    global _formatter
    json_lines = JsonLines()
    _formatter = {"text": TextLines(), "json": json_lines}.get(format_ or "")
    streams.speak(partial(_said, json_lines) if format_ == "json" else None)


def identify(*, node: str, cluster: str) -> None:
    """From now on, lines say which node writes them."""
    if isinstance(_formatter, JsonLines):
        _formatter.identity = {"node": node, "cluster": cluster}


@contextmanager
def written(lines: Lines, *, always: bool = False) -> Generator[None]:
    """Write log lines to stderr: service managers and containers keep it.

    `always`: also where no format was chosen, as text."""
    formatter = TextLines() if _formatter is None and always else _formatter
    if formatter is None:
        yield
        return
    root, own = logging.getLogger(), logging.getLogger("depthcache")
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(_of_a_node if lines is Lines.OF_A_NODE else _of_all)
    level = own.level
    root.addHandler(handler)
    own.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        own.setLevel(level)


def _of_all(record: logging.LogRecord) -> bool:
    is_own = record.name == "depthcache" or record.name.startswith("depthcache.")
    return record.levelno >= (logging.INFO if is_own else logging.WARNING)


def _of_a_node(record: logging.LogRecord) -> bool:
    if record.name == "depthcache.cluster":
        return _of_all(record)
    left_out = {*logs.OF_SINGLE_BOOKS, logs.SUPPRESSED}
    return record.levelno >= logging.WARNING and getattr(record, "event", "") not in left_out


def _said(formatter: logging.Formatter, line: str, event: str, error: BaseException | None) -> None:
    """What the command itself tells, as a line of the log."""
    level = logging.INFO if event == streams.SAID else logging.ERROR
    name, text = "depthcache.cli", line.removeprefix("depthcache: ")
    about = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord(name, level, "", 0, text, None, about)
    record.event = event
    print(formatter.format(record), file=sys.stderr, flush=True)  # noqa: T201 - this is what tells


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a line of another library with values that do not fit
        return str(record.msg)


def _exception(error: BaseException) -> dict[str, str]:
    shown = "".join(traceback.format_exception(error))
    short = shown if len(shown) <= _MOST_TRACEBACK else f"… {shown[-_MOST_TRACEBACK:]}"
    return {"type": type(error).__name__, "message": _text(error), "traceback": _text(short)}


def _plain(value: object) -> Any:
    """As JSON has it."""
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < _MOST_INTEGER):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _text(value)


def _text(value: object) -> str:
    """Text with a mark in the place of lone surrogates, which many readers of JSON refuse."""
    try:
        shown = str(value)
    except Exception:  # noqa: BLE001 - a value that cannot be shown
        shown = f"<{type(value).__name__}>"
    return shown.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _without_secrets(line: str) -> str:
    return _SECRET.sub(r"\1...", line)
