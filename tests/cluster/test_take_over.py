"""Who holds a book, where it comes from, and what happens when nodes come and go, on the virtual clock."""

from __future__ import annotations

import asyncio

from depthcache.cluster.core.commands import FromExchange, FromSibling
from depthcache.cluster.core.node import load
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedSet
from tests.cluster.harness import Cluster

BOOKS = [BookKey("binance.com", f"SYM{number}") for number in range(40)]
NODES = ("a1", "b2", "c3")


async def three(cluster: Cluster, *, replicas: int = 2) -> None:
    """Three nodes with all books, synced."""
    await cluster.join("a1")
    await cluster.join("b2", issuer="a1")
    await cluster.join("c3", issuer="b2")
    await cluster.until(lambda: all(len(node.core.members.alive()) == 2 for node in cluster.nodes.values()))
    for book in BOOKS:
        await cluster.nodes["a1"].runner.create(book, replicas=replicas, settings={"depth": 100})
    await cluster.until(lambda: is_whole(cluster, replicas))


def is_whole(cluster: Cluster, replicas: int) -> bool:
    return all(len(cluster.synced_on(book)) == min(replicas, len(cluster.nodes)) for book in BOOKS)


def test_every_book_gets_its_replicas_and_second_copies_come_from_siblings() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        sources = [source for _, _, source in cluster.starts]
        assert sum(isinstance(source, FromExchange) for source in sources) == len(BOOKS)
        assert sum(isinstance(source, FromSibling) for source in sources) == len(BOOKS)

    Cluster().run(test)


def test_a_killed_nodes_books_are_copied_from_siblings_after_one_second() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        cluster.starts.clear()
        cluster.kill("b2")
        took_s = await cluster.until(lambda: is_whole(cluster, 2))
        assert 1.0 <= took_s <= 1.5
        assert all(isinstance(source, FromSibling) for _, _, source in cluster.starts)

    Cluster().run(test)


def test_a_frozen_node_is_routed_around_before_its_books_move() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        core = cluster.nodes["a1"].core
        cluster.freeze("b2")
        await cluster.until(lambda: not core.members.is_alive("b2"))
        assert all("b2" not in core.books.holders(book) for book in BOOKS)
        assert any("b2" in core.books.owners(book) for book in BOOKS)
        took_s = await cluster.until(lambda: is_whole(cluster, 2))
        assert took_s <= 1.5
        assert all("b2" not in core.books.owners(book) for book in BOOKS)

    Cluster().run(test)


def test_a_node_that_is_frozen_for_less_than_a_second_after_suspicion_keeps_its_books() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        cluster.starts.clear()
        cluster.freeze("b2")
        await cluster.until(lambda: not cluster.nodes["a1"].core.members.is_alive("b2"))
        cluster.thaw("b2")
        await cluster.until(lambda: is_whole(cluster, 2))
        assert cluster.starts == []

    Cluster().run(test)


def test_a_moved_book_is_served_by_its_old_owner_until_the_new_one_is_synced() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster, replicas=1)
        fewest = [len(cluster.synced_on(book)) for book in BOOKS]

        def is_even() -> bool:
            for at, book in enumerate(BOOKS):
                fewest[at] = min(fewest[at], len(cluster.synced_on(book)))
            return bool(cluster.nodes["d4"].books.replicas) and is_whole(cluster, 1)

        await cluster.join("d4", issuer="c3")
        took_s = await cluster.until(is_even)
        assert took_s <= 3
        assert min(fewest) == 1
        moved = [start for start in cluster.starts if start[0] == "d4"]
        assert moved
        assert all(isinstance(source, FromSibling) for _, _, source in moved)

    Cluster().run(test)


def test_a_drained_node_hands_every_book_over_before_it_leaves() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster, replicas=1)
        leaving = asyncio.ensure_future(cluster.leave("b2"))

        def is_left() -> bool:
            assert all(cluster.synced_on(book) for book in BOOKS)
            return leaving.done()

        await cluster.until(is_left)
        assert "b2" not in cluster.nodes
        assert is_whole(cluster, 1)

    Cluster().run(test)


