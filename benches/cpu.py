"""What a frame costs a whole program: CPU time of its process, including all threads, sockets and TLS.

Each contestant runs in its own process on the same served market data, first at an exact rate, then as fast
as it reads. Every frame carries one update id, so the id of a book counts the frames applied. python-binance,
ccxt and cryptofeed run unchanged except for their addresses.

What is judged, the client's cost in units of the bare receiver's, is measured between two runs of the bare
receiver, in every round; the ratio of those two is the noise of the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from benches import freshness, paced
from benches.measure import Row, ratio_beside, ratio_of, span

RATE = 5_000
SECONDS = 1.0
WARM_S = 0.3
DEADLINE_S = 10.0
JUDGED_ROUNDS = 6
"""Of the client between two bare receivers: the fewest whose interval reaches 95 %."""
MAX_OF_BARE = 1.2
"""Threshold of the client's cost when paced, in units of the bare receiver."""
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that make the rivals trust the exchange's certificate."""
BARE, OURS, AGAIN = "bare receiver", "depthcache", "bare receiver again"

FrameCount = Callable[[], int]


# --- one contestant, in its own process -----------------------------------------------------------


@asynccontextmanager
async def bare(endpoint: paced.Endpoint) -> AsyncIterator[FrameCount]:
    """The transport without books."""
    with freshness.receiver(endpoint, times=False) as probe:
        yield probe.frames


@asynccontextmanager
async def depthcache(endpoint: paced.Endpoint) -> AsyncIterator[FrameCount]:
    """The client with default settings."""
    import depthcache

    connecting = depthcache.connect(paced.VENUE, [paced.SYMBOL], depth=1000, settings=endpoint.settings)
    async with connecting as books:
        book = books[paced.SYMBOL]
        await book.wait_synced(timeout=DEADLINE_S)
        yield lambda: book.last_update_id or 0


@asynccontextmanager
async def python_binance(endpoint: paced.Endpoint) -> AsyncIterator[FrameCount]:
    """Its DepthCacheManager."""
    from binance import AsyncClient, BinanceSocketManager
    from binance.ws.depthcache import DepthCacheManager

    client = AsyncClient()
    client.API_URL = endpoint.rest + "/api"
    # When it is slower than the stream, its queue of 100 overflows, and this would measure restarts.
    sockets = BinanceSocketManager(client, max_queue_size=10**9)
    sockets.STREAM_URL = endpoint.websocket + "/"
    held = DepthCacheManager(client, paced.SYMBOL, bm=sockets, limit=1000, ws_interval=100)
    try:
        async with held as manager, _reading(manager.recv):
            yield lambda: manager._last_update_id or 0
    finally:
        await client.close_connection()


