"""Write the flight recorder of a book to a file that `depthcache verify` can replay.

The file starts with the snapshot if all frames since then are still there. Otherwise the current book takes
the place of the snapshot, at its update id. The frames follow, and last the book of the client, so that a
replay shows whether the same frames produce the same book.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING

from depthcache import logs, wire
from depthcache._native import now_ns
from depthcache.errors import InvalidArgument
from depthcache.io.recording.files import Journal, is_json, line, not_writable, place

if TYPE_CHECKING:
    from depthcache._native import FlightLog

__all__ = ["FlightDumps", "write_flight_dump"]

_SETTING = "flight_dumps_to"
_PAUSE_NS = 60_000_000_000
_MOST_FILES = 100


class FlightDumps:
    """The flight dumps of one client: at most one per book and minute and 100 in total, so that a failing
    exchange does not fill the disk."""

    def __init__(self, folder: str | PathLike[str], *, clock: Callable[[], int] = now_ns) -> None:
        """`clock`: the clock of the client. Raises InvalidArgument for a folder that is not writable."""
        self._folder, self._clock = Path(folder), clock
        _try_to_write(self._folder)
        self._saved_ns: dict[int, int] = {}
        self._count = 0

    def is_due(self, market: int, now_ns: int) -> bool:
        """Whether a dump of this market is allowed now; if so, it counts as saved."""
        before_ns = self._saved_ns.get(market)
        if self._count >= _MOST_FILES or (before_ns is not None and now_ns - before_ns < _PAUSE_NS):
            return False
        self._saved_ns[market] = now_ns
        self._count += 1
        return True

    def save(self, log: FlightLog, reason: str) -> None:
        """Write a dump. A disk error is logged, not raised."""
        symbol = "".join(letter if letter.isalnum() else "_" for letter in log.book.symbol)
        path = self._folder
        try:
            path = place(self._folder, f"flight-{log.book.exchange}-{symbol}", setting=_SETTING)
            write_flight_dump(path, log, reason, clock=self._clock)
        except (OSError, InvalidArgument) as error:
            logs.not_written(path=str(path), error=error)
        else:
            logs.flight_dump_saved(
                exchange=log.book.exchange, symbol=log.book.symbol, reason=reason, path=str(path)
            )


def _try_to_write(folder: Path) -> None:
    """Raise InvalidArgument at the start, instead of failing when a dump is needed."""
    path = place(folder, "flight", setting=_SETTING)
    try:
        path.open("xb").close()
        path.unlink()
    except OSError as error:
        raise not_writable(folder, error, setting=_SETTING) from None


def write_flight_dump(path: Path, log: FlightLog, reason: str, *, clock: Callable[[], int] = now_ns) -> None:
    """Write the contents of a flight recorder to a new file. `clock`: the clock of the client.

    Raises FileExistsError and OSError, and then leaves no new file.
    """
    journal = Journal(path, kind="flight", exchange=log.book.exchange, symbol=log.book.symbol, reason=reason)
    try:
        for text in _lines(log, clock()):
            journal.append(text + b"\n")
        journal.close()
    except BaseException:
        journal.give_up()  # an incomplete dump is useless, and the next try needs the file name
        raise


def _lines(log: FlightLog, now_ns: int) -> Iterator[bytes]:
    offset_ns = time_ns() - now_ns
    about = {"exchange": log.book.exchange, "symbol": log.book.symbol}
    yield line(time=offset_ns, event="open", connection=1, exchange=log.book.exchange)
    first = log.snapshot.after_frames if log.snapshot is not None else _place_of_book(log)
    has_book = log.snapshot is not None or log.book.last_update_id is not None
    for number, (at_ns, frame) in enumerate(log.frames):
        if has_book and number == first:
            yield _snapshot(log, about, at_ns, offset_ns)
        yield _frame(frame, at_ns + offset_ns)
    if has_book and first >= len(log.frames):
        yield _snapshot(log, about, now_ns, offset_ns)
    yield line(time=now_ns + offset_ns, event="book", **about, **_held(log))


def _snapshot(log: FlightLog, about: dict[str, str], at_ns: int, offset_ns: int) -> bytes:
    if log.snapshot is not None:
        taken = log.snapshot
        head = line(time=taken.installed_ns + offset_ns, **about, limit=taken.limit)
        return head[:-1] + b',"snapshot":' + taken.body.replace(b"\n", b" ").replace(b"\r", b" ") + b"}"
    head = line(time=at_ns + offset_ns, **about, limit=None)
    return head[:-1] + b',"snapshot":' + wire.depth_snapshot(log.book, family="spot") + b"}"


def _frame(frame: bytes, time_ns: int) -> bytes:
    head = line(time=time_ns, connection=1)[:-1]
    if not is_json(frame):
        return head + b',"hex":"' + frame.hex().encode() + b'"}'
    return head + b',"frame":' + frame.replace(b"\n", b" ").replace(b"\r", b" ") + b"}"


def _held(log: FlightLog) -> dict[str, object]:
    """The book of the client with prices and quantities as strings."""
    message = log.book.exact.to_dict()
    return {name: message[name] for name in ("last_update_id", "bids", "asks")}


def _place_of_book(log: FlightLog) -> int:
    """The index after the last frame that the book contains."""
    held = log.book.last_update_id
    if held is None:
        return len(log.frames)
    for number in range(len(log.frames) - 1, -1, -1):
        final = _final_update_id(log.frames[number].frame)
        if final is not None and final <= held:
            return number + 1
    return 0


def _final_update_id(frame: bytes) -> int | None:
    try:
        message = json.loads(frame)
        final = message.get("data", message).get("u")
    except (ValueError, AttributeError, RecursionError):
        return None
    return final if isinstance(final, int) else None
