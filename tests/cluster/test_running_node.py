"""Whole nodes: a wanted book is held by its owners, served, copied from siblings, and taken over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import SelfRegistration
from depthcache.cluster.core.placement import BookKey, place
from depthcache.cluster.following import LINGER_S
from depthcache.core.notices import StatusChanged
from depthcache.model import Status
from depthcache.simulator import differences
from tests.cluster.nodes import SPOT, SYMBOLS, cluster, exchange, until
from tests.server.asking import DEADLINE_S

pytestmark = pytest.mark.slow


async def test_a_wanted_book_is_synced_and_served(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        node = await found.start("a1")
        assert await node.create_books(SPOT, ["sym0usdt"]) == (BookKey(SPOT, "SYM0USDT"),)
        async with depthcache.connect(SPOT, ["SYM0USDT"], server=node.url) as books:
            await books.wait_synced()
            book = books["SYM0USDT"]
            assert differences(book.freeze(), found.exchange.truth(SPOT, "SYM0USDT")) == 0
        await node.stop_books(SPOT, ["SYM0USDT"])
        await until(lambda: len(node.books) == 0)
        assert [move.what for move in node.moves()] == ["began", "synced", "ended"]


async def test_books_are_held_by_their_owners_and_second_copies_come_from_siblings(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one, *_ = await found.three()
        await one.create_books(SPOT, SYMBOLS, replicas=2)
        await until(lambda: found.is_whole(2))
        found.assert_true()
        for key in one.runner.core.wanted.books():
            await until(lambda key=key: found.synced_on(key) == set(one.runner.core.books.owners(key)))  # type: ignore[misc]
        began = [move for node in found.nodes.values() for move in node.moves() if move.what == "began"]
        assert sum(move.source == "exchange" for move in began) == len(SYMBOLS)
        assert sum(move.source in found.nodes for move in began) == len(SYMBOLS)


async def test_the_books_of_a_killed_node_are_taken_over_and_stay_true(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one, *_ = await found.three()
        await one.create_books(SPOT, SYMBOLS, replicas=2)
        await until(lambda: found.is_whole(2))
        found.kill("b2")
        await until(lambda: found.is_whole(2))
        found.assert_true()


@pytest.mark.parametrize("timeout_s", [DEADLINE_S, 0.0])
async def test_an_ephemeral_node_that_ends_hands_its_books_over_and_leaves(
    tmp_path: Path, timeout_s: float
) -> None:
    async with cluster(tmp_path) as found:
        for name in ("a1", "b2", "c3"):
            found.registrations[name] = SelfRegistration(listen=f"{name}:1", is_ephemeral=name == "c3")
            await found.start(name)
        one, two, three = found.nodes.values()
        await until(
            lambda: all(len(node.runner.core.wanted.registered()) == 3 for node in found.nodes.values())
        )
        await one.create_books(SPOT, SYMBOLS, replicas=2)
        await until(lambda: found.is_whole(2))
        assert await three.hand_over(timeout_s=timeout_s) is bool(timeout_s)
        assert one.runner.core.wanted.registered() == two.runner.core.wanted.registered() == {"a1", "b2"}
        await found.stop("c3")
        if timeout_s:
            assert found.is_whole(2), "the others have all of its books before it ends"
        await until(lambda: found.is_whole(2))
        alone = found.nodes["a1"]
        await found.stop("b2")
        assert await alone.hand_over(timeout_s=timeout_s) in (True, False)


async def test_a_node_follows_a_book_that_it_does_not_hold(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one, *_ = await found.three()
        (key,) = await one.create_books(SPOT, SYMBOLS[:1], replicas=1)
        await until(lambda: found.is_whole(1))
        (holder,) = found.synced_on(key)
        node = next(each for name, each in found.nodes.items() if name != holder)
        await until(lambda: node.runner.core.books.holders(key) == (holder,))
        assert (await node.following.answer("follow", *key, b""))[0] == 201
        async with depthcache.connect(SPOT, [key.symbol], server=node.url) as books:
            await books.wait_synced()
            assert differences(books[key].freeze(), found.exchange.truth(SPOT, key.symbol)) == 0
        assert key not in node.books
        await until(lambda: node._native.readers(key) == 0)
        node.following.look(LINGER_S)
        async with depthcache.connect(SPOT, [key.symbol], server=node.url) as books:
            with pytest.raises(depthcache.UnknownSymbol):
                await books.wait_synced()


async def test_a_book_with_readers_stays_when_its_node_owns_it_no_longer(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one = await found.start("a1")
        keys = await one.create_books(SPOT, SYMBOLS, replicas=1)
        await until(lambda: found.is_whole(1))
        one._native.readers = lambda key: int(key == read)  # type: ignore[method-assign]
        await found.start("b2", issuer="a1")
        moved = [
            key
            for key in keys
            if place(key, [Node(id=each, run=1, address="") for each in ("a1", "b2")], replicas=1) == ("b2",)
        ]
        read = moved[0]
        before = one.books[read]
        await until(lambda: one.host.keys() == set(keys) - set(moved))
        await until(lambda: {(book.exchange, book.symbol) for book in one.books} == {*keys} - {*moved[1:]})
        await found.nodes["b2"].close()
        found.nodes.pop("b2")
        await until(lambda: found.is_whole(1))
        assert one.books[read] is before
        assert before.counters["snapshots"] == 1
        found.assert_true()


async def test_a_followed_book_moves_to_a_node_that_was_away_when_it_began(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one, *_ = await found.three()
        (key,) = await one.create_books(SPOT, SYMBOLS[:1], replicas=1)
        nodes = [node.identity.node for node in found.nodes.values()]
        first, second, third = place(key, nodes, replicas=3)
        await until(lambda: found.synced_on(key) == {first})
        node = found.nodes[third]
        await until(lambda: node.runner.core.books.holders(key) == (first,))
        await found.stop(second)
        assert (await node.following.answer("follow", *key, b""))[0] == 201
        book = node.following._followed[key].book
        await until(lambda: book.status is depthcache.Status.SYNCED)
        await found.start(second)
        await found.see_each_other()
        await found.stop(first)
        await until(lambda: found.synced_on(key) == {second})
        await until(lambda: book.status is depthcache.Status.SYNCED)
        assert differences(book.freeze(), found.exchange.truth(SPOT, key.symbol)) == 0


async def test_a_sibling_that_does_not_give_its_book_is_passed_over(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one = await found.start("a1")
        (key,) = await one.create_books(SPOT, SYMBOLS[:1], replicas=2)
        await until(lambda: found.is_whole(1))
        one.server._native.remove(*key)  # type: ignore[union-attr]
        two = await found.start("b2", issuer="a1")
        await until(lambda: found.synced_on(key) == {"a1", "b2"})
        assert [(move.what, move.source) for move in two.moves()] == [
            ("began", "a1"),
            ("began", "exchange"),
            ("synced", "exchange"),
        ]


async def test_nodes_behind_one_address_use_their_shares(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one = await found.start("a1", egress="x")
        await one.create_books(SPOT, SYMBOLS[:1])
        (budget,) = one.books.stats().budgets
        two = await found.start("b2", issuer="a1", egress="x")
        await found.start("c3", issuer="a1", egress="y")
        await found.see_each_other()
        assert [each.allowed for each in one.books.stats().budgets] == [budget.allowed // 2]
        assert one.status()["weight"][0]["egress"] == "x"
        await found.stop("b2")
        await until(lambda: one.books.stats().budgets[0].allowed == budget.allowed)
        assert two.identity.node.egress == "x"


async def test_another_depth_needs_no_new_book_and_another_speed_does(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        node = await found.start("a1")
        (key,) = await node.create_books(SPOT, SYMBOLS[:1], settings={"depth": 20})
        await until(lambda: found.is_whole(1))
        book, asked = node.books[key], list[tuple[BookKey, int]]()
        set_depth = node.books._client.set_depth
        node.books._client.set_depth = lambda key, depth: (asked.append((key, depth)), set_depth(key, depth))  # type: ignore[assignment]
        await node.change_books(SPOT, SYMBOLS[:1], settings={"depth": 1_000})
        await until(lambda: asked == [(key, 1_000)])
        assert (node.books[key], book.status) == (book, depthcache.Status.SYNCED)
        await node.change_books(SPOT, SYMBOLS[:1], settings={"speed_ms": 1_000})
        await until(lambda: key in node.books and node.books[key] is not book and found.is_whole(1))
        assert node.status()["books"][0]["settings"] == {"depth": 1_000, "speed_ms": 1_000}


async def test_what_no_node_could_keep_is_refused(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        node = await found.start("a1")
        wrong: list[tuple[dict[str, Any], int]] = [
            ({"depth": 0}, 1),
            ({"depth": True}, 1),
            ({"colour": 1}, 1),
            ({"speed_ms": 7}, 1),
            ({}, 0),
            ({}, 65),
        ]
        for settings, replicas in wrong:
            with pytest.raises(depthcache.InvalidArgument):
                await node.create_books(SPOT, SYMBOLS[:1], settings=settings, replicas=replicas)
        assert node.status()["books"] == []


async def test_a_book_that_this_node_cannot_have_is_named_with_the_reason(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        node = await found.start("a1")
        await node.runner.create(BookKey(SPOT, "SYM0USDT"), replicas=1, settings={"depth": 70_000})
        await node.runner.create(BookKey("nowhere.com", "SYM0USDT"), replicas=1, settings={})
        await until(lambda: all(book["reason"] for book in node.status()["books"]))
        reasons = {book["exchange"]: book["reason"] for book in node.status()["books"]}
        assert "70000" in reasons[SPOT]
        assert "nowhere.com" in reasons["nowhere.com"]


async def test_moves_say_why(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one = await found.start("a1")
        (key,) = await one.create_books(SPOT, SYMBOLS[:1], replicas=2)
        await until(lambda: found.is_whole(1))
        two = await found.start("b2", issuer="a1")
        await until(lambda: found.is_whole(2))
        await one.runner.drain("a1", draining=True)
        await until(lambda: found.synced_on(key) == {"b2"})
        await two.stop_books(SPOT, SYMBOLS[:1])
        await until(lambda: found.synced_on(key) == set())
        assert [(move.what, move.why) for move in one.moves()] == [
            ("began", "created or changed"),
            ("synced", ""),
            ("ended", "handed over to b2"),
        ]
        assert (two.moves()[0].source, two.moves()[0].why) == ("a1", "this node started")
        assert two.moves()[-1].why == "no longer wanted"
        again = found.make("a1")
        assert again.moves() == one.moves()


async def test_a_node_leaves_after_its_books_were_handed_over(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one = await found.start("a1")
        (key,) = await one.create_books(SPOT, SYMBOLS[:1], replicas=1)
        await until(lambda: found.is_whole(1))
        two = await found.start("b2", issuer="a1")
        await found.see_each_other()
        await found.nodes.pop("a1").stop()
        assert found.synced_on(key) == {"b2"}
        await until(lambda: two.runner.core.wanted.registered() == {"b2"})
        assert not one.is_running


async def test_a_node_remembers_the_addresses_of_nodes_that_are_away_and_of_none_that_left(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as found:
        one, *_ = await found.three()
        await found.nodes.pop("c3").stop()
        found.kill("b2")
        address = one._addresses["b2"]
        await until(lambda: one.runner.core.members.alive() == ())
        await until(lambda: one._addresses == {"b2": address})
        assert one._copies._is_node(address)


async def test_a_replica_takes_over_for_a_followed_book_and_no_reader_notices(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one = await found.start("a1")
        (key,) = await one.create_books(SPOT, SYMBOLS[:1], replicas=1)
        await until(lambda: found.is_whole(1))
        two = await found.start("b2", issuer="a1")
        await found.see_each_other()
        await until(lambda: found.synced_on(key) == set(one.runner.core.books.owners(key)))
        (holder,) = found.synced_on(key)
        node = one if holder == "b2" else two
        await until(lambda: node.runner.core.books.holders(key) == (holder,))
        assert (await node.following.answer("follow", *key, b""))[0] == 201
        async with depthcache.connect(SPOT, [key.symbol], server=node.url) as books:
            await books.wait_synced()
            book = books[key.symbol]
            await one.change_books(SPOT, [key.symbol], replicas=2)
            await until(lambda: found.is_whole(2) and not node.following.keys())
            before = book.last_update_id
            await until(lambda: (book.last_update_id or 0) > (before or 0))
            assert differences(book.freeze(), found.exchange.truth(SPOT, key.symbol)) == 0
            counters = book.counters
            assert {name: counters[name] for name in ("gaps", "resets", "snapshots")} == {
                "gaps": 0, "resets": 0, "snapshots": 1
            }  # fmt: skip
            assert node._native.readers(key) == 1


async def test_a_node_that_starts_again_waits_until_it_knows_who_has_the_books(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one, *_ = await found.three()
        await one.create_books(SPOT, SYMBOLS, replicas=2)
        await until(lambda: found.is_whole(2))
        await found.stop("c3")
        await until(lambda: found.is_whole(2))
        node = await found.start("c3")
        await node.until_known(DEADLINE_S)
        core = node.runner.core
        assert set(core.wanted.books()) == {BookKey(SPOT, symbol) for symbol in SYMBOLS}
        assert all(core.books.holders(key) for key in core.wanted.books())
        for name in ("a1", "b2"):
            await found.stop(name)
        await node.runner.create(BookKey(SPOT, "NOUSDT"), replicas=1, settings={})
        await node.until_known(0)


async def test_a_book_that_is_synced_while_it_is_added_is_reported() -> None:
    """The core reports what happens during the call that adds a book, and a busy loop makes that long."""
    with exchange() as server:
        async with depthcache.connect(SPOT, SYMBOLS[:1], settings=server.settings) as books:
            client = books._client
            seen: list[tuple[str, str]] = []
            client.on_status = lambda key, _: seen.append(key)
            call_core = client._runner.call_core

            def slow(call: Any) -> Any:
                found = call_core(call)
                for market in client._core._markets:
                    client._on_notice(StatusChanged(market, Status.SYNCED, "", 0))
                return found

            client._runner.call_core = slow  # type: ignore[method-assign]
            client.begin_all([(SPOT, SYMBOLS[1], None, None)])
            assert (SPOT, SYMBOLS[1]) in seen
