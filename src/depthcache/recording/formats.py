"""Recording formats: detect the format of a file, and read each of its lines.

Six formats are known and detected by the first lines of a file:

    hftbacktest     `<time> <JSON>` per line; the time since 1970, its number of digits gives the unit
    tardis raw      `<ISO time> <JSON>` per line; a blank line marks a lost connection
    cryptofeed raw  `<URL> -> <seconds>: <body>`, `wss://… <-> <seconds>`, `<seconds>: <frame>`,
                    `configuration: …`, in any mixture
    cryptofeed 3    `{"t":"http"|"recv","ts":…,"data":"…"}` per line, sorted here by `ts`
    JSON lines      one frame or snapshot per line, bare or in an envelope with the receive time
    depthcache      recordings and flight dumps of this package: JSON lines that begin with
                    `{"depthcache":1,…}`; frames (`{"time":…,"connection":…,"frame":{…}}`, or `"hex"` if
                    they are not JSON), snapshots (`{"time":…,"exchange":…,"symbol":…,"limit":…,
                    "snapshot":{…}}`) and events (`{"time":…,"event":…}`): open, closed, lost, book;
                    other events are for people

A line that does not fit its format is counted as a problem, and reading continues. A new format is one more
function here. `lines` opens files, `payload` and `envelope` read JSON, `reading` merges several files.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import msgspec

from depthcache.errors import UnreadableRecording
from depthcache.recording.envelope import TextError, iso_ns, number_ns
from depthcache.recording.lines import DamageError, Lines, LongLine
from depthcache.recording.origin import LIKE_SPOT, origin_of_exchange, origin_of_url
from depthcache.recording.payload import SnapshotHead, parse
from depthcache.recording.problems import Problems
from depthcache.recording.progress import OnProgress, Progress
from depthcache.recording.records import (
    Break,
    Diff,
    Frame,
    HeldBook,
    Record,
    RecordedResponse,
    RecordedSnapshot,
    SourcePosition,
)

__all__ = ["RECORDING_ENDED", "records"]

_LINES_TO_RECOGNISE = 5
_HFTBACKTEST = re.compile(rb"(\d{13,19}|\d{10}\.\d+) (\{.*)", re.DOTALL)
_TARDIS = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)? (\{.*)?", re.DOTALL)
_TARDIS_CSV = re.compile(rb"exchange,symbol,timestamp,local_timestamp\b")
_CRYPTOFEED = re.compile(rb"(?:(\S+) (->|<-|<->) )?(\d{9,11}(?:\.\d+)?)(?:: (.*))?", re.DOTALL)
_CONFIGURATION = b"configuration: "
_OWN_HEAD = b'{"depthcache":'
RECORDING_ENDED = "the recording ended"
"""The reason of the breaks at the end of a file of this package."""
_HEAD_BYTES = 100
"""The key of a frame is within this many bytes of the start of its line."""
_NANOSECONDS = {13: 1_000_000, 16: 1_000, 19: 1}
_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)

_UNREADABLE = (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError)
"""Errors that one bad line may cause; none of them ends the reading."""
_MOST_WORDS = 200
_MOST_UNORDERED = 500_000
_MOST_UNORDERED_BYTES = 256 * 1024 * 1024
"""Records held in memory to sort those of a file by time."""
_RECORD_BYTES = 600
"""Memory of a record besides its body, in bytes."""
_LOOK_AHEAD = 5_000
"""Records at the start of a file that are held back until a URL names the exchange."""
_TOLD_BY_URLS = LIKE_SPOT | {"spot"}
"""Origins that the keys of a snapshot cannot tell apart."""


def records(
    path: Path,
    problems: Problems,
    *,
    on_progress: OnProgress | None = None,
    progress: Progress | None = None,
) -> Iterator[Record]:
    """Yield every record of one file in order; lines that cannot be used go to `problems`.

    Raises UnreadableRecording if the file does not exist, is empty or has no known format.
    """
    lines = Lines(path, on_progress=on_progress, progress=progress)
    numbered = iter(lines)
    file = _File(path)
    read_line: _Format | None = None
    try:
        start, read_line = _recognise(path, numbered, lines)
        found = _read(file, chain(start, numbered), read_line, problems)
        if read_line is _cryptofeed_3:
            found = _in_order(found, problems)
        yield from _of_its_exchange(found, file)
    except DamageError as damage:
        if file.last_line == 0:
            raise UnreadableRecording(path=path, line=damage.line + 1, reason=damage.what) from None
        problems.add(SourcePosition(path, damage.line + 1), damage.what)
    if read_line is _depthcache:
        yield from _ended(file)
    if lines.is_cut:
        if read_line is _depthcache:
            problems.note(
                f"{path} has no proper end: its writer was stopped; it is complete up to the last flush"
            )
        else:
            problems.add(
                SourcePosition(path, file.last_line + 1), "the zstd stream ends early: the file was cut off"
            )


def _read(
    file: _File, lines: Iterable[tuple[int, bytes]], read_line: _Format, problems: Problems
) -> Iterator[Record]:
    for number, line in lines:
        before, file.last_line = file.last_line, number
        if read_line is _tardis and 0 < before < number - 1:
            yield Break(file.last_ns, SourcePosition(file.path, number - 1), None, "the connection was lost")
        try:
            if type(line) is LongLine:
                raise TextError("a line of more than 64 MiB")
            record = read_line(file, number, line)
        except TextError as error:
            problems.add(SourcePosition(file.path, number), str(error), line)
            continue
        except _UNREADABLE as error:
            problems.add(SourcePosition(file.path, number), f"unreadable: {error}"[:_MOST_WORDS], line)
            continue
        if record is not None:
            yield record


def _in_order(found: Iterator[Record], problems: Problems) -> Iterator[Record]:
    """Sort records by time within a bounded window; a record that is out of order beyond it is a problem."""
    held: list[tuple[int, int, Record]] = []
    held_bytes = last_ns = 0
    damage: DamageError | None = None
    try:
        for count, record in enumerate(found):
            time_ns = record.time_ns or last_ns
            if time_ns < last_ns:
                problems.add(
                    record.position, f"received earlier than the {_MOST_UNORDERED:,} lines before it"
                )
                continue
            heapq.heappush(held, (time_ns, count, record))
            held_bytes += _size(record)
            while len(held) > _MOST_UNORDERED or (held_bytes > _MOST_UNORDERED_BYTES and len(held) > 1):
                last_ns, _, first = heapq.heappop(held)
                held_bytes -= _size(first)
                yield first
    except DamageError as error:  # what was read before is good
        damage = error
    while held:
        yield heapq.heappop(held)[2]
    if damage is not None:
        raise damage


def _size(record: Record) -> int:
    if isinstance(record, Frame):
        return _RECORD_BYTES + len(record.payload)
    return _RECORD_BYTES + (
        len(record.body) if isinstance(record, RecordedSnapshot | RecordedResponse) else 0
    )


def _of_its_exchange(found: Iterator[Record], file: _File) -> Iterator[Record]:
    """The same records; those that look like spot become Binance.US or TR if a URL of the file says so."""
    held: list[Record] = []
    damage: DamageError | None = None
    try:
        for record in found:
            held.append(record)
            if file.like_spot is not None or len(held) == _LOOK_AHEAD:
                break
    except DamageError as error:  # what was read before is good
        damage = error
    yield from map(file.placed, held)
    held.clear()
    if damage is not None:
        raise damage
    yield from map(file.placed, found)


class _File:
    """The state of reading one file: its path and the origin of its data, as far as known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.host_origin: str | None = None
        self.payload_origins: set[str] = set()
        """Origins that the diffs suggest; several if a recorder wrote several markets into one file."""
        self.url_origins: set[str] = set()
        self.origins: dict[int, str | None] = {}
        """Origin of each connection that the file describes."""
        self.last_line = 0
        self.last_ns: int | None = None

    def message(self, number: int, time_ns: int | None, text: bytes) -> Frame | RecordedSnapshot:
        """The record of one JSON text."""
        parsed = parse(text, is_timed=time_ns is not None)
        position = SourcePosition(self.path, number)
        time_ns = parsed.received_ns if time_ns is None else time_ns
        if isinstance(parsed, SnapshotHead):
            if parsed.venue is not None and parsed.venue in _TOLD_BY_URLS:
                self.url_origins.add(parsed.venue)
            origin = self.host_origin or self._origin_of_snapshot(parsed)
            return RecordedSnapshot(
                time_ns,
                position,
                parsed.body,
                parsed.symbol,
                parsed.last_update_id,
                parsed.limit,
                origin,
                parsed.requested_ns,
            )
        about = parsed.about
        origin = self.host_origin
        if type(about) is Diff:
            self.payload_origins.add(about.venue)
            origin = origin or about.venue
        else:
            origin = origin or _only(self.payload_origins) or (None if about is None else about.venue)
        return Frame(time_ns, position, parsed.payload, parsed.stream, about, origin)

    @property
    def like_spot(self) -> str | None:
        """`us` or `tr` if it is the only origin in the URLs of the file and no connection has another."""
        origin = _only(self.url_origins)
        return origin if self.host_origin is None and origin in LIKE_SPOT else None

    def placed(self, record: Record) -> Record:
        """The record with the origin that is known for the file by now."""
        if self.url_origins and isinstance(record, Frame | RecordedSnapshot) and record.venue == "spot":
            return record._replace(venue=self.like_spot or "spot")
        return record

    def _origin_of_snapshot(self, head: SnapshotHead) -> str | None:
        """The origin of a snapshot; None if the file may have several markets of one name, so that only the
        diffs around the snapshot can decide."""
        only = _only(self.payload_origins)
        if only is not None and (head.venue is None or {only, head.venue} == {"usdm", "coinm"}):
            return only  # old snapshots of both futures look alike, and like those of spot
        return head.venue

    def response(
        self, number: int, time_ns: int, url: str, body: bytes
    ) -> RecordedSnapshot | RecordedResponse:
        """The record of one REST response: a snapshot if the URL requests one."""
        position, parts, origin = SourcePosition(self.path, number), urlsplit(url), origin_of_url(url)
        self.url_origins |= set() if origin is None else {origin}
        if not parts.path.endswith("/depth"):
            return RecordedResponse(time_ns, position, url, body, origin)
        parsed = parse(_without_headers(body))
        if not isinstance(parsed, SnapshotHead):
            raise TextError("the response to a depth request is not a snapshot")
        query = parse_qs(parts.query)
        asked = query.get("symbol", [""])[0].translate(_UPPER)
        limit = query.get("limit", [""])[0]
        return RecordedSnapshot(
            time_ns,
            position,
            parsed.body,
            asked or parsed.symbol,
            parsed.last_update_id,
            int(limit) if limit.isdecimal() else None,
            origin or parsed.venue,
        )


