"""The app on a real terminal: keys to the session, changed lines to the screen. Only this file uses Textual.

One widget draws all lines and redraws only those that changed; there is no animation and no layout to
compute. Colours come from the terminal's own palette, so light and dark terminals look right.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from types import FrameType
from typing import Any, ClassVar, Protocol, TextIO, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from depthcache.cli.terminal.drawing import picture
from depthcache.cli.terminal.lines import Line

__all__ = ["STYLES", "Output", "TerminalApp", "run", "style_of"]

FRAME_S = 0.1
_WHEEL_LINES = 3
_STUCK_S = 0.5
_CLOSE_S = 2.0
"""How long to wait at the end for a terminal that accepts no output."""

STYLES = {
    "title": "reverse bold",
    "title-note": "reverse bold",
    "banner": "bold",
    "heading": "dim",
    "rule": "dim",
    "label": "dim",
    "figure": "",
    "note": "italic",
    "bold": "bold",
    "key": "bold",
    "good": "green",
    "waiting": "yellow",
    "bad": "red bold",
    "reason": "bold",
    "chip-good": "green reverse bold",
    "chip-waiting": "yellow reverse bold",
    "chip-bad": "red reverse bold",
    "chip-frozen": "blue reverse bold",
    "ask": "red",
    "bid": "green",
    "ask-bar": "red dim",
    "bid-bar": "green dim",
    "ask-hot3": "red reverse",
    "ask-hot2": "red bold",
    "ask-hot1": "red",
    "bid-hot3": "green reverse",
    "bid-hot2": "green bold",
    "bid-hot1": "green",
    "size": "",
    "total": "dim",
    "faded": "dim",
    "spread": "bold",
    "selected": "reverse",
}
"""Every style by its name: attributes and colours of the terminal's own palette only."""


@lru_cache(maxsize=256)
def style_of(names: str) -> Style:
    """The style of a name, or of several with spaces between them."""
    return sum((Style.parse(STYLES[name]) for name in names.split()), Style())


class Shown(Protocol):
    """What the app shows: a session of books, or the console of a cluster."""

    def frame(self) -> None:
        """Read what has changed."""

    def press(self, name: str, character: str | None = None) -> str | None:
        """Do what a key does. Returns `quit` or `suspend` if the app has to do it."""
        ...

    def scroll(self, lines: int) -> None:
        """By the mouse wheel."""

    async def aclose(self) -> None:
        """End what runs for it."""


ShownT = TypeVar("ShownT", bound=Shown)


class _Screen(Widget):
    """All lines of the picture. Only changed lines are redrawn."""

    DEFAULT_CSS = "_Screen { width: 100%; height: 100%; }"
    can_focus = False

    def __init__(self, draw: Callable[[int, int], list[Line]]) -> None:
        super().__init__()
        self._draw = draw
        self._lines: list[Line] = []
        self._strips: list[Strip] = []

    def draw(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        lines = self._draw(width, height)
        if len(lines) != len(self._lines):
            self._lines, self._strips = lines, [_strip(line, width) for line in lines]
            self.refresh()
            return
        changed = [at for at, line in enumerate(lines) if line != self._lines[at]]
        for at in changed:
            self._lines[at] = lines[at]
            self._strips[at] = _strip(lines[at], width)
        if changed:
            self.refresh(*(Region(0, at, width, 1) for at in changed))

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)

    def on_resize(self, _: events.Resize) -> None:
        self._lines = []
        self.draw()


def _strip(line: Line, width: int) -> Strip:
    return Strip([Segment(text, style_of(style)) for text, style in line], width)


