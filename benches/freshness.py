"""How late a book is: the time from sending a frame until the updated book can be read.

Three contestants take turns on the same served market data, each in its own process: the bare native receiver
(sockets, TLS and WebSocket, no books), the client on the native transport, and the client on aiohttp. The
main thread is idle, runs pure Python, or sorts. Figures are medians over rounds.

In every round the bare receiver runs before and after the native client. The client is judged by its
difference from the mean of both; the difference between them, which have nothing to hide, is the noise of the
machine.
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
from benches.measure import Row, above, above_beside, estimate, span
from depthcache import _native
from depthcache.io.network import aiohttp as aiohttp_network
from depthcache.io.network import native as native_network
from depthcache.io.network.interface import Callbacks

CONDITIONS = ((False, 5_000), (True, 1_000), (True, 5_000))
"""TLS, and frames a second."""
ROUNDS = 6
"""Of the native client between two bare receivers: the fewest whose interval reaches 95 %."""
AIOHTTP_ROUNDS = 2
"""Nothing is judged by it."""
SECONDS = 0.5
WARM_S = 0.25
CONTESTANTS = ("bare", "native", "aiohttp")
AGAIN = "bare again"
MOST_ABOVE_MS = 0.1
"""Threshold of the native client's p99 above the bare receiver's."""
MOST_MS = 2.0
"""Threshold of its p99.9. By what the bare receiver exceeds it in a round, the client may exceed it, too."""
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}

TakeDelays = Callable[[], list[int]]


# --- one contestant, in its own process -----------------------------------------------------------


@contextmanager
def receiver(endpoint: paced.Endpoint, *, times: bool) -> Iterator[_native._Probe]:
    """The transport without books. `times`: whether delays are measured, or frames only counted."""
    probe = _native._Probe(times=times)
    transport = _native.Transport(None, quiet_s=60, pong_s=60, ca_file=endpoint.ca_file, _probe=probe)
    stream = f"{paced.SYMBOL.lower()}@depth@100ms"
    transport.open(1, f"{endpoint.websocket}/stream?streams={stream}")
    try:
        yield probe
    finally:
        transport.stop(1)
        transport.join()


@contextmanager
def bare(endpoint: paced.Endpoint) -> Iterator[TakeDelays]:
    """The transport without books."""
    with receiver(endpoint, times=True) as probe:
        yield probe.take_delays_ns


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
            read_ns = time.time_ns()
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


def run(*, rounds: int = ROUNDS, seconds: float = SECONDS) -> list[Row]:
    """One row per contestant, load, rate and TLS."""
    rows: list[Row] = []
    for tls, rate in CONDITIONS:
        results: dict[str, list[dict[str, list[float]]]] = {name: [] for name in (*CONTESTANTS, AGAIN)}
        with paced.serving(rate=rate, tls=tls) as endpoint:
            for number in range(rounds):
                for name in ("bare", "native", AGAIN):
                    kind = name.partition(" ")[0]
                    results[name].append(in_its_own_process(kind, endpoint, seconds))
                if number < AIOHTTP_ROUNDS:
                    results["aiohttp"].append(in_its_own_process("aiohttp", endpoint, seconds))
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
    rows = []
    for name in CONTESTANTS:
        medians = [statistics.median(values) for values in zip(*results[name], strict=True)]
        shown = " / ".join(f"{value:.3f}" if value < 10 else f"{value:.0f}" for value in medians)
        rows.append(Row(f"{title}: {name}", "no frames" if medians[0] == inf else f"{shown} ms"))
    p99 = {name: [each[1] for each in results[name]] for name in results}
    latest = {name: [each[2] for each in results[name]] for name in results}
    noise = above(p99[AGAIN], p99["bare"])
    bare = estimate([*latest["bare"], *latest[AGAIN]])
    beside = zip(latest["native"], latest["bare"], latest[AGAIN], strict=True)
    excess = estimate(ours - max(0.0, sum(theirs) / 2 - MOST_MS) for ours, *theirs in beside)
    return [
        *rows,
        Row.of(
            f"{title}: native p99 above bare",
            f"bare against itself: {span(noise.interval)} ms",
            above_beside(p99["native"], p99["bare"], p99[AGAIN]),
            MOST_ABOVE_MS,
        ),
        Row.of(f"{title}: native p99.9", f"bare: {span(bare.interval)} ms", excess, MOST_MS),
    ]


def main() -> None:
    """One contestant; prints JSON."""
    options = paced.parse_contestant("benches.freshness", CONTESTANTS, SECONDS)
    print(json.dumps(measure_one(*options)))


if __name__ == "__main__":
    main()