def _only(origins: set[str]) -> str | None:
    return next(iter(origins)) if len(origins) == 1 else None


def _hftbacktest(file: _File, number: int, line: bytes) -> Record | None:
    head, _, text = line.partition(b" ")
    scale = _NANOSECONDS.get(len(head))
    if scale is not None and head.isdigit():
        return file.message(number, int(head) * scale, text)
    time_ns = number_ns(head.decode("ascii", "replace")) if b"." in head else None
    if time_ns is None:
        raise TextError("no receive time before the message")
    return file.message(number, time_ns, text)


def _tardis(file: _File, number: int, line: bytes) -> Record | None:
    head, _, text = line.partition(b" ")
    time_ns = iso_ns(head.decode("ascii", "replace"))
    if time_ns is None:
        raise TextError("no receive time before the message")
    file.last_ns = time_ns
    if not text:
        return Break(time_ns, SourcePosition(file.path, number), None, "the connection was lost")
    return file.message(number, time_ns, text)


def _cryptofeed(file: _File, number: int, line: bytes) -> Record | None:
    if line.startswith(_CONFIGURATION):
        return None
    match = _CRYPTOFEED.fullmatch(line)
    if match is None:
        raise TextError("not a frame, a response or a connection of a cryptofeed recording")
    url, arrow, seconds, text = match.groups()
    time_ns = _nanoseconds(seconds)
    if arrow is None:
        return file.message(number, time_ns, text or b"")
    if arrow == b"->" and url.startswith(b"http"):
        return file.response(number, time_ns, url.decode("utf-8", "replace"), text or b"")
    if arrow == b"<->":
        file.host_origin = origin_of_url(url.decode("utf-8", "replace")) or file.host_origin
    elif arrow == b"->":
        raise TextError("a response to something that is not an HTTP URL")
    return None


