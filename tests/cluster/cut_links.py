"""Three nodes, each in a network namespace of its own; their links are cut and heal while readers read.

    unshare -rn python -m tests.cluster.cut_links FOLDER

The exchange and the readers are at the bridge between them. Prints a line for each step.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

from depthcache.errors import DepthCacheError
from depthcache.simulator import http_server, server
from tests.cluster.nodes import exchange
from tests.cluster.processes import SPOT, SYMBOLS, NodeProcess, Processes
from tests.cluster.readers import reading

BRIDGE = "10.77.0.254"
ADDRESSES = {"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.0.3"}
NODE_PORT, PORT = "42080", "42081"


def command(*words: str) -> None:
    """Run one; raises CalledProcessError."""
    subprocess.run(words, check=True)


class Namespace:
    """A network of its own that is connected to the bridge, for as long as its first process lives."""

    def __init__(self, name: str, address: str) -> None:
        self.link = f"v{name}"
        self._process = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 600"], stdout=-1)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it is in its network now
        self.within = ("nsenter", "-t", str(self._process.pid), "-n")
        inner = f"{self.link}i"
        command("ip", "link", "add", self.link, "type", "veth", "peer", "name", inner)
        command("ip", "link", "set", self.link, "master", "br0", "up")
        command("ip", "link", "set", inner, "netns", str(self._process.pid))
        self.run("ip", "address", "add", f"{address}/24", "dev", inner)
        for name in (inner, "lo"):
            self.run("ip", "link", "set", name, "up")

    def run(self, *words: str) -> None:
        """A command inside."""
        command(*self.within, *words)

    def cut(self, *, is_cut: bool) -> None:
        """Nothing comes in or goes out."""
        command("ip", "link", "set", self.link, "down" if is_cut else "up")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@asynccontextmanager
async def namespaces(
    folder: Path, addresses: Mapping[str, str]
) -> AsyncIterator[tuple[Processes, dict[str, Namespace]]]:
    """A cluster of nodes with these addresses, whole, and the networks that they are in."""
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", "br0", "type", "bridge")
    command("ip", "address", "add", f"{BRIDGE}/24", "dev", "br0")
    command("ip", "link", "set", "br0", "up")
    networks = {name: Namespace(name, address) for name, address in addresses.items()}
    with mock.patch.object(http_server, "HOST", BRIDGE), mock.patch.object(server, "HOST", BRIDGE):
        simulated = exchange()
    with simulated:
        cluster = Processes(folder, simulated)
        try:
            await _begin(cluster, networks, addresses)
            print("whole", flush=True)
            yield cluster, networks
        except (AssertionError, DepthCacheError):
            print(*(f"--- {name}\n{node.log}" for name, node in cluster.nodes.items()), file=sys.stderr)
            raise
        finally:
            cluster.end()
            for each in networks.values():
                each.end()


async def main(folder: Path) -> None:
    """The scenario; raises AssertionError."""
    async with (
        namespaces(folder, ADDRESSES) as (cluster, networks),
        reading(cluster, SYMBOLS, _KINDS) as readers,
    ):
        lost, network = cluster["b"], networks["b"]
        lost.is_down = True
        network.cut(is_cut=True)
        await cluster.settled()
        await readers.progress()
        print("cut", flush=True)
        network.cut(is_cut=False)
        await _healed(cluster, lost)
        await readers.progress()
        print("healed", flush=True)
        network.run("ip", "route", "add", "blackhole", ADDRESSES["a"])
        await readers.progress(30)
        print("one direction between two nodes cut", flush=True)
        network.run("ip", "route", "del", "blackhole", ADDRESSES["a"])
        await _healed(cluster, lost)
        await readers.progress()
        print("healed", flush=True)
    print("done", flush=True)


async def _begin(cluster: Processes, networks: dict[str, Namespace], addresses: Mapping[str, str]) -> None:
    words: list[str] = ["cluster", "start"]
    for name, network in networks.items():
        node = cluster.nodes[name] = NodeProcess(
            cluster.folder / name, cluster.environment, within=network.within
        )
        ports = ("--port", PORT, "--node-port", NODE_PORT, "--listen", addresses[name])
        if name != "a":
            invitation = await cluster["a"].ask("POST", "/tokens/join", {})
            words = invitation["command"]
        await node.start(*words, *ports)
    body = {"exchange": SPOT, "symbols": list(SYMBOLS), "replicas": 2}
    await cluster["a"].ask("POST", "/books", body)
    await cluster.settled()


async def _healed(cluster: Processes, node: NodeProcess) -> None:
    """Readers go there again once it is whole."""
    others = [each for each in cluster.nodes.values() if each is not node]
    await node.sees(*others)
    await asyncio.gather(*(each.sees(node, *(one for one in others if one is not each)) for each in others))
    node.is_down = False


def _kinds() -> tuple[type, ...]:
    """All that need a token: others may come from the node's own machine alone."""
    from tests.cluster import readers

    return (
        readers.OwnClient,
        readers.RestReader,
        readers.BatchReader,
        readers.SocketReader,
        readers.EventReader,
    )


_KINDS = _kinds()

if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
