"""Nodes as programs: they are killed, frozen, ended, joined, drained and let go, and no reader notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.processes import SYMBOLS, running
from tests.cluster.readers import OwnClient, lose_two, reading

pytestmark = [pytest.mark.slow]

OLD_CLIENTS = ("--compat-listen", "127.0.0.1:0")


@pytest.mark.processes
async def test_no_reader_notices_that_a_node_is_killed_and_another_one_frozen(tmp_path: Path) -> None:
    async with running(tmp_path, "abc", *OLD_CLIENTS) as cluster, reading(cluster, SYMBOLS) as readers:
        await lose_two(cluster, readers)


@pytest.mark.processes
async def test_no_reader_notices_that_nodes_end_join_drain_and_leave(tmp_path: Path) -> None:
    async with running(tmp_path, "abc", *OLD_CLIENTS) as cluster, reading(cluster, SYMBOLS) as readers:
        assert await cluster["b"].terminate() == 0
        await cluster.settled()
        await readers.progress()
        await cluster["b"].restart()
        await cluster.settled()
        await cluster.join("d", *OLD_CLIENTS)
        await cluster.settled()
        await readers.progress()
        drained = cluster["a"].id
        await cluster["d"].ask("POST", f"/nodes/{drained}/drain", {})
        await cluster["d"].wait(
            lambda status: all(drained not in book["holders"] for book in status["books"])
        )
        await readers.progress()
        await cluster["d"].ask("POST", f"/nodes/{drained}/drain", {"draining": False})
        await cluster.settled()
        await cluster["d"].ask("POST", "/leave", {})
        assert await cluster["d"].ended() == 0
        await cluster.settled()
        await readers.progress()
    assert "Traceback" not in "".join(node.log for node in cluster.nodes.values())


@pytest.mark.processes
async def test_no_reader_notices_that_every_node_is_killed_in_turn(tmp_path: Path) -> None:
    """The first one, which issued the certificates, too; all books are on two of three nodes."""
    async with running(tmp_path, "abc", *OLD_CLIENTS) as cluster, reading(cluster, SYMBOLS) as readers:
        for name in "cab":
            await cluster[name].kill()
            await cluster.settled()
            await readers.progress()
            await cluster[name].restart()
            await cluster.settled()
            await readers.progress()


@pytest.mark.processes
async def test_a_node_that_was_frozen_for_long_serves_nothing_old(tmp_path: Path) -> None:
    """Its readers went elsewhere; when it runs again it has missed updates, and must not say synced."""
    async with running(tmp_path, "abc", *OLD_CLIENTS) as cluster, reading(cluster, SYMBOLS) as readers:
        cluster["a"].freeze()
        await cluster.settled()
        await readers.progress(60)
        cluster["a"].thaw()
        await readers.progress(30)
        await cluster.settled()


@pytest.mark.processes
async def test_readers_of_a_book_whose_only_node_is_lost_get_it_from_the_next_one(tmp_path: Path) -> None:
    """They notice, but nothing wrong is shown; and no two nodes wait for each other."""
    async with running(tmp_path, "abc", *OLD_CLIENTS, replicas=1) as cluster:
        with pytest.raises(AssertionError) as caught:  # noqa: PT012 - raised at the end
            async with reading(cluster, SYMBOLS) as readers:
                await cluster["c"].kill()
                await cluster.settled()
                await readers.progress()
        assert "no progress" not in str(caught.value)
        own = [line for line in str(caught.value).splitlines() if not line.startswith("ExchangeStream")]
        assert not [line for line in own if "wrong levels" in line]


@pytest.mark.processes
async def test_no_client_notices_that_nodes_are_restarted_one_right_after_another(tmp_path: Path) -> None:
    """Also with one replica; and no node asks the exchange for a book that another one has."""
    async with (
        running(tmp_path, "abc", replicas=1) as cluster,
        reading(cluster, SYMBOLS, (OwnClient,)) as own,
    ):
        for name in "cba":
            assert await cluster[name].terminate() == 0
            await cluster[name].restart()
        await cluster.settled()
        await own.progress()
        moves = [await node.ask("GET", "/moves", role="read") for node in cluster.nodes.values()]
    began = [move for each in moves for move in each["moves"] if move["what"] == "began"]
    later = [move["source"] for move in began if move["why"] != "created or changed"]
    assert later
    assert "exchange" not in later


@pytest.mark.processes
async def test_all_nodes_at_once_are_killed_and_come_back_with_all_books(tmp_path: Path) -> None:
    async with running(tmp_path, "abc", *OLD_CLIENTS) as cluster:
        for name in "abc":
            await cluster[name].kill()
        for name in "cba":
            await cluster[name].restart()
        await cluster.settled()
        status = await cluster["a"].status()
        assert {book["symbol"] for book in status["books"]} == set(SYMBOLS)
        async with reading(cluster, SYMBOLS[:2]) as readers:
            await readers.progress()


@pytest.mark.processes
async def test_what_is_created_and_stopped_while_a_node_is_away_reaches_it(tmp_path: Path) -> None:
    async with running(tmp_path, "abc", symbols=SYMBOLS) as cluster:
        await cluster["c"].kill()
        gone = {"exchange": "binance.com", "symbols": list(SYMBOLS[:2])}
        await cluster["a"].ask("DELETE", "/books", gone)
        await cluster["b"].ask("PATCH", "/books", {**gone, "symbols": [SYMBOLS[2]], "replicas": 3})
        await cluster["c"].restart()
        await cluster.settled()
        books = {book["symbol"]: book for book in (await cluster["c"].status())["books"]}
        assert set(books) == set(SYMBOLS[2:])
        assert books[SYMBOLS[2]]["synced"] == 3
