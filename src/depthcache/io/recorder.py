"""Everything a client hears, written to a file: every frame, every snapshot, every interruption.

The native router keeps the frames as lines in the order in which they were fed; what happens beside
them (connections, answers, gaps) is put between them here. A thread of its own writes them, so that
neither books nor the event loop wait for a disk. When that thread cannot keep up, frames are lost
from the recording, never from the books, and the file says how many.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import msgspec

from depthcache import logs
from depthcache._native import now_ns
from depthcache.errors import InvalidArgument, UsageError
from depthcache.foreign_text import clean
from depthcache.io.journal import Journal, line, place
from depthcache.io.network import Callbacks, Closed, Failure, Network, Response, TakesFrames

if TYPE_CHECKING:
    from depthcache._native import Router

__all__ = ["Recorder", "RecordingNetwork"]

_MOST_BYTES = 64 * 1024 * 1024
"""Of lines that wait to be written: some seconds of 5,000 frames a second."""
_FLUSH_S = 0.5
"""How much a recording can lack when the process is killed."""
_RETRY_NS = 30_000_000_000
"""After an error of the disk."""
_OK = 200


class Recorder:
    """One file of one client. Order of calls: `start`, then anything, then `close`."""

    path: Path

    def __init__(self, folder: str | PathLike[str], places: Mapping[str, str]) -> None:
        """`places`: base URL to exchange name. Raises InvalidArgument for a folder that cannot be used."""
        self._folder = Path(folder)
        self._places = dict(sorted(places.items(), key=lambda each: -len(each[0])))
        self._journal: Journal | None = self._new_file()
        self._retry_ns = 0
        self._unwritten = 0
        self._router: Router | None = None
        self._wish_to_stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._offset_ns = time_ns() - now_ns()

    def start(self, router: Router) -> None:
        """Record what this router is fed from now on."""
        self._router = router
        router.start_tap(_MOST_BYTES, self._offset_ns)
        self._thread = threading.Thread(
            target=self._write_all, args=(router,), name="depthcache recorder", daemon=True
        )
        self._thread.start()

    def note(self, event: str, **values: object) -> None:
        """Something that is neither a frame nor a snapshot, in its place between the frames."""
        self._put(line(time=self.now_ns(), event=event, **values))

    def snapshot(self, url: str, body: bytes) -> None:
        """An answer of a depth endpoint; of what is no JSON, the beginning."""
        if not _is_json(body):
            self.note("answer", url=url, status=_OK, text=clean(body))
            return
        query = parse_qs(urlsplit(url).query)
        symbol, limit = query.get("symbol", [""])[0], query.get("limit", [""])[0]
        head = line(
            time=self.now_ns(),
            exchange=self.exchange(url),
            symbol=symbol,
            limit=int(limit) if limit.isdecimal() else None,
        )
        # The body stands in the line as it came; a line has one end.
        self._put(head[:-1] + b',"snapshot":' + body.replace(b"\n", b" ").replace(b"\r", b" ") + b"}")

    def exchange(self, url: str) -> str | None:
        """The exchange that is reached at a URL."""
        return next((name for base, name in self._places.items() if url.startswith(base)), None)

    def now_ns(self) -> int:
        """Nanoseconds since 1970, on a clock that never jumps after the start."""
        return now_ns() + self._offset_ns

    def close(self) -> None:
        """Write what is left and end the file. May be called more than once."""
        self._wish_to_stop.set()
        if self._thread is not None:
            self._thread.join()
        self._end_file()

    def _put(self, text: bytes) -> None:
        if self._router is not None:
            self._router.tap_line(text)

    def _new_file(self) -> Journal:
        self.path = place(self._folder, "recording")
        return Journal(self.path, kind="recording")

    def _write_all(self, router: Router) -> None:
        ended = False
        while not ended:
            ended = self._wish_to_stop.wait(_FLUSH_S)
            self._write(*router.take_tapped())
        router.stop_tap()

    def _write(self, lines: bytes, lost: int) -> None:
        """A full disk ends neither the books nor the recording: it goes on in a new file."""
        if self._journal is None and now_ns() < self._retry_ns:
            self._unwritten += lines.count(b"\n") + lost
            return
        try:
            if self._journal is None:
                self._journal = self._new_file()
                self._journal.append(self._lost(self._unwritten))
                self._unwritten = 0
            if lines or lost:
                self._journal.append(lines + (self._lost(lost) if lost else b""))
                self._journal.flush()
        except (OSError, InvalidArgument) as error:
            logs.not_written(path=str(self.path), error=error)
            self._unwritten += lines.count(b"\n") + lost
            self._end_file()
            self._retry_ns = now_ns() + _RETRY_NS

    def _lost(self, frames: int) -> bytes:
        return line(time=self.now_ns(), event="lost", frames=frames) + b"\n"

    def _end_file(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            with suppress(OSError):  # the disk is full still: what was flushed is there
                journal.close()


class RecordingNetwork(Network, Callbacks):
    """A network between the runner and another network, which tells the recorder what goes by."""

    def __init__(self, inner: Network, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder
        self._urls: dict[int, str] = {}

    # --- towards the network ------------------------------------------------------------------

    def attach(self, router: TakesFrames, callbacks: Callbacks) -> None:
        """Called once before anything else. `router` must be the native one."""
        from depthcache._native import Router

        if not isinstance(router, Router):
            raise UsageError("only the native router can be recorded")
        self._callbacks = callbacks
        self._recorder.start(router)
        self._inner.attach(router, self)

    def now_ns(self) -> int:
        """The inner network's clock."""
        return self._inner.now_ns()

    def open(self, connection: int, url: str) -> None:
        """Connect."""
        self._recorder.note("open", connection=connection, exchange=self._recorder.exchange(url), url=url)
        self._inner.open(connection, url)

    def send(self, connection: int, text: str) -> None:
        """Send one text frame."""
        self._recorder.note("send", connection=connection, text=text)
        self._inner.send(connection, text)

    def close(self, connection: int) -> None:
        """Close."""
        self._inner.close(connection)

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET."""
        self._urls[request] = url
        self._inner.fetch(request, url, timeout_s=timeout_s)

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the one pending wake-up."""
        self._inner.wake_at(at_ns)

    # --- towards the runner -------------------------------------------------------------------

    def on_loop_ended(self) -> None:
        """The event loop ended."""
        self._callbacks.on_loop_ended()

    def on_open(self, connection: int) -> None:
        """A connection can be used."""
        self._recorder.note("opened", connection=connection)
        self._callbacks.on_open(connection)

    def on_closed(self, connection: int, closed: Closed) -> None:
        """A connection ended."""
        try:
            self._recorder.note("closed", connection=connection, code=closed.code, reason=closed.reason)
        except Exception as error:  # noqa: BLE001 - as above
            logs.unexpected(where="the recorder", error=error)
        self._callbacks.on_closed(connection, closed)

    def on_alive(self, connection: int) -> None:
        """A ping or pong arrived."""
        self._callbacks.on_alive(connection)

    def on_response(self, request: int, answer: Response | Failure) -> None:
        """A request ended."""
        try:
            self._note_answer(self._urls.pop(request, ""), answer)
        except Exception as error:  # noqa: BLE001 - the books wait for the answer, whatever is wrong here
            logs.unexpected(where="the recorder", error=error)
        self._callbacks.on_response(request, answer)

    def _note_answer(self, url: str, answer: Response | Failure) -> None:
        if isinstance(answer, Failure):
            self._recorder.note("failure", url=url, reason=answer.reason)
        elif answer.status == _OK and urlsplit(url).path.endswith("/depth"):
            self._recorder.snapshot(url, answer.body)
        else:
            self._recorder.note("answer", url=url, status=answer.status)

    def on_events(self) -> None:
        """`feed` returned True since the last call."""
        self._callbacks.on_events()

    def on_wake(self) -> None:
        """The time given to `wake_at` has come."""
        self._callbacks.on_wake()


def _is_json(body: bytes) -> bool:
    """Whether a body can stand in a line as it is: JSON, and nothing in it that a terminal would obey."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        return body.translate(None, b"\t\r\n").decode("utf-8").isprintable()
    except Exception:  # noqa: BLE001 - nested too deeply, no UTF-8, cut off …
        return False
