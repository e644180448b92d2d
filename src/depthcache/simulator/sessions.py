"""One WebSocket connection of a simulated exchange: limits, pings and faults.

Data passes through the faults here; replies do not. Limits: spot docs "General WSS information" (2026-07-21),
futures docs "Connect" (2026-05-28); a burst of 15 messages before close 1008 as measured 2026-10-07; the ping
payload is a 13-digit time in milliseconds (measured 2026-08-24). Data may overtake a late reply, but never
other data.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from depthcache.simulator.commands import Commands, Done, Target, request_ids
from depthcache.simulator.faults import Faults
from depthcache.simulator.interface import Close, Cut, Ping, Sent, Session, Text
from depthcache.simulator.trouble import Trouble
from depthcache.venues import Family, Venue

__all__ = ["LiveSession"]

_SECOND_NS = 1_000_000_000
_BURST: Mapping[Family, int] = {"spot": 5, "linear": 15, "inverse": 15, "options": 15}
"""Most messages per second that get a reply (spot docs 2026-07-21; USD-M, measured 2026-10-07)."""
_PONG_WITHIN_S: Mapping[Family, int] = {"spot": 60, "linear": 600, "inverse": 600, "options": 600}
"""Spot docs, change log 2025-02; futures docs, 2026-05-28."""
_LONGEST_TEXT = 8_000
"""Longer messages break connections (unicorn-binance-websocket-api 2.16.1, 2026)."""
_REFUSAL = "Invalid request: refused by a fault"
_DRIP_NS = 1_000_000_000
_DATA_ROUTES = ("", "public")
"""Depth is under /public; the other routes acknowledge but stay silent (futures docs, 2026-04-23)."""


class LiveSession(Session):
    """A session. The exchange creates it and calls `send` and `on_time`; the transport calls the rest."""

    def __init__(
        self,
        venue: Venue,
        target: Target,
        faults: Faults | None,
        on_change: Callable[[LiveSession, int], None],
        now_ns: int,
        *,
        lifetime_s: float | None = None,
        trouble: Trouble | None = None,
        breaches: list[str] | None = None,
    ) -> None:
        """`trouble`: faults on command. `breaches`: collects breaches of the exchange's rules."""
        self.venue: Final = venue
        self.opened_ns: Final = now_ns
        self.is_open: bool = True
        self.next_ping_ns: int = now_ns + self._ping_every_ns()
        self.next_out_ns: int | None = None
        """Time at which a delayed message is due; None if there is none."""
        self.is_dead: bool = False
        """Half-open: nothing gets through in either direction."""
        self._lifetime_s = venue.connection_lifetime_s if lifetime_s is None else lifetime_s
        self._trouble = Trouble() if trouble is None else trouble
        self._breaches = [] if breaches is None else breaches
        self._faults, self._on_change = faults, on_change
        self._has_data = target.route in _DATA_ROUTES
        self._commands = Commands(
            combined=target.combined,
            streams=target.streams,
            most_streams=venue.streams_per_connection,
            ids=request_ids(venue),
        )
        self._muted: set[str] = set()
        self._said: deque[int] = deque()
        self._out: list[Sent] = []
        self._held: deque[tuple[int, Sent]] = deque()
        self._replies: deque[tuple[int, Sent]] = deque()
        self._swapped: Sent | None = None
        self._asked_ns: int | None = None
        self._asked = b""

    # --- getters ------------------------------------------------------------------------------

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that this client receives, by name."""
        if not self.is_open or not self._has_data:
            return ()
        return tuple(name for name in self._commands.streams if name not in self._muted)

    def take(self) -> list[Sent]:
        """The messages to send now, in order."""
        out, self._out = self._out, []
        return [] if self.is_dead else out

    # --- events of the client -----------------------------------------------------------------

    def on_text(self, text: str, now_ns: int) -> None:
        """The client sent a text frame."""
        if self.is_dead or not self._count(now_ns):
            return
        if len(text) > _LONGEST_TEXT:
            self._breaches.append(f"a message of {len(text):,} characters")
        done = self._refused(text, now_ns) if '"SUBSCRIBE"' in text else None
        if done is None:
            done = self._commands.on_text(text)
            if done.repeated:
                self._breaches.append("a stream was subscribed twice")
        late_ns = round(self._trouble.late_replies_s.get(self.venue.name, 0.0) * _SECOND_NS)
        if self._faults is not None and self._faults.happens("late_ack", now_ns):
            late_ns += self._faults.delay_ns()
        if late_ns or self._replies:
            last_ns = self._replies[-1][0] if self._replies else 0
            self._replies.append((max(now_ns + late_ns, last_ns), Text(done.reply)))
            self._set_next_out()
        else:
            self._out.append(Text(done.reply))
        if done.close is not None:
            self._end(done.close)
        for name in done.subscribed:
            muted = self.venue.name in self._trouble.mute_venues
            if muted or (self._faults is not None and self._faults.happens("mute", now_ns)):
                self._muted.add(name)
        self._muted.difference_update(done.unsubscribed)
        self._on_change(self, now_ns)

    def _refused(self, text: str, now_ns: int) -> Done | None:
        """The error reply to a SUBSCRIBE that a fault refuses; else None."""
        by_chance = self._faults is not None and self._faults.happens("unsubscribable", now_ns)
        if not by_chance and not self._trouble.refuses_subscribe(self.venue.name):
            return None
        return self._commands.refusal(text, _REFUSAL)

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        """The client sent a pong; only one with the right payload answers a ping."""
        if payload == self._asked:
            self._asked_ns = None
        if payload:
            self._count(now_ns)

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        """The client sent a ping, which counts as a message."""
        self._count(now_ns)

    def on_close(self, now_ns: int) -> None:
        """The client has disconnected."""
        self.is_open = False
        self._on_change(self, now_ns)

    # --- calls of the exchange ----------------------------------------------------------------

    def send(self, stream: str, payload: str, now_ns: int, *, fault: str = "", behind_ns: int = 0) -> None:
        """Send data of a stream through the faults. `fault`: one by command. `behind_ns`: its delay."""
        if not self.is_open:
            return
        message = Text(self._commands.wrap(stream, payload))

        def happens(name: str) -> bool:
            return name == fault or (self._faults is not None and self._faults.happens(name, now_ns))

        if self._faults is not None and self._ends_by_chance(stream, self._faults, now_ns):
            return
        if happens("corrupt"):
            message = Text(message.text.replace('"u":', '"u":x', 1))
        elif happens("garble"):
            message = Text(message.text.replace('"u":', '"u":"none","was":', 1))
        elif happens("truncate"):
            message = Text(message.text[: len(message.text) // 2])
        if happens("cut"):
            self.end(Cut(), now_ns)
            return
        if happens("drop"):
            return
        if self._swapped is None and happens("reorder"):
            self._swapped = message
            return
        at_ns = now_ns + behind_ns
        if self._faults is not None and happens("late"):
            at_ns += self._faults.delay_ns()
        if happens("drip"):
            message = Text(message.text, _DRIP_NS if self._faults is None else self._faults.delay_ns())
        self._deliver(message, at_ns, now_ns)
        if happens("duplicate"):
            self._deliver(message, at_ns, now_ns)
        if self._swapped is not None:
            held, self._swapped = self._swapped, None
            self._deliver(held, at_ns, now_ns)

    def _ends_by_chance(self, stream: str, faults: Faults, now_ns: int) -> bool:
        """Whether a fault by chance stops this message and all after it."""
        if faults.happens("half_open", now_ns):
            self.die()
        elif faults.happens("close", now_ns):
            self.end(Close(faults.close_code(), "closed by a fault"), now_ns)
        elif faults.happens("silent", now_ns):
            self._muted.add(stream)
            self._on_change(self, now_ns)
        else:
            if faults.happens("shutdown", now_ns):
                self.tell("!serverShutdown", f'{{"e":"serverShutdown","E":{now_ns // 1_000_000}}}')
            return False
        return True

    def on_time(self, now_ns: int, time_ms: int) -> None:
        """Process what is due: pings, deadlines and delayed messages."""
        for waiting in (self._held, self._replies):
            while waiting and waiting[0][0] <= now_ns:
                self._out.append(waiting.popleft()[1])
        self._set_next_out()
        if not self.is_open or now_ns < self.next_ping_ns:
            return
        self.next_ping_ns = now_ns + self._ping_every_ns()
        within_ns = _PONG_WITHIN_S[self.venue.family] * _SECOND_NS
        if self._asked_ns is not None and now_ns - self._asked_ns > within_ns:
            self._end(Close(1008, "Pong timeout"))
        elif now_ns - self.opened_ns >= self._lifetime_s * _SECOND_NS:
            self._end(Close(1001, "24 hours"))
        else:
            self._asked = str(time_ms).encode()
            self._asked_ns = self._asked_ns or now_ns
            self._out.append(Ping(self._asked))
            return
        self._on_change(self, now_ns)

    def tell(self, stream: str, payload: str) -> None:
        """Send data that no fault affects."""
        if self.is_open:
            self._out.append(Text(self._commands.wrap(stream, payload)))

    def die(self) -> None:
        """Make the connection half-open: nothing gets through, and no close is sent."""
        self.is_dead = True

    def end(self, how: Close | Cut, now_ns: int) -> None:
        """End the connection."""
        if self.is_open:
            self._end(how)
            self._on_change(self, now_ns)

    # --- inside -------------------------------------------------------------------------------

    def _deliver(self, message: Sent, at_ns: int, now_ns: int) -> None:
        """Queue a message. Messages of a connection keep their order, so a delayed one delays the rest."""
        if not self._held and at_ns <= now_ns:
            self._out.append(message)
            return
        last_ns = self._held[-1][0] if self._held else at_ns
        self._held.append((max(at_ns, last_ns), message))
        self._set_next_out()

    def _set_next_out(self) -> None:
        self.next_out_ns = min(
            (waiting[0][0] for waiting in (self._held, self._replies) if waiting), default=None
        )

    def _count(self, now_ns: int) -> bool:
        """Count a message of the client; False if it exceeds the limit."""
        if not self.is_open:
            return False
        while self._said and now_ns - self._said[0] >= _SECOND_NS:
            self._said.popleft()
        self._said.append(now_ns)
        if len(self._said) <= _BURST[self.venue.family]:
            return True
        self._breaches.append("too many messages in a second")
        self._end(Close(1008, "Too many requests"))
        self._on_change(self, now_ns)
        return False

    def _end(self, how: Close | Cut) -> None:
        self._held.clear()
        self._replies.clear()
        self._set_next_out()
        self._out.append(how)
        self.is_open = False

    def _ping_every_ns(self) -> int:
        return round(self.venue.ping_interval_s * _SECOND_NS)