def test_a_node_that_ends_lets_others_copy_what_it_alone_has() -> None:
    """Nobody asks the exchange, and there is no moment in which no node has a book."""

    async def test(cluster: Cluster) -> None:
        await three(cluster, replicas=1)
        cluster.starts.clear()
        ending = asyncio.ensure_future(cluster.end("b2"))

        def is_over() -> bool:
            assert all(cluster.synced_on(book) for book in BOOKS)
            return ending.done()

        await cluster.until(is_over)
        assert is_whole(cluster, 1)
        assert cluster.starts
        assert all(isinstance(source, FromSibling) for _, _, source in cluster.starts)
        await cluster.start("b2")
        await cluster.until(lambda: is_whole(cluster, 1) and bool(cluster.nodes["b2"].core.books.states()))

    Cluster().run(test)


def test_nodes_are_restarted_one_right_after_another() -> None:
    """Each is asked to end as soon as the one before runs, and has not got its books yet."""

    async def test(cluster: Cluster) -> None:
        await three(cluster)
        for _ in range(2):
            for peer in NODES:
                await cluster.until(lambda node=cluster.nodes[peer]: len(node.core.members.alive()) == 2)  # type: ignore[misc]
                await cluster.end(peer)
                assert all(cluster.synced_on(book) for book in BOOKS)
                await cluster.start(peer)
        await cluster.until(lambda: is_whole(cluster, 2))
        assert sum(isinstance(source, FromExchange) for _, _, source in cluster.starts) == len(BOOKS)

    Cluster().run(test)


def test_two_nodes_that_end_at_once_do_not_count_on_each_other() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        await asyncio.gather(cluster.end("a1"), cluster.end("b2"))
        assert all(cluster.synced_on(book) == {"c3"} for book in BOOKS)

    Cluster().run(test)


def test_nodes_that_all_end_do_not_wait_for_each_other() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster, replicas=1)
        async with asyncio.timeout(0.1):
            await asyncio.gather(*map(cluster.end, NODES))

    Cluster().run(test)


def test_a_restarted_node_asks_the_exchange_for_nothing_that_others_have() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        cluster.kill("b2")
        cluster.starts.clear()
        await cluster.start("b2")
        await cluster.until(lambda: is_whole(cluster, 2))
        assert cluster.starts
        assert all(isinstance(source, FromSibling) for _, _, source in cluster.starts)

    Cluster().run(test)


def test_a_node_whose_cluster_is_gone_serves_every_book_alone() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        for peer in NODES:
            cluster.kill(peer)
        await cluster.start("b2")
        took_s = await cluster.until(lambda: is_whole(cluster, 2))
        assert 3 <= took_s <= 4

    Cluster().run(test)


def test_a_stale_book_is_not_copied_and_a_failed_copy_is_made_again() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.join("a1")
        for book in BOOKS:
            await cluster.nodes["a1"].runner.create(book, replicas=2, settings={})
        await cluster.until(lambda: all(cluster.synced_on(book) for book in BOOKS))
        cluster.starts.clear()
        await cluster.join("b2", issuer="a1")
        await cluster.until(lambda: bool(cluster.starts))
        cluster.freeze("a1")
        cluster.thaw("a1")

        def is_done() -> bool:
            assert cluster.false_synced() == []
            return is_whole(cluster, 2)

        await cluster.until(is_done)
        first, last = cluster.starts[0], cluster.starts[-1]
        assert isinstance(first[2], FromSibling)
        assert len(cluster.starts) > len(BOOKS)
        assert isinstance(last[2], FromExchange | FromSibling)

    Cluster().run(test)


def test_a_disk_that_was_full_catches_up_by_itself() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        cluster.disks["b2"].is_full = True
        await cluster.nodes["a1"].runner.change(BOOKS[0], replicas=3, settings={})
        await cluster.until(lambda: cluster.disks["b2"].needs_rewrite)
        cluster.disks["b2"].is_full = False
        await cluster.until(lambda: not cluster.disks["b2"].needs_rewrite)
        on_disk = WantedSet("b2")
        load(on_disk, cluster.disks["b2"].payloads)
        assert on_disk.books()[BOOKS[0]].replicas == 3

    Cluster().run(test)


