"""Sanitising text from outside before it is shown.

Close reasons, error messages, headers and names come from other parties and may contain terminal escapes,
line breaks that forge log lines, bidirectional controls, lone surrogates or megabytes of data. Call `clean`
where such text enters (network, responses, recordings); later code can then rely on it. Data itself is never
changed.
"""

from __future__ import annotations

import re
from typing import cast

__all__ = ["MOST_CHARACTERS", "clean", "escaped", "host_of", "json_line", "without_credentials"]

MOST_CHARACTERS = 300
"""The longest piece of foreign text in a reason or a log line."""

_SPACES = re.compile(r"[ \t\n\r\v\f]+")
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#'\"<>]*@")
_KEY = re.compile(r"(://[^\s/?#'\"<>]*/k/)[^\s/?#'\"<>]+")
_MISSPELLED_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"<>]*@")
"""Also matches characters that should have been escaped."""
_HOST_AND_PORT = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::[0-9]*)?")
_SURROGATE_BYTES = range(0xDC80, 0xDD00)
"""Undecodable bytes as Python decodes them (PEP 383)."""


def clean(text: object, *, most: int = MOST_CHARACTERS) -> str:
    """Convert to one printable line of at most `most` characters, with a mark if it was longer.

    Whitespace and line breaks collapse to one space; other unprintable characters (controls, format and
    bidirectional characters, line separators, surrogates) become visible escapes. Bytes are decoded as UTF-8,
    with invalid ones escaped. User, password and the key of a book server are removed from URLs.
    """
    if isinstance(text, bytes | bytearray | memoryview):
        raw = cast("bytes", text)
        size, unit = len(raw), "bytes"
        begin = bytes(raw[: 4 * most]).decode("utf-8", "surrogateescape")
    else:
        whole = text if isinstance(text, str) else _text_of(text)
        size, unit = len(whole), "characters"
        begin = whole[: 4 * most]
    line = _without_key(_CREDENTIALS.sub("…@", escaped(_SPACES.sub(" ", begin).strip(" "))))
    if len(line) <= most and size <= 4 * most:
        return line
    mark = f"… ({size:,} {unit})"
    return f"{line[: max(0, most - len(mark))]}{mark}"


def escaped(text: str) -> str:
    """Replace unprintable characters with visible escapes."""
    return text if text.isprintable() else "".join(map(_shown, text))


def json_line(text: str) -> str:
    """Replace unprintable characters in JSON text with JSON escapes; line breaks are kept."""
    return "".join(each if each.isprintable() or each == "\n" else _json_escape(each) for each in text)


def without_credentials(text: str) -> str:
    """Remove user, password and a book server's key (`/k/<key>/…`) from everything that looks like a URL,
    even a malformed one."""
    return _without_key(_MISSPELLED_CREDENTIALS.sub("…@", text))


def host_of(url: str) -> str:
    """The host and port of a URL; empty if it has none.

    Only these are safe to log: user, password, path and query may hold secrets.
    """
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
    return clean(authority) if _HOST_AND_PORT.fullmatch(authority) else ""


def _without_key(text: str) -> str:
    return _KEY.sub(r"\1…", text)


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
