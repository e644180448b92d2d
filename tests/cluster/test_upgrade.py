"""Nodes are replaced by those of another build, one after another, and no reader notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cluster.builds import OWN, forced, older_source
from tests.cluster.processes import SPOT, SYMBOLS, Processes, running
from tests.cluster.readers import ALL, BookSeconds, Readers, reading

pytestmark = [pytest.mark.slow, pytest.mark.processes]

OLD_CLIENTS = ("--compat-listen", "127.0.0.1:0")
KINDS = (*ALL, BookSeconds)


def older(kind: str, folder: Path) -> Mapping[str, str]:
    """A build that speaks the first version alone."""
    return forced("1") if kind == "forced back" else older_source(folder / "older")


@asynccontextmanager
async def watched(
    folder: Path, build: Mapping[str, str], names: str = "abc"
) -> AsyncIterator[tuple[Processes, Readers]]:
    """A cluster of one build with readers of every kind."""
    async with (
        running(
            folder, names, *OLD_CLIENTS, symbols=(*SYMBOLS, "SYM6USDT"), build=build, patience=3.0
        ) as cluster,
        reading(cluster, SYMBOLS, KINDS) as readers,
    ):
        yield cluster, readers
    assert "Traceback" not in "".join(node.log for node in cluster.nodes.values())


async def agree(cluster: Processes) -> list[tuple[str, int, Mapping[str, object]]]:
    """What all nodes that are up say that the cluster keeps, once it is the same."""
    async with asyncio.timeout(30):
        while True:
            found = [await each.status() for each in cluster.up]
            kept = [
                [(book["symbol"], book["replicas"], book["settings"]) for book in status["books"]]
                for status in found
            ]
            if all(each == kept[0] for each in kept):
                return kept[0]
            await asyncio.sleep(0.1)


async def protocols(cluster: Processes, name: str) -> list[Sequence[int]]:
    """The versions that the nodes speak, as one of the newest build sees them, sorted."""
    return sorted(each["protocol"] for each in (await cluster[name].status())["nodes"])


@pytest.mark.parametrize("kind", ["forced back", "older source"])
async def test_no_reader_notices_an_upgrade_and_the_way_back(tmp_path: Path, kind: str) -> None:
    build = older(kind, tmp_path)
    async with watched(tmp_path, build) as (cluster, readers):
        for name in "abc":
            await cluster[name].replace(OWN)
            await cluster.settled()
            await readers.progress()
        assert await protocols(cluster, "a") == [[1, 2]] * 3
        for name in "bca":
            await cluster[name].replace(build)
            await cluster.settled()
            await readers.progress()


@pytest.mark.parametrize("kind", ["forced back", "older source"])
async def test_a_cluster_of_two_builds_works_for_as_long_as_it_lasts(tmp_path: Path, kind: str) -> None:
    """Changes made at nodes of either build reach all, and nodes of either build let others join."""
    build = older(kind, tmp_path)
    async with watched(tmp_path, build) as (cluster, readers):
        a, b, c = (cluster[name] for name in "abc")
        books = {"exchange": SPOT, "symbols": ["SYM5USDT"]}
        await a.ask("PATCH", "/books", {**books, "settings": {"depth": 50}})
        await b.replace(OWN)
        await cluster.settled()
        assert await protocols(cluster, "b") == [[1, 1], [1, 1], [1, 2]]
        for node, other in ((a, b), (b, c)):
            await node.ask("PATCH", "/books", {**books, "replicas": 3})
            assert ("SYM5USDT", 3, {"depth": 50}) in await agree(cluster)
            await other.ask("PATCH", "/books", {**books, "replicas": 2})
            assert ("SYM5USDT", 2, {"depth": 50}) in await agree(cluster)
            added = {"exchange": SPOT, "symbols": ["SYM6USDT"]}
            await node.ask("POST", "/books", added)
            await other.ask("DELETE", "/books", added)
            assert "SYM6USDT" not in {symbol for symbol, *_ in await agree(cluster)}
        for name, issuer_build in (("d", OWN), ("e", build)):
            cluster.build = issuer_build
            await cluster.join(name, *OLD_CLIENTS)
            await cluster.settled()
        await readers.progress()
        for node, drained in ((b, c), (c, b)):
            await node.ask("POST", f"/nodes/{drained.id}/drain", {})
            await node.wait(
                lambda status, peer=drained.id: all(peer not in book["holders"] for book in status["books"])
            )  # type: ignore[misc]
            await drained.ask("POST", f"/nodes/{drained.id}/drain", {"draining": False})
            await cluster.settled()
        for node in (a, b):
            before = node.secret("read")
            made = (await node.ask("POST", "/tokens/read", {}))["token"]
            assert made != before
            for each in cluster.up:
                async with asyncio.timeout(30):
                    while each.secret("read") != made:  # noqa: ASYNC110 - a file of another process
                        await asyncio.sleep(0.1)
        for name in "de":
            await cluster[name].ask("POST", "/leave", {})
            assert await cluster[name].ended() == 0
            await cluster.settled()
        await readers.progress()


async def test_a_build_without_a_common_version_is_kept_out_until_it_is_replaced(tmp_path: Path) -> None:
    async with watched(tmp_path, OWN) as (cluster, readers):
        c = cluster["c"]
        id_ = c.id
        assert await c.terminate() == 0
        c.build = forced("3-4")
        with pytest.raises(AssertionError, match="has ended"):
            await c.restart()
        assert await c.ended() == 2
        assert "this node 3 to 4" in c.log
        assert "speaks version 1 to 2" in c.log
        for name in "ab":
            [seen] = [each for each in (await cluster[name].status())["nodes"] if each["id"] == id_]
            assert seen["state"] == "incompatible"
            assert f"node {id_} (depthcache" in seen["reason"]
            assert f"node {id_} is kept out" in cluster[name].log
        await readers.progress()
        await cluster["a"].ask("POST", "/books", {"exchange": SPOT, "symbols": ["SYM0USDT"]})
        c.build = OWN
        await c.restart()
        await cluster.settled()
        for name in "ab":
            [seen] = [each for each in (await cluster[name].status())["nodes"] if each["id"] == id_]
            assert (seen["state"], "reason" in seen) == ("alive", False)
