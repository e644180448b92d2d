"""The console of a cluster: nodes, request weight, moves and books on one screen. State and drawing; pure.

Call `update` with each new status, `press` for each key, and `picture` after either. No terminal, no sleep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from depthcache.cli.cluster_status import is_wrong, possible, why_not
from depthcache.cli.state import counted
from depthcache.cli.terminal.lines import Line, cells, fill, fit
from depthcache.foreign_text import clean

__all__ = ["ClusterConsole", "picture"]

_SHORT = 8
_BAR = 20
_MOVES_MS = 60_000
_LATE_S = 6.0
"""What is older is marked: an update comes every two seconds."""
_NOTE_S = 15.0
_PLACES = {"alive": "good", "draining": "waiting", "suspect": "waiting", "away": "bad", "removed": "label"}
_SEEN = ("alive", "suspect", "draining")
_KEYS = (
    ("q", "quit"),
    ("b", "all books"),
    ("/", "filter"),
    ("Space", "pause"),
    ("↑ ↓", "scroll"),
)
_SCROLLS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -1_000_000, "end": 1_000_000}

Status = Mapping[str, Any]
Moves = Sequence[Mapping[str, Any]]
Column = tuple[str, int, bool]
"""Heading, width, and whether it is aligned to the right."""


class ClusterConsole:
    """What the console shows, and how the user looks at it."""

    def __init__(self, *, url: str, now_s: Callable[[], float]) -> None:
        """`url`: of the node that is asked first. `now_s`: a clock that never goes back."""
        self._now_s = now_s
        self.url = url
        self.status: Status | None = None
        self.moves: Moves = ()
        self.shows_all: bool = False
        """Whether all books are listed, not only those that are not synced as wanted."""
        self.is_paused: bool = False
        self.is_finding: bool = False
        """Whether keys are letters of the pattern."""
        self.pattern: str = ""
        self.offset: int = 0
        """The first book of the list."""
        self.page: int = 10
        """Lines of the list; set by the drawing."""
        self.problem: str = ""
        """Why there is no newer status."""
        self._kept: tuple[Status, Moves] | None = None
        """The newest, while the console is paused."""
        self._updated_s = now_s()
        self._note = ("", 0.0)
        self._listed: tuple[Status | None, bool, str] = (None, False, "")
        self._books: list[Mapping[str, Any]] = []
        """What `_listed` lists: thousands of books are looked at once for each status, not for each frame."""
        self._counted: Status | None = None
        self.wrong: int = 0
        """How many books of the status are not synced as wanted; set by `count`, with `held`."""
        self.held: dict[str, list[str]] = {}
        """The states of the replicas of each node."""

    # --- what happens ------------------------------------------------------------------------

    def update(self, status: Status, moves: Moves) -> None:
        """A new status; moves oldest first."""
        self.problem, self._updated_s = "", self._now_s()
        if self.is_paused and self.status is not None:
            self._kept = status, moves
        else:
            self.status, self.moves = status, moves

    def fail(self, reason: str) -> None:
        """No node answers now."""
        self.problem = clean(reason)

    def change_source(self, url: str, why: str) -> None:
        """Another node is asked from now on."""
        self.url = url
        self._note = (f"{clean(why)}: asking {clean(url)}", self._now_s())

    def frame(self) -> None:
        """Nothing is read here."""

    async def aclose(self) -> None:
        """Nothing runs here."""

    def press(self, name: str, character: str | None = None) -> str | None:
        """Do what a key does. Returns `quit` or `suspend` if the app has to do it."""
        if name in ("ctrl+c", "ctrl+q") or (name == "q" and not self.is_finding):
            return "quit"
        if name == "ctrl+z":
            return "suspend"
        if self.is_finding:
            self._find(name, character)
        elif name in _SCROLLS:
            self.scroll(_SCROLLS[name])
        elif name == "b":
            self.shows_all, self.offset = not self.shows_all, 0
        elif name == "slash":
            self.is_finding = True
        elif name == "escape":
            self.pattern, self.offset = "", 0
        elif name == "space":
            self._pause()
        return None

    def scroll(self, lines: int) -> None:
        """Move in the list of books."""
        self.offset = min(max(0, self.offset + lines), max(0, len(self.books()) - 1))

    def _find(self, name: str, character: str | None) -> None:
        if name == "escape":
            self.pattern, self.is_finding = "", False
        elif name == "enter":
            self.is_finding = False
        elif name in ("backspace", "ctrl+h"):
            self.pattern = self.pattern[:-1]
        elif name in _SCROLLS:
            self.scroll(_SCROLLS[name])
            return
        elif character and character.isprintable():
            self.pattern += character
        self.offset = 0

    def _pause(self) -> None:
        self.is_paused = not self.is_paused
        if not self.is_paused and self._kept is not None:
            (self.status, self.moves), self._kept = self._kept, None

    # --- what is shown -----------------------------------------------------------------------

    @property
    def note(self) -> str:
        """What the user has to know besides the figures; empty if nothing."""
        if self.problem:
            return f"no node answers ({self.problem}); trying again"
        late_s = self._now_s() - self._updated_s
        if self.status is not None and late_s > _LATE_S:
            return f"no answer for {late_s:.0f} s"
        text, at_s = self._note
        return text if text and self._now_s() - at_s < _NOTE_S else ""

    def books(self) -> list[Mapping[str, Any]]:
        """Those that the list has: filtered, and with `shows_all` also those that are as wanted."""
        wanted = (self.status, self.shows_all, self.pattern)
        if self.status is None:
            return []
        if self._listed[0] is not wanted[0] or self._listed[1:] != wanted[1:]:
            most, words = possible(self.status), self.pattern.lower()
            self._listed = wanted
            self._books = [
                book
                for book in self.status["books"]
                if (self.shows_all or is_wrong(book, most))
                and (not words or words in f"{book['symbol']} {book['exchange']}".lower())
            ]
        return self._books

    def count(self, status: Status) -> None:
        """Count the books of a status, unless that is done."""
        if status is self._counted:
            return
        self._counted, most = status, possible(status)
        self.wrong = sum(is_wrong(book, most) for book in status["books"])
        self.held = {}
        for book in status["books"]:
            for peer, state in book["holders"].items():
                self.held.setdefault(peer, []).append(state)


def picture(console: ClusterConsole, width: int, height: int) -> list[Line]:
    """Exactly `height` lines of exactly `width` cells."""
    if width <= 0 or height <= 0:
        return []
    status = console.status
    lines: list[Line] = [_title(console, width)]
    if note := console.note:
        lines.append(((fit(f" {note}", width), "waiting" if not console.problem else "bad"),))
    foot = _footer(console, width)
    room = height - len(lines) - 1
    if status is None:
        lines.append(((" waiting for the first answer …", "label"),))
    else:
        head = [*_nodes(status, console.held, width, most=max(1, room // 4))]
        head += _weights(status, width, most=max(1, room // 6))
        head += _moves(console, width, most=max(1, room // 5))
        head = head[: max(0, room - 2)]
        lines += head
        lines += _books(console, width, room - len(head))
    lines = lines[: height - 1]
    lines += [()] * (height - 1 - len(lines))
    return [fill(line, width, "title" if at == 0 else "") for at, line in enumerate([*lines, foot])]


def _title(console: ClusterConsole, width: int) -> Line:
    status = console.status
    if status is None:
        return ((fit(f" cluster at {clean(console.url)}", width), "title"),)
    nodes, books = status["nodes"], status["books"]
    seen = sum(each["state"] in _SEEN for each in nodes)
    belonging = sum(each["state"] != "removed" for each in nodes)
    console.count(status)
    state = f"{console.wrong:,} not synced as wanted" if console.wrong else "all synced"
    up = f"{seen} of {counted(belonging, 'node')} up"
    left = f" {clean(status['cluster'])}: {up}, {counted(len(books), 'book')}, {state}"
    paused = "  PAUSED" if console.is_paused else ""
    right = f"{paused}  from {clean(console.url)} "
    room = width - cells(right)
    if room < cells(left):
        return ((fit(f"{left}{paused}", width), "title"),)
    return ((fit(left, room), "title"), (right, "title-note"))


def _nodes(status: Status, held: Mapping[str, list[str]], width: int, *, most: int) -> list[Line]:
    columns: list[Column] = [("NODE", 9, False), ("STATE", 9, False), ("REPLICAS", 9, True),
                             ("SYNCED", 9, True), ("ADDRESS", 22, False), ("ZONE", 12, False)]  # fmt: skip
    lines = [_heading(columns, width)]
    nodes = sorted(status["nodes"], key=lambda each: (each["state"] in ("alive", "removed"), each["id"]))
    for node in nodes[:most]:
        states = held.get(node["id"], [])
        mark = "*" if node["id"] == status["node"] else ""
        texts = (
            f"{node['id'][:_SHORT]}{mark}",
            node["state"],
            f"{len(states):,}",
            f"{states.count('synced'):,}",
            node["address"] or "-",
            node.get("zone") or "-",
        )
        style = _PLACES.get(node["state"], "")
        lines.append(_row(columns, texts, width, styles={1: style}))
    if len(nodes) > most:
        lines.append(((f" … and {len(nodes) - most:,} more, all of them alive or removed", "label"),)
                     if all(each["state"] in ("alive", "removed") for each in nodes[most:])
                     else ((f" … and {len(nodes) - most:,} more", "label"),))  # fmt: skip
    return lines


def _weights(status: Status, width: int, *, most: int) -> list[Line]:
    rows = status.get("weight", ())
    lines: list[Line] = [(("WEIGHT OF A MINUTE", "heading"),)] if rows else []
    for each in rows[:most]:
        used = int(each["used"] if each.get("exchange_used") is None else each["exchange_used"])
        limit = max(int(each["limit"]), 1)
        share = min(used / limit, 1.0)
        filled = round(share * _BAR)
        style = "bad" if share > 0.9 else "waiting" if share > 0.6 else "good"
        name = " ".join(part for part in (clean(each["egress"]), clean(each["pool"])) if part)
        figures = f" {used:>7,} / {limit:,}"
        room = max(8, width - _BAR - cells(figures) - 1)
        bar = (("█" * filled, style), ("·" * (_BAR - filled), "label"))
        lines.append(((fit(name, min(room, 34)), ""), (" ", ""), *bar, (figures, "figure")))
    if len(rows) > most:
        lines.append(((f" … and {len(rows) - most:,} more", "label"),))
    return lines


def _moves(console: ClusterConsole, width: int, *, most: int) -> list[Line]:
    moves = console.moves
    if not moves:
        return []
    newest_ms = int(moves[-1]["at_ms"])
    recent = sum(newest_ms - int(each["at_ms"]) < _MOVES_MS for each in moves)
    columns: list[Column] = [("UTC", 8, False), ("NODE", 8, False), ("BOOK", 16, False), ("MOVE", 6, False),
                             ("FROM", 8, False), (f"WHY ({recent:,} in a minute)", 30, False)]  # fmt: skip
    lines = [_heading(columns, width)]
    for each in list(reversed(moves))[:most]:
        at = datetime.fromtimestamp(int(each["at_ms"]) / 1_000, UTC)
        done = f"after {each['took_s']:.1f} s" if each["what"] == "synced" else ""
        texts = (f"{at:%H:%M:%S}", each["node"][:_SHORT], each["symbol"], each["what"],
                 each["source"][:_SHORT] or "-", each["why"] or done)  # fmt: skip
        lines.append(_row(columns, texts, width))
    return lines


def _books(console: ClusterConsole, width: int, room: int) -> list[Line]:
    status, books = console.status, console.books()
    assert status is not None  # noqa: S101 - the caller looks
    if room < 1:
        return []
    console.page = max(1, room - 1)
    console.offset = min(console.offset, max(0, len(books) - console.page))
    shown = books[console.offset : console.offset + console.page]
    what = "BOOKS" if console.shows_all else "NOT AS WANTED"
    pattern = f" matching {clean(console.pattern)!r}" if console.pattern else ""
    first = console.offset + 1 if books else 0
    where = f"{first:,}-{console.offset + len(shown):,} of {len(books):,}{pattern}"
    columns: list[Column] = [(what, 20, False), ("EXCHANGE", 22, False), ("SYNCED", 8, False),
                             (f"WHY NOT   {where}", 30, False)]  # fmt: skip
    lines = [_heading(columns, width)]
    most = possible(status)
    for book in shown:
        is_few = int(book["synced"]) < int(book["replicas"])
        style = "bad" if not int(book["synced"]) else "waiting" if is_wrong(book, most) else "good"
        texts = (
            book["symbol"],
            book["exchange"],
            f"{book['synced']} of {book['replicas']}",
            why_not(book, status["nodes"]) if is_few else "",
        )
        lines.append(_row(columns, texts, width, styles={2: style}))
    if not shown:
        words = "no book matches" if console.pattern else "every book is synced as wanted"
        lines.append(((f" {words}", "label"),))
    return lines


def _footer(console: ClusterConsole, width: int) -> Line:
    if console.is_finding:
        return fill(
            (("/", "key"), (f"{console.pattern}▏", "bold"), ("  Enter keeps it, Esc clears it", "label")),
            width,
        )
    line: list[tuple[str, str]] = []
    for key, label in _KEYS:
        shown = "not as wanted" if key == "b" and console.shows_all else label
        shown = "continue" if key == "Space" and console.is_paused else shown
        line += [(f" {key}", "key"), (f" {shown} ", "label")]
    return fill(tuple(line), width)


def _heading(columns: Sequence[Column], width: int) -> Line:
    return _row(columns, [heading for heading, _, _ in columns], width, style="heading")


def _row(
    columns: Sequence[Column],
    texts: Sequence[object],
    width: int,
    *,
    style: str = "",
    styles: Mapping[int, str] | None = None,
) -> Line:
    """Columns with two blanks between them. The last one takes the rest of the line."""
    spans: list[tuple[str, str]] = []
    used = 0
    for number, ((_, most, is_right), text) in enumerate(zip(columns, texts, strict=True)):
        is_last = number == len(columns) - 1
        room = max(width - used, 0) if is_last else most
        shown = clean(str(text))
        cell = fit(shown, room)
        if is_right and cells(shown) < room:
            cell = " " * (room - cells(shown)) + shown
        spans.append((cell, (styles or {}).get(number, style)))
        if not is_last:
            spans.append(("  ", style))
        used += room + 2
    return fill(tuple(spans), width)
