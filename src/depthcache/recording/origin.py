"""Where recorded data came from: the venue family, told by the host, or by the keys of a payload.

The family words (spot, usdm, coinm, options, us, tr) are those of recordings; each stands for an exchange
name of `venues`. Not here: facts about venues.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from depthcache import venues
from depthcache.errors import InvalidArgument, UnknownExchange

__all__ = ["LIKE_SPOT", "family_of_exchange", "family_of_payload", "family_of_url", "venue_of_family"]

_EXCHANGES = {
    "spot": "binance.com",
    "usdm": "binance.com-futures",
    "coinm": "binance.com-coin_futures",
    "options": "binance.com-vanilla-options",
    "us": "binance.us",
    "tr": "trbinance.com",
}
_FAMILIES = {exchange: family for family, exchange in _EXCHANGES.items()}
LIKE_SPOT = frozenset({"us", "tr"})
"""Families whose payloads look like those of spot."""
_MODES = ("-testnet", "-demo", "-data", "-isolated_margin", "-margin")
"""What stands behind a name without changing the family; a name may have two of them."""


def venue_of_family(family: str) -> venues.Venue:
    """The venue whose rules a family follows."""
    return venues.venue(_EXCHANGES[family])


def family_of_exchange(name: str) -> str:
    """The family of an exchange name, its testnets included; a family word stands for itself.

    Raises UnknownExchange; InvalidArgument for an exchange that recordings are not read of.
    """
    if name in _EXCHANGES:
        return name
    try:
        known = venues.venue(name).name
    except UnknownExchange as error:
        raise UnknownExchange(
            name=name, known=(*error.known, *_EXCHANGES), near=error.near, hint=error.hint
        ) from None
    for mode in _MODES:
        known = known.removesuffix(mode)
    if known not in _FAMILIES:
        raise InvalidArgument(name="exchange", value=name, allowed=", ".join((*_FAMILIES, *_EXCHANGES)))
    return _FAMILIES[known]


def family_of_url(url: str) -> str | None:
    """The family of a recorded REST or WebSocket URL; None when the host is not one of Binance's.

    Hosts: spot docs (2026-07-21), futures docs (2026-05-28); www.binance.com/api/v1 and
    stream-cloud.trbinance.com stand in recordings of 2021 and 2023.
    """
    parts = urlsplit(url)
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


def family_of_payload(*, chained: bool, pair: str | None, kind: int | None) -> str:
    """The family that the keys of a payload tell.

    `chained`: it has what only futures send (`pu` in a diff, `e` in a bookTicker, `E` in a
    snapshot); `pair`: its `ps`; `kind`: its `st` (1 USD-M, 2 COIN-M, since 2026-06-30). Pairs of
    COIN-M end in USD; USD-M sends `ps` too since 2026-06-30, and its pairs never do.
    """
    if kind in (1, 2):
        return "usdm" if kind == 1 else "coinm"
    if pair is not None and pair.endswith("USD"):
        return "coinm"
    return "usdm" if chained or pair is not None else "spot"


def _within(host: str, base: str) -> bool:
    return host == base or host.endswith("." + base)
