"""Whole nodes: a wanted book is held by its owners, served, copied from siblings, and taken over."""

from __future__ import annotations

from pathlib import Path

import pytest

import depthcache
from depthcache.cluster.core.placement import BookKey
from depthcache.simulator import differences
from tests.cluster.nodes import SPOT, SYMBOLS, cluster, until

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
