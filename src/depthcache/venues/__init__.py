"""What is known of every exchange: one venue a file, found by name in the registry.

Not here: anything that talks to a venue.
"""

from __future__ import annotations

from depthcache.venues.endpoints import parse_endpoints, with_endpoints
from depthcache.venues.registry import names, of_family, register, venue
from depthcache.venues.spellings import meant
from depthcache.venues.symbols import parse_symbol
from depthcache.venues.venue import Endpoints, Family, Venue

__all__ = [
    "Endpoints",
    "Family",
    "Venue",
    "meant",
    "names",
    "of_family",
    "parse_endpoints",
    "parse_symbol",
    "register",
    "venue",
    "with_endpoints",
]


def __dir__() -> list[str]:
    return list(__all__)
