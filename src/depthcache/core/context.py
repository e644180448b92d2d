"""What the parts of the core share: router, policy, deadlines, and the effects they produce.

Parts never call the outside: they append commands, which the runner carries out, and notices, which it
delivers. The context knows parts only through a `Protocol`, so that imports go one way (client, markets,
connections and requests, this module).
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
from depthcache.core.servers import Servers
from depthcache.core.timers import Deadlines, Timer
from depthcache.engine import Router
from depthcache.venues.venue import Venue

__all__ = [
    "NEVER_NS",
    "ConnectBudget",
    "ConnectBudgets",
    "ConnectionHandler",
    "Context",
    "HandshakeRefusal",
    "MarketSpec",
    "NoticeSource",
    "Retry",
    "from_exchange",
]


@dataclass(frozen=True, slots=True)
class HandshakeRefusal:
    """The response to a refused handshake: HTTP status, and the raw headers Retry-After and Date."""

    status: int | None = None
    retry_after: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """One requested book."""

    market: int
    """Its number."""
    venue: Venue
    symbol: str
    stream: str
    """The name of its diff stream."""
    depth: int
    """Complete levels per side."""


class NoticeSource(Protocol):
    """A part with a status that users see: the supervisor of a market."""

    owner: str
    """As for `Context.guard`."""

    def take_notice(self, now_ns: int) -> Notice | None:
        """The status that users have not been told yet; None if there is none."""
        ...


class ConnectionHandler(Protocol):
    """A user of a live connection: a slot."""

    venue: Venue

    @property
    def owner(self) -> str:
        """As for `Context.guard`."""
        ...

    def on_open(self, now_ns: int) -> None:
        """The connection is open."""

    def on_closed(self, code: int | None, reason: str, now_ns: int, *, refusal: HandshakeRefusal) -> None:
        """The connection was lost, or could not be made."""

    def on_alive(self, now_ns: int) -> None:
        """A ping from this side was answered, or an awaited frame other than a diff arrived."""

    def on_control(self, payload: bytes, now_ns: int) -> None:
        """A control message arrived."""

    def reconnect(self, reason: str, now_ns: int) -> None:
        """Replace the connection."""


class ConnectBudget(Protocol):
    """The connects that one address may still make; see `Budget`."""

    def take_connect(self, share: float, now_ns: int) -> int:
        """Count one connect: returns `now_ns` if it may be made, else when to ask again."""
        ...

    def on_connected(self, now_ns: int) -> None:
        """A handshake succeeded."""

    def on_refused_connect(
        self, status: int, retry_after: str | None, date: str | None, now_ns: int
    ) -> float | None:
        """A handshake was refused: returns for how many seconds to stop; None if unspecified."""
        ...


class ConnectBudgets(Protocol):
    """The budgets of all venues."""

    def of(self, venue: Venue) -> ConnectBudget:
        """The budget of a venue."""
        ...


NEVER_NS = 1 << 63
"""Later than any time."""


def from_exchange(exchange: str, symbol: str, /) -> None:
    """The usual `Context.copy_from`: snapshots are requested from the exchange."""
    del exchange, symbol


@dataclass(slots=True)
class Context:
    """Shared by all parts of one client."""

    router: Router
    policy: Policy
    random: Callable[[], float]
    budgets: ConnectBudgets
    servers: Servers = field(default_factory=Servers)
    own_snapshots: bool = False
    """Whether snapshots come from the user's own source, which may have cached them for any time."""
    copy_from: Callable[[str, str], str | None] = from_exchange
    """Base URL of a book server from which to copy the book of an exchange and symbol, instead of requesting
    a snapshot; None for none."""
    budget_share: float = 1.0
    """The part of this client's request weight and connects that it may use, besides other hosts that reach
    the exchange from the same address."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    commands: list[Command] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list[Notice])
    touched: dict[int, NoticeSource] = field(default_factory=dict[int, NoticeSource])
    """Markets whose status may have changed since the last notice."""
    slots_by_connection: dict[int, ConnectionHandler] = field(default_factory=dict[int, ConnectionHandler])
    """The slot of each live connection, by number."""
    connection_numbers: count[int] = field(default_factory=lambda: count(1))
    slot_numbers: count[int] = field(default_factory=lambda: count(1))
    request_numbers: count[int] = field(default_factory=lambda: count(1))
    faults: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Parts that raised: how often in a row, and when last."""
    limits_told: set[tuple[str, int]] = field(default_factory=set)
    """Venues and snapshot limits whose refusal was reported to users."""
    not_compared: set[int] = field(default_factory=set)
    """Markets that are unproven, or whose comparisons fail: they are checked every second."""
    next_refresh_ns: int = NEVER_NS
    """No live book is due to be refreshed before that time."""

    def backoff_ns(self, attempt: int, base_s: float, cap_s: float) -> int:
        """A pause with this client's jitter."""
        return backoff_ns(attempt, base_s, cap_s, self.random())

    def retry_ns(self, failures: int) -> int:
        """The pause before a request that failed this often is repeated."""
        return self.backoff_ns(failures, self.policy.retry_base_s, self.policy.retry_cap_s)

    def guard(self, owner: str, where: str, now_ns: int) -> AbstractContextManager[None]:
        """Context manager: an exception inside is confined to `owner` (`market 3`, `slot 1`)."""
        return _Guard(self, owner, where, now_ns)

    def on_fault(self, owner: str, where: str, error: Exception, now_ns: int) -> None:
        """A part raised: restart it soon, with growing pauses."""
        times, last_ns = self.faults.get(owner, (0, now_ns))
        if now_ns - last_ns >= to_ns(self.policy.stable_s):
            times = 0
        self.faults[owner] = times + 1, now_ns
        if self.deadlines.pending(Timer.RECOVER, owner) is None:
            self.deadlines.set(Timer.RECOVER, owner, now_ns + self.retry_ns(times))
        self.notices.append(FaultCaught(f"{where} of {owner}", error))


class Retry:
    """When a failed operation may be tried again: growing pauses until it succeeds."""

    __slots__ = ("_context", "failures", "not_before_ns")

    def __init__(self, context: Context) -> None:
        self._context = context
        self.failures: int = 0
        """In a row."""
        self.not_before_ns: int = 0
        """The earliest time of the next try; in the past if there is no pause."""

    def on_failed(self, now_ns: int) -> None:
        """It failed again."""
        self.not_before_ns = now_ns + self._context.retry_ns(self.failures)
        self.failures += 1

    def clear(self) -> None:
        """Reset: the next try may be made at once."""
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