class TerminalApp(App[None]):
    """Runs until `exit`; `run` decides when."""

    CSS: ClassVar[str] = "Screen { overflow: hidden; }"
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(name, f"press('{name}')", priority=True, show=False)
        for name in ("ctrl+c", "ctrl+q", "ctrl+z", "tab", "shift+tab", "enter", "escape")
    ]

    def __init__(
        self,
        session: ShownT,
        *,
        output: Output | None = None,
        draw: Callable[[ShownT, int, int], list[Line]] | None = None,
    ) -> None:
        """`output`: where the terminal is; None leaves that to Textual. `draw`: the lines of the screen, by
        width and height; None for those of a session of books."""
        super().__init__(ansi_color=True, driver_class=None if output is None else _driver(output))
        self.title = "depthcache"
        self.session: Shown = session
        self._output = output
        self._canvas = _Screen(partial(picture if draw is None else draw, session))  # type: ignore[arg-type]

    def compose(self) -> ComposeResult:
        """The one widget."""
        yield self._canvas

    def frame(self) -> None:
        """Read the books and draw what changed."""
        self.session.frame()
        self._draw()

    def _draw(self) -> None:
        """Draw, unless the terminal accepts no output: a full queue would block the event loop."""
        if self._output is None or not self._output.is_stuck:
            self._canvas.draw()

    def action_press(self, name: str) -> None:
        """Handle a key that Textual binds by default."""
        self.press_key(name, None)

    def on_key(self, event: events.Key) -> None:
        """Handle any other key."""
        event.stop()
        self.press_key(event.key, event.character)

    def press_key(self, name: str, character: str | None) -> None:
        """Do what a key does, and show the result immediately."""
        match self.session.press(name, character):
            case "quit":
                self.exit()
            case "suspend":
                self.action_suspend_process()
            case _:
                self._draw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        self._scroll(event, _WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        self._scroll(event, -_WHEEL_LINES)

    def _scroll(self, event: events.MouseEvent, lines: int) -> None:
        event.stop()
        self.session.scroll(lines)
        self._draw()


async def run(
    session: ShownT,
    ended: Callable[[float], Awaitable[bool]],
    *,
    headless: bool = False,
    draw: Callable[[ShownT, int, int], list[Line]] | None = None,
) -> bool:
    """Show the session until the user quits, the terminal goes away, or `ended` is true.

    `ended` is awaited between frames with the longest time to wait, in seconds. `headless`: without a
    terminal, for tests. Returns whether the terminal still accepts output.
    """
    output = None if headless or os.name != "posix" or sys.__stdout__ is None else Output(sys.__stdout__)
    app = TerminalApp(session, output=output, draw=draw)

    async def frames() -> None:
        try:
            while app.is_running:
                app.frame()
                if await ended(FRAME_S) or (not headless and _is_gone()):
                    return
        finally:
            app.exit()

    def begin() -> None:
        tasks.append(asyncio.get_running_loop().create_task(frames()))

    tasks: list[asyncio.Task[None]] = []
    app.call_later(begin)
    with _signals(app), _logs_beside_the_screen():
        try:
            await app.run_async(headless=headless)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await session.aclose()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return headless or not (_is_gone() or (output is not None and output.is_stuck))


def _is_gone() -> bool:
    """Whether the terminal was closed, which may happen without a SIGHUP."""
    if sys.platform == "win32" or not hasattr(select, "poll") or sys.__stdout__ is None:
        return False
    poll = select.poll()
    poll.register(sys.__stdout__.fileno(), 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))


@contextmanager
def _signals(app: TerminalApp) -> Generator[None]:
    """Restore the terminal before SIGHUP ends the process. Afterwards, remove the handlers that Textual set:
    on a SIGCONT they would take the screen again."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
    before = {number: signal.getsignal(number) for number in numbers}
    happened: list[int] = []
    loop = asyncio.get_running_loop()

    def end(number: int, _frame: FrameType | None) -> None:
        happened.append(number)
        loop.call_soon_threadsafe(app.exit)

    if before[signal.SIGHUP] == signal.SIG_DFL:  # otherwise it is ignored (`nohup`) or handled already
        signal.signal(signal.SIGHUP, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if happened:
            os.kill(os.getpid(), signal.SIGHUP)


@contextmanager
def _logs_beside_the_screen() -> Generator[None]:
    """Send log lines to stderr if it is not a terminal; on the screen they would overwrite the picture."""
    usual = logging.lastResort
    if sys.__stderr__ is not None and not sys.__stderr__.isatty():
        logging.lastResort = logging.StreamHandler(sys.__stderr__)
        logging.lastResort.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logging.lastResort = usual


class Output:
    """Stdout for Textual's writer thread. It records when a write blocks, so that the app can skip frames."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._began_s: float | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether a write has blocked for a while: a stalled connection, a stopped pager."""
        began_s = self._began_s
        return began_s is not None and time.monotonic() - began_s > _STUCK_S

    def write(self, text: str) -> None:
        """Write. Errors are ignored: `_is_gone` detects a closed terminal."""
        with self._taking():
            self._file.write(text)

    def flush(self) -> None:
        """Flush, with errors ignored as in `write`."""
        with self._taking():
            self._file.flush()

    def fileno(self) -> int:
        """The descriptor of the terminal."""
        return self._file.fileno()

    @contextmanager
    def _taking(self) -> Generator[None]:
        self._began_s = time.monotonic()
        try:
            yield
        except OSError:
            pass
        finally:
            self._began_s = None


def _driver(output: Output) -> type[Driver]:
    """Textual's driver for this system, writing to stdout: stderr may be a file."""
    from textual.drivers.linux_driver import LinuxDriver

    class StdoutDriver(LinuxDriver):
        def __init__(self, app: App[Any], **options: Any) -> None:
            super().__init__(app, **options)  # pyright: ignore[reportUnknownMemberType]
            self._file: Any = output

        def run_input_thread(self) -> None:
            with suppress(OSError):  # the terminal is gone
                super().run_input_thread()

        def close(self) -> None:
            closing = threading.Thread(target=super().close, daemon=True)
            closing.start()
            closing.join(_CLOSE_S)

    return StdoutDriver
