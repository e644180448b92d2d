"""The app through Textual's Pilot, on a simulated market in virtual time: keys, states, sizes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from depthcache import Audit, Books, recording
from depthcache.cli.terminal.app import STYLES, Output, TerminalApp, run, style_of
from depthcache.cli.terminal.app import _driver as app_driver
from depthcache.cli.terminal.session import Session
from depthcache.simulator import TINY, Pair, SimulatedExchange
from tests.cli.shown import AT, Claims, book, press, session
from tests.cli.shown import screen as lines

SPOT, FUTURES = "binance.com", "binance.com-futures"
CALM = replace(TINY, interval_ms=1_000)
MARKETS = {SPOT: {"BTCUSDT": CALM, "ETHUSDT": CALM}, FUTURES: {"BTCUSDT": CALM}}
WORLD = {SPOT: ["BTCUSDT", "ETHUSDT"], FUTURES: ["BTCUSDT"]}


class Screen:
    """The app under test, and what it shows."""

    def __init__(self, made: Pair, books: Books, pilot: Pilot[None], session: Session) -> None:
        self.made, self.books, self.pilot, self.session = made, books, pilot, session
        self.app: Any = pilot.app

    def text(self) -> str:
        """What is on it now, as the terminal gets it."""
        self.app.frame()
        canvas = self.app._canvas
        return "\n".join(canvas.render_line(y).text for y in range(canvas.size.height))

    async def press(self, *names: str) -> str:
        await self.pilot.press(*names)
        return self.text()

    async def until(self, words: str) -> str:
        """Let virtual time pass until these words are on the screen."""
        for _ in range(200):
            if words in (text := self.text()):
                return text
            await asyncio.sleep(1)
        raise AssertionError(f"{words!r} never came; there is:\n{text}")


def show(
    work: Callable[[Screen], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    symbols: Any = WORLD,
    markets: Any = MARKETS,
    **options: Any,
) -> None:
    """Run the app on books of a simulated market and work with it."""
    made = Pair(SimulatedExchange(markets, seed=2), seed=2)

    async def main() -> None:
        async with made.connect(symbols, on_stale="serve") as books:
            await books.wait_synced()
            session = Session(books, levels=20, clock_ns=lambda: made.now_ns, wall=lambda: AT, **options)
            app = TerminalApp(session)
            async with app.run_test(size=size) as pilot:
                await work(Screen(made, books, pilot, session))
            await session.aclose()

    made.run(main())


def test_the_keys_move_through_the_books() -> None:
    async def work(screen: Screen) -> None:
        assert "BTCUSDT  binance.com  1/3" in screen.text()
        assert "BTCUSDT  binance.com-futures  2/3" in await screen.press("tab")
        assert "ETHUSDT  binance.com  3/3" in await screen.press("tab")
        assert "BTCUSDT  binance.com  1/3" in await screen.press("tab")
        assert "ETHUSDT  binance.com  3/3" in await screen.press("shift+tab")
        assert "1 of 3 books" in await screen.press("slash", "f", "u")
        assert "BTCUSDT  binance.com-futures" in await screen.press("enter")
        assert "“fu”" in screen.text()
        assert "“fu”" not in await screen.press("escape")
        assert " price " not in await screen.press("l")
        assert screen.session.mode == "list"
        assert " price " in await screen.press("enter")

    show(work)


def test_grouping_levels_scrolling_and_the_wheel() -> None:
    async def work(screen: Screen) -> None:
        before = screen.text()
        assert "group 0.01  20 levels" in before
        assert "group 0.02  20 levels" in await screen.press("plus")
        assert "group 0.01  30 levels" in await screen.press("minus", "right_square_bracket")
        await screen.press("down")
        screen.app._canvas.post_message(
            events.MouseScrollDown(screen.app._canvas, 5, 8, 0, 0, 0, False, False, False)
        )
        await screen.pilot.pause()
        assert screen.session.ladder.offset > 1
        await screen.press("c")
        assert screen.session.ladder.offset == 0

    show(work, size=(120, 40))


def test_freeze_holds_the_book_while_it_goes_on() -> None:
    async def work(screen: Screen) -> None:
        assert "FROZEN since 03:04:05 UTC" in await screen.press("space")
        held = screen.session.state.update_id
        await asyncio.sleep(10)
        assert f"id {held}" in screen.text()
        assert screen.books[SPOT, "BTCUSDT"].last_update_id != held
        assert f"id {held}" not in await screen.press("space")

    show(work)


def test_an_audit_says_that_the_book_is_equal() -> None:
    async def work(screen: Screen) -> None:
        screen.made.slow_responses(2, exchange=SPOT)
        assert "audit of BTCUSDT: waiting" in await screen.press("a")
        assert "prices compared at update id" in await screen.until("audit of BTCUSDT: equal")
        await asyncio.sleep(20)
        assert "audit of" not in screen.text()

    show(work)


def test_an_audit_that_fails_is_one_line() -> None:
    async def work(screen: Screen) -> None:
        screen.made.outage(100, exchange=SPOT)
        await screen.press("a")
        await screen.until("audit of BTCUSDT: no snapshot came within 60 s")

    show(work)


def test_an_audit_that_found_something_says_what() -> None:
    found = Audit(7, checked=10, differing=1, missing=2, extra=3)

    async def audit() -> Audit:
        return found

    async def work() -> str:
        shown = session([Claims(book(), audit=audit)])
        press(shown, "a")
        await asyncio.gather(*shown._tasks)
        return " ".join(" ".join(lines(shown)[-4:]).split())

    assert (
        "audit of BTCUSDT: NOT equal at update id 7: of 10 prices 1 had a different size, 2 were "
        "missing, 3 were extra; now corrected"
    ) in asyncio.run(work())


def test_a_resync_is_seen_and_ends() -> None:
    async def work(screen: Screen) -> None:
        screen.made.slow_responses(5, exchange=SPOT)
        assert "discarded; a new snapshot is on its way" in await screen.press("r")
        text = await screen.until("BUFFERING")
        assert "requested by the application" in text.splitlines()[1]
        await screen.until("SYNCED")

    show(work)


def test_a_book_that_falls_silent_says_so_and_shows_its_last_levels_faded() -> None:
    async def work(screen: Screen) -> None:
        screen.made.half_open(exchange=SPOT)
        screen.made.refuse_connects(60)
        await screen.until("DISCONNECTED")
        assert "▾" in screen.text()
        await screen.until("SYNCED")

    show(work)


def test_a_book_that_lost_its_place_leaves_a_hole_in_its_depth_and_no_spread_in_bold() -> None:
    async def work(screen: Screen) -> None:
        for _ in range(5):
            screen.text()
            await asyncio.sleep(1)
        before = screen.text()
        assert re.search(r"asks within 10 bps +[\d.k]+ BTC  +[▁-█]{6}  last 6 s", before)
        screen.made.slow_responses(5, exchange=SPOT)
        await screen.press("r")
        await screen.until("BUFFERING")
        await asyncio.sleep(1)
        lost = screen.text()
        assert "not synced: no spread" in lost
        assert " mid " not in lost
        assert re.search(r"asks within 10 bps +- BTC ", lost)
        assert re.search(r"bids within 10 bps +- BTC ", lost)
        again = await screen.until("SYNCED")
        rows = again.splitlines()
        assert [line[:12] for line in before.splitlines()].index(" asks within") == rows.index(
            next(line for line in rows if line.startswith(" asks within"))
        )
        await asyncio.sleep(2)
        assert re.search(r"bids within 10 bps +[\d.k]+ BTC  +[▁-█]+ {2,}[▁-█]", screen.text(), re.MULTILINE)

    show(work, symbols={SPOT: ["BTCUSDT"]})


def test_a_closed_book_stays_on_the_screen_as_closed() -> None:
    async def work(screen: Screen) -> None:
        screen.books.remove("BTCUSDT", SPOT)
        text = await screen.until("CLOSED")
        assert "removed" in text.splitlines()[1]
        assert "▾" in text
        assert "BTCUSDT: " in await screen.press("a", "r")

    show(work)


def test_a_flight_dump_says_where_it_is(tmp_path: Path) -> None:
    async def work(screen: Screen) -> None:
        text = await screen.press("f")
        (written,) = tmp_path.joinpath("dumps").iterdir()
        assert written.name == f"flight-binance.com-BTCUSDT-20260102T030405.000000Z-{os.getpid()}.jsonl.zst"
        assert recording.verify([written]).rows[0].symbol == "BTCUSDT"
        assert "".join(str(written).split()) in "".join(text.split())
        assert "no flight dump: " in await screen.press("f")  # of the same second

    show(work, size=(120, 40), dumps_to=tmp_path / "dumps")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10), (10, 3)])
def test_every_size_is_drawn_whole_also_after_a_resize(size: tuple[int, int]) -> None:
    async def work(screen: Screen) -> None:
        for width, height in (size, (100, 30), size):
            await screen.pilot.resize_terminal(width, height)
            lines = screen.text().splitlines()
            assert len(lines) == height
            strips = [screen.app._canvas.render_line(y) for y in range(height)]
            assert {strip.cell_length for strip in strips} == {width}

    show(work)


def test_only_changed_lines_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(screen: Screen) -> None:
        screen.text()
        drawn: list[int] = []
        canvas = screen.app._canvas
        monkeypatch.setattr(canvas, "refresh", lambda *regions, **_: drawn.extend(each.y for each in regions))
        canvas.draw()
        assert drawn == []
        await asyncio.sleep(0.1)
        screen.app.frame()
        assert 0 < len(drawn) < 12

    show(work)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_the_app_ends_with_its_keys_also_while_a_symbol_is_typed(key: str) -> None:
    async def work(screen: Screen) -> None:
        if key != "q":
            await screen.pilot.press("slash")
        await screen.pilot.press(key)
        assert not screen.app.is_running or screen.app._exit

    show(work)


def test_a_q_in_a_symbol_is_a_letter() -> None:
    async def work(screen: Screen) -> None:
        assert "/ q▏" in await screen.press("slash", "q")
        assert "/ ▏" in await screen.press("backspace")

    show(work)


@pytest.mark.slow
def test_five_hundred_books_are_a_list() -> None:
    symbols = [f"S{number:03}USDT" for number in range(500)]
    quiet = replace(TINY, interval_ms=60_000, levels=5)

    async def work(screen: Screen) -> None:
        text = await screen.press("l")
        assert "500/500 synced" in text
        assert "500 of 500" in await screen.press("slash")
        assert "1 of 500" in await screen.press("4", "9", "9")
        assert "S499USDT  binance.com" in await screen.press("enter")

    show(work, symbols={SPOT: symbols}, markets={SPOT: dict.fromkeys(symbols, quiet)})


def test_every_style_exists_and_no_color_needs_none_of_the_colours() -> None:
    for name in STYLES:
        style_of(name)
    hot = {str(style_of(f"{side}-hot{step}").without_color) for side in ("ask", "bid") for step in (2, 3)}
    assert len(hot) == 2
    assert style_of("selected").reverse


@pytest.mark.parametrize("variable", ["NO_COLOR", ""])
def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")

    async def work(screen: Screen) -> None:
        screen.text()
        await screen.pilot.pause()
        strips = screen.app.screen._compositor.render_strips()
        colours = {
            segment.style.color.name
            for strip in strips
            for segment in strip
            if segment.style is not None and segment.style.color is not None
        }
        assert (colours - {"default"} == set()) == bool(variable)

    show(work)


async def test_it_ends_when_the_command_does_and_leaves_no_handler_behind() -> None:
    looks = []
    handlers = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)]

    async def ended(wait_s: float) -> bool:
        looks.append(wait_s)
        await asyncio.sleep(0)
        return len(looks) > 2

    async with asyncio.timeout(20) as limit:
        await run(session([book()]), ended, headless=True)
    assert len(looks) == 3
    assert not limit.expired()
    assert handlers == [
        signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)
    ]


async def test_an_error_while_drawing_ends_the_app_and_is_raised() -> None:
    async def ended(_wait_s: float) -> bool:
        raise OSError("a disk is full")

    async with asyncio.timeout(20) as limit:
        with pytest.raises(OSError, match="a disk is full"):
            await run(session([book()]), ended, headless=True)
    assert not limit.expired()


async def test_nothing_is_drawn_while_the_terminal_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthcache.cli.terminal.app._STUCK_S", -1.0)
    taking, done = threading.Event(), threading.Event()

    class Stalled:
        def write(self, _: str) -> None:
            taking.set()
            done.wait(20)

        def flush(self) -> None:
            raise BrokenPipeError

    stalled: Any = Stalled()
    output = Output(stalled)
    app = TerminalApp(session([book()]), output=output)
    drawn: list[int] = []
    monkeypatch.setattr(app._canvas, "draw", lambda: drawn.append(1))
    app.frame()
    writer = threading.Thread(target=output.write, args=("x",))
    writer.start()
    taking.wait(20)
    assert output.is_stuck
    app.frame()
    assert len(drawn) == 1
    done.set()
    writer.join(20)
    app.frame()
    assert len(drawn) == 2
    output.flush()  # that nobody is there any more is no error


def test_input_from_a_terminal_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_driver: object) -> None:
        raise OSError(5, "Input/output error")

    linux_driver = pytest.importorskip("textual.drivers.linux_driver")
    monkeypatch.setattr(linux_driver.LinuxDriver, "run_input_thread", gone)
    driver: Any = app_driver(Output(sys.stdout))
    driver.run_input_thread(object.__new__(driver))


@pytest.mark.slow
def test_help_is_shown_without_textual() -> None:
    code = (
        "import sys; from depthcache.cli import main; main(['watch', '--help'])\n"
        "assert not {'textual', 'rich', 'asyncio'} & set(sys.modules), sys.modules.keys()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
