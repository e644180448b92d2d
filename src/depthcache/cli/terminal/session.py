"""What the user looks at: which book, its grouping and depth, frozen or not. The app's only mutable state.

Call `frame` ten times a second, `press` for each key, and `drawing.picture` after either. No terminal, no
sleep; the clocks are arguments.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from depthcache import now_ns as client_clock_ns
from depthcache.cli.state import BookState, Meter, counted, plain
from depthcache.cli.terminal.book_list import SORTS, matches
from depthcache.cli.terminal.depth import DepthHistory
from depthcache.cli.terminal.keys import action_of
from depthcache.cli.terminal.ladder import Ladder
from depthcache.cli.terminal.venue_names import unit_of
from depthcache.errors import BookError, DepthCacheError, SyncTimeout
from depthcache.foreign_text import clean
from depthcache.model import Audit

__all__ = ["HELP", "LADDER", "LIST", "FrozenView", "Session"]

_SLOW_NS = 1_000_000_000
"""The list, and what rests near the mid, are read this often."""
_MOST_HISTORIES = 32
"""With more books only the selected one is sampled."""
_NOTICE_NS = 12_000_000_000
_SHORT_NOTICE_NS = 3_000_000_000
LADDER, LIST, HELP = "ladder", "list", "help"


@dataclass(frozen=True, slots=True)
class FrozenView:
    """A book that was frozen on the screen."""

    book: Any
    state: BookState
    history: DepthHistory
    at: datetime


@dataclass(slots=True)
class _Shown:
    """What the session keeps per book."""

    ladder: Ladder
    history: DepthHistory
    widths: dict[str, int] = field(default_factory=dict)
    """Of the figures of its state."""
    held: FrozenView | None = None
    frozen: Any = None
    """Its newest frozen book with exact numbers; None before one."""


class Session:
    """One screen full of books."""

    def __init__(
        self,
        books: Iterable[Any],
        *,
        levels: int,
        banner: Callable[[], tuple[str, ...]] = tuple,
        dumps_to: Path | None = None,
        clock_ns: Callable[[], int] = client_clock_ns,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`levels`: a side, at first. `banner`: what stands at the top besides the book. `dumps_to`: the
        folder of flight dumps, None for the current one. `clock_ns`: of the books. `wall`: of the user."""
        self.meters: list[Meter] = [Meter(book) for book in books]
        self.banner = banner
        self.mode: str = LADDER
        self.pattern: str = ""
        """What the list is filtered by."""
        self.is_finding: bool = False
        """Whether keys are letters of the pattern."""
        self.sort: str = "symbol"
        self.current: int = 0
        """The number of the selected book."""
        self.help_offset: int = 0
        self.page = 10
        """Lines of a page; set by the drawing."""
        self.help_scrolls = False
        """Whether the help is longer than its page; set by the drawing."""
        self._dumps_to = dumps_to
        self._clock_ns, self._wall = clock_ns, wall
        self.states: list[BookState] = [meter.look(clock_ns()) for meter in self.meters]
        units = [unit_of(state.exchange, state.symbol) for state in self.states]
        self._shown = [_Shown(Ladder(levels), DepthHistory(unit)) for unit in units]
        self.order: list[int] = list(range(len(self.meters)))
        self._next_slow_ns = 0
        self._notice = ("", "", 0)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- reading ------------------------------------------------------------------------------

    @property
    def state(self) -> BookState:
        """Of the selected book: as it is, or as it was when it was frozen."""
        held = self._selected.held
        return self.states[self.current] if held is None else held.state

    @property
    def frozen_at(self) -> datetime | None:
        """When the selected book was frozen; None if it is not."""
        held = self._selected.held
        return None if held is None else held.at

    @property
    def ladder(self) -> Ladder:
        """Of the selected book."""
        return self._selected.ladder

    @property
    def history(self) -> DepthHistory:
        """Of the selected book: live, or as it was when the book was frozen."""
        held = self._selected.held
        return self._selected.history if held is None else held.history

    @property
    def widths(self) -> dict[str, int]:
        """How wide each figure of the selected book has been."""
        return self._selected.widths

    @property
    def notice(self) -> tuple[str, str]:
        """A message to the user and its style; empty when there is none."""
        text, style, until_ns = self._notice
        return (text, style) if self._clock_ns() < until_ns else ("", "")

    @property
    def _selected(self) -> _Shown:
        return self._shown[self.current]

    @property
    def _book(self) -> Any:
        return self.meters[self.current].book

    def frame(self) -> None:
        """Read the selected book, and once a second all of them."""
        now_ns = self._clock_ns()
        if now_ns >= self._next_slow_ns:
            self._next_slow_ns = max(self._next_slow_ns, now_ns - _SLOW_NS // 2) + _SLOW_NS
            self.states = [meter.look(now_ns) for meter in self.meters]
            self._arrange()
            sampled = range(len(self.meters)) if len(self.meters) <= _MOST_HISTORIES else (self.current,)
            for number in sampled:
                self._shown[number].history.sample(self.meters[number].book, now_ns)
        else:
            self.states[self.current] = self.meters[self.current].look(now_ns)
        self._look()

    def _look(self) -> None:
        shown = self._selected
        if shown.held is not None:
            shown.ladder.look(shown.held.book)
            return
        with suppress(BookError):  # the book has never synced, or is closed: keep the last one
            shown.frozen = self._book.freeze(on_stale="serve").exact
        shown.ladder.look(shown.frozen)

    def _arrange(self) -> None:
        found = [number for number, state in enumerate(self.states) if matches(state, self.pattern)]
        key = SORTS[self.sort]
        self.order = sorted(found, key=lambda number: key(self.states[number]))

    # --- keys ---------------------------------------------------------------------------------

    def press(self, name: str, character: str | None = None) -> str | None:
        """Do what a key does. Returns `quit` or `suspend` where the app itself must do it."""
        action = action_of(name)
        if action in ("quit", "suspend") and (not self.is_finding or name.startswith("ctrl")):
            return action
        if self.is_finding:
            self._find(name, character)
        elif self.mode == HELP:
            self._help(action)
        elif action is not None:
            getattr(self, f"_do_{action}")()
        return None

    def scroll(self, lines: int) -> None:
        """By the mouse wheel or a key."""
        if self.mode == HELP:
            self.help_offset = max(0, self.help_offset + lines)
        elif self.mode == LIST:
            self._select(lines, wraps=False)
        else:
            self.ladder.scroll(lines, self.page)

    def choose(self, number: int) -> None:
        """Show the book of that number."""
        self.current = number
        self._look()

    def _find(self, name: str, character: str | None) -> None:
        if name == "escape":
            self.pattern, self.is_finding = "", False
        elif name == "enter":
            self.is_finding = False
            if self.order:
                self.choose(self.current if self.current in self.order else self.order[0])
                self.mode = LADDER
            else:
                self.pattern = ""
        elif name in ("tab", "shift+tab", "up", "down"):
            self._select(-1 if name in ("shift+tab", "up") else 1)
        elif name in ("backspace", "ctrl+h"):
            self.pattern = self.pattern[:-1]
        elif character and character.isprintable():
            self.pattern += character
        self._arrange()

    def _help(self, action: str | None) -> None:
        if self.help_scrolls and action in ("up", "down", "page_up", "page_down"):
            getattr(self, f"_do_{action}")()
        else:
            self.mode = LADDER

    def _select(self, steps: int, *, wraps: bool = True) -> None:
        if not self.order:
            return
        if self.current not in self.order:
            self.choose(self.order[0])
            return
        at = self.order.index(self.current) + steps
        at = at % len(self.order) if wraps else min(max(0, at), len(self.order) - 1)
        self.choose(self.order[at])

    def _do_help(self) -> None:
        self.mode, self.help_offset = HELP, 0

    def _do_next_book(self) -> None:
        self._select(1)

    def _do_previous_book(self) -> None:
        self._select(-1)

    def _do_find(self) -> None:
        self.is_finding, self.pattern = True, ""
        self._arrange()

    def _do_list(self) -> None:
        self.mode = LADDER if self.mode == LIST else LIST

    def _do_ladder(self) -> None:
        self.mode = LADDER

    def _do_back(self) -> None:
        self._notice = ("", "", 0)
        if self.pattern:
            self.pattern = ""
            self._arrange()
        else:
            self.mode = LADDER

    def _do_sort(self) -> None:
        names = list(SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]
        self._arrange()
        self._say(f"list sorted by {self.sort}", "label", _SHORT_NOTICE_NS)

    def _do_coarser(self) -> None:
        self._regroup(1)

    def _do_finer(self) -> None:
        self._regroup(-1)

    def _regroup(self, steps: int) -> None:
        shown = self._selected
        shown.ladder.regroup(steps, shown.frozen if shown.held is None else shown.held.book)
        self._look()
        group = shown.ladder.group
        told = "every price as it is" if group is None else f"prices in groups of {plain(group)}"
        self._say(told, "label", _SHORT_NOTICE_NS)

    def _do_fewer(self) -> None:
        self._deepen(-1)

    def _do_more(self) -> None:
        self._deepen(1)

    def _deepen(self, steps: int) -> None:
        self.ladder.deepen(steps)
        self._look()
        self._say(f"{counted(self.ladder.levels, 'level')} a side; ↑ ↓ scroll", "label", _SHORT_NOTICE_NS)

    def _do_centre(self) -> None:
        self.ladder.centre()

    def _do_up(self) -> None:
        self.scroll(-1)

    def _do_down(self) -> None:
        self.scroll(1)

    def _do_page_up(self) -> None:
        self.scroll(-max(1, self.page - 1))

    def _do_page_down(self) -> None:
        self.scroll(max(1, self.page - 1))

    def _do_freeze(self) -> None:
        shown = self._selected
        if shown.held is not None:
            shown.held = None
            self._look()
            return
        self.states[self.current] = self.meters[self.current].look(self._clock_ns())
        self._look()
        if shown.frozen is None:
            self._say("nothing to freeze: no book has arrived yet", "bad")
        else:
            shown.held = FrozenView(
                shown.frozen, self.states[self.current], shown.history.copy(), self._wall()
            )

    def _do_audit(self) -> None:
        book, name = self._book, self.state.symbol
        self._say(f"audit of {name}: waiting for a snapshot", "label")
        task = asyncio.get_running_loop().create_task(self._audit(book, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _audit(self, book: Any, name: str) -> None:
        try:
            found = await book.audit()
        except SyncTimeout as error:
            self._say(f"audit of {name}: no snapshot came within {error.timeout_s:.0f} s", "bad")
        except DepthCacheError as error:
            self._say(f"audit of {name}: {clean(error)}", "bad")
        else:
            self._say(f"audit of {name}: {_outcome(found)}", "good" if found.is_clean else "bad")

    def _do_resync(self) -> None:
        self._book.resync()
        self._say(f"{self.state.symbol}: discarded; a new snapshot is on its way", "label")

    def _do_flight_dump(self) -> None:
        at = f"{self._wall().astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
        safe = "".join(letter if letter.isalnum() else "_" for letter in self.state.symbol)
        folder = Path.cwd() if self._dumps_to is None else self._dumps_to
        path = folder / f"flight-{self.state.exchange}-{safe}-{at}-{os.getpid()}.jsonl.zst"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._book.save_flight_dump(path, reason="requested in the terminal")
        except (DepthCacheError, OSError) as error:
            self._say(f"no flight dump: {clean(error)}", "bad")
        else:
            self._say(f"flight dump: {clean(path)}", "good")

    def _say(self, text: str, style: str, for_ns: int = _NOTICE_NS) -> None:
        self._notice = (text, style, self._clock_ns() + for_ns)

    async def aclose(self) -> None:
        """Cancel running audits."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _outcome(found: Audit) -> str:
    if found.is_clean:
        return f"equal, {found.checked:,} prices compared at update id {found.update_id}"
    return (
        f"NOT equal at update id {found.update_id}: of {found.checked:,} prices {found.differing:,} had "
        f"a different size, {found.missing:,} were missing, {found.extra:,} were extra; now corrected"
    )