def test_nodes_behind_one_address_share_its_weight() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.join("a1", egress="office")
        await cluster.join("b2", issuer="a1", egress="office")
        await cluster.join("c3", issuer="a1", egress="cloud")
        shares = {"a1": 0.5, "b2": 0.5, "c3": 1.0}
        await cluster.until(
            lambda: {peer: node.books.share for peer, node in cluster.nodes.items()} == shares
        )
        cluster.kill("b2")
        await cluster.until(lambda: cluster.nodes["a1"].books.share == 1.0)

    Cluster().run(test)


def test_the_settings_of_a_book_reach_its_replicas() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.nodes["c3"].runner.change(BOOKS[0], replicas=3, settings={"depth": 500})
        await cluster.until(lambda: len(cluster.synced_on(BOOKS[0])) == 3)
        for node in cluster.nodes.values():
            assert node.books.replicas[BOOKS[0]].book.settings == (("depth", 500),)

    Cluster().run(test)


def test_a_removed_node_is_refused_and_told() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        removed = cluster.nodes["b2"]
        await cluster.nodes["a1"].runner.deny("b2", until_ms=2_000_000_000_000)
        await cluster.until(lambda: bool(removed.removed))
        await cluster.until(lambda: "b2" not in cluster.nodes["c3"].core.members.alive())
        cluster.kill("b2")
        again = await cluster.start("b2")
        await cluster.until(lambda: is_whole_without(cluster, "b2"))
        assert again.removed
        assert "b2" not in cluster.nodes["a1"].core.members.alive()

    Cluster().run(test)


def is_whole_without(cluster: Cluster, peer: str) -> bool:
    return all(len(cluster.synced_on(book) - {peer}) == 2 for book in BOOKS)


def routes(cluster: Cluster, peer: str) -> dict[BookKey, tuple[tuple[str, ...], bool]]:
    """Where one node sends readers of a book that it cannot serve."""
    return cluster.nodes[peer].books.routes


def test_readers_are_sent_to_nodes_that_have_the_book_and_last_to_suspect_ones() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.until(
            lambda: all(
                set(routes(cluster, peer)[book][0]) == cluster.synced_on(book) - {peer}
                for peer in NODES
                for book in BOOKS
            )
        )
        cluster.freeze("b2")
        core = cluster.nodes["a1"].core
        await cluster.until(lambda: not core.members.is_alive("b2"))
        of_suspect = [nodes for nodes, _ in routes(cluster, "a1").values() if "b2" in nodes]
        assert of_suspect
        assert all(nodes.index("b2") == len(nodes) - 1 for nodes in of_suspect)
        assert (("c3", "b2"), True) in [routes(cluster, "a1")[book] for book in BOOKS]
        cluster.thaw("b2")
        await cluster.until(lambda: is_whole(cluster, 2))
        await cluster.nodes["a1"].runner.stop(*BOOKS)
        await cluster.until(lambda: not cluster.nodes["c3"].core.wanted.books())
        assert all(route == ((), False) for route in routes(cluster, "c3").values())

    Cluster().run(test)


def test_readers_of_a_book_that_no_node_has_yet_are_sent_to_its_owners() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.join("a1")
        await cluster.join("b2", issuer="a1")
        await cluster.until(lambda: "b2" in cluster.nodes["a1"].core.members.alive())
        await cluster.nodes["a1"].runner.create(*BOOKS, replicas=1, settings={})
        for book in BOOKS:
            (owner,) = cluster.nodes["a1"].core.books.owners(book)
            expected = ((), False) if owner == "a1" else (("b2",), False)
            assert routes(cluster, "a1").get(book, ((), False)) == expected
        await cluster.until(lambda: all(len(cluster.synced_on(book)) == 1 for book in BOOKS))
        await cluster.until(lambda: all(route[1] for route in routes(cluster, "a1").values()))

    Cluster().run(test)


def test_a_removed_node_is_told_to_all_servers() -> None:
    async def test(cluster: Cluster) -> None:
        await three(cluster)
        await cluster.nodes["a1"].runner.deny("b2", until_ms=2_000_000_000_000)
        await cluster.until(lambda: all(cluster.nodes[peer].books.denied == {"b2"} for peer in ("a1", "c3")))

    Cluster().run(test)
