"""Readers and nodes whose links to other nodes are slow."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache import simulator
from depthcache.simulator import TINY, differences
from tests.cluster.nodes import until
from tests.cluster.processes import DEADLINE_S, SPOT, SYMBOLS, Processes
from tests.support.slow_link import SlowLink

pytestmark = [pytest.mark.slow, pytest.mark.processes]

NEAR, FAR = "127.0.0.1", "127.0.0.2"
ONE_WAY_S = 0.45


def free_port() -> int:
    with socket.create_server((NEAR, 0)) as listening:
        return int(listening.getsockname()[1])


async def heard(books: depthcache.Books, count: int) -> None:
    """Wait for so many more frames of some connection: states of the books, and signs of life."""

    def frames() -> int:
        return max(each.frames for each in books.stats().connections)

    before = frames()
    await until(lambda: not before <= frames() < before + count)


@pytest.mark.parametrize("transport", ["native", "aiohttp"])
async def test_a_reader_behind_a_slow_link_keeps_its_connections(tmp_path: Path, transport: Any) -> None:
    """Of quiet books, where silence says nothing. 0.9 s for the way and back, more than the 0.75 s that a
    near node has; and 64 kB/s.

    All nodes say that they are at FAR, where slow links are; they listen at NEAR.
    """
    markets = {symbol: replace(TINY, interval_ms=60_000) for symbol in SYMBOLS[:2]}
    async with AsyncExitStack() as stack:
        exchange = stack.enter_context(simulator.Server(simulator.SimulatedExchange({SPOT: markets}, seed=5)))
        cluster = Processes(tmp_path, exchange)
        stack.callback(cluster.end)
        ports = {name: (free_port(), free_port()) for name in "abc"}
        links = [
            await stack.enter_async_context(
                SlowLink(FAR, port, to_host=NEAR, one_way_s=ONE_WAY_S, bytes_per_s=64_000)
            )
            for port, _ in ports.values()
        ]
        for _, port in ports.values():
            between = SlowLink(FAR, port, to_host=NEAR, one_way_s=0, bytes_per_s=1e9)
            await stack.enter_async_context(between)
        for name, (port, node_port) in ports.items():
            options = ("--host", FAR, "--port", str(port), "--node-port", str(node_port))
            await (cluster.join(name, *options) if name != "a" else cluster.start(name, *options))
        body = {"exchange": SPOT, "symbols": list(markets), "replicas": 2}
        await cluster["a"].ask("POST", "/books", body)
        await cluster.settled()
        urls = [f"https://{FAR}:{port}" for port, _ in ports.values()]
        async with depthcache.connect(
            SPOT,
            list(markets),
            server=urls,
            token=cluster.read_token,
            ca=cluster.authority,
            settings=depthcache.Settings(transport=transport),
        ) as books:
            await books.wait_synced(DEADLINE_S)
            await heard(books, 4)  # it has moved to holders
            connects = sum(link.connects for link in links)
            await heard(books, 8)
            assert sum(link.connects for link in links) == connects
            assert all(book.status is depthcache.Status.SYNCED for book in books)
            for book in books:
                assert differences(book.freeze(), exchange.truth(SPOT, book.symbol)) == 0
                assert book.counters["gaps"] == 0
