"""The virtual clock that an exchange shares with the networks of its clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from depthcache.simulator.interface import Exchange
from depthcache.simulator.memory_network import MemoryNetwork

__all__ = ["Timeline"]

_S_NS = 1_000_000_000


class Timeline:
    """The virtual clock. Call `join` for each client, then `step` from one `next_ns` to the next."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        latency_ns: int,
        now_ns: int,
        wall_ns: int,
        after_step: Callable[[], None],
    ) -> None:
        """`latency_ns`: one-way latency of every message in nanoseconds. `wall_ns`: the system's clock at
        time 0, in nanoseconds since 1970. `after_step`: called after all events of one moment."""
        self.now_ns: int = now_ns
        self._exchange: Final = exchange
        self._latency_ns, self._wall_ns, self._after_step = latency_ns, wall_ns, after_step
        self._networks: list[MemoryNetwork] = []

    @property
    def is_idle(self) -> bool:
        """Whether no client is waiting for anything."""
        return all(network.is_idle for network in self._networks)

    def next_ns(self) -> int | None:
        """Time of the next event; None if none is scheduled."""
        times = [self._exchange.next_ns(), *(network.next_ns() for network in self._networks)]
        return min((time for time in times if time is not None), default=None)

    def join(self, on_end: Callable[[], None] = lambda: None) -> MemoryNetwork:
        """The network of a new client. `on_end`: called when it is closed."""

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
        """Process all events of this moment. No moment may be skipped."""
        self.now_ns = max(self.now_ns, now_ns)
        for network in tuple(self._networks):
            network.step(self.now_ns)
        self._after_step()

    def collect(self) -> None:
        """Send the messages that the exchange has produced."""
        for network in self._networks:
            network.collect()

    def sleep(self, seconds: float, *, half_open: bool) -> None:
        """Let the machine of the clients sleep; messages to it wait in its sockets.

        `half_open`: the existing connections are dead after the sleep, without a close.
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