class _Line3(msgspec.Struct):
    """A line of cryptofeed 3."""

    t: str
    ts: msgspec.Raw
    data: msgspec.Raw = msgspec.Raw(b"null")
    url: str | None = None


_decoder_3 = msgspec.json.Decoder(_Line3)
_SILENT_3 = frozenset({"send", "sent", "open", "connect", "connected", "subscribe"})
_BREAKS_3 = frozenset({"close", "closed", "disconnect", "disconnected", "error"})


def _is_cryptofeed_3(line: bytes) -> bool:
    try:
        head = _decoder_3.decode(line)
    except msgspec.DecodeError:
        return False
    return head.t in _SILENT_3 | _BREAKS_3 | {"http", "recv"} and bytes(head.data) != b"null"


def _cryptofeed_3(file: _File, number: int, line: bytes) -> Record | None:
    try:
        head = _decoder_3.decode(line)
    except msgspec.DecodeError as error:
        raise TextError(f"not a line of cryptofeed 3: {error}") from None
    time_ns = number_ns(bytes(head.ts).decode("ascii", "replace").strip('"'))
    if time_ns is None:
        raise TextError("a line of cryptofeed 3 whose ts is not a time")
    raw = bytes(head.data)
    body = msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw
    position = SourcePosition(file.path, number)
    if head.t == "http":
        return _http_3(file, position, time_ns, head.url or "", body)
    if head.t == "recv":
        return file.message(number, time_ns, body)
    if head.t in _BREAKS_3:
        return Break(time_ns, position, None, "the connection was lost")
    if head.t in _SILENT_3:
        return None
    raise TextError(f"a line of cryptofeed 3 of unknown kind {head.t[:20]!r}")


