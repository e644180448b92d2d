"""Nodes, books and changes that come and go leave nothing behind in the nodes that stay."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from benches.growth import entries, grown
from depthcache.cluster.core.placement import BookKey
from tests.cluster.harness import Cluster

NAMES = ("a1", "b2", "c3")
FORGOTTEN_S = 70.0
"""The messaging engine forgets a dead node after a minute."""
EVERY_DEAD = 3


async def begin(cluster: Cluster) -> None:
    for name in NAMES:
        await cluster.join(name, issuer=None if name == NAMES[0] else NAMES[0])
    stays = [BookKey("binance.com", f"STAYS{number}") for number in range(3)]
    await cluster.nodes["a1"].runner.create(*stays, replicas=2, settings={})


async def come_and_go(cluster: Cluster, number: int) -> None:
    """A node and some books, each under a name of its own; every third node dies."""
    peer, keys = f"d{number:x}", [BookKey("binance.com", f"N{number}X{each}") for each in range(5)]
    await cluster.join(peer, issuer="a1")
    await cluster.nodes["b2"].runner.create(*keys, replicas=2, settings={"depth": 100})
    await cluster.until(lambda: all(len(cluster.synced_on(key)) == 2 for key in keys))
    if number % EVERY_DEAD:
        await cluster.leave(peer)
    else:
        cluster.kill(peer)
        await cluster.nodes["c3"].runner.forget(peer)
    await cluster.nodes["c3"].runner.stop(*keys)
    for each in (cluster.facts, cluster.disks, cluster.skews_ms):
        del each[peer]  # type: ignore[attr-defined]


def held(cluster: Cluster) -> Counter[str]:
    """By the nodes that stay; the model of their books and their disks left out."""
    nodes = cluster.nodes.values()
    return entries(*nodes, without=[cluster, *(node.books for node in nodes), *cluster.disks.values()])


@pytest.mark.slow
def test_what_comes_and_goes_leaves_nothing_in_the_nodes_that_stay() -> None:
    async def test(cluster: Cluster) -> None:
        await begin(cluster)
        found: list[Counter[str]] = []
        for numbers in (range(1, 5), range(5, 25)):
            for number in numbers:
                await come_and_go(cluster, number)
            await asyncio.sleep(FORGOTTEN_S)
            found.append(held(cluster))
        assert grown(*found) == []
        for node in cluster.nodes.values():
            assert node.core.wanted.map.tombstones() == 0
            assert set(node.core.wanted.map.content()) == {
                *(f"node {name}" for name in NAMES),
                *(f"book binance.com STAYS{number}" for number in range(3)),
            }

    Cluster().run(test)
