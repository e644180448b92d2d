"""Test doubles around the runner: each records its calls and returns what the test sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from depthcache.core.commands import Command
from depthcache.core.notices import Notice
from depthcache.io.network.interface import Callbacks, FrameSink
from depthcache.venues import Venue

Call = tuple[object, ...]


@dataclass
class ScriptedNetwork:
    """A network without connections. `clock_ns` is its clock."""

    clock_ns: int = 1_000
    calls: list[Call] = field(default_factory=list)
    on_call: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Callables to run inside a call, to break the rules or to fail."""

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        self.router, self.callbacks = router, callbacks

    def now_ns(self) -> int:
        return self.clock_ns

    def _called(self, *call: object) -> None:
        self.calls.append(call)
        if act := self.on_call.get(str(call[0])):
            act()

    def open(self, connection: int, url: str) -> None:
        self._called("open", connection, url)

    def send(self, connection: int, text: str) -> None:
        self._called("send", connection, text)

    def close(self, connection: int) -> None:
        self._called("close", connection)

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        self._called("fetch", request, url, timeout_s)

    def wake_at(self, at_ns: int | None) -> None:
        self._called("wake_at", at_ns)


@dataclass
class ScriptedCore:
    """A scripted core: `when` sets the commands and notices that each call produces."""

    calls: list[Call] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    when: dict[str, Callable[[], None]] = field(default_factory=dict)
    wake_ns: int | None = None

    def _called(self, *call: object) -> None:
        self.calls.append(call)
        if act := self.when.get(str(call[0])):
            act()

    def add(self, venue: Venue, symbol: str, *, depth: int, speed_ms: int | None = None, now_ns: int) -> int:
        self._called("add", venue.name, symbol, depth, speed_ms, now_ns)
        return 1

    def remove(self, market: int, now_ns: int) -> None:
        self._called("remove", market, now_ns)

    def close(self, now_ns: int, reason: str) -> None:
        self._called("close", now_ns, reason)

    def on_open(self, connection: int, now_ns: int) -> None:
        self._called("on_open", connection, now_ns)

    def on_closed(
        self,
        connection: int,
        code: int | None,
        reason: str,
        now_ns: int,
        *,
        status: int | None = None,
        retry_after: str | None = None,
        date: str | None = None,
    ) -> None:
        self._called("on_closed", connection, code, reason, now_ns, status, retry_after, date)

    def on_alive(self, connection: int, now_ns: int) -> None:
        self._called("on_alive", connection, now_ns)

    def on_response(
        self, request: int, status: int, headers: Mapping[str, str], body: bytes, now_ns: int
    ) -> None:
        self._called("on_response", request, status, dict(headers), body, now_ns)

    def on_failure(self, request: int, reason: str, now_ns: int) -> None:
        self._called("on_failure", request, reason, now_ns)

    def on_events(self, events: Sequence[object], now_ns: int) -> None:
        self._called("on_events", tuple(events), now_ns)

    def on_wake(self, now_ns: int) -> None:
        self._called("on_wake", now_ns)

    def on_resumed(self, now_ns: int) -> None:
        self._called("on_resumed", now_ns)

    def take_commands(self) -> list[Command]:
        taken, self.commands = self.commands, []
        return taken

    def take_notices(self) -> list[Notice]:
        taken, self.notices = self.notices, []
        return taken

    def next_wake_ns(self) -> int | None:
        return self.wake_ns


@dataclass
class ScriptedRouter:
    """A router that only has events."""

    events: list[object] = field(default_factory=list)
    takes: int = 0

    pauses: int = 0
    attended_ns: list[int] = field(default_factory=list)
    closed: list[Call] = field(default_factory=list)

    def feed(self, connection: int, frame: bytes, received_ns: int) -> bool:
        return bool(self.events)

    def attend(self, now_ns: int) -> int:
        self.attended_ns.append(now_ns)
        return self.pauses

    def close(self, reason: str, now_ns: int) -> None:
        self.closed.append((reason, now_ns))

    def take_events(self) -> list[object]:
        self.takes += 1
        taken, self.events = self.events, []
        return taken
