"""Names in frames, which may hold anything: which can be a symbol, and how to display them."""

from __future__ import annotations

__all__ = ["can_be_symbol", "printable", "shown"]

_LONGEST = 40
"""The longest symbol in characters; the longest live ones are options with 19 (Binance, 2025-11)."""
_NO_NAMES = (
    range(0x21),
    range(0x7F, 0xA1),
    range(0xAD, 0xAE),
    range(0x61C, 0x61D),
    range(0x1680, 0x1681),
    range(0x180E, 0x180F),
    range(0x2000, 0x2010),
    range(0x2028, 0x2030),
    range(0x205F, 0x2070),
    range(0x3000, 0x3001),
    range(0xD800, 0xF900),
    range(0xFEFF, 0xFF00),
    range(0xFFF0, 0xFFFC),
    range(0xE0000, 0xE1000),
    range(0xF0000, 0x110000),
)
"""Controls, spaces, format and direction marks, line separators, private use and tags (Unicode 16)."""


def can_be_symbol(name: str) -> bool:
    """Whether a book without a symbol may take this one."""
    return len(name) <= _LONGEST and not any(ord(letter) in each for letter in name for each in _NO_NAMES)


def printable(text: str) -> str:
    """A text in which nothing moves a cursor or turns the direction of reading: what does is escaped."""
    return "".join(_escaped(letter) if _is_hidden(letter) else letter for letter in text)


def _is_hidden(letter: str) -> bool:
    return letter != " " and any(ord(letter) in each for each in _NO_NAMES)


def _escaped(letter: str) -> str:
    return {"\t": "\\t", "\r": "\\r", "\n": "\\n"}.get(letter, f"\\u{{{ord(letter):x}}}")


def shown(name: str) -> str:
    """A name in quotes for a reason: escaped, and shortened if it is too long for a name."""
    return repr(name) if len(name) <= _LONGEST else f"{name[:_LONGEST]!r}…"
