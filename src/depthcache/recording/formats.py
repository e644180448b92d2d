"""The recording formats: which one a file has, and what each of its lines holds.

Four are known, recognised by the first lines of a file:

    hftbacktest     `<time> <JSON>` a line; the time in ns, us or ms since 1970, told by its digits
    cryptofeed raw  `<URL> -> <seconds>: <body>`, `wss://… <-> <seconds>`, `<seconds>: <frame>`,
                    `configuration: …`, in any mixture
    JSON lines      a frame or a snapshot a line, without times
    depthcache      what `depthcache record` and flight recorders write: JSON lines that begin with
                    `{"depthcache":1,…}`; frames (`{"time":…,"connection":…,"frame":{…}}`, or `"hex"` for
                    what is no JSON), snapshots (`{"time":…,"exchange":…,"symbol":…,"limit":…,
                    "snapshot":{…}}`) and events (`{"time":…,"event":…}`): open, closed, lost, book; others
                    tell people what happened

A line that its format does not explain is a problem, never an end. A new format is one function
here. Not here: opening files (`lines`), JSON (`payload`), several files (`reading`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import msgspec

from depthcache.errors import UnreadableRecording
from depthcache.recording.lines import DamageError, numbered_lines
from depthcache.recording.origin import family_of_exchange, family_of_url
from depthcache.recording.payload import SnapshotHead, TextError, parse
from depthcache.recording.problems import Problems
from depthcache.recording.records import Answer, Break, Diff, Frame, Held, Place, Record, Snapshot

__all__ = ["records"]

_LINES_TO_RECOGNISE = 5
_HFTBACKTEST = re.compile(rb"(\d{13,19}) (\{.*)", re.DOTALL)
_CRYPTOFEED = re.compile(rb"(?:(\S+) (->|<-|<->) )?(\d{9,11}(?:\.\d+)?)(?:: (.*))?", re.DOTALL)
_CONFIGURATION = b"configuration: "
_HEAD_BYTES = 100
"""The key of a frame stands within so many bytes of its line."""
_NANOSECONDS = {13: 1_000_000, 16: 1_000, 19: 1}
_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)

LineReader: TypeAlias = Callable[[bytes], Record | None]


def records(path: Path, problems: Problems) -> Iterator[Record]:
    """Every record of one file, in its order; what cannot be used goes to `problems`.

    Raises UnreadableRecording: no such file, empty, or no format known here.
    """
    lines = numbered_lines(path)
    number = 0
    try:
        start, read_line = _recognise(path, lines)
        file = _File(path)
        for number, line in chain(start, lines):
            try:
                record = read_line(file, number, line)
            except TextError as error:
                problems.add(Place(path, number), str(error), line)
                continue
            if record is not None:
                yield record
    except DamageError as damage:
        if number == 0:
            raise UnreadableRecording(path=path, line=damage.line + 1, reason=damage.what) from None
        problems.add(Place(path, damage.line + 1), damage.what)


class _File:
    """What is known of a file while it is read: its name and where its data came from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.host_family: str | None = None
        self.payload_family: str | None = None
        self.families: dict[int, str | None] = {}
        """Of the connections, where the file tells them."""

    def message(self, number: int, time_ns: int | None, text: bytes) -> Frame | Snapshot:
        """The record of one JSON text."""
        parsed = parse(text)
        place = Place(self.path, number)
        if isinstance(parsed, SnapshotHead):
            origin = self.host_family or self.payload_family or parsed.venue
            return Snapshot(
                time_ns, place, parsed.body, parsed.symbol, parsed.last_update_id, parsed.limit, origin
            )
        about = parsed.about
        if type(about) is Diff and self.payload_family is None:
            self.payload_family = about.venue
        family = self.host_family or self.payload_family or (None if about is None else about.venue)
        return Frame(time_ns, place, parsed.payload, parsed.stream, about, family)

    def answer(self, number: int, time_ns: int, url: str, body: bytes) -> Snapshot | Answer:
        """The record of one REST answer: a snapshot where the URL asks for one."""
        place, parts, family = Place(self.path, number), urlsplit(url), family_of_url(url)
        if not parts.path.endswith("/depth"):
            return Answer(time_ns, place, url, body, family)
        parsed = parse(body)
        if not isinstance(parsed, SnapshotHead):
            raise TextError("the answer of a depth request is no snapshot")
        query = parse_qs(parts.query)
        asked = query.get("symbol", [""])[0].translate(_UPPER)
        limit = query.get("limit", [""])[0]
        return Snapshot(
            time_ns,
            place,
            parsed.body,
            asked or parsed.symbol,
            parsed.last_update_id,
            int(limit) if limit.isdecimal() else None,
            family or parsed.venue,
        )


def _hftbacktest(file: _File, number: int, line: bytes) -> Record | None:
    head, _, text = line.partition(b" ")
    scale = _NANOSECONDS.get(len(head))
    if scale is None or not head.isdigit():
        raise TextError("no receive time before the message")
    return file.message(number, int(head) * scale, text)


