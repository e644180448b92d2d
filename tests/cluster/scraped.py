"""What Prometheus gets from real nodes: two in this process, with data folders, TLS and the real engine."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import HTTPSConnection
from pathlib import Path

from depthcache.cluster.data_folder import DataFolder, NodeOptions
from depthcache.cluster.join_client import join_cluster
from depthcache.cluster.program import NodeProgram, open_node
from depthcache.server import ServerConfig
from tests.cluster.nodes import SPOT, SYMBOLS, exchange
from tests.server.asking import DEADLINE_S

__all__ = ["CLUSTER", "read", "scrape", "two_nodes"]

CLUSTER = "amber-fox"
_FREE = NodeOptions(port=0, node_port=0, egress="office")


def read(program: NodeProgram, path: str) -> tuple[int, str]:
    """One request of a reader of the node."""
    folder = program.folder
    context = ssl.create_default_context(cadata=folder.identity.authority)
    host, _, port = program.node.identity.node.address.rpartition(":")
    connection = HTTPSConnection(host, int(port), timeout=DEADLINE_S, context=context)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {folder.token('read')}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@asynccontextmanager
async def two_nodes(folder: Path, *, symbols: Sequence[str] = SYMBOLS) -> AsyncIterator[list[NodeProgram]]:
    """Two nodes with some books on both and one book on one, all synced."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(exchange())
        first = DataFolder.create(folder / "first", _FREE, cluster=CLUSTER)
        programs = [
            await stack.enter_async_context(open_node(first, ServerConfig(), settings=server.settings))
        ]
        address, token = programs[0].invite().command[-2:]
        second = await join_cluster(address, token, _FREE, data_dir=folder / "second")
        programs.append(
            await stack.enter_async_context(open_node(second, ServerConfig(), settings=server.settings))
        )
        cores = [each.node.runner.core for each in programs]
        await _until(lambda: all(each.members.alive() for each in cores))
        one = programs[0].node
        await one.create_books(SPOT, symbols[1:], replicas=2)
        await one.create_books(SPOT, symbols[:1], replicas=1)
        keys = one.keys(SPOT, symbols)
        await _until(
            lambda: all(
                len(core.books.holders(key)) == len(core.books.owners(key)) for core in cores for key in keys
            )
        )
        await _until(lambda: all(core.clock_offsets_s() and not core.differing() for core in cores))
        yield programs


async def scrape(program: NodeProgram) -> str:
    """`/metrics` of a node, with what the client counts."""
    program.node._look()
    program.node.server._metrics._due_s = 0.0  # it had its turn before there were books
    async with asyncio.timeout(DEADLINE_S):
        while True:  # a thread of the server looks at the client
            status, text = await asyncio.to_thread(read, program, "/metrics")
            assert status == 200, text
            if "depthcache_budget_used{" in text:
                return text
            await asyncio.sleep(0.05)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110 - what a node shows has no event
            await asyncio.sleep(0.01)
