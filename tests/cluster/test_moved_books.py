"""Books whose owners changed: their readers go to the new ones, without an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest

import depthcache
from depthcache import Status
from depthcache.simulator import differences
from tests.cluster.nodes import until
from tests.cluster.processes import DEADLINE_S, SPOT, SYMBOLS, running
from tests.cluster.readers import SocketReader, reading

pytestmark = [pytest.mark.slow, pytest.mark.processes]


def servers(books: depthcache.Books) -> set[str]:
    """The nodes that a client has connections to."""
    return {slot._context.servers.url(slot.server) for slot in books._client._core.slots()}


async def test_clients_leave_a_drained_node_and_no_book_is_interrupted(tmp_path: Path) -> None:
    async with running(tmp_path, "abc") as cluster:
        drained = cluster["b"]
        async with depthcache.connect(
            SPOT, SYMBOLS, server=drained.url, token=cluster.read_token, ca=cluster.authority
        ) as books:
            await books.wait_synced(DEADLINE_S)
            statuses: set[Status] = set()
            books.on_update(lambda update: statuses.add(update.status), "status", on_stale="serve")
            assert drained.url in servers(books)
            await cluster["a"].ask("POST", f"/nodes/{drained.id}/drain", {})
            await cluster["a"].wait(
                lambda status: all(drained.id not in book["holders"] for book in status["books"])
            )
            await until(lambda: drained.url not in servers(books))
            await drained.kill()
            last = {book.symbol: book.last_update_id for book in books}
            await until(lambda: all(book.last_update_id != last[book.symbol] for book in books))
            assert statuses <= {Status.SYNCED}
            for book in books:
                assert differences(book.freeze(), cluster.truth(book.symbol)) == 0
                assert (book.counters["gaps"], book.counters["snapshots"]) == (0, 1)


async def test_a_kept_book_that_is_wanted_here_again_with_another_depth_keeps_its_readers(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as cluster, reading(cluster, SYMBOLS, (SocketReader,)) as readers:
        body = {"exchange": SPOT, "symbols": list(SYMBOLS)}
        for replicas, depth in ((3, 50), (2, 100), (3, 100)):
            settings = {"replicas": replicas, "settings": {"depth": depth}}
            await cluster["a"].ask("PATCH", "/books", body | settings)
            await cluster.settled()
            await readers.progress()
