"""The origin of recorded data, derived from the exchange name, the host, or the keys of a payload.

An origin is `Venue.recorded_as` (spot, usdm, coinm, options, us, tr, which is as much as hosts and payloads
reveal), or else an exchange name.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from depthcache import venues
from depthcache.errors import UnknownExchange

__all__ = ["LIKE_SPOT", "origin_of_exchange", "origin_of_payload", "origin_of_url", "venue_of_origin"]

LIKE_SPOT = frozenset({"us", "tr"})
"""Origins whose payloads look like those of spot; only the host tells them apart."""


def venue_of_origin(origin: str) -> venues.Venue:
    """The venue whose rules apply to data of an origin."""
    return _venues()[origin]


def origin_of_exchange(name: str) -> str:
    """The origin of an exchange name; an origin is returned as is. Raises UnknownExchange."""
    known = _venues()
    if name in known:
        return name
    try:
        return _word(venues.venue(name))
    except UnknownExchange as error:
        raise UnknownExchange(
            name=name, known=tuple(dict.fromkeys((*error.known, *known))), near=error.near, hint=error.hint
        ) from None


def _venues() -> dict[str, venues.Venue]:
    """Origin to its first venue, which is the production one."""
    found: dict[str, venues.Venue] = {}
    for each in map(venues.venue, venues.names()):
        found.setdefault(_word(each), each)
    return found


def _word(venue: venues.Venue) -> str:
    return venue.recorded_as or venue.name


def origin_of_url(url: str) -> str | None:
    """The origin of a recorded REST or WebSocket URL; None if no venue has its host.

    Hosts: spot docs (2026-07-21), futures docs (2026-05-28); www.binance.com/api/v1 and
    stream-cloud.trbinance.com occur in recordings of 2021 and 2023.
    """
    parts = urlsplit(url)
    for venue in _venues().values():
        if not venue.recorded_as and parts.hostname in _hosts(venue):
            return venue.name
    host = (parts.hostname or "").removeprefix("demo-")
    if "/fapi/" in parts.path or host.startswith(("fstream.", "fapi.")):
        return "usdm"
    if "/eapi/" in parts.path or host.startswith("eapi."):
        return "options"
    if "/dapi/" in parts.path or host.startswith(("dstream.", "dapi.")):
        return "coinm"
    if _within(host, "binance.us"):
        return "us"
    if any(_within(host, base) for base in ("binance.me", "trbinance.com", "binance.tr")):
        return "tr"
    spot = any(_within(host, base) for base in ("binance.com", "binance.vision"))
    return "spot" if spot else None


def _hosts(venue: venues.Venue) -> tuple[str | None, ...]:
    ends = venue.endpoints
    return urlsplit(ends.rest).hostname, urlsplit(ends.websocket).hostname


def origin_of_payload(*, chained: bool, pair: str | None, kind: int | None) -> str:
    """The origin that the keys of a payload suggest.

    `chained`: it has a key that only futures send (`pu` in a diff, `e` in a bookTicker, `E` in a snapshot).
    `pair`: its `ps`. `kind`: its `st` (1 USD-M, 2 COIN-M, since 2026-06-30). Pairs of COIN-M end in USD.
    USD-M has sent `ps` as well since 2026-06-30, and its pairs never end in USD.
    """
    if kind in (1, 2):
        return "usdm" if kind == 1 else "coinm"
    if pair is not None and pair.endswith("USD"):
        return "coinm"
    return "usdm" if chained or pair is not None else "spot"


def _within(host: str, base: str) -> bool:
    return host == base or host.endswith("." + base)
