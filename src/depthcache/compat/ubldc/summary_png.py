"""Draw a text as pictures with Pillow, without other programs.

Uses a fixed-width font of the system, or else the bitmap font of Pillow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

from rich.cells import cell_len

from depthcache import InvalidArgument
from depthcache.arguments import is_real

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["write"]

_FONTS = (
    "DejaVuSansMono.ttf",
    "LiberationMono-Regular.ttf",
    "NotoSansMono-Regular.ttf",
    "FreeMono.ttf",
    "Menlo.ttc",
    "Monaco.ttf",
    "consola.ttf",
    "cour.ttf",
)
"""Fonts of Linux, macOS and Windows, best first."""
_MARGIN_ROWS, _MARGIN_COLUMNS = 2, 3
_TALLEST_ROW, _MOST_PIXELS = 200.0, 100_000_000


def write(text: str, folder: str | None, *, height_per_row: float) -> None:
    """Write `print_summary.txt`, `print_summary_plain.png` and `print_summary.png`, each atomically. Raises
    InvalidArgument, OSError, and ImportError without Pillow."""
    if not is_real(height_per_row):
        raise _wrong_height(height_per_row)
    if not 4.0 <= height_per_row <= _TALLEST_ROW:
        raise _wrong_height(height_per_row)
    if folder is not None and not isinstance(folder, str | os.PathLike):
        allowed = "the path of a folder, or None for the current one"
        raise InvalidArgument(name="print_summary_export_path", value=folder, allowed=allowed)
    place = Path(folder or ".")
    plain = _draw(text, height_per_row)
    place.mkdir(parents=True, exist_ok=True)
    _replace(place / "print_summary.txt", lambda file: file.write(text.encode()))
    _replace(place / "print_summary_plain.png", lambda file: plain.save(file, "PNG"))
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}"
    stamped = _stamped(plain, now, height_per_row)
    _replace(place / "print_summary.png", lambda file: stamped.save(file, "PNG"))


def _draw(text: str, row: float) -> Image:
    pillow = _pillow()
    lines = text.splitlines() or [""]
    font = _font(row)
    column = font.getlength("M")
    width = round(column * (max(map(cell_len, lines)) + 2 * _MARGIN_COLUMNS))
    height = round(row * (len(lines) + 2 * _MARGIN_ROWS))
    if width * height > _MOST_PIXELS:
        allowed = f"a height with which {len(lines)} lines make at most {_MOST_PIXELS:,} pixels"
        raise InvalidArgument(name="height_per_row", value=row, allowed=allowed)
    image: Image = pillow.Image.new("RGB", (width, height), "black")
    pen = pillow.ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        top, cells = row * (_MARGIN_ROWS + number), _MARGIN_COLUMNS
        for run in _runs(line):
            pen.text((column * cells, top), _drawable(run, font), font=font, fill="white")
            cells += cell_len(run)
    return image


def _runs(line: str) -> Iterable[str]:
    """The line in parts to draw at once. Wide letters take two cells, whatever the font."""
    return re.findall(r"[ -~]+|[^ -~]", line)


def _stamped(plain: Image, words: str, row: float) -> Image:
    """A copy with the time above the text, in red."""
    image, font = plain.copy(), _font(row)
    left = (image.width - font.getlength(words)) / 2
    _pillow().ImageDraw.Draw(image).text((max(0.0, left), row * 0.4), words, font=font, fill="red")
    return image


def _font(row: float) -> Any:
    fonts = _pillow().ImageFont
    for name in _FONTS:
        try:
            return fonts.truetype(name, row * 0.84)
        except OSError:
            continue
    return fonts.load_default_imagefont()


def _drawable(line: str, font: Any) -> str:
    """The line with the characters that the font has; the bitmap font has only Latin-1."""
    bitmap = not hasattr(font, "getname")
    return line.encode("latin-1", "replace").decode("latin-1") if bitmap else line


def _replace(path: Path, write_to: Callable[[IO[bytes]], object]) -> None:
    """Write a temporary file, then rename it, so that readers never see an incomplete file."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            write_to(file)
        except BaseException:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            raise
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _pillow() -> Any:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise ImportError(
            'pictures need Pillow: pip install "depthcache[png]" (in a checkout: pip install ".[png]")',
            name="PIL",
        ) from None
    return SimpleNamespace(Image=Image, ImageDraw=ImageDraw, ImageFont=ImageFont)


def _wrong_height(value: object) -> InvalidArgument:
    return InvalidArgument(name="height_per_row", value=value, allowed=f"pixels, 4 to {_TALLEST_ROW:g}")
