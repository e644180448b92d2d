"""An exchange inside this package: to test programs against, without Binance and without risk.

`serve` runs one on loopback, real WebSocket and HTTP, for any client in any language: a seeded
invented market that knows the truth at every update id, or recordings served as the exchange they
were made of. `Pair` puts a client and an invented exchange, with `Faults`, on one virtual clock.
Not here: anything that live books need.
"""

from __future__ import annotations

from depthcache.naming import publish
from depthcache.simulator.controls import ExchangeControls
from depthcache.simulator.exchange import SimulatedExchange
from depthcache.simulator.faults import Faults
from depthcache.simulator.market import Market
from depthcache.simulator.pair import Pair
from depthcache.simulator.profiles import PROFILES, TINY, Profile
from depthcache.simulator.recorded import RecordedExchange
from depthcache.simulator.server import Server, serve
from depthcache.simulator.truth import Truth, differences

__all__ = [
    "PROFILES",
    "TINY",
    "ExchangeControls",
    "Faults",
    "Market",
    "Pair",
    "Profile",
    "RecordedExchange",
    "Server",
    "SimulatedExchange",
    "Truth",
    "differences",
    "serve",
]

publish(
    "depthcache.simulator",
    ExchangeControls,
    Faults,
    Market,
    Pair,
    Profile,
    RecordedExchange,
    Server,
    SimulatedExchange,
    Truth,
    differences,
    serve,
)


def __dir__() -> list[str]:
    return list(__all__)
