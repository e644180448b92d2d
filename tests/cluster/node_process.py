"""Nodes in processes of their own, over Zenoh and loopback, against the exchange of the environment."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benches.asked_process import AskedProcess
from depthcache.cluster.authority import Authority, make_node_key
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.data_folder import Identity
from depthcache.cluster.running_node import ClusterNode, NodeOptions
from depthcache.cluster.wanted_file import WantedFile
from depthcache.server import ServerConfig
from tests.cluster.test_seam import free_ports

WAIT_S = 30


class Process(AskedProcess):
    """One node: start it, ask it, kill or stop it."""

    def __init__(self, cluster: Processes, name: str) -> None:
        super().__init__(name, deadline_s=WAIT_S)
        self.cluster, self.runs = cluster, 0
        self.url: str = f"http://127.0.0.1:{cluster.ports[name]}"

    async def start(self) -> None:
        """Start the process, and wait until the node is ready."""
        self.runs += 1
        given = {**self.cluster.given(self.name), "run": self.runs}
        await self.begin(
            *(sys.executable, "-m", "tests.cluster.node_process", json.dumps(given)),
            environment={**os.environ, **self.cluster.environment},
        )


class Processes:
    """A cluster of three nodes on loopback, whose nodes were all registered before they start."""

    def __init__(self, folder: Path, environment: Mapping[str, str], names: tuple[str, ...]) -> None:
        self.folder, self.environment = folder, environment
        ports = free_ports(2 * len(names))
        self.ports = dict(zip(names, ports, strict=False))
        self.node_ports = dict(zip(names, ports[len(names) :], strict=True))
        self.nodes = {name: Process(self, name) for name in names}
        authority = Authority.create("test", now=datetime.now(UTC))
        first = NodeCore(Node(id=names[0], run=1, address=""), WantedSet(names[0]))
        first.start(0, 1)
        for name in names[1:]:
            first.register(name, now_ns=0, wall_ms=1)
        for name in names:
            own = folder / name
            own.mkdir()
            key = make_node_key(name)
            hosts = ["127.0.0.1", "localhost"]
            issued = authority.issue(key.request, node=name, hosts=hosts, now=datetime.now(UTC))
            (own / "authority.pem").write_text(authority.certificate)
            (own / "node.pem").write_text(issued)
            (own / "node.key").write_text(key.key)
            WantedFile(own / "wanted.journal").append([first.snapshot()])

    def given(self, name: str) -> dict[str, Any]:
        """What a process needs to know."""
        return {
            "folder": str(self.folder / name),
            "name": name,
            "port": self.ports[name],
            "node_port": self.node_ports[name],
            "peers": [f"127.0.0.1:{port}" for other, port in self.node_ports.items() if other != name],
        }

    async def start(self) -> None:
        """Start all nodes."""
        await asyncio.gather(*(node.start() for node in self.nodes.values()))

    async def end(self) -> None:
        """End all processes."""
        await asyncio.gather(*(node.end() for node in self.nodes.values()))


async def _main(given: dict[str, Any]) -> None:
    folder = Path(given["folder"])
    pem = {name: (folder / name).read_text() for name in ("authority.pem", "node.pem", "node.key")}
    facts = Node(id=given["name"], run=given["run"], address=f"127.0.0.1:{given['port']}")
    identity = Identity("test", facts, *pem.values(), tuple(given["peers"]), False)
    options = NodeOptions(
        folder=folder,
        listen=f"127.0.0.1:{given['node_port']}",
        server=ServerConfig(port=given["port"], data_dir=folder, drain_s=0.1),
    )
    async with ClusterNode(identity, options) as node:
        print(json.dumps({"ready": given["name"]}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            call, arguments, named = json.loads(line)
            result = getattr(node, call)
            result = result(*arguments, **named) if callable(result) else result
            if asyncio.iscoroutine(result):
                result = await result
            print(json.dumps({"result": result}, default=_plain), flush=True)


def _plain(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__slots__}


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
