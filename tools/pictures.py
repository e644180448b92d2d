"""Draw the terminal app.

    python tools/pictures.py      writes docs/pictures/terminal.svg

The picture comes from a simulated market in virtual time: the same seed, the same picture.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from depthcache.cli.terminal.app import style_of
from depthcache.cli.terminal.drawing import picture
from depthcache.cli.terminal.lines import Line, width_of
from depthcache.cli.terminal.session import Session
from depthcache.simulator import Pair, SimulatedExchange

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
BOOKS = {
    "binance.com": ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "NEXOUSDT"],
    "binance.com-futures": ["BTCUSDT", "ETHUSDT", "SOLUSDT"],
}
SEED = 11
SECONDS = 70
_MESSAGE_TENTHS = 40
WIDTH, HEIGHT = 118, 34
THEME = TerminalTheme(
    (24, 28, 34),
    (214, 219, 226),
    [
        (44, 50, 60), (232, 104, 98), (92, 190, 128), (222, 178, 88),
        (92, 154, 232), (188, 134, 222), (92, 186, 196), (214, 219, 226),
    ],
)  # fmt: skip
_FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>The terminal app: the ladder of BTCUSDT, the list of books, the depth near the mid</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


class _OwnPhases(SimulatedExchange):
    """Each stream sends at moments of its own, as those of Binance do; otherwise all ages would be equal."""

    def _push(self, at_ns: int, what: Any) -> None:
        every_ns = what[1].every_ns if isinstance(what, tuple) else 0
        if every_ns and at_ns % every_ns == 0:
            at_ns += Random(what[1].name + str(what[0].venue.name)).randrange(1, every_ns)  # noqa: S311
        super()._push(at_ns, what)


def session_lines(width: int, height: int, *, keys: Sequence[str]) -> list[Line]:
    """The screen after `SECONDS` of the simulated market. `keys` are pressed early enough that their messages
    are gone."""
    pair = Pair(_OwnPhases(BOOKS, seed=SEED), seed=SEED)

    async def look() -> list[Line]:
        async with pair.connect(BOOKS, depth=100, on_stale="serve") as books:
            await books.wait_synced()
            session = Session(books, levels=20, clock_ns=lambda: pair.now_ns)
            for tenth in range(10 * SECONDS):
                session.frame()
                await asyncio.sleep(0.1)
                if tenth == 10 * SECONDS - _MESSAGE_TENTHS:
                    for key in keys:
                        session.press(key)
            return picture(session, width, height)

    return pair.run(look())


def to_svg(lines: Sequence[Line]) -> str:
    """Lines of one width as a picture of a terminal, readable on white and dark pages."""
    width = width_of(lines[0])
    console = Console(
        record=True,
        width=width,
        height=len(lines),
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    for line in lines:
        console.print(
            Text.assemble(*((text, style_of(style)) for text, style in line)), no_wrap=True, crop=True
        )
    return console.export_svg(title="depthcache watch", theme=THEME, code_format=_FRAME, unique_id="terminal")


def terminal() -> str:
    """The content of docs/pictures/terminal.svg."""
    return to_svg(session_lines(WIDTH, HEIGHT, keys=["plus"] * 3))


if __name__ == "__main__":
    (PICTURES / "terminal.svg").write_text(terminal(), "utf-8")
