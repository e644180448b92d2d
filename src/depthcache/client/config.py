"""The arguments of `connect`, checked immediately and converted to plain values.

Nothing is opened here: invalid arguments raise in the call that contains them. Only the exchange can tell
whether a symbol exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from os import PathLike
from typing import Any, TypeGuard

from depthcache import venues
from depthcache.arguments import parse_on_stale, parse_real
from depthcache.errors import InvalidArgument, UsageError
from depthcache.io.network.interface import ServerAccess
from depthcache.io.network.server_access import parse_access
from depthcache.io.network.user_snapshots import SnapshotSource
from depthcache.model import OnStale
from depthcache.settings import Settings
from depthcache.venues import Venue

__all__ = [
    "ASYNC_START",
    "BLOCKING_START",
    "ClientConfig",
    "is_collection",
    "not_started",
    "parse_config",
    "parse_refresh",
    "parse_timeout",
    "runs_once",
]

_LONGEST_S = 1e9

ASYNC_START = (
    "enter it with `async with depthcache.connect(…) as books`, or start it with "
    "`books = await depthcache.connect(…)`; without asyncio, use depthcache.blocking.connect"
)
BLOCKING_START = (
    "enter it with `with depthcache.blocking.connect(…) as books`, or start it with "
    "`books = depthcache.blocking.connect(…).start()`; with asyncio, use depthcache.connect"
)
"""How to start a client, for error messages."""


def not_started(how_to_start: str) -> UsageError:
    """The error for using a client before it was started."""
    return UsageError(f"the client is not running yet: {how_to_start}")


def runs_once() -> UsageError:
    """The error for starting a client that has ended, or entering it twice."""
    return UsageError("a client runs only once: create another one with connect(…)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """The checked arguments of `connect`."""

    books: tuple[tuple[Venue, str], ...]
    """Without duplicates, in the order requested."""
    venues: tuple[Venue, ...]
    """Including venues without a symbol."""
    home: str | None
    """The exchange that `connect` named for all symbols, preferred for a bare symbol; None for a mapping."""
    depth: int
    speed_ms: int | None
    on_stale: OnStale
    settings: Settings
    snapshots: SnapshotSource | None = None
    max_age_s: float | None = None
    access: ServerAccess | None = None
    """To the book server from which all books come; None for the exchanges themselves."""

    def exchanges_by_url(self) -> dict[str, str]:
        """Map the base URLs of all exchanges to their names, for recordings.

        Some exchanges share hosts; the exchanges of this client take precedence over others.
        """
        asked = {venue.name for venue in self.venues}
        exchanges_by_url: dict[str, str] = {}
        for name in sorted(venues.names(), key=lambda name: name not in asked):
            ends = self.settings.venue(name).endpoints
            exchanges_by_url.setdefault(ends.rest, name)
            exchanges_by_url.setdefault(ends.websocket, name)
        return exchanges_by_url

    def exchanges_by_depth_url(self) -> dict[str, str]:
        """Map the snapshot URLs, without query, to exchange names; precedence as in `exchanges_by_url`."""
        found = {name: self.settings.venue(name) for name in venues.names()}
        exchanges_by_url = {
            each.endpoints.rest + each.depth_path: name for name, each in reversed(found.items())
        }
        return exchanges_by_url | {each.endpoints.rest + each.depth_path: each.name for each in self.venues}

    def book(self, exchange: str | None, symbol: str) -> tuple[Venue, str]:
        """Check one more book as `connect` would.

        `exchange` may be omitted if there is exactly one. Raises UnknownExchange or InvalidArgument.
        """
        if exchange is not None:
            venue = self.settings.venue(exchange)
        elif len(self.venues) == 1:
            venue = self.venues[0]
        else:
            names = " or ".join(repr(each.name) for each in self.venues) or "any known exchange"
            raise InvalidArgument(name="exchange", value=exchange, allowed=names)
        _check_for(venue, self.depth, self.speed_ms, self.settings)
        return venue, venues.parse_symbol(symbol, venue)

    def several(self, exchange: str | None, symbols: Iterable[str]) -> list[tuple[Venue, str]]:
        """Check more books of one exchange. Raises what `book` raises."""
        return [self.book(exchange, symbol) for symbol in _listed(symbols)]


def parse_config(
    exchange: str | Mapping[str, Iterable[str]],
    symbols: Iterable[str] | None,
    *,
    depth: int,
    on_stale: str,
    speed_ms: int | None,
    settings: Settings | None,
    snapshots: SnapshotSource | None = None,
    max_age: float | None = None,
    server: str | Sequence[str] | None = None,
    token: str | None = None,
    ca: str | PathLike[str] | None = None,
    fingerprint: str | None = None,
) -> ClientConfig:
    """Check the arguments of `connect`. Raises UnknownExchange or InvalidArgument."""
    if settings is None:
        settings = Settings.from_environment()
    elif not isinstance(settings, Settings):
        raise InvalidArgument(name="settings", value=settings, allowed="a Settings(…) or None")
    settings = _with_server(settings, server=server, ca=ca, fingerprint=fingerprint)
    access = parse_access(settings, token)
    if snapshots is not None and access is not None:
        allowed = "None with a server: it makes the snapshots of its books itself"
        raise InvalidArgument(name="snapshots", value=snapshots, allowed=allowed)
    if snapshots is not None and not callable(snapshots):
        allowed = "a callable that takes a SnapshotRequest, or None"
        raise InvalidArgument(name="snapshots", value=snapshots, allowed=allowed)
    books: dict[tuple[str, str], tuple[Venue, str]] = {}
    venues_by_name: dict[str, Venue] = {}
    for name, listed in _by_exchange(exchange, symbols):
        venue = settings.venue(name)
        _check_for(venue, depth, speed_ms, settings)
        venues_by_name.setdefault(venue.name, venue)
        for text in _listed(listed):
            symbol = venues.parse_symbol(text, venue)
            books.setdefault((venue.name, symbol), (venue, symbol))
    return ClientConfig(
        books=tuple(books.values()),
        venues=tuple(venues_by_name.values()),
        home=None if isinstance(exchange, Mapping) else next(iter(venues_by_name)),
        depth=index(depth),
        speed_ms=None if speed_ms is None else index(speed_ms),
        on_stale=parse_on_stale(on_stale),
        settings=settings,
        snapshots=snapshots,
        max_age_s=parse_max_age(max_age),
        access=access,
    )


def _with_server(
    settings: Settings,
    *,
    server: str | Sequence[str] | None,
    ca: str | PathLike[str] | None,
    fingerprint: str | None,
) -> Settings:
    """The settings with what `connect` says of a server."""
    given: dict[str, Any] = {"server": server, "ca_file": ca, "fingerprint": fingerprint}
    given = {name: value for name, value in given.items() if value is not None}
    if "ca_file" in given and "fingerprint" not in given:
        given["fingerprint"] = None
    elif "fingerprint" in given and "ca_file" not in given:
        given["ca_file"] = None
    if given.keys() - {"server"} and server is None and settings.server is None:
        name = "ca" if ca is not None else "fingerprint"
        raise InvalidArgument(name=name, value=ca or fingerprint, allowed="None without a server")
    return replace(settings, **given) if given else settings


def is_collection(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether the value is an iterable of several items; text and mappings are not."""
    # A str is iterable: "BTCUSDT" must not become the symbols B, T, C …
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def parse_timeout(timeout: float | None) -> float | None:
    """Check a timeout in seconds; None means no timeout. Raises InvalidArgument."""
    if timeout is None:
        return None
    allowed = "seconds, 0 or more, or None for no timeout"
    if is_collection(timeout) or hasattr(timeout, "symbol"):
        allowed += "; to pass books, use books=[…]"
    return parse_real(timeout, name="timeout", allowed=allowed, least=0)


