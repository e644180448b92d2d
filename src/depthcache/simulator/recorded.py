"""Serve a recording as an exchange: its frames and snapshots for any client, at the original intervals.

Playback starts with the first subscription. Each client gets the frames of the streams that it subscribes to.
The first snapshot request of a symbol gets the recorded response, byte for byte; later ones get the book,
rebuilt up to the current position. A client that subscribes and then requests snapshots therefore ends with
the book of the recording, however fast or slow it is:

- If a client requests a snapshot earlier than the recorder did, playback skips to the recorded snapshot (all
  frames up to it are sent at once), so that the snapshot is never from the future.
- If a client is slow, playback waits: after the first diff that is newer than the recorded snapshot, it
  pauses until the request, or until a timeout, and again after some more. So a client that follows every
  update misses none, at any speed.
- If a client subscribes too late for the recorded snapshot, it gets the rebuilt book at once.

A recording has only the levels it has seen: a larger limit is refused, and beyond the first snapshot the
rebuilt book has only the levels of the diffs. At the end of the recording, connections stay open and quiet.

The exchange's clock (the time request) is that of the recorded event times, and moves with the playback.
Sans-I/O except for reading the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec

from depthcache import venues
from depthcache.errors import UnreadableRecording
from depthcache.pickling import OneProcess
from depthcache.recording import Diff, Frame, Problems, Record, RecordedSnapshot, Ticker, read
from depthcache.recording.origin import origin_of_exchange
from depthcache.recording.reading import as_paths
from depthcache.simulator import responses
from depthcache.simulator.commands import parse_target
from depthcache.simulator.interface import Exchange, HttpResponse, Session, split_target
from depthcache.simulator.playback import Playback, check_speed, lag_ns
from depthcache.simulator.recorded_session import RecordedSession, StreamKey, diff_stream, stream_key
from depthcache.simulator.recording_index import RecordingIndex, Symbol, VenueIndex

__all__ = ["RecordedExchange"]

_AHEAD = 5_000
"""Records read in advance, to find symbols, their first snapshots and exchangeInfo."""
_MOST_AT_ONCE = 256
"""Most records played by one `advance`, to leave time for sending if there are no pauses."""
_UNASKED = 50
"""Diffs newer than the recorded snapshot that are sent before playback waits for the request. Some clients
request a snapshot only after they have received data (ccxt, 2026)."""
_PATIENCE_NS = 8_000_000_000
"""Timeout of that wait: then the client does not want a snapshot."""
_FIRST_PATIENCE_NS = 2_000_000_000
"""Timeout of the wait before those diffs, after the first of them."""
_COMPARE_CLOCKS = 1_000
"""Records between comparisons of the recorder's clock with the exchange's; it may have been set."""
_SETTLE_NS = 100_000_000
"""Time for the response to arrive before diffs without pauses overtake it."""


class _Wrapped(msgspec.Struct):
    data: msgspec.Raw


_wrapped = msgspec.json.Decoder(_Wrapped)


class RecordedExchange(OneProcess, Exchange):
    """Recordings, served as the exchanges they came from. Call `advance` before other calls for a time.

    Arguments of the methods: `now_ns` is the caller's monotonic clock in nanoseconds, `venue` an exchange
    name, `target` path and query of a URL as the venue sees them, and `client` the address that is charged.
    """

    _pickle_instead = "make one of the same files there"

    def __init__(
        self,
        files: Sequence[str | PathLike[str]] | str | PathLike[str],
        *,
        speed: float = 1.0,
        exchange: str | None = None,
    ) -> None:
        """`files`: one or several recordings. `speed`: 1 as recorded, 10 ten times as fast, infinity without
        pauses. `exchange`: the exchange name, if the recording does not name it.

        Raises UnreadableRecording, UnknownExchange, InvalidArgument.
        """
        check_speed(speed)
        if exchange is not None:
            origin_of_exchange(exchange)  # raises for an unknown exchange
        self.problems: Problems = Problems()
        """Lines that could not be used, as far as the files have been read."""
        paths = as_paths(files)
        records = read(paths, self.problems)
        self._index = RecordingIndex(None if exchange is None else venues.venue(exchange))
        self._sessions: list[RecordedSession] = []
        self._pings: dict[int, int] = {}
        self._weights = responses.Weights()
        self._held_until_ns: int | None = None
        self._play = Playback(self._index.meet(records), speed=speed, ahead=_AHEAD)
        if not self._index.venues:
            reason = f"no market data in its first {_AHEAD:,} records"
            raise UnreadableRecording(path=Path(paths[0]), line=None, reason=reason)
        self._ahead_ns = self._played = 0
        self._compare_clocks()

    # --- getters ------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether everything has been played."""
        return self._play.is_over

    def venues(self) -> tuple[str, ...]:
        """The exchange names of the first records."""
        return tuple(self._index.venues)

    def symbols(self, venue: str) -> tuple[str, ...]:
        """The symbols of a venue that have diffs or snapshots, as far as the files have been read."""
        return tuple(self._index.venues[venue].symbols)

    # --- requests of clients ------------------------------------------------------------------

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        """Answer a GET of a depth snapshot, exchangeInfo, time or ping."""
        position, weight = self._index.venues[venue], 1
        path, query = split_target(target)
        if path == position.venue.depth_path:
            question = responses.depth_question(position.venue, dict(parse_qsl(query)))
            if isinstance(question, HttpResponse):
                response = question
            else:
                weight = position.venue.snapshot_weight(question[1])
                response = self._snapshot(position, *question, now_ns)
        elif path == position.venue.exchange_info_path:
            response = responses.exchange_info(
                position.symbols, position.exchange_info, self._clock_ms(now_ns)
            )
        elif path == position.venue.time_path:
            response = responses.time(self._clock_ms(now_ns))
        elif path == position.venue.ping_path:
            response = responses.ok(b"{}")
        else:
            return responses.no_such_path()
        return self._weights.charged(response, position.venue, weight, client, now_ns)

    def accept(
        self,
        venue: str,
        target: str,
        now_ns: int,
        *,
        client: str = "client",
    ) -> Session | HttpResponse:
        """Answer a WebSocket handshake."""
        served = self._index.venues[venue].venue
        parsed = parse_target(target, served)
        if parsed is None:
            return responses.no_such_path()
        session = RecordedSession(served, parsed, self._on_change)
        self._sessions.append(session)
        self._pings[id(session)] = now_ns + _ping_ns(session)
        self._on_change(session, now_ns)
        return session

    def _on_change(self, session: RecordedSession, now_ns: int) -> None:
        if not session.is_open:
            self._sessions = [each for each in self._sessions if each is not session]
            self._pings.pop(id(session), None)
        elif session.is_listening and not self._play.is_started:
            self._play.start(now_ns)
        self._go_on(now_ns)

    def _snapshot(self, position: VenueIndex, name: str, limit: int, now_ns: int) -> HttpResponse:
        symbol = position.symbols.get(name)
        if symbol is None:
            return responses.unknown_symbol()
        most = symbol.book.most_levels
        if most is not None and limit > most:
            return responses.not_recorded(most)
        is_first, symbol.is_asked = not symbol.is_asked, True
        self._go_on(now_ns + _SETTLE_NS)
        if is_first and self._play.is_unpaced and self._play.is_started:
            self._play.resume(now_ns + _SETTLE_NS)
        if is_first and symbol.first is not None:
            if symbol.is_ahead and self._is_wanted(position, name):
                self._skip_to(symbol.first, now_ns)
            if not symbol.is_missed:
                return responses.ok(symbol.first.body)
        return responses.of_book(
            position.venue, name, symbol.book, symbol.first_diff, limit, time_ms=self._clock_ms(now_ns)
        )

    # --- playback -----------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Play the records that are due, up to a limit, and send the pings that are due."""
        self._send_pings(now_ns)
        for _ in range(_MOST_AT_ONCE):
            if not self._play.is_due(now_ns) or self._waits(now_ns):
                return
            self._play_one()

    def next_ns(self) -> int | None:
        """Time of the next record, ping or timeout of a wait."""
        times = list(self._pings.values())
        if self._held_until_ns is not None:
            times.append(self._held_until_ns)
        elif (due_ns := self._play.next_ns()) is not None:
            times.append(due_ns)
        return min(times, default=None)

    def _waits(self, now_ns: int) -> bool:
        """Whether the next record must wait for a snapshot request."""
        waiting = self._unasked(next(self._play.ahead()))
        if waiting is None:
            return False
        is_last = waiting.unasked >= _UNASKED
        if self._held_until_ns is None:
            self._held_until_ns = now_ns + (_PATIENCE_NS if is_last else _FIRST_PATIENCE_NS)
        if now_ns < self._held_until_ns:
            return True
        waiting.is_awaited, waiting.is_asked = True, is_last
        self._go_on(now_ns)
        return False

    def _go_on(self, now_ns: int) -> None:
        """Continue at once if the awaited request has come."""
        if self._held_until_ns is not None and self._unasked(next(self._play.ahead())) is None:
            self._held_until_ns = None
            self._play.resume(now_ns)

    def _unasked(self, record: Record) -> Symbol | None:
        """The symbol of a diff if it must wait for a snapshot request; else None."""
        if not isinstance(record, Frame) or not isinstance(record.about, Diff):
            return None
        name = record.about.symbol
        symbol = self._index.symbol(record.venue, name)
        most = _UNASKED if symbol.is_awaited else 1
        is_unasked = symbol.unasked >= most and not symbol.is_asked
        return symbol if is_unasked and self._is_wanted(self._index.venue(record.venue), name) else None

    def _is_wanted(self, position: VenueIndex, name: str) -> bool:
        key = diff_stream(name)
        return any(each.venue.name == position.venue.name and each.wants(key) for each in self._sessions)

    def _skip_to(self, snapshot: RecordedSnapshot, now_ns: int) -> None:
        if self._play.find(lambda record: record is snapshot) is None:
            return
        while self._play_one() is not snapshot:
            pass
        self._held_until_ns = None
        self._play.resume(now_ns + (_SETTLE_NS if self._play.is_unpaced else 0))

    def _clock_ms(self, now_ns: int) -> int:
        """The exchange's clock: the recorded time, less how far it is ahead of event times."""
        return ((self._play.clock_ns(now_ns) or 0) - self._ahead_ns) // 1_000_000

    def _compare_clocks(self) -> None:
        """The fastest diff ahead counts as one without a delay: what its recorder's clock said is unknown."""
        lags = [lag for each in self._play.ahead() if (lag := lag_ns(each)) is not None]
        self._ahead_ns = min(lags, default=self._ahead_ns)

    def _play_one(self) -> Record:
        record = self._play.take()
        self._played += 1
        if self._played % _COMPARE_CLOCKS == 0:
            self._compare_clocks()
        if isinstance(record, Frame):
            self._play_frame(record)
        elif isinstance(record, RecordedSnapshot):
            symbol = self._index.symbol(record.venue, record.symbol or "")
            symbol.is_ahead = symbol.is_ahead and record is not symbol.first
            symbol.book.on_snapshot(record)
        return record

    def _play_frame(self, frame: Frame) -> None:
        key, about = _key(frame), frame.about
        if key is None:
            return
        position = self._index.venue(frame.venue)
        symbol = position.symbols[about.symbol] if isinstance(about, Diff) else None
        if symbol is not None and frame.stream != symbol.stream:
            return  # the same changes at another speed
        payload = _payload(frame)
        heard = [
            each.on_data(key, payload) for each in self._sessions if each.venue.name == position.venue.name
        ]
        if symbol is not None and isinstance(about, Diff):
            symbol.has_diffs = True
            symbol.book.on_diff(about, frame.payload)
            if symbol.first is not None and about.final_update_id > symbol.first.last_update_id:
                symbol.is_missed = symbol.is_missed or not any(heard)
                symbol.unasked += 1

    def _send_pings(self, now_ns: int) -> None:
        for session in self._sessions:
            if self._pings[id(session)] <= now_ns:
                # The payload is a time in milliseconds of 13 digits (measured 2026-08-24 and 2026-10-07).
                session.on_time_to_ping(f"{self._clock_ms(now_ns):013d}".encode())
                self._pings[id(session)] = now_ns + _ping_ns(session)


def _key(frame: Frame) -> StreamKey | None:
    """The stream of a frame; None for replies and anything that cannot be identified."""
    if isinstance(frame.about, Diff):
        return diff_stream(frame.about.symbol)
    if frame.stream is not None:
        return stream_key(frame.stream)
    return stream_key(f"{frame.about.symbol}@bookTicker") if isinstance(frame.about, Ticker) else None


def _payload(frame: Frame) -> str:
    """The payload as received, without the wrapper of a combined stream."""
    payload = frame.payload if frame.stream is None else bytes(_wrapped.decode(frame.payload).data)
    return payload.decode("utf-8", "replace")


def _ping_ns(session: RecordedSession) -> int:
    return round(session.venue.ping_interval_s * 1e9)
