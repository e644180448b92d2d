"""Facts about every exchange by name, and `register` to add another one. No network access."""

from __future__ import annotations

from depthcache.venues.endpoints import parse_endpoints as parse_endpoints
from depthcache.venues.endpoints import with_endpoints as with_endpoints
from depthcache.venues.registry import names, of_family, register, venue
from depthcache.venues.servers import node_url as node_url
from depthcache.venues.servers import parse_servers as parse_servers
from depthcache.venues.servers import with_servers as with_servers
from depthcache.venues.spellings import meant as meant
from depthcache.venues.symbols import parse_symbol as parse_symbol
from depthcache.venues.venue import Endpoints as Endpoints
from depthcache.venues.venue import Family, Venue

__all__ = ["Family", "Venue", "names", "of_family", "register", "venue"]


def __dir__() -> list[str]:
    return list(__all__)
