"""Nodes that have the secrets of a cluster join, come back and are forgotten without an operator."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from benches.growth import entries, grown
from depthcache.cluster.core.access_tokens import Role, digest_of
from depthcache.cluster.core.node import FORGET_NS
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.stamps import EARLIEST
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.runner import DENIED_MS
from tests.cluster.harness import WALL_MS, Cluster

FORGET_S = FORGET_NS / 1e9
FORGOTTEN_BY_ENGINE_S = 70.0


def book(name: str) -> BookKey:
    return BookKey("binance.com", name)


def registered(cluster: Cluster, peer: str) -> set[str]:
    return set(cluster.nodes[peer].core.wanted.registered())


def wanted(cluster: Cluster, peer: str) -> set[str]:
    return {key.symbol for key in cluster.nodes[peer].core.wanted.books()}


async def one_cluster(cluster: Cluster, *, within_s: float = 60.0) -> None:
    """Wait until all nodes are registered with all, and have the same content."""

    def is_one() -> bool:
        digests = {node.core.wanted.map.digest() for node in cluster.nodes.values()}
        names = set(cluster.nodes)
        return len(digests) == 1 and all(names <= registered(cluster, peer) for peer in names)

    await cluster.until(is_one, within_s=within_s)


async def add(cluster: Cluster, peer: str, *names: str) -> None:
    await cluster.nodes[peer].runner.create(*map(book, names), replicas=2, settings={"depth": 50})


async def stop(cluster: Cluster, peer: str, *names: str) -> None:
    await cluster.nodes[peer].runner.stop(*map(book, names))


def test_equal_nodes_that_start_at_once_become_one_cluster() -> None:
    async def test(cluster: Cluster) -> None:
        await asyncio.gather(*(cluster.appear(peer) for peer in ("a1", "b2", "c3")))
        await one_cluster(cluster, within_s=10)
        await add(cluster, "b2", "BTC", "ETH")
        await cluster.until(lambda: all(len(cluster.synced_on(book(name))) == 2 for name in ("BTC", "ETH")))
        cluster.kill("c3")
        await cluster.start("c3")
        await one_cluster(cluster, within_s=10)
        assert registered(cluster, "c3") == {"a1", "b2", "c3"}

    Cluster().run(test)


def test_books_of_nodes_that_had_not_met_are_all_kept() -> None:
    async def test(cluster: Cluster) -> None:
        cluster.cut(({"a1"}, {"b2"}))
        await cluster.appear("a1")
        await add(cluster, "a1", "A")
        await cluster.appear("b2")
        await add(cluster, "b2", "B", "GONE")
        await stop(cluster, "b2", "GONE")
        await asyncio.sleep(20)
        assert cluster.nodes["b2"].core.wanted.map.tombstones() == 1  # nobody else has seen that
        cluster.wire.heal()
        await one_cluster(cluster)
        assert wanted(cluster, "a1") == wanted(cluster, "b2") == {"A", "B"}
        await cluster.until(lambda: cluster.nodes["b2"].core.wanted.map.tombstones() == 0)

    Cluster().run(test)


def test_a_book_of_a_node_that_registers_itself_as_it_meets_the_others_is_kept() -> None:
    """The others know the node a moment before they know its books."""

    async def test(cluster: Cluster) -> None:
        cluster.cut(({"a1", "b2"}, {"c3"}))
        await cluster.appear("c3")
        await add(cluster, "c3", "MINE")
        await cluster.appear("a1")
        await cluster.appear("b2")
        await cluster.until(lambda: registered(cluster, "a1") == {"a1", "b2"})
        await add(cluster, "a1", "GONE")
        await stop(cluster, "a1", "GONE")
        await cluster.until(lambda: cluster.nodes["a1"].core.wanted.map.tombstones() == 0)
        cluster.wire.heal()
        await cluster.until(lambda: bool(cluster.nodes["c3"].core.members.alive()))
        node = cluster.nodes["c3"]
        await node.runner.register("c3", listen="c3:2")
        await one_cluster(cluster)
        await asyncio.sleep(10)
        assert wanted(cluster, "a1") == wanted(cluster, "c3") == {"MINE"}

    Cluster().run(test)


def test_a_book_that_was_stopped_apart_is_stopped_where_that_is_old_news() -> None:
    async def test(cluster: Cluster) -> None:
        cluster.cut(({"a1", "b2"}, {"c3"}))
        for peer in ("a1", "b2", "c3"):
            await cluster.appear(peer)
        await cluster.until(lambda: registered(cluster, "a1") == {"a1", "b2"})
        await add(cluster, "a1", "BOTH")
        await asyncio.sleep(1)
        await add(cluster, "c3", "BOTH")
        await stop(cluster, "c3", "BOTH")
        await asyncio.sleep(1)
        await add(cluster, "a1", "GONE")
        await stop(cluster, "a1", "GONE")
        await cluster.until(lambda: cluster.nodes["a1"].core.wanted.map.tombstones() == 0)
        cluster.wire.heal()
        await one_cluster(cluster)
        assert wanted(cluster, "a1") == wanted(cluster, "c3") == set()

    Cluster().run(test)


def test_a_token_that_has_ended_ends_for_nodes_that_start_apart_with_it() -> None:
    """A small group with the secrets of before does not bring back a token that the cluster has ended."""
    ours, theirs, token = WantedSet("a1"), WantedSet("c3"), digest_of("dca_given")
    ours.give_tokens({token: Role.MANAGE})
    ours.register("a1", wall_ms=WALL_MS)
    ours.rotate_token(digest_of("dca_new"), role=Role.MANAGE, old_until_ms=WALL_MS, wall_ms=WALL_MS)
    ours.drop_ended(wall_ms=WALL_MS + 1)
    ours.map.raise_floor(ours.map.newest())
    theirs.give_tokens({token: Role.MANAGE})
    theirs.register("c3", wall_ms=WALL_MS + 10)
    theirs.map.raise_floor(theirs.map.newest())
    edit, _ = ours.meet(theirs.map.content(), theirs.map.floor, since=EARLIEST, wall_ms=WALL_MS + 20)
    theirs.merge(edit)
    for each in (ours, theirs):
        assert [found.digest for found in each.tokens()] == [digest_of("dca_new")]
        assert each.registered() == {"a1", "c3"}


@pytest.mark.parametrize("is_ephemeral", [False, True])
def test_two_clusters_of_the_same_secrets_become_one_and_lose_no_book(is_ephemeral: bool) -> None:
    """Each has dropped tombstones without the other: what it says is old was never seen there."""

    async def test(cluster: Cluster) -> None:
        cluster.cut(({"a1", "b2"}, {"c3", "d4"}))
        for one, other, name in (("a1", "b2", "AB"), ("c3", "d4", "CD")):
            await cluster.appear(one, is_ephemeral=is_ephemeral)
            await cluster.appear(other, is_ephemeral=is_ephemeral)
            await cluster.until(lambda one=one, other=other: registered(cluster, one) == {one, other})  # type: ignore[misc]
            await add(cluster, one, name, "GONE")
            await stop(cluster, one, "GONE")
            tombstones = cluster.nodes[one].core.wanted.map.tombstones
            await cluster.until(lambda tombstones=tombstones: tombstones() == 0)  # type: ignore[misc]
            for each in (other, one):
                cluster.kill(each)
                await cluster.start(each)
                await asyncio.sleep(5)
        cluster.wire.heal()
        await one_cluster(cluster)
        assert wanted(cluster, "b2") == wanted(cluster, "d4") == {"AB", "CD"}

    Cluster().run(test)


def test_a_node_whose_clock_is_late_is_registered_too() -> None:
    """What the others have seen all of is later than its first entry: they drop that as old news."""

    async def test(cluster: Cluster) -> None:
        await cluster.appear("a1")
        await cluster.appear("b2")
        await one_cluster(cluster)
        await add(cluster, "a1", "BTC", "GONE")
        await stop(cluster, "a1", "GONE")
        await cluster.until(lambda: cluster.nodes["a1"].core.wanted.map.tombstones() == 0)
        await cluster.appear("c3", skew_ms=-3_000_000)
        await one_cluster(cluster)
        assert wanted(cluster, "c3") == {"BTC"}
        await add(cluster, "c3", "NEW")
        await asyncio.sleep(20)
        assert wanted(cluster, "a1") == {"BTC", "NEW"}

    Cluster().run(test)


def test_an_ephemeral_node_that_ends_leaves_nothing() -> None:
    async def test(cluster: Cluster) -> None:
        for peer in ("a1", "b2", "c3"):
            await cluster.appear(peer, is_ephemeral=True)
        await one_cluster(cluster)
        await add(cluster, "a1", "BTC", "ETH", "BNB")
        await cluster.until(
            lambda: all(len(cluster.synced_on(book(each))) == 2 for each in ("BTC", "ETH", "BNB"))
        )
        await cluster.end("c3")
        assert registered(cluster, "a1") == registered(cluster, "b2") == {"a1", "b2"}
        assert all(len(cluster.synced_on(book(each))) == 2 for each in ("BTC", "ETH", "BNB"))
        again = await cluster.start("c3")  # its container was restarted, and has the folder still
        await one_cluster(cluster)
        assert again.removed == ""

    Cluster().run(test)


def test_an_ephemeral_node_that_stays_away_is_forgotten_and_may_come_back() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.appear("a1")
        await cluster.appear("b2", is_ephemeral=True)
        await cluster.appear("c3", is_ephemeral=True)
        await one_cluster(cluster)
        await add(cluster, "a1", "BTC", "OLD")
        await asyncio.sleep(5)
        cluster.cut(({"a1", "b2"}, {"c3"}))
        await asyncio.sleep(FORGET_S - 5)
        assert registered(cluster, "a1") == {"a1", "b2", "c3"}
        await asyncio.sleep(10)
        assert registered(cluster, "a1") == registered(cluster, "b2") == {"a1", "b2"}
        # It sees no other node: it may be the one that is cut off.
        assert registered(cluster, "c3") == {"a1", "b2", "c3"}
        await add(cluster, "c3", "MINE")
        await stop(cluster, "a1", "OLD")
        await cluster.until(lambda: cluster.nodes["a1"].core.wanted.map.tombstones() == 0)
        cluster.wire.heal()
        await one_cluster(cluster)
        assert wanted(cluster, "a1") == wanted(cluster, "c3") == {"BTC", "MINE"}
        assert cluster.nodes["c3"].core.wanted.ephemeral() == {"b2", "c3"}
        cluster.kill("a1")
        await asyncio.sleep(FORGET_S + 60)
        assert "a1" in registered(cluster, "b2")  # not ephemeral: an operator removes it

    Cluster().run(test)


@pytest.mark.slow
def test_fifty_ephemeral_nodes_that_come_and_go_leave_no_entries() -> None:
    async def test(cluster: Cluster) -> None:
        for peer in ("a1", "b2"):
            await cluster.appear(peer)
        await one_cluster(cluster)
        await add(cluster, "a1", "BTC")

        async def come_and_go(number: int) -> None:
            peer = f"d{number:x}"
            await cluster.appear(peer, is_ephemeral=True)
            await one_cluster(cluster)
            if number % 3:
                await cluster.end(peer)
            else:
                cluster.kill(peer)
            for each in (cluster.facts, cluster.disks, cluster.skews_ms, cluster.registrations):
                del each[peer]  # type: ignore[attr-defined]

        def held() -> Counter[str]:
            nodes = cluster.nodes.values()
            return entries(
                *nodes, without=[cluster, *(node.books for node in nodes), *cluster.disks.values()]
            )

        found: list[Counter[str]] = []
        for numbers in (range(1, 5), range(5, 55)):
            for number in numbers:
                await come_and_go(number)
            await asyncio.sleep(FORGET_S + FORGOTTEN_BY_ENGINE_S)
            found.append(held())
        assert grown(*found) == []
        for node in cluster.nodes.values():
            assert set(node.core.wanted.map.content()) == {"node a1", "node b2", "book binance.com BTC"}

    Cluster().run(test)


def test_a_removed_node_does_not_come_back_with_its_folder() -> None:
    async def test(cluster: Cluster) -> None:
        for peer in ("a1", "b2", "c3"):
            await cluster.appear(peer)
        await one_cluster(cluster)
        until_ms = WALL_MS + DENIED_MS
        cluster.kill("c3")
        await cluster.nodes["a1"].runner.deny("c3", until_ms=until_ms)
        await cluster.start("c3")
        await asyncio.sleep(30)  # the others say so when it asks: `Housekeeping`
        assert registered(cluster, "a1") == {"a1", "b2"}
        cluster.kill("c3")
        # Once the others have forgotten that they refuse it: its certificate ended meanwhile.
        for peer, node in cluster.nodes.items():
            node.runner._clock.skew_ms += DENIED_MS + 1_000_000  # type: ignore[attr-defined]
            cluster.skews_ms[peer] += DENIED_MS + 1_000_000
        others = cluster.nodes["a1"].core.wanted
        await cluster.until(lambda: not others.denied() and not others.map.tombstones())
        cluster.registrations["c3"] = replace(cluster.registrations["c3"], was_away=True)
        late = await cluster.start("c3")
        await cluster.until(lambda: "removed" in late.removed)
        await asyncio.sleep(10)
        assert "c3" not in registered(cluster, "a1")
        await cluster.appear("c5")  # the same machine with an empty folder
        await cluster.until(lambda: "c5" in registered(cluster, "a1"))

    Cluster().run(test)


def test_a_node_that_knows_that_it_was_removed_does_not_start() -> None:
    async def test(cluster: Cluster) -> None:
        for peer in ("a1", "b2", "c3"):
            await cluster.appear(peer)
        await one_cluster(cluster)
        await cluster.nodes["a1"].runner.deny("c3", until_ms=WALL_MS + DENIED_MS)
        await cluster.until(lambda: "removed" in cluster.nodes["c3"].removed)
        await asyncio.sleep(1)
        await cluster.until(lambda: "c3" not in registered(cluster, "a1"))
        cluster.kill("c3")
        again = await cluster.start("c3")
        assert "removed" in again.removed
        assert "c3" not in again.core.wanted.registered()

    Cluster().run(test)


def test_a_node_that_was_down_for_long_comes_back() -> None:
    async def test(cluster: Cluster) -> None:
        for peer in ("a1", "b2", "c3"):
            await cluster.appear(peer)
        await one_cluster(cluster)
        cluster.kill("c3")
        await asyncio.sleep(20)
        cluster.registrations["c3"] = replace(cluster.registrations["c3"], was_away=True)
        back = await cluster.start("c3")
        await one_cluster(cluster)
        assert back.removed == ""

    Cluster().run(test)


@pytest.mark.parametrize("skew_ms", [0, -3_000_000])
def test_a_node_that_has_left_joins_again_and_brings_back_no_book(skew_ms: int) -> None:
    async def test(cluster: Cluster) -> None:
        for peer in ("a1", "b2", "c3"):
            await cluster.appear(peer)
        await one_cluster(cluster)
        await add(cluster, "a1", "BTC", "OLD")
        await asyncio.sleep(5)
        await cluster.leave("c3")
        assert registered(cluster, "a1") == {"a1", "b2"}
        await stop(cluster, "a1", "OLD")
        await cluster.until(lambda: cluster.nodes["a1"].core.wanted.map.tombstones() == 0)
        cluster.skews_ms["c3"] = skew_ms
        await cluster.start("c3")
        await one_cluster(cluster)
        await asyncio.sleep(10)
        assert wanted(cluster, "a1") == wanted(cluster, "c3") == {"BTC"}

    Cluster().run(test)


def test_a_node_that_others_let_join_keeps_the_books_too() -> None:
    """A cluster whose first nodes joined by token gets equal nodes later."""

    async def test(cluster: Cluster) -> None:
        await cluster.join("a1")
        await cluster.join("b2", issuer="a1")
        await add(cluster, "a1", "AB")
        cluster.cut(({"a1", "b2"}, {"c3", "d4"}))
        await cluster.appear("c3")
        await cluster.appear("d4")
        await cluster.until(lambda: registered(cluster, "c3") == {"c3", "d4"})
        await add(cluster, "c3", "GONE")
        await stop(cluster, "c3", "GONE")
        await cluster.until(lambda: cluster.nodes["c3"].core.wanted.map.tombstones() == 0)
        cluster.wire.heal()
        await one_cluster(cluster)
        assert wanted(cluster, "a1") == wanted(cluster, "d4") == {"AB"}

    Cluster().run(test)


@pytest.mark.parametrize("is_for_good", [False, True])
def test_a_drain_until_the_next_start_ends_with_it(is_for_good: bool) -> None:
    async def test(cluster: Cluster) -> None:
        for peer in ("a1", "b2", "c3"):
            await cluster.appear(peer)
        await one_cluster(cluster)
        await cluster.nodes["a1"].runner.create(book("BTC"), replicas=3, settings={})
        await cluster.until(lambda: len(cluster.synced_on(book("BTC"))) == 3)
        run = None if is_for_good else cluster.facts["c3"].run
        await cluster.nodes["c3"].runner.drain("c3", draining=True, until_after=run)
        await cluster.until(lambda: cluster.synced_on(book("BTC")) == {"a1", "b2"})
        await asyncio.sleep(30)
        assert cluster.synced_on(book("BTC")) == {"a1", "b2"}
        await cluster.end("c3")
        await cluster.start("c3")
        await asyncio.sleep(30)
        expected = {"a1", "b2"} if is_for_good else {"a1", "b2", "c3"}
        assert cluster.synced_on(book("BTC")) == expected
        assert cluster.nodes["a1"].core.wanted.draining() == ({"c3"} if is_for_good else set())

    Cluster().run(test)
