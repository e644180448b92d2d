"""Venues by exchange name. A new venue is one file in this folder and one line in `_VENUES`."""

from __future__ import annotations

import re
from difflib import get_close_matches

from depthcache.errors import InvalidArgument, UnknownExchange
from depthcache.venues.binance_com import (
    BINANCE_COM,
    BINANCE_COM_DATA,
    BINANCE_COM_DEMO,
    BINANCE_COM_ISOLATED_MARGIN,
    BINANCE_COM_ISOLATED_MARGIN_TESTNET,
    BINANCE_COM_MARGIN,
    BINANCE_COM_MARGIN_TESTNET,
    BINANCE_COM_TESTNET,
)
from depthcache.venues.binance_com_coin_futures import (
    BINANCE_COM_COIN_FUTURES,
    BINANCE_COM_COIN_FUTURES_DEMO,
    BINANCE_COM_COIN_FUTURES_TESTNET,
)
from depthcache.venues.binance_com_futures import (
    BINANCE_COM_FUTURES,
    BINANCE_COM_FUTURES_DEMO,
    BINANCE_COM_FUTURES_TESTNET,
)
from depthcache.venues.binance_com_vanilla_options import (
    BINANCE_COM_VANILLA_OPTIONS,
    BINANCE_COM_VANILLA_OPTIONS_TESTNET,
)
from depthcache.venues.binance_us import BINANCE_US
from depthcache.venues.trbinance_com import TRBINANCE_COM
from depthcache.venues.venue import Environment, Family, Venue

__all__ = ["names", "of_family", "register", "venue"]

_VENUES = (
    BINANCE_COM,
    BINANCE_COM_MARGIN,
    BINANCE_COM_ISOLATED_MARGIN,
    BINANCE_COM_DATA,
    BINANCE_COM_TESTNET,
    BINANCE_COM_MARGIN_TESTNET,
    BINANCE_COM_ISOLATED_MARGIN_TESTNET,
    BINANCE_COM_DEMO,
    BINANCE_COM_FUTURES,
    BINANCE_COM_FUTURES_TESTNET,
    BINANCE_COM_FUTURES_DEMO,
    BINANCE_COM_COIN_FUTURES,
    BINANCE_COM_COIN_FUTURES_TESTNET,
    BINANCE_COM_COIN_FUTURES_DEMO,
    BINANCE_COM_VANILLA_OPTIONS,
    BINANCE_COM_VANILLA_OPTIONS_TESTNET,
    BINANCE_US,
    TRBINANCE_COM,
)
_by_name: dict[str, Venue] = {name: each for each in _VENUES for name in (each.name, *each.aliases)}

_MEANT = {
    "binance.com": {"", "spot"},
    "binance.com-futures": {
        "futures",
        "future",
        "usdm",
        "usdmfutures",
        "um",
        "usdt",
        "linear",
        "swap",
        "perp",
        "fapi",
    },
    "binance.com-coin_futures": {"coinm", "coinmfutures", "cm", "inverse", "delivery", "dapi"},
    "binance.com-vanilla-options": {"options", "option", "eoptions", "vanilla", "eapi"},
    "binance.us": {"us", "usa"},
    "trbinance.com": {"tr", "turkey"},
}
"""Names for these families in other clients and at the exchange (ccxt, SDKs, 2026-11)."""

_PORTFOLIO_MARGIN = re.compile(r"portfolio|(?<![a-z])(pm|papi)(?![a-z])", re.ASCII)
"""Portfolio margin has only accounts and user data (wss://fstream.binance.com/pm, SDKs of 2026-11)."""
_PORTFOLIO_MARGIN_HINT = (
    "portfolio margin has no order books of its own, use "
    "'binance.com', 'binance.com-futures' or 'binance.com-coin_futures'"
)


def venue(name: str) -> Venue:
    """The venue of an exchange `name` or alias, in upper or lower case.

    Raises UnknownExchange, which suggests the closest names or what to use instead.
    """
    lowered = str(name).lower()
    found = (_by_name.get(name) or _in_any_case(lowered)) if isinstance(name, str) else None
    if found is not None:
        return found
    if _PORTFOLIO_MARGIN.search(lowered):
        raise UnknownExchange(name=name, known=names(), hint=_PORTFOLIO_MARGIN_HINT)
    raise UnknownExchange(name=name, known=names(), near=_near(lowered))


def register(venue: Venue) -> None:
    """Add `venue` to this process, so that every part of the package accepts its name and aliases.

    To derive one from an existing venue, use `dataclasses.replace`. Raises InvalidArgument if another venue
    has the name or an alias, or if a name is empty, has spaces or is not printable.
    """
    if not isinstance(venue, Venue):
        raise InvalidArgument(name="venue", value=venue, allowed="a Venue")
    for name in (venue.name, *venue.aliases):
        if not isinstance(name, str) or not name or " " in name or not name.isprintable():
            raise InvalidArgument(name="venue", value=name, allowed="printable names without spaces")
        if _in_any_case(name.lower()) is not None:
            raise InvalidArgument(name="venue", value=name, allowed="a name that no other venue has")
    _by_name.update(dict.fromkeys((venue.name, *venue.aliases), venue))


def of_family(family: Family, *environments: Environment) -> Venue:
    """The first venue of a `family` in the first of the `environments` that has one, or else in production.

    The first venue of each family is that of binance.com.
    """
    return next(
        each
        for environment in (*environments, "production")
        for each in _by_name.values()
        if (each.family, each.environment) == (family, environment)
    )


def _in_any_case(lowered: str) -> Venue | None:
    return next((each for name, each in _by_name.items() if name.lower() == lowered), None)


def _near(lowered: str) -> tuple[str, ...]:
    """The closest names, best first, at most three."""
    plain = "".join(filter(str.isalnum, lowered)).removeprefix("binance").removeprefix("com")
    meant = [name for name, words in _MEANT.items() if plain in words]
    begun = [name for name in names() if lowered and name.startswith(lowered)][:1]
    alike = get_close_matches(lowered, _by_name, n=3, cutoff=0.6)
    return tuple(dict.fromkeys((*meant, *begun, *alike)))[:3]


def names() -> tuple[str, ...]:
    """All exchange names without aliases, in the order of the documentation."""
    return tuple(dict.fromkeys(each.name for each in _by_name.values()))
