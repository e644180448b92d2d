"""What a frame costs a whole program: CPU time of its process, all threads, sockets and TLS included.

Each contestant is a process of its own on the same served recording, first at an exact rate, then as
fast as it reads. Every frame carries one update id, so what a client has taken in is told by its id.
python-binance, ccxt and cryptofeed run unchanged but for their addresses.
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
MOST_OF_BARE = 1.3
"""What the client may cost when paced, in units of the bare receiver."""
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""How the rivals are told whom to trust."""
BARE, OURS = "bare receiver", "depthcache"

Counted = Callable[[], int]


# --- one contestant, in its own process -----------------------------------------------------------


@asynccontextmanager
async def bare(place: paced.Place) -> AsyncIterator[Counted]:
    """The transport without books."""
    with freshness.bare(place) as take:
        count = 0

        def counted() -> int:
            nonlocal count
            count += len(take())
            return count

        yield counted


@asynccontextmanager
async def depthcache(place: paced.Place) -> AsyncIterator[Counted]:
    """The client as its users have it."""
    import depthcache

    wanted = depthcache.connect(paced.VENUE, [paced.SYMBOL], depth=1000, settings=place.settings)
    async with wanted as books:
        book = books[paced.SYMBOL]
        await book.wait_synced(timeout=DEADLINE_S)
        yield lambda: book.last_update_id or 0


@asynccontextmanager
async def python_binance(place: paced.Place) -> AsyncIterator[Counted]:
    """Its DepthCacheManager."""
    from binance import AsyncClient, BinanceSocketManager
    from binance.ws.depthcache import DepthCacheManager

    client = AsyncClient()
    client.API_URL = place.rest + "/api"
    # Its queue of 100 overflows where it is slower than the stream; then it would measure restarts.
    sockets = BinanceSocketManager(client, max_queue_size=10**9)
    sockets.STREAM_URL = place.websocket + "/"
    held = DepthCacheManager(client, paced.SYMBOL, bm=sockets, limit=1000, ws_interval=100)
    try:
        async with held as manager, _reading(manager.recv):
            yield lambda: manager._last_update_id or 0
    finally:
        await client.close_connection()


@asynccontextmanager
async def ccxt(place: paced.Place) -> AsyncIterator[Counted]:
    """Its watchOrderBook."""
    import ccxt.pro
    import certifi

    if place.ca_file is not None:
        authorities = place.ca_file
        certifi.where = lambda: authorities
    client = ccxt.pro.binance({"options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}})
    addresses = client.urls["api"]
    addresses["public"] = place.rest + "/api/v3"
    addresses["ws"] |= {"spot": place.websocket + "/ws"}
    try:
        async with _reading(lambda: client.watch_order_book("BTC/USDT", 1000)):
            yield lambda: client.orderbooks["BTC/USDT"]["nonce"] if client.orderbooks else 0
    finally:
        await client.close()


@asynccontextmanager
async def cryptofeed(place: paced.Place) -> AsyncIterator[Counted]:
    """Its FeedHandler with L2_BOOK."""
    from cryptofeed import FeedHandler
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.exchanges import Binance

    Binance.websocket_endpoints[0].address = place.websocket
    Binance.rest_endpoints[0].address = place.rest
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
    """Call it again and again, as a program would that uses every update."""

    async def forever() -> None:
        while True:
            await read()

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def measure_one(contestant: str, place: paced.Place, seconds: float) -> dict[str, float]:
    """Frames taken in, and the CPU seconds they took."""
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(DEADLINE_S):
            counted = await stack.enter_async_context(CONTESTANTS[contestant](place))
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
    """One row per contestant and pace, and the ratios to them."""
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
    with paced.serving(rate=rate, tls=tls) as place:
        for _ in range(rounds):
            for name in names:
                if name in missing:
                    continue
                measured = in_its_own_process(name, place, seconds)
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
    against = {name: MOST_OF_BARE if name == BARE and rate is not None else None for name in names}
    for name in names:
        if name != OURS and name not in missing and OURS not in missing:
            ratios = [ours / theirs for ours, theirs in zip(costs[OURS], costs[name], strict=True)]
            rows.append(Row(f"{title}: against {name}", "", statistics.median(ratios), against[name]))
    return rows


def in_its_own_process(name: str, place: paced.Place, seconds: float) -> dict[str, float] | str:
    """What was measured, or why nothing was."""
    command = paced.contestant("benches.cpu", name, place, seconds)
    trusted = {} if place.ca_file is None else dict.fromkeys(_AUTHORITIES, place.ca_file)
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
    return measured if measured["frames"] > 0 else "it took in no frames"


def main() -> None:
    """One contestant; prints JSON."""
    wanted = paced.wanted_of("benches.cpu", CONTESTANTS, SECONDS)
    print(json.dumps(asyncio.run(measure_one(*wanted))), flush=True)


if __name__ == "__main__":
    main()