@asynccontextmanager
async def ccxt(endpoint: paced.Endpoint) -> AsyncIterator[FrameCount]:
    """Its watchOrderBook."""
    import ccxt.pro
    import certifi

    if endpoint.ca_file is not None:
        authorities = endpoint.ca_file
        certifi.where = lambda: authorities
    client = ccxt.pro.binance({"options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}})
    addresses = client.urls["api"]
    addresses["public"] = endpoint.rest + "/api/v3"
    addresses["ws"] |= {"spot": endpoint.websocket + "/ws"}
    try:
        async with _reading(lambda: client.watch_order_book("BTC/USDT", 1000)):
            yield lambda: client.orderbooks["BTC/USDT"]["nonce"] if client.orderbooks else 0
    finally:
        await client.close()


@asynccontextmanager
async def cryptofeed(endpoint: paced.Endpoint) -> AsyncIterator[FrameCount]:
    """Its FeedHandler with L2_BOOK."""
    from cryptofeed import FeedHandler
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.exchanges import Binance

    Binance.websocket_endpoints[0].address = endpoint.websocket
    Binance.rest_endpoints[0].address = endpoint.rest
    held = 0

    async def on_book(book: Any, _: float) -> None:
        nonlocal held
        held = book.sequence_number

    handler = FeedHandler(config={"log": {"disabled": True}})
    handler.add_feed(Binance(symbols=["BTC-USDT"], channels=[L2_BOOK], callbacks={L2_BOOK: on_book}))
    handler.run(start_loop=False, install_signal_handlers=False)
    try:
        yield lambda: held
    finally:
        await handler.stop_async()


CONTESTANTS = {
    BARE: bare,
    OURS: depthcache,
    "python-binance": python_binance,
    "ccxt": ccxt,
    "cryptofeed": cryptofeed,
}


@asynccontextmanager
async def _reading(read: Callable[[], Any]) -> AsyncIterator[None]:
    """Call it in a loop, as a program that uses every update would."""

    async def forever() -> None:
        while True:
            await read()

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def measure_one(contestant: str, endpoint: paced.Endpoint, seconds: float) -> dict[str, float]:
    """Frames received, and the CPU seconds they took."""
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(DEADLINE_S):
            counted = await stack.enter_async_context(CONTESTANTS[contestant](endpoint))
            while not counted():
                await asyncio.sleep(0.05)
        await asyncio.sleep(WARM_S)
        first, before_s = counted(), _cpu_s()
        await asyncio.sleep(seconds)
        return {"frames": counted() - first, "cpu_s": _cpu_s() - before_s}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- all of them ----------------------------------------------------------------------------------


def run(*, rounds: int, judged: int = JUDGED_ROUNDS, seconds: float = SECONDS) -> list[Row]:
    """One row per contestant and pace, and our ratio to each. `rounds`: of the other clients."""
    rivals = [name for name in CONTESTANTS if name not in (BARE, OURS)]
    missing: dict[str, str] = {}
    rows = []
    for tls in (False, True):
        with paced.serving(rate=RATE, tls=tls) as endpoint:
            title = f"{'TLS' if tls else 'plain'}, paced at {RATE:,}/s"
            costs = Costs(endpoint, seconds, missing)
            for number in range(judged):
                others = rivals if tls and number < rounds else []
                costs.measure(BARE, OURS, AGAIN, *others)
            rows += costs.rows(title, MAX_OF_BARE)
    with paced.serving(rate=None, tls=True) as endpoint:
        costs = Costs(endpoint, seconds, missing)
        for number in range(rounds):
            costs.measure(BARE, OURS, AGAIN, *(rivals if number == 0 else ()))
        rows += costs.rows("TLS, saturated", None)
    return rows


class Costs:
    """What all contestants in turns cost on one server. `missing`: who cannot be measured, and why."""

    def __init__(self, endpoint: paced.Endpoint, seconds: float, missing: dict[str, str]) -> None:
        self._endpoint, self._seconds, self._missing = endpoint, seconds, missing
        self._costs: dict[str, list[float]] = {}
        self._speeds: dict[str, list[float]] = {}

    def measure(self, *names: str) -> None:
        """One round."""
        for name in names:
            costs = self._costs.setdefault(name, [])
            if name in self._missing:
                continue
            kind = BARE if name == AGAIN else name
            measured = in_its_own_process(kind, self._endpoint, self._seconds)
            if isinstance(measured, str):
                self._missing[name] = measured
                continue
            costs.append(measured["cpu_s"] / measured["frames"] * 1e6)
            self._speeds.setdefault(name, []).append(measured["frames"] / self._seconds)

    def rows(self, title: str, threshold: float | None) -> list[Row]:
        """One row per contestant, then our ratio to each, that to the bare receiver with the noise beside
        it."""
        rows = []
        for name in self._costs:
            if name in self._missing:
                rows.append(Row(f"{title}: {name}", f"not measured: {self._missing[name]}"))
            elif name != AGAIN:
                cost, speed = (statistics.median(each[name]) for each in (self._costs, self._speeds))
                rows.append(Row(f"{title}: {name}", f"{cost:.1f} us at {speed:,.0f}/s"))
        if failed := [name for name in (OURS, BARE, AGAIN) if name in self._missing]:
            why = f"not measured: {', '.join(failed)} failed"
            return [*rows, Row(f"{title}: against {BARE}", why, None, threshold)]
        ours = self._costs[OURS]
        for name, theirs in self._costs.items():
            if name in (OURS, AGAIN) or name in self._missing:
                continue
            what = f"{title}: against {name}"
            if name == BARE:
                again = self._costs[AGAIN]
                noise = span(ratio_of(again, theirs).interval)
                found = ratio_beside(ours, theirs, again)
                rows.append(Row.of(what, f"bare against itself: {noise}", found, threshold))
            else:
                rows.append(Row.of(what, "", ratio_of(ours[: len(theirs)], theirs)))
        return rows


def in_its_own_process(name: str, endpoint: paced.Endpoint, seconds: float) -> dict[str, float] | str:
    """The measurement, or the reason why there is none."""
    command = paced.contestant("benches.cpu", name, endpoint, seconds)
    trusted = {} if endpoint.ca_file is None else dict.fromkeys(_AUTHORITIES, endpoint.ca_file)
    try:
        response = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S + 5 * seconds,
            check=False,
            env={**os.environ, **trusted},
        )
    except subprocess.TimeoutExpired:
        return f"neither synced nor ended within {DEADLINE_S + 5 * seconds:.0f} s"
    if response.returncode:
        return response.stderr.strip().rpartition("\n")[2][:80] or f"exit code {response.returncode}"
    measured: dict[str, float] = json.loads(response.stdout.strip().rpartition("\n")[2])
    return measured if measured["frames"] > 0 else "it received no frames"


def main() -> None:
    """One contestant; prints JSON."""
    options = paced.parse_contestant("benches.cpu", CONTESTANTS, SECONDS)
    print(json.dumps(asyncio.run(measure_one(*options))), flush=True)


if __name__ == "__main__":
    main()
