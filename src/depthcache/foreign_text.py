"""Text from outside, made safe to show: the one place where that is done.

A close reason, the `msg` of an error, a header or a name in a list is written by somebody else, who may send
terminal escapes, line breaks that forge log lines, characters that turn the reading direction around, lone
surrogates that no encoder takes, or megabytes. `clean` is called where such text enters (networks, replies,
answers, recordings); nothing behind that has to think of it. Not here: data, which is never changed.
"""

from __future__ import annotations

import re
from typing import cast

__all__ = ["MOST_CHARACTERS", "clean", "escaped", "host_of", "json_line", "without_credentials"]

MOST_CHARACTERS = 300
"""Of one text from outside in a reason or a log line."""

_SPACES = re.compile(r"[ \t\n\r\v\f]+")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
_MISSPELLED_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"<>]*@")
"""With what should have been escaped in them."""
_HOST_AND_PORT = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::[0-9]*)?")
_SURROGATE_BYTES = range(0xDC80, 0xDD00)
"""How Python decodes bytes that are no text (PEP 383)."""


def clean(text: object, *, most: int = MOST_CHARACTERS) -> str:
    """One printable line of at most `most` characters, with a mark where it was longer. Clean text stays.

    Runs of spaces and line breaks become one space; every other character that does not print (controls, C1
    controls, format and direction marks, line separators, surrogates) becomes a visible escape. Bytes are
    read as UTF-8, and those that are none are escaped. User and password of a URL are left out.
    """
    if isinstance(text, bytes | bytearray | memoryview):
        raw = cast("bytes", text)
        size, unit = len(raw), "bytes"
        begin = bytes(raw[: 4 * most]).decode("utf-8", "surrogateescape")
    else:
        whole = text if isinstance(text, str) else _text_of(text)
        size, unit = len(whole), "characters"
        begin = whole[: 4 * most]
    line = _CREDENTIALS.sub("…@", escaped(_SPACES.sub(" ", begin).strip(" ")))
    if len(line) <= most and size <= 4 * most:
        return line
    mark = f"… ({size:,} {unit})"
    return f"{line[: max(0, most - len(mark))]}{mark}"


def escaped(text: str) -> str:
    """The same text with a visible escape for every character that does not print."""
    return text if text.isprintable() else "".join(map(_shown, text))


def json_line(text: str) -> str:
    """JSON text whose characters that do not print are escaped as JSON does it; its line breaks stay."""
    return "".join(each if each.isprintable() or each == "\n" else _json_escape(each) for each in text)


def without_credentials(text: str) -> str:
    """What a user gave, without user and password in whatever looks like a URL, however they are spelled."""
    return _MISSPELLED_CREDENTIALS.sub("…@", text)


def host_of(url: str) -> str:
    """The host of a URL, with its port where one is named: what a log line may tell of it, for a path and a
    query may hold secrets, as user and password do. Empty for what has none."""
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
    return clean(authority) if _HOST_AND_PORT.fullmatch(authority) else ""


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - nested too deeply, or a value that cannot be shown
        return f"<{type(value).__name__}>"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x100 or number in _SURROGATE_BYTES:
        return f"\\x{number & 0xFF:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