def _http_3(file: _File, position: SourcePosition, time_ns: int, url: str, body: bytes) -> Record:
    """The record of a response: a snapshot, or another response of the exchange."""
    if urlsplit(url).path.endswith("/depth"):
        return file.response(position.line, time_ns, url, body)
    if b'"lastUpdateId"' in body[:1000]:
        return file.message(position.line, time_ns, body)
    if not body.lstrip().startswith((b"{", b"[")):
        raise TextError("a response that is not JSON")
    return RecordedResponse(time_ns, position, url, body, origin_of_url(url))


def _without_headers(body: bytes) -> bytes:
    """The body without the headers that cryptofeed can be configured to append."""
    return body.rpartition(b" header: ")[0] or body if b"} header: {" in body[-20_000:] else body


def _depthcache(file: _File, number: int, line: bytes) -> Record | None:
    start = line.find(b'"frame":', 0, _HEAD_BYTES)
    if start >= 0 and b'"event":' not in line[:start]:
        head, payload = _head(line[:start]), line[start + len(b'"frame":') : -1]
        record = file.message(number, head.time, payload)
        connection = -1 if head.connection is None else head.connection
        if not isinstance(record, Frame):
            raise TextError("a snapshot instead of a frame")
        return record._replace(venue=file.origins.get(connection) or record.venue, connection=head.connection)
    position = SourcePosition(file.path, number)
    if line.startswith(_OWN_HEAD):
        return Break(file.last_ns, position, None, "a new recording begins") if number > 1 else None
    try:
        head = _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise TextError(f"not a line of this format: {error}") from None
    file.last_ns = head.time or file.last_ns
    origin = None if head.exchange is None else origin_of_exchange(head.exchange)
    if head.snapshot:
        snapshot = file.message(number, head.time, bytes(head.snapshot))
        if not isinstance(snapshot, RecordedSnapshot):
            raise TextError("a snapshot without lastUpdateId, bids and asks")
        return snapshot._replace(
            symbol=head.symbol,
            limit=head.limit,
            venue=origin or snapshot.venue,
            position=position,
            requested_ns=head.requested,
        )
    if head.hex is not None:
        return _unreadable(head, position)
    if head.event is None:
        raise TextError("not a frame, a snapshot or an event")
    return _event(head, position, file, origin)


