"""The virtual clock that an exchange shares with the networks of its clients.

Not here: who the clients are (`pair`), how coroutines wait on this clock (`virtual_loop`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from depthcache.simulator.interface import Exchange
from depthcache.simulator.memory_network import MemoryNetwork

__all__ = ["Timeline"]

_S_NS = 1_000_000_000


class Timeline:
    """Order of calls: `join` for each client, then `step` from one `next_ns` to the next."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        latency_ns: int,
        now_ns: int,
        wall_ns: int,
        after_step: Callable[[], None],
    ) -> None:
        """`latency_ns`: how long every message takes one way. `wall_ns`: what the system's clock shows at
        time 0, in nanoseconds since 1970. `after_step`: called after everything that happened at one
        moment."""
        self.now_ns: int = now_ns
        self._exchange: Final = exchange
        self._latency_ns, self._wall_ns, self._after_step = latency_ns, wall_ns, after_step
        self._networks: list[MemoryNetwork] = []

    @property
    def is_idle(self) -> bool:
        """Whether no client waits for anything."""
        return all(network.is_idle for network in self._networks)

    def next_ns(self) -> int | None:
        """When the next thing happens; None when nothing is scheduled."""
        times = [self._exchange.next_ns(), *(network.next_ns() for network in self._networks)]
        return min((time for time in times if time is not None), default=None)

    def join(self, on_end: Callable[[], None] = lambda: None) -> MemoryNetwork:
        """The network of one more client. `on_end`: called when it is closed."""

        def leave() -> None:
            self._networks.remove(network)
            on_end()

        network = MemoryNetwork(
            self._exchange,
            latency_ns=self._latency_ns,
            now_ns=self.now_ns,
            wall_ns=self._wall_ns,
            on_end=leave,
        )
        self._networks.append(network)
        return network

    def step(self, now_ns: int) -> None:
        """Let everything of that moment happen; moments must not be left out."""
        self.now_ns = max(self.now_ns, now_ns)
        for network in tuple(self._networks):
            network.step(self.now_ns)
        self._after_step()

    def collect(self) -> None:
        """Send what the exchange has produced."""
        for network in self._networks:
            network.collect()

    def sleep(self, seconds: float, *, half_open: bool) -> None:
        """The machine of the clients sleeps; what is sent to it meanwhile waits in its sockets.

        `half_open`: nothing comes over the existing connections any more, and no close is sent.
        """
        began_ns, until_ns = self.now_ns, self.now_ns + round(seconds * _S_NS)
        for network in self._networks if half_open else ():
            network.lose_connections()
        while (next_ns := self._exchange.next_ns()) is not None and next_ns <= until_ns:
            self._doze(next_ns)
        self._doze(until_ns)
        for network in self._networks:
            network.awake(began_ns)
        self._after_step()

    def _doze(self, now_ns: int) -> None:
        self.now_ns = max(self.now_ns, now_ns)
        for network in self._networks:
            network.doze(self.now_ns)
