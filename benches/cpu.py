"""What a frame costs a whole program: CPU time of its process, including all threads, sockets and TLS.

Each contestant runs in its own process on the same served recording, first at an exact rate, then as fast as
it reads. Every frame carries one update id, so the id of a book counts the frames applied. python-binance,
ccxt and cryptofeed run unchanged except for their addresses.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from benches import freshness, paced
from benches.measure import Row

RATE = 5_000
SECONDS = 2.0
WARM_S = 0.5
DEADLINE_S = 10.0
MAX_OF_BARE = 1.3
"""Threshold of the client's cost when paced, in units of the bare receiver."""
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that make the rivals trust the exchange's certificate."""
BARE, OURS = "bare receiver", "depthcache"

FrameCount = Callable[[], int]


# --- one contestant, in its own process -----------------------------------------------------------


@asynccontextmanager
async def bare(endpoint: paced.Endpoint) -> AsyncIterator[FrameCount]:
    """The transport without books."""
    with freshness.bare(endpoint) as take:
        count = 0

        def counted() -> int:
            nonlocal count
            count += len(take())
            return count

        yield counted


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


def run(*, rounds: int, seconds: float = SECONDS) -> list[Row]:
    """One row per contestant and pace, and our ratio to each."""
    return [
        *rows_of(f"plain, paced at {RATE:,}/s", [BARE, OURS], RATE, rounds, seconds, tls=False),
        *rows_of(f"TLS, paced at {RATE:,}/s", list(CONTESTANTS), RATE, rounds, seconds, tls=True),
        *rows_of("TLS, saturated", list(CONTESTANTS), None, rounds, seconds, tls=True),
    ]


def rows_of(
    title: str, names: Sequence[str], rate: int | None, rounds: int, seconds: float, *, tls: bool
) -> list[Row]:
    """All contestants in turns on one server."""
    costs: dict[str, list[float]] = {name: [] for name in names}
    speeds: dict[str, list[float]] = {name: [] for name in names}
    missing: dict[str, str] = {}
    with paced.serving(rate=rate, tls=tls) as endpoint:
        for _ in range(rounds):
            for name in names:
                if name in missing:
                    continue
                measured = in_its_own_process(name, endpoint, seconds)
                if isinstance(measured, str):
                    missing[name] = measured
                    continue
                costs[name].append(measured["cpu_s"] / measured["frames"] * 1e6)
                speeds[name].append(measured["frames"] / seconds)
    rows = []
    for name in names:
        if name in missing:
            rows.append(Row(f"{title}: {name}", f"not measured: {missing[name]}"))
            continue
        speed = statistics.median(speeds[name])
        rows.append(Row(f"{title}: {name}", f"{statistics.median(costs[name]):.1f} us at {speed:,.0f}/s"))
    against = {name: MAX_OF_BARE if name == BARE and rate is not None else None for name in names}
    for name in names:
        if name != OURS and name not in missing and OURS not in missing:
            ratios = [ours / theirs for ours, theirs in zip(costs[OURS], costs[name], strict=True)]
            rows.append(Row(f"{title}: against {name}", "", statistics.median(ratios), against[name]))
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
            timeout=3 * DEADLINE_S,
            check=False,
            env={**os.environ, **trusted},
        )
    except subprocess.TimeoutExpired:
        return f"neither synced nor ended within {3 * DEADLINE_S:.0f} s"
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