class _Head(msgspec.Struct, rename={"from_": "from"}):
    """Every member that lines of this package may have, except frames."""

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
    from_: int | None = None
    to: int | None = None
    requested: int | None = None
    last_update_id: int | None = None
    bids: list[list[str]] = []
    asks: list[list[str]] = []


_decoder = msgspec.json.Decoder(_Head)


def _head(text: bytes) -> _Head:
    try:
        return _decoder.decode(text.rstrip(b",") + b"}")
    except msgspec.DecodeError as error:
        raise TextError(f"not a line of this format: {error}") from None


def _ended(file: _File) -> Iterator[Break]:
    """A hole between this file and the recording of a later start is no gap."""
    position = SourcePosition(file.path, file.last_line)
    for connection in file.origins:
        yield Break(file.last_ns, position, connection, RECORDING_ENDED)


def _unreadable(head: _Head, position: SourcePosition) -> Break:
    """A frame that is not JSON: the client treated it as a lost update, and so does a replay."""
    return Break(head.time, position, head.connection, "a frame that could not be read")


def _event(head: _Head, position: SourcePosition, file: _File, origin: str | None) -> Record | None:
    if head.event == "open" and head.connection is not None:
        file.origins[head.connection] = origin
    elif head.event == "closed":
        return Break(head.time, position, head.connection, head.reason or "the connection ended")
    elif head.event == "lost":
        return Break(head.time, position, None, _loss(head), head.frames or 1, head.from_)
    elif head.event == "book" and head.symbol is not None:
        return HeldBook(head.time, position, head.symbol, origin, head.last_update_id, head.bids, head.asks)
    return None


def _loss(head: _Head) -> str:
    """How many frames were lost, from when to when, and why."""
    when = ""
    if head.from_ is not None and head.to is not None:
        times = (datetime.fromtimestamp(each // 10**9, UTC) for each in (head.from_, head.to))
        when = " from {:%Y-%m-%d %H:%M:%S} to {:%H:%M:%S} UTC".format(*times)
    reason = "".join(each if each.isprintable() else "?" for each in (head.reason or "")[:_MOST_WORDS])
    why = f": {reason}" if reason else ""
    return f"{head.frames} frames were not recorded{when}{why}"


def _json_lines(file: _File, number: int, line: bytes) -> Record | None:
    return file.message(number, None, line)


_Format: TypeAlias = Callable[[_File, int, bytes], Record | None]


def _recognise(
    path: Path, numbered: Iterator[tuple[int, bytes]], lines: Lines
) -> tuple[list[tuple[int, bytes]], _Format]:
    """The lines read so far, and the format of the first of them that has one."""
    start: list[tuple[int, bytes]] = []
    for number, line in numbered:
        start.append((number, line))
        if (found := _format_of(line)) is not None:
            return start, found
        if len(start) == _LINES_TO_RECOGNISE or line == b"[":
            break
    if not start:
        reason = "the zstd stream ends before its first line" if lines.is_cut else "the file is empty"
        raise UnreadableRecording(path=path, line=None, reason=reason)
    first = start[0][1]
    if first.startswith(b"["):
        reason = "a JSON array; one frame or snapshot per line is needed (`jq -c '.[]'` converts it)"
    elif _TARDIS_CSV.match(first):
        reason = "a CSV file of tardis, without update ids: use the raw data instead"
    else:
        begin = first[:40].decode("utf-8", "backslashreplace")
        reason = f"not a recording in a known format; it begins with {begin!r}"
    raise UnreadableRecording(path=path, line=start[0][0], reason=reason)


def _format_of(line: bytes) -> _Format | None:
    if _HFTBACKTEST.fullmatch(line):
        return _hftbacktest
    if _TARDIS.fullmatch(line):
        return _tardis
    if line.startswith(_CONFIGURATION) or _CRYPTOFEED.fullmatch(line):
        return _cryptofeed
    if line.startswith(_OWN_HEAD):
        return _depthcache
    if _is_cryptofeed_3(line):
        return _cryptofeed_3
    return _json_lines if line.startswith(b"{") else None


def _nanoseconds(seconds: bytes) -> int:
    """Nanoseconds of a decimal number of seconds, computed without floats."""
    whole, _, fraction = seconds.partition(b".")
    return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0")
