"""Book servers: which one a connection uses next, and what their responses mean.

Each connection has one server. When it fails, the next server takes over at once; one that failed is left
alone for a while, longer each time. A stream that a server does not hold moves to a connection to another one
(`connections.pool`). All venues of a client have the same servers. The client does not switch back: the first
server is no better than the others.

The nodes of a cluster say where all of them are, and refuse streams of books that others hold
(`HELD_ELSEWHERE`). Their addresses become servers, too, under the scheme of the server that named them,
unless the client trusts one certificate only. Nodes that have gone are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, overload

from depthcache.core import reasons
from depthcache.venues.venue import Endpoints, Venue

__all__ = [
    "HELD_ELSEWHERE",
    "NOT_HELD",
    "Attempts",
    "RoundTrips",
    "Servers",
    "in_turn_after",
    "is_access_refused",
    "is_end_of_symbol",
    "server_hint",
]

NOT_HELD = 100
"""The code of a stream of a symbol that the server does not hold (`crates/server/src/exchange/states.rs`)."""
HELD_ELSEWHERE = 101
"""The code of a stream of a book that other nodes hold."""

NodeUrl: TypeAlias = Callable[[str, str], str]
"""The base URL of a node, from the scheme of the server that names it and its address, `host:port`; empty for
one that is not to be used (`venues.servers.node_url`)."""

_MOST_LEARNED = 256
_LEFT_ALONE_NS = 5_000_000_000
"""A node that failed is not moved to for so long, whatever other nodes say of it."""
_UNPROVEN_NS = 60_000_000_000
"""The same for an address that was never reached: it may be one of another network."""
_LAST_CHOICE_NS = 250_000_000
_ANSWERS = 8
_PATIENCE = 3
"""An answer of a node is waited for as many times as long as the way takes."""
_MOST_DOUBLINGS = 2


@dataclass(slots=True)
class _Learned:
    """A server that another one named."""

    url: str
    is_there: bool = True
    was_open: bool = False


class Servers:
    """What all connections of a client know of its servers, by their numbers.

    Attributes:
        current: the server of the next new connection, and of requests that concern no book.
        has_token: whether the client sends a token.
        are_nodes: whether the servers are nodes of a cluster: each has a sibling.
        round_trips: how far away each server is.
    """

    def __init__(self, *, has_token: bool = True, node_url: NodeUrl | None = None) -> None:
        """`node_url`: the URL of a server that another one names; None to use only those of the user."""
        self.current: int = 0
        self.has_token: bool = has_token
        self._node_url = node_url
        self.are_nodes: bool = False
        self.round_trips: RoundTrips = RoundTrips()
        self._named: tuple[str, ...] = ()
        self._learned: list[_Learned] = []
        self._there: set[int] = set()
        self._refusals: dict[int, str] = {}
        self._failed_ns: dict[int, int] = {}

    # --- getters ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._named) + len(self._learned)

    @property
    def moves(self) -> bool:
        """Whether the client uses servers that others name."""
        return self._node_url is not None

    def url(self, number: int) -> str:
        """The base URL of a server."""
        named = len(self._named)
        return self._named[number] if number < named else self._learned[number - named].url

    def numbers(self) -> list[int]:
        """The servers that can be used now: those that the user named, and others that are there."""
        first = len(self._named)
        there = (number for number, each in enumerate(self._learned, first) if each.is_there)
        return [*range(first), *there]

    def is_proven(self, number: int) -> bool:
        """Whether the user named a server, or it was reached once."""
        first = len(self._named)
        return number < first or self._learned[number - first].was_open

    def may_move_to(self, number: int, now_ns: int) -> bool:
        """Whether a stream may move to a server: not to one that failed a while ago."""
        failed_ns = self._failed_ns.get(number)
        pause_ns = _LEFT_ALONE_NS if self.is_proven(number) else _UNPROVEN_NS
        return failed_ns is None or now_ns - failed_ns >= pause_ns

    def refused(self) -> str:
        """Why the last attempt at each server was refused; empty unless all were."""
        numbers = [number for number in self.numbers() if self.is_proven(number)]
        all_refuse = bool(numbers) and all(number in self._refusals for number in numbers)
        return next(reversed(self._refusals.values())) if all_refuse else ""

    # --- what happened ---------------------------------------------------------------------

    def begin(self, venue: Venue) -> Venue:
        """The venue with the servers of this client, which may become more."""
        if not self._named:
            self._named = tuple(each.rest.removesuffix(f"/{venue.name}") for each in venue.servers)
        return replace(venue, servers=_VenueServers(self, venue.servers[: len(self._named)], venue.name))

    def on_opened(self, number: int) -> None:
        """A connection to that server is open."""
        self._refusals.pop(number, None)
        self._failed_ns.pop(number, None)
        if len(self._named) <= number < len(self):
            self._learned[number - len(self._named)].was_open = True

    def on_failed(self, number: int, now_ns: int, *, refusal: str = "") -> str:
        """A connection to a server was lost or could not be made.

        `refusal`: why, if the server refuses the token or its certificate is rejected. Returns it if no
        server accepts the client, else an empty text.
        """
        self._failed_ns[number] = now_ns
        if number == self.current:
            usable = [each for each in self.numbers() if self.is_proven(each)]
            self.current = in_turn_after(usable, number)[0]
        self._refusals.pop(number, None)
        if refusal:
            self._refusals[number] = refusal
        return refusal if self.refused() else ""

    def on_nodes(self, addresses: Iterable[str], told_by: int) -> None:
        """A server says where all nodes of its cluster are."""
        there = set(self.learn(addresses, told_by))
        if not there:
            return
        self.are_nodes = len(there) > 1
        for number in there - self._there:
            self._failed_ns.pop(number, None)  # it is back
        self._there = there
        for number, each in enumerate(self._learned, len(self._named)):
            each.is_there = number in there

    def learn(self, addresses: Iterable[str], told_by: int) -> list[int]:
        """The numbers of the servers at these addresses, `host:port` each, as another server names them."""
        scheme, _, authority = self.url(told_by).partition("://")
        if self._node_url is None or "/" in authority:
            return []  # behind a proxy the addresses of nodes mean nothing
        urls = (self._node_url(scheme, address) for address in addresses)
        numbers = (self._number(url) for url in urls if url)
        return list(dict.fromkeys(number for number in numbers if number is not None))

    def named(self, addresses: Iterable[str], told_by: int) -> list[int]:
        """The numbers of the servers at these addresses, as far as the user named them."""
        scheme, _, _ = self.url(told_by).partition("://")
        urls = (f"{scheme}://{address}" for address in addresses)
        return [self._named.index(url) for url in urls if url in self._named]

    def _number(self, url: str) -> int | None:
        known = [*self._named, *(each.url for each in self._learned)]
        if url not in known:
            if len(self._learned) >= _MOST_LEARNED:
                return None
            self._learned.append(_Learned(url))
            return len(known)
        number = known.index(url)
        if number >= len(self._named):
            self._learned[number - len(self._named)].is_there = True
        return number


class _VenueServers(Sequence[Endpoints]):
    """The servers of a client, as one exchange is served by them."""

    def __init__(self, servers: Servers, named: Sequence[Endpoints], venue: str) -> None:
        self._servers, self._named, self._venue = servers, named, venue

    def __len__(self) -> int:
        return len(self._servers)

    @overload
    def __getitem__(self, number: int) -> Endpoints: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Endpoints]: ...

    def __getitem__(self, number: int | slice) -> Endpoints | Sequence[Endpoints]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if number < len(self._named):
            return self._named[number]
        url = self._servers.url(number)
        return Endpoints(rest=f"{url}/{self._venue}", websocket=f"ws{url.removeprefix('http')}/{self._venue}")


class RoundTrips:
    """How long the way to each server and back takes, by what it answered.

    The least of its last answers counts: what a busy server adds to some of them is not the way. After a
    timeout the former ones are forgotten, because the way may have become longer, and the next one has twice
    the time.
    """

    def __init__(self) -> None:
        self._took_ns: dict[int, deque[int]] = {}
        self._timeouts: dict[int, tuple[int, int]] = {}
        """How many in a row, and the time of the last one."""

    def on_response(self, number: int, took_ns: int) -> None:
        """A server answered after so long."""
        self._timeouts.pop(number, None)
        self._took_ns.setdefault(number, deque(maxlen=_ANSWERS)).append(took_ns)

    def on_timeout(self, number: int, asked_ns: int, now_ns: int) -> None:
        """A server did not answer in time what it was asked at `asked_ns`."""
        count, last_ns = self._timeouts.get(number, (0, 0))
        if not count or asked_ns >= last_ns:  # those of several connections are one
            self._timeouts[number] = min(count + 1, _MOST_DOUBLINGS), now_ns
        self._took_ns.pop(number, None)

    def patience_ns(self, number: int, *, least_ns: int, trips: int = 1) -> int:
        """How long an answer is waited for that takes a server so many round trips, at least `least_ns`."""
        round_trip_ns = min(self._took_ns.get(number, ()), default=0)
        timeouts, _ = self._timeouts.get(number, (0, 0))
        return max(least_ns, _PATIENCE * trips * round_trip_ns) << timeouts


def in_turn_after(numbers: list[int], number: int) -> list[int]:
    """Numbers in order, from the first one after `number`."""
    return [*(each for each in numbers if each > number), *(each for each in numbers if each <= number)]


class Attempts:
    """The failures in a row of each server, as one connection slot has seen them; of an exchange, of one."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._failures: dict[int, int] = {}
        self._free_ns: dict[int, int] = {}

    def on_stable(self, number: int) -> None:
        """A connection lasted."""
        self._failures[number] = 0

    def is_first(self, number: int) -> bool:
        """Whether the next failure of a server is the first one in a row."""
        return not self._failures.get(number)

    def slow_down(self, number: int, failures: int) -> None:
        """Pause at least as after this many failures."""
        self._failures[number] = max(self._failures.get(number, 0), failures)

    def on_failed(self, number: int, pause_ns: Callable[[int], int], now_ns: int) -> None:
        """A connection failed. `pause_ns`: the pause after a number of earlier failures in a row."""
        failures = self._failures.get(number, 0)
        self._free_ns[number] = now_ns + pause_ns(failures)
        self._failures[number] = failures + 1

    def next(
        self, number: int, now_ns: int, *, holds: Callable[[int], bool], stays: bool = False
    ) -> tuple[int, int]:
        """The server that may be tried first, and when; among equals the next one after `number`.

        `holds`: whether a server may hold any of the streams; one that may not is the last choice.
        `stays`: keep to `number`.
        """
        if stays:
            return number, self._at_ns(number, now_ns)
        in_turn = in_turn_after(self._servers.numbers(), number) or [number]
        chosen = min(in_turn, key=lambda each: (not holds(each), self._at_ns(each, now_ns)))
        return chosen, self._at_ns(chosen, now_ns)

    def _at_ns(self, number: int, now_ns: int) -> int:
        """When a server may be tried; one that was never reached a little later than others."""
        at_ns = max(now_ns, self._free_ns.get(number, 0))
        is_known = not self._servers.numbers() or self._servers.is_proven(number)
        return at_ns if is_known else max(at_ns, now_ns + _LAST_CHOICE_NS)


def server_hint(status: int | None, *, has_token: bool, reason: str = "") -> str:
    """What the user can do about a refused request or handshake, or a failed connect; empty if unknown."""
    if status is None:
        if reasons.CERTIFICATE_REJECTED in reason:
            return reasons.CHECK_TRUST
        return reasons.USE_HTTP if reasons.NO_TLS in reason else ""
    match status:
        case 401 | 403:
            return reasons.CHECK_TOKEN if has_token else reasons.NEEDS_TOKEN
        case 404 | 426:
            return reasons.CHECK_URL
        case _:
            return ""


def is_access_refused(status: int | None, reason: str) -> bool:
    """Whether a connection failed because of the token or the certificate, as the next one will.

    `status`: of the refused handshake. `reason`: the words of the transport.
    """
    return status in (401, 403) or reasons.CERTIFICATE_REJECTED in reason


def is_end_of_symbol(reason: str) -> bool:
    """Whether the server closed its book because the symbol ended, and not because the server ends."""
    ends = (reasons.unknown_symbol(""), reasons.ended(""), reasons.not_listed(""))
    return any(words in reason for words in ends)
