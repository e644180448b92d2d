"""What the parts of the core share: router, choices, deadlines, and the effects they fill.

No decisions here. Parts never call the outside; they append commands, which the runner performs, and notices,
which it passes on. The context knows no part by its class: a `Protocol` here says what each must offer, so
that imports go one way (client, then markets, then connections and requests, then this file).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from depthcache.core.commands import Command
from depthcache.core.notices import FaultCaught, Notice
from depthcache.core.policy import Policy, backoff_ns, to_ns
from depthcache.core.timers import Deadlines, Timer
from depthcache.engine import Router
from depthcache.venues.venue import Venue

__all__ = [
    "ConnectBudget",
    "ConnectBudgets",
    "ConnectionHandler",
    "Context",
    "HandshakeRefusal",
    "MarketSpec",
    "NoticeSource",
    "Retry",
]


@dataclass(frozen=True, slots=True)
class HandshakeRefusal:
    """What a handshake was answered with: HTTP status, and the headers Retry-After and Date as they came."""

    status: int | None = None
    retry_after: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """One book that the user wants."""

    market: int
    """Its number."""
    venue: Venue
    symbol: str
    stream: str
    """The name of its diff stream."""
    depth: int
    """Complete levels a side."""


class NoticeSource(Protocol):
    """What has a status that users see: the supervisor of a market."""

    owner: str
    """As for `Context.guard`."""

    def take_notice(self, now_ns: int) -> Notice | None:
        """What users have not been told yet; None when that is nothing."""
        ...


class ConnectionHandler(Protocol):
    """What uses a live connection and hears what happens to it: a slot."""

    venue: Venue

    @property
    def owner(self) -> str:
        """As for `Context.guard`."""
        ...

    def on_open(self, now_ns: int) -> None:
        """The connection is open."""

    def on_closed(self, code: int | None, reason: str, now_ns: int, *, refusal: HandshakeRefusal) -> None:
        """The connection is gone, or was never made."""

    def on_alive(self, now_ns: int) -> None:
        """A ping of this side was answered, or something arrived that was waited for and is no diff."""

    def on_control(self, payload: bytes, now_ns: int) -> None:
        """A control message arrived."""

    def reconnect(self, reason: str, now_ns: int) -> None:
        """Give up the connection and make another."""


class ConnectBudget(Protocol):
    """What one address may still connect; see `Budget`."""

    def take_connect(self, share: float, now_ns: int) -> int:
        """Count one connect: `now_ns` when it may be made, else when to ask again."""
        ...

    def on_connected(self, now_ns: int) -> None:
        """A handshake succeeded."""

    def on_refused_connect(
        self, status: int, retry_after: str | None, date: str | None, now_ns: int
    ) -> float | None:
        """A handshake was refused: for how many seconds nothing connects; None where nothing says so."""
        ...


class ConnectBudgets(Protocol):
    """The budgets of all venues."""

    def of(self, venue: Venue) -> ConnectBudget:
        """The budget of a venue."""
        ...


@dataclass(slots=True)
class Context:
    """Shared by all parts of one client."""

    router: Router
    policy: Policy
    random: Callable[[], float]
    budgets: ConnectBudgets
    own_snapshots: bool = False
    """Snapshots come from the user's own source, which may have kept them for any time."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    commands: list[Command] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list[Notice])
    touched: dict[int, NoticeSource] = field(default_factory=dict[int, NoticeSource])
    """Markets whose status may have changed since users were last told."""
    slots_by_connection: dict[int, ConnectionHandler] = field(default_factory=dict[int, ConnectionHandler])
    """What uses each live connection, by its number."""
    connection_numbers: count[int] = field(default_factory=lambda: count(1))
    slot_numbers: count[int] = field(default_factory=lambda: count(1))
    request_numbers: count[int] = field(default_factory=lambda: count(1))
    faults: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Who raised: how often in a row, and when last."""
    limits_told: set[tuple[str, int]] = field(default_factory=set)
    """Venue and snapshot limit of which users were told that it is refused."""

    def backoff_ns(self, attempt: int, base_s: float, cap_s: float) -> int:
        """A pause with this client's jitter."""
        return backoff_ns(attempt, base_s, cap_s, self.random())

    def retry_ns(self, failures: int) -> int:
        """The pause before a request is made again that failed so often before."""
        return self.backoff_ns(failures, self.policy.retry_base_s, self.policy.retry_cap_s)

    def guard(self, owner: str, where: str, now_ns: int) -> AbstractContextManager[None]:
        """For `with`: what raises inside concerns `owner` alone (`market 3`, `slot 1`) and ends there."""
        return _Guard(self, owner, where, now_ns)

    def on_fault(self, owner: str, where: str, error: Exception, now_ns: int) -> None:
        """A part of the client raised, whatever it was: it is to recover soon, each time later."""
        times, last_ns = self.faults.get(owner, (0, now_ns))
        if now_ns - last_ns >= to_ns(self.policy.stable_s):
            times = 0
        self.faults[owner] = times + 1, now_ns
        if self.deadlines.pending(Timer.RECOVER, owner) is None:
            self.deadlines.set(Timer.RECOVER, owner, now_ns + self.retry_ns(times))
        self.notices.append(FaultCaught(f"{where} of {owner}", error))


class Retry:
    """When something that failed may be tried again: each time later, until it succeeds."""

    __slots__ = ("_context", "failures", "not_before_ns")

    def __init__(self, context: Context) -> None:
        self._context = context
        self.failures: int = 0
        """In a row."""
        self.not_before_ns: int = 0
        """When the next try may be made; in the past where that is at once."""

    def on_failed(self, now_ns: int) -> None:
        """Another failure."""
        self.not_before_ns = now_ns + self._context.retry_ns(self.failures)
        self.failures += 1

    def clear(self) -> None:
        """Begin again, at once."""
        self.not_before_ns = self.failures = 0


class _Guard:
    """See `Context.guard`."""

    __slots__ = ("_context", "_now_ns", "_owner", "_where")

    def __init__(self, context: Context, owner: str, where: str, now_ns: int) -> None:
        self._context, self._owner, self._where, self._now_ns = context, owner, where, now_ns

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._context.on_fault(self._owner, self._where, error, self._now_ns)
        return True