def _cryptofeed(file: _File, number: int, line: bytes) -> Record | None:
    if line.startswith(_CONFIGURATION):
        return None
    match = _CRYPTOFEED.fullmatch(line)
    if match is None:
        raise TextError("neither a frame, an answer nor a connection of a cryptofeed recording")
    url, arrow, seconds, text = match.groups()
    time_ns = _nanoseconds(seconds)
    if arrow is None:
        return file.message(number, time_ns, text or b"")
    if arrow == b"->" and url.startswith(b"http"):
        return file.answer(number, time_ns, url.decode("utf-8", "replace"), text or b"")
    if arrow == b"<->":
        file.host_family = family_of_url(url.decode("utf-8", "replace")) or file.host_family
    return None


def _depthcache(file: _File, number: int, line: bytes) -> Record | None:
    start = line.find(b'"frame":', 0, _HEAD_BYTES)
    if start >= 0 and b'"event":' not in line[:start]:
        head, payload = _head(line[:start]), line[start + len(b'"frame":') : -1]
        record = file.message(number, head.time, payload)
        connection = -1 if head.connection is None else head.connection
        if not isinstance(record, Frame):
            raise TextError("a snapshot where a frame should be")
        return record._replace(
            venue=file.families.get(connection) or record.venue, connection=head.connection
        )
    try:
        head = _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise TextError(f"not a line of this format: {error}") from None
    place = Place(file.path, number)
    family = None if head.exchange is None else family_of_exchange(head.exchange)
    if head.snapshot:
        snapshot = file.message(number, head.time, bytes(head.snapshot))
        if not isinstance(snapshot, Snapshot):
            raise TextError("a snapshot without lastUpdateId, bids and asks")
        return snapshot._replace(
            symbol=head.symbol, limit=head.limit, venue=family or snapshot.venue, place=place
        )
    if head.hex is not None:
        return _unreadable(head, place)
    return _event(head, place, file, family)


class _Head(msgspec.Struct):
    """All that the lines of this package may hold, frames aside."""

    time: int | None = None
    connection: int | None = None
    exchange: str | None = None
    symbol: str | None = None
    limit: int | None = None
    snapshot: msgspec.Raw = msgspec.Raw()
    hex: str | None = None
    event: str | None = None
    reason: str | None = None
    frames: int | None = None
    last_update_id: int | None = None
    bids: list[list[str]] = []
    asks: list[list[str]] = []


_decoder = msgspec.json.Decoder(_Head)


def _head(text: bytes) -> _Head:
    try:
        return _decoder.decode(text.rstrip(b",") + b"}")
    except msgspec.DecodeError as error:
        raise TextError(f"not a line of this format: {error}") from None


def _unreadable(head: _Head, place: Place) -> Break:
    """A frame that is no JSON: the client took it for a lost update, so it is one here."""
    return Break(head.time, place, head.connection, "a frame that could not be read")


def _event(head: _Head, place: Place, file: _File, family: str | None) -> Record | None:
    if head.event == "open" and head.connection is not None:
        file.families[head.connection] = family
    elif head.event == "closed":
        return Break(head.time, place, head.connection, head.reason or "the connection ended")
    elif head.event == "lost":
        return Break(head.time, place, None, f"{head.frames} frames were not recorded")
    elif head.event == "book" and head.symbol is not None:
        return Held(head.time, place, head.symbol, family, head.last_update_id, head.bids, head.asks)
    return None


def _json_lines(file: _File, number: int, line: bytes) -> Record | None:
    return file.message(number, None, line)


_Format: TypeAlias = Callable[[_File, int, bytes], Record | None]


def _recognise(path: Path, lines: Iterator[tuple[int, bytes]]) -> tuple[list[tuple[int, bytes]], _Format]:
    """The format of the first line that has one, and the lines read to find it."""
    start: list[tuple[int, bytes]] = []
    for number, line in lines:
        start.append((number, line))
        if _HFTBACKTEST.fullmatch(line):
            return start, _hftbacktest
        if line.startswith(_CONFIGURATION) or _CRYPTOFEED.fullmatch(line):
            return start, _cryptofeed
        if line.startswith(b'{"depthcache":'):
            return [], _depthcache
        if line.startswith(b"{"):
            return start, _json_lines
        if len(start) == _LINES_TO_RECOGNISE:
            break
    if not start:
        raise UnreadableRecording(path=path, line=None, reason="the file is empty")
    begin = start[0][1][:40].decode("utf-8", "backslashreplace")
    raise UnreadableRecording(
        path=path,
        line=start[0][0],
        reason=f"no recording of hftbacktest, of cryptofeed or of JSON lines; it begins {begin!r}",
    )


def _nanoseconds(seconds: bytes) -> int:
    """Nanoseconds of a decimal number of seconds, without a float on the way."""
    whole, _, fraction = seconds.partition(b".")
    return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0")
