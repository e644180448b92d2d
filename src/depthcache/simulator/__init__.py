"""An embedded exchange, to test programs without Binance and without risk.

`serve` runs one on loopback with real WebSockets and HTTP, for any client in any language. It serves
simulated markets, whose true book is known at every update id, or recordings. `Pair` runs clients and a
simulated exchange on one virtual clock. `Faults` and `ExchangeControls` cause trouble by chance and on
command.
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
