"""Record everything a client receives: every frame, every snapshot, every interruption.

The native router keeps frames as lines in the order in which it was fed. This file inserts the other events
(connections, responses, gaps) between them. A separate thread writes the lines, so neither books nor the
event loop wait for the disk. If that thread cannot keep up, or the disk fails, the recording loses lines, but
the books do not. The file and `recording` note how many were lost, when and why. Recording continues in a new
file as soon as possible.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from depthcache import logs
from depthcache._native import now_ns
from depthcache.errors import InvalidArgument, UsageError
from depthcache.events import TappedLines
from depthcache.foreign_text import clean
from depthcache.io.network.interface import Callbacks, Closed, Failure, FrameSink, Network, Response
from depthcache.io.recording.files import Journal, is_json, line, not_writable, place
from depthcache.io.recording.recording_file import RecordingFile

if TYPE_CHECKING:
    from depthcache._native import Router

__all__ = ["Recorder", "RecordingNetwork"]

_SETTING = "record_to"
_MOST_BYTES = 64 * 1024 * 1024
"""Most bytes of lines that wait to be written: several seconds at 5,000 frames per second."""
_FLUSH_S = 0.5
"""Interval between flushes: the most that a recording lacks if the process is killed."""
_CLOSE_S = 30.0
"""How long closing a client waits for the disk."""
_FIRST_PAUSE_NS, _LONGEST_PAUSE_NS = 500_000_000, 30_000_000_000
"""Back-off between attempts to write after an error."""
_OK = 200


@dataclass(slots=True)
class _Loss:
    """A continuous loss of lines. Its start identifies it, because two files may note the same loss."""

    lines: int
    from_ns: int
    reason: str
    to_ns: int = 0


class Recorder:
    """The recording of one client, one file at a time. Call `start` first and `close` last."""

    def __init__(self, folder: str | PathLike[str], exchanges_by_url: Mapping[str, str]) -> None:
        """`exchanges_by_url`: base URL to exchange name.

        Raises InvalidArgument for a folder that is not writable."""
        self._folder = Path(folder)
        self._exchanges_by_url = dict(sorted(exchanges_by_url.items(), key=lambda each: -len(each[0])))
        self._offset_ns = time_ns() - now_ns()
        self._files: tuple[Path, ...] = ()
        self._connections: dict[int, bytes] = {}
        """The `open` line of each connection that is open, or that still has unwritten lines."""
        self._ended: set[int] = set()
        self._loss: _Loss | None = None
        """The current loss, until a file notes it."""
        self._lost = 0
        self._lost_from_ns: int | None = None
        self._lost_to_ns: int | None = None
        self._retry_ns = 0
        self._pause_ns = _FIRST_PAUSE_NS
        self._written_ns = self._begun_ns = self.now_ns()
        self._router: Router | None = None
        self._wish_to_stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_left = False
        """Whether `close` has stopped waiting for the thread."""
        try:
            self._journal: Journal | None = self._new_file()
        except OSError as error:
            raise not_writable(self._folder, error, setting=_SETTING) from None

    @property
    def path(self) -> Path:
        """The newest file."""
        return self.recording

    @property
    def recording(self) -> RecordingFile:
        """The newest file, and the losses of the recording so far."""
        return RecordingFile.of(
            self._files[-1],
            files=self._files,
            lost=self._lost,
            lost_from_ns=self._lost_from_ns,
            lost_to_ns=self._lost_to_ns,
            error="" if self._loss is None else self._loss.reason,
        )

    def start(self, router: Router) -> None:
        """Record everything that this router is fed from now on."""
        self._router = router
        router.start_tap(_MOST_BYTES, self._offset_ns)
        self._thread = threading.Thread(
            target=self._write_all, args=(router,), name="depthcache recorder", daemon=True
        )
        self._thread.start()

    def note(self, event: str, **values: object) -> None:
        """Record an event at its position between the frames."""
        self._put(line(time=self.now_ns(), event=event, **values))

    def opens(self, connection: int, url: str) -> None:
        """Record a connection that is about to be opened. Each later file starts with the connections that
        are still open, because they identify the exchange of the frames."""
        text = line(
            time=self.now_ns(), event="open", connection=connection, exchange=self.exchange(url), url=url
        )
        self._connections[connection] = text
        self._put(text)

    def closed(self, connection: int, closed: Closed) -> None:
        """A connection ended."""
        self.note("closed", connection=connection, code=closed.code, reason=closed.reason)
        self._ended.add(connection)

    def snapshot(self, url: str, body: bytes, *, requested_ns: int | None = None) -> None:
        """Record a response of a depth endpoint and the time of its request; if not JSON, its beginning."""
        if not _is_plain(body):
            self.note("answer", url=url, status=_OK, text=clean(body))
            return
        query = parse_qs(urlsplit(url).query)
        symbol, limit = query.get("symbol", [""])[0], query.get("limit", [""])[0]
        head = line(
            time=self.now_ns(),
            exchange=self.exchange(url),
            symbol=symbol,
            limit=int(limit) if limit.isdecimal() else None,
            requested=requested_ns,
        )
        # The body is written unmodified, except for its line breaks.
        self._put(head[:-1] + b',"snapshot":' + body.replace(b"\n", b" ").replace(b"\r", b" ") + b"}")

    def exchange(self, url: str) -> str | None:
        """The exchange name of a URL; None if unknown."""
        return next((name for base, name in self._exchanges_by_url.items() if url.startswith(base)), None)

    def now_ns(self) -> int:
        """Nanoseconds since 1970, by a clock that never jumps after the start."""
        return now_ns() + self._offset_ns

    def close(self) -> None:
        """Write the remaining lines and end the file. Safe to call more than once."""
        self._wish_to_stop.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
            if self._thread.is_alive():  # a write hangs, for example on a lost network disk
                error = OSError(errno.ETIMEDOUT, f"the disk has not responded for {_CLOSE_S:g} s")
                logs.not_written(path=str(self._files[-1]), error=error)
                self._loss = _Loss(0, self._written_ns, str(error.strerror))
                self._lose(1)  # the actual number is unknown
                self._is_left = True
                return
        if self._loss is not None:  # a last attempt to write a file that notes the loss
            self._retry_ns = 0
            self._write(TappedLines(b"", 0))
        journal, self._journal = self._journal, None
        if journal is not None:
            self._end(journal)

    def _put(self, text: bytes) -> None:
        if self._router is not None:
            self._router.tap_line(text)

    def _new_file(self) -> Journal:
        journal = Journal(place(self._folder, "recording", setting=_SETTING), kind="recording")
        self._begun_ns = self.now_ns()
        self._files = (*(path for path in self._files if path.exists()), journal.path)
        return journal

    def _write_all(self, router: Router) -> None:
        ended = False
        while not ended:
            ended = self._wish_to_stop.wait(_FLUSH_S)
            over = tuple(self._ended)  # read before taking their last lines
            tapped = router.take_tapped()
            try:
                self._write(tapped)
                self._forget(over)
            except Exception as error:  # noqa: BLE001 - an error must not end the recording
                logs.unexpected(where="the recorder", error=error)
                self._on_refused(_count(tapped), error)
        router.stop_tap()
        if self._is_left and self._journal is not None:
            self._end(self._journal)

    def _forget(self, over: tuple[int, ...]) -> None:
        """Drop connections whose lines have all been written or lost."""
        for connection in over:
            self._ended.discard(connection)
            self._connections.pop(connection, None)

    def _write(self, tapped: TappedLines) -> None:
        """Write the lines, or count them as lost. A full disk stops neither the books nor the recording."""
        count = _count(tapped)
        if self._journal is None and now_ns() < self._retry_ns:
            self._lose(count)
            return
        try:
            self._write_now(tapped)
        except (OSError, InvalidArgument) as error:
            is_limit_of_file = getattr(error, "errno", None) == errno.EFBIG
            if not (is_limit_of_file and self._goes_on(tapped)):
                self._on_refused(count, error)

    def _goes_on(self, tapped: TappedLines) -> bool:
        """Try to write to a new file what the current one refused; True if nothing was lost."""
        journal = self._journal
        if journal is None or not journal.written:
            return False
        self._journal = None
        journal.give_up()
        try:
            self._write_now(tapped)
        except (OSError, InvalidArgument):
            return False
        return True

    def _write_now(self, tapped: TappedLines) -> None:
        told = self._loss
        lines, lost = tapped
        if self._journal is None:
            self._journal = self._new_file()
            lines = b"".join(text + b"\n" for text in tuple(self._connections.values())) + lines
        journal = self._journal
        if told is not None:
            lines = self._lost_line(told) + lines
        if lost:
            lines += self._lost_line(_Loss(lost, self._written_ns, "written too slowly", self.now_ns()))
        if lines:
            journal.append(lines)
            journal.flush()
        if told is not None:
            self._loss, self._pause_ns = None, _FIRST_PAUSE_NS
            logs.recording_resumed(path=str(journal.path), lost=told.lines)
        if lost:
            self._count(lost)
        self._written_ns = self.now_ns()

    def _on_refused(self, lines: int, error: Exception) -> None:
        """Writing failed: count the lost lines, and try again after a pause."""
        reason = getattr(error, "strerror", None) or str(error)
        journal, self._journal = self._journal, None
        if self._loss is None:
            logs.not_written(path=str(self._folder if journal is None else journal.path), error=error)
            self._loss = _Loss(0, self._written_ns, reason)
        self._loss.reason = reason
        if journal is not None and isinstance(error, FileNotFoundError):  # deleted: all its lines are lost
            self._loss.from_ns = self._written_ns = self._begun_ns
            lines += journal.written
        self._lose(lines)
        if journal is not None:
            self._give_up(journal, self._loss)
        self._retry_ns = now_ns() + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, _LONGEST_PAUSE_NS)

    def _give_up(self, journal: Journal, loss: _Loss) -> None:
        if len(self._files) > 1 and not journal.written:  # a file without any lines
            self._files = self._files[:-1]
            journal.give_up()
        else:
            self._lose(journal.give_up(self._lost_line(loss)[:-1]))

    def _lose(self, lines: int) -> None:
        if self._loss is not None:
            self._loss.lines += lines
            self._loss.to_ns = self.now_ns()
        self._count(lines)

    def _count(self, lines: int) -> None:
        if lines:
            self._lost += lines
            self._lost_from_ns = self._written_ns if self._lost_from_ns is None else self._lost_from_ns
            self._lost_to_ns = self.now_ns()

    def _lost_line(self, loss: _Loss) -> bytes:
        times = {"from": loss.from_ns, "to": loss.to_ns}
        return line(time=loss.to_ns, event="lost", frames=loss.lines, **times, reason=loss.reason) + b"\n"

    def _end(self, journal: Journal) -> None:
        try:
            journal.close()
        except OSError as error:  # flushed lines are readable, but may not be durable
            logs.not_written(path=str(journal.path), error=error)
            self._loss = _Loss(0, self._written_ns, error.strerror or str(error))
            self._lose(1)


class RecordingNetwork(Network, Callbacks):
    """A network that wraps another one and passes everything that goes through to the recorder."""

    def __init__(self, inner: Network, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder
        self._asked: dict[int, tuple[str, int]] = {}

    # --- towards the network ------------------------------------------------------------------

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once, before anything else. `router` must be the native one."""
        from depthcache._native import Router

        if not isinstance(router, Router):
            raise UsageError("recording needs the native engine")
        self._callbacks = callbacks
        self._recorder.start(router)
        self._inner.attach(router, self)

    def now_ns(self) -> int:
        """The clock of the inner network."""
        return self._inner.now_ns()

    def open(self, connection: int, url: str) -> None:
        """Open a connection, and record it."""
        self._recorder.opens(connection, url)
        self._inner.open(connection, url)

    def send(self, connection: int, text: str) -> None:
        """Send one text frame."""
        self._recorder.note("send", connection=connection, text=text)
        self._inner.send(connection, text)

    def close(self, connection: int) -> None:
        """Close a connection."""
        self._inner.close(connection)

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET; the response is recorded."""
        self._asked[request] = url, self._recorder.now_ns()
        self._inner.fetch(request, url, timeout_s=timeout_s)

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the pending wake-up."""
        self._inner.wake_at(at_ns)

    # --- towards the runner -------------------------------------------------------------------

    def on_loop_ended(self) -> None:
        """The event loop ended."""
        self._callbacks.on_loop_ended()

    def on_open(self, connection: int) -> None:
        """A connection is open."""
        self._recorder.note("opened", connection=connection)
        self._callbacks.on_open(connection)

    def on_closed(self, connection: int, closed: Closed) -> None:
        """A connection ended, or could not be opened."""
        try:
            self._recorder.closed(connection, closed)
        except Exception as error:  # noqa: BLE001 - the books must hear of it in any case
            logs.unexpected(where="the recorder", error=error)
        self._callbacks.on_closed(connection, closed)

    def on_alive(self, connection: int) -> None:
        """The exchange answered a ping."""
        self._callbacks.on_alive(connection)

    def on_response(self, request: int, response: Response | Failure) -> None:
        """A request ended."""
        try:
            url, requested_ns = self._asked.pop(request, ("", None))
            self._note_answer(url, requested_ns, response)
        except Exception as error:  # noqa: BLE001 - the books must get the response in any case
            logs.unexpected(where="the recorder", error=error)
        self._callbacks.on_response(request, response)

    def _note_answer(self, url: str, requested_ns: int | None, response: Response | Failure) -> None:
        if isinstance(response, Failure):
            self._recorder.note("failure", url=url, reason=response.reason)
        elif response.status == _OK and urlsplit(url).path.endswith("/depth"):
            self._recorder.snapshot(url, response.body, requested_ns=requested_ns)
        else:
            self._recorder.note("answer", url=url, status=response.status)

    def on_events(self) -> None:
        """`feed` returned True since the last call."""
        self._callbacks.on_events()

    def on_wake(self) -> None:
        """The time given to `wake_at` has come."""
        self._callbacks.on_wake()


def _count(tapped: TappedLines) -> int:
    """Number of lines, written or lost."""
    return tapped.lines.count(b"\n") + tapped.lost_frames


def _is_plain(body: bytes) -> bool:
    """Whether a body can be written as it is: JSON without characters that a terminal would interpret."""
    return is_json(body) and body.translate(None, b"\t\r\n").decode("utf-8").isprintable()
