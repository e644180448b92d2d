"""Four nodes, each in a network namespace of its own, are cut into halves: each half goes on as one cluster.

    unshare -rn python -m tests.cluster.cut_halves FOLDER

Prints a line for each step.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path
from typing import Any

from tests.cluster.cut_links import Namespace, namespaces
from tests.cluster.processes import SPOT, SYMBOLS, NodeProcess, Processes

ADDRESSES = {name: f"10.77.0.{number}" for number, name in enumerate("abcd", start=1)}
HALVES = ("ab", "cd")
TIMES = 2


async def main(folder: Path) -> None:
    """The scenario; raises AssertionError, NodeRefused."""
    async with namespaces(folder, ADDRESSES) as (cluster, networks):
        for _ in range(TIMES):
            _cut(networks, is_cut=True)
            await asyncio.gather(*(_changes(cluster, half, own) for half in HALVES for own in half))
            print("each half takes changes", flush=True)
            _cut(networks, is_cut=False)
            await cluster.settled()
            print("healed", flush=True)
    print("done", flush=True)


def _cut(networks: dict[str, Namespace], *, is_cut: bool) -> None:
    for pair in itertools.product(*HALVES):
        for one, other in (pair, pair[::-1]):
            networks[one].run("ip", "route", "add" if is_cut else "del", "blackhole", ADDRESSES[other])


async def _changes(cluster: Processes, half: str, name: str) -> None:
    """Until it sees its own half alone, every change of a node is stored by two: each hears its neighbour."""
    node, own = cluster[name], {cluster[each].id for each in half}
    replicas = itertools.cycle((1, 2))
    while await _alive(node) != own:
        await node.ask(
            "PATCH", "/books", {"exchange": SPOT, "symbols": list(SYMBOLS), "replicas": next(replicas)}
        )


async def _alive(node: NodeProcess) -> set[Any]:
    return {each["id"] for each in (await node.status())["nodes"] if each["state"] == "alive"}


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
