"""How late a book is: the time from sending a frame until the updated book can be read.

Three contestants take turns on the same served recording, each in its own process: the bare native receiver
(sockets, TLS and WebSocket, no books), the client on the native transport, and the client on aiohttp. The
main thread is idle, runs pure Python, or sorts. Figures are medians over rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf

import depthcache
from benches import paced
from benches.loads import LOADS
from benches.measure import Row
from depthcache import _native
from depthcache.io.network import aiohttp as aiohttp_network
from depthcache.io.network import native as native_network
from depthcache.io.network.interface import Callbacks

CONDITIONS = ((False, 5_000), (True, 1_000), (True, 5_000))
"""TLS, and frames a second."""
SECONDS = 1.0
WARM_S = 0.5
CONTESTANTS = ("bare", "native", "aiohttp")
MOST_ABOVE_MS = 0.1
"""Threshold of the native client's p99 above the bare receiver's."""
MOST_MS = 2.0
"""Threshold of its p99.9."""
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}

TakeDelays = Callable[[], list[int]]


# --- one contestant, in its own process -----------------------------------------------------------


@contextmanager
def bare(endpoint: paced.Endpoint) -> Iterator[TakeDelays]:
    """The transport without books."""
    probe = _native._Probe()
    transport = _native.Transport(None, quiet_s=60, pong_s=60, ca_file=endpoint.ca_file, _probe=probe)
    stream = f"{paced.SYMBOL.lower()}@depth@100ms"
    transport.open(1, f"{endpoint.websocket}/stream?streams={stream}")
    try:
        yield probe.take_delays_ns
    finally:
        transport.stop(1)
        transport.join()


@contextmanager
def native(endpoint: paced.Endpoint) -> Iterator[TakeDelays]:
    """The client with default settings."""
    probe = _native._Probe()
    native_network.Transport = partial(_native.Transport, _probe=probe)  # type: ignore[assignment,attr-defined]
    with client(endpoint, "native"):
        yield probe.take_delays_ns


@contextmanager
def aiohttp(endpoint: paced.Endpoint) -> Iterator[TakeDelays]:
    """The client on the aiohttp transport."""
    delays: list[int] = []
    attach = aiohttp_network.AiohttpNetwork.attach

    class Probed:
        def __init__(self, router: _native.Router) -> None:
            self._feed = router.feed
            self.traffic = router.traffic

        def feed(self, connection: int, frame: bytes, received_ns: int, /) -> bool:
            has_events = self._feed(connection, frame, received_ns)
            read_ns = time.monotonic_ns()
            sent_us = frame.partition(b'"E":')[2].partition(b",")[0]
            if sent_us.isdigit():
                delays.append(read_ns - 1_000 * int(sent_us))
            return has_events

    def attach_probed(
        self: aiohttp_network.AiohttpNetwork, router: _native.Router, callbacks: Callbacks
    ) -> None:
        attach(self, Probed(router), callbacks)

    def take() -> list[int]:
        taken = delays[:]
        del delays[: len(taken)]
        return taken

    aiohttp_network.AiohttpNetwork.attach = attach_probed  # type: ignore[method-assign,assignment]
    with client(endpoint, "aiohttp"):
        yield take


@contextmanager
def client(endpoint: paced.Endpoint, transport: str) -> Iterator[depthcache.blocking.Books]:
    """A synced client."""
    from dataclasses import replace

    settings = replace(endpoint.settings, transport=transport)  # type: ignore[arg-type]
    with depthcache.blocking.connect(paced.VENUE, [paced.SYMBOL], depth=1000, settings=settings) as books:
        books.wait_synced(timeout=30)
        yield books


def measure_one(contestant: str, endpoint: paced.Endpoint, seconds: float) -> dict[str, list[float]]:
    """Percentiles in milliseconds under each load."""
    kinds = {"bare": bare, "native": native, "aiohttp": aiohttp}
    with kinds[contestant](endpoint) as take:
        time.sleep(WARM_S)
        measured = {}
        for load, run in LOADS.items():
            take()
            run(seconds)
            delays = sorted(take())
            measured[load] = [
                delays[min(len(delays) - 1, int(share * len(delays)))] / 1e6 if delays else inf
                for share in PERCENTILES.values()
            ]
        return measured


# --- all of them ----------------------------------------------------------------------------------


def run(*, rounds: int, seconds: float = SECONDS) -> list[Row]:
    """One row per contestant, load, rate and TLS."""
    rows: list[Row] = []
    for tls, rate in CONDITIONS:
        results: dict[str, list[dict[str, list[float]]]] = {name: [] for name in CONTESTANTS}
        with paced.serving(rate=rate, tls=tls) as endpoint:
            for _ in range(rounds):
                for name in CONTESTANTS:
                    results[name].append(in_its_own_process(name, endpoint, seconds))
        for load in LOADS:
            title = f"{'TLS' if tls else 'plain'}, {rate:,}/s, {load}"
            rows += rows_of(title, {name: [each[load] for each in results[name]] for name in results})
    return rows


def in_its_own_process(name: str, endpoint: paced.Endpoint, seconds: float) -> dict[str, list[float]]:
    """Percentiles of one contestant under each load."""
    command = paced.contestant("benches.freshness", name, endpoint, seconds)
    response = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    measured: dict[str, list[float]] = json.loads(response.stdout)
    return measured


def rows_of(title: str, results: dict[str, list[list[float]]]) -> list[Row]:
    """The rows of one condition: one per contestant, and the thresholds of the native client."""
    medians = {
        name: [statistics.median(values) for values in zip(*rounds, strict=True)]
        for name, rounds in results.items()
    }
    rows = [
        Row(
            f"{title}: {name}",
            "no frames"
            if values[0] == inf
            else " / ".join(f"{value:.3f}" if value < 10 else f"{value:.0f}" for value in values) + " ms",
        )
        for name, values in medians.items()
    ]
    above = [ours[1] - theirs[1] for ours, theirs in zip(results["native"], results["bare"], strict=True)]
    rows.append(Row(f"{title}: native p99 above bare", "", max(0.0, statistics.median(above)), MOST_ABOVE_MS))
    rows.append(Row(f"{title}: native p99.9", "", medians["native"][2], MOST_MS))
    return rows


def main() -> None:
    """One contestant; prints JSON."""
    options = paced.parse_contestant("benches.freshness", CONTESTANTS, SECONDS)
    print(json.dumps(measure_one(*options)))


if __name__ == "__main__":
    main()