def parse_max_age(seconds: float | None) -> float | None:
    """Check a `max_age` in seconds; None means any age. Raises InvalidArgument."""
    if seconds is None:
        return None
    return parse_real(seconds, name="max_age", allowed="seconds above 0, or None", least=5e-324)


def parse_refresh(seconds: float | None) -> float | None:
    """Check the seconds between refreshes; None for the default, 0 for never. Raises InvalidArgument."""
    if seconds is None:
        return None
    allowed = f"0 to {_LONGEST_S:g}, or None"
    return parse_real(seconds, name="seconds", allowed=allowed, least=0, most=_LONGEST_S)


def _check_for(venue: Venue, depth: int, speed_ms: int | None, settings: Settings) -> None:
    """Check depth and speed for a venue, even if it has no symbols yet."""
    limit = venue.snapshot_limit(depth)
    venue.stream("", speed_ms)
    budget = int(venue.weight_per_minute * settings.policy.limit_share)
    if venue.snapshot_weight(limit) > budget:
        allowed = f"a depth that costs at most {budget} weight, this client's budget on {venue.name}"
        raise InvalidArgument(name="depth", value=depth, allowed=allowed)


def _by_exchange(
    exchange: str | Mapping[str, Iterable[str]], symbols: Iterable[str] | None
) -> Iterable[tuple[str, Iterable[str] | None]]:
    if symbols is None and not isinstance(exchange, Mapping) and _may_be_symbols(exchange):
        allowed = "an exchange name first, then symbols: connect('binance.com', ['BTCUSDT'])"
        raise InvalidArgument(name="exchange", value=exchange, allowed=allowed)
    if isinstance(exchange, Mapping):
        if symbols is not None:
            allowed = "no symbols after a mapping, which already holds the symbols of each exchange"
            raise InvalidArgument(name="symbols", value=symbols, allowed=allowed)
        return exchange.items()
    return ((exchange, symbols),)


def _may_be_symbols(value: object) -> bool:
    """Whether symbols were passed in place of the exchange."""
    return isinstance(value, list | tuple | set) or (
        isinstance(value, str) and value.isalnum() and value.isupper()
    )


def _listed(symbols: Iterable[str] | None) -> Iterable[str]:
    if not is_collection(symbols):
        allowed = "a list of symbols such as ['BTCUSDT', 'ETHUSDT']"
        raise InvalidArgument(name="symbols", value=symbols, allowed=allowed)
    return symbols
