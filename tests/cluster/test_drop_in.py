"""The drop-in's client of clusters: each of its methods at every node, through a load balancer and losses."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from depthcache import Settings
from depthcache.compat.ubldc.cluster import Cluster as DropIn
from tests.cluster.balancer import Balancer
from tests.cluster.processes import SPOT, SYMBOLS, Processes, running
from tests.cluster.readers import LEVELS

pytestmark = [pytest.mark.slow, pytest.mark.processes]

DIRECT = Settings(proxies=False)
OLD = ("--compat-manage", "--compat-listen", "127.0.0.1:0")


def methods() -> set[str]:
    """All public methods but those with `_async`."""
    found = {name for name, _ in inspect.getmembers(DropIn, callable) if not name.startswith("_")}
    return {name for name in found if not name.endswith("_async")} - {"close"}


class Caller:
    """Calls methods of the client, blocking ones or those with `_async`."""

    def __init__(self, client: DropIn, *, is_blocking: bool) -> None:
        self.client, self.is_blocking = client, is_blocking
        self.called: set[str] = set()

    async def __call__(self, name: str, *arguments: Any, **named: Any) -> Any:
        self.called.add(name)
        if self.is_blocking:
            return await asyncio.to_thread(getattr(self.client, name), *arguments, **named)
        return await getattr(self.client, f"{name}_async")(*arguments, **named)

    async def ok(self, name: str, *arguments: Any, **named: Any) -> Any:
        answer = await self(name, *arguments, **named)
        assert answer["result"] == "OK", (name, arguments, answer)
        event = "TEST" if name == "get_test" else name.removeprefix("ubdcc_").upper()
        assert answer["event"] == event, (name, answer)
        return answer

    async def refused(self, error_id: str, name: str, *arguments: Any, **named: Any) -> None:
        answer = await self(name, *arguments, **named)
        assert (answer["result"], answer["error_id"]) == ("ERROR", error_id), (name, arguments, answer)


async def call_everything(call: Caller, cluster: Processes) -> None:
    """Every method, with its errors."""
    first, second, kept = SYMBOLS[:3]
    assert await call("test_connection") is True
    assert (await call.ok("get_test"))["app"]["name"] == "ubdcc-restapi"
    for side, at in (("bids", 0), ("asks", 1)):
        answer = await call.ok(f"get_{side}", SPOT, kept, LEVELS, debug=True)
        assert answer["debug"]["request_time"] > answer["debug"]["transmission_time"]
        wrong = cluster.truth(kept).book_at(answer["last_update_id"])[at][:LEVELS]
        assert [tuple(map(float, level)) for level in wrong] == [tuple(level) for level in answer[side]]
        assert len((await call.ok(f"get_{side}", SPOT, kept.lower(), threshold_volume=0.0))[side]) == 1
        await call.refused("#1025", f"get_{side}", SPOT, kept, "x")
        await call.refused("#7000", f"get_{side}", SPOT, "NOBODY")
    # What one node has done, the next one knows.
    for _ in range(3):
        await call.ok("create_depthcache", SPOT, first, 2, 1000)
        await call.refused("#1024", "create_depthcache", SPOT, first)
        info = (await call.ok("get_depthcache_info", SPOT, first))["depthcache_info"]
        assert (info["MARKET"], info["DESIRED_QUANTITY"], info["UPDATE_INTERVAL"]) == (first, 2, 1000)
        await call.ok("create_depthcaches", SPOT, [first, second], 2)
        assert (await call("create_depthcache", SPOT, markets=[second]))["result"] == "OK"
        assert {first, second, kept} <= set((await call.ok("get_depthcache_list"))["depthcache_list"][SPOT])
        found = (await call.ok("get_cluster_info"))["db"]
        assert {first, second, kept} <= set(found["depthcaches"][SPOT])
        assert [pod["STATUS"] for pod in found["pods"].values()].count("running") == 6
        for market in (first, second):
            await call.ok("stop_depthcache", SPOT, market)
            await call.refused("#7000", "stop_depthcache", SPOT, market)
            await call.refused("#7000", "get_depthcache_info", SPOT, market)
            await call.refused("#7000", "get_bids", SPOT, market)
    await call.refused("#1017", "create_depthcache", "typo", first)
    await call.refused("#1016", "create_depthcache", "", first)
    for start in ("", "ubdcc_"):
        added = await call.ok(f"{start}add_credentials", SPOT, "KEYKEYKEYKEYKEY", "SECRETSECRETSECRET")
        listed = await call.ok(f"{start}get_credentials_list")
        assert [each["id"] for each in listed["credentials"]] == [added["id"]]
        await call.ok(f"{start}remove_credentials", added["id"])
        await call.refused("#1034", f"{start}remove_credentials", added["id"])
        assert (await call.ok(f"{start}get_credentials_list"))["credentials"] == []
        assert "SECRET" not in str(listed)
    with pytest.warns(DeprecationWarning, match="licences ended"):
        await call.ok("submit_license", "a", "b")
    for name in sorted(methods() - {"get_test", "test_connection", "submit_license"}):
        if not name.startswith(("get_depthcache_list", "get_cluster", "get_cred", "ubdcc_get")):
            with pytest.raises(ValueError, match="Missing mandatory parameter"):
                await call(name)
    assert call.called == methods()


@asynccontextmanager
async def balanced(folder: Path) -> AsyncIterator[tuple[Processes, Balancer]]:
    """Three nodes with one book, and a load balancer in front of those that are up."""

    def addresses() -> list[str]:
        return [node.facts["compat_urls"][0].removeprefix("http://").rstrip("/") for node in found.up]

    async with running(folder, "abc", *OLD, symbols=SYMBOLS[2:3]) as found, Balancer(addresses) as balancer:
        yield found, balancer


async def use(call: Caller, cluster: Processes, over: asyncio.Event) -> int:
    """Read, list, begin and end books, again and again; returns how many rounds."""
    kept, other = SYMBOLS[2], SYMBOLS[0]
    rounds = 0
    while not over.is_set():
        for side, at in (("bids", 0), ("asks", 1)):
            answer = await call.ok(f"get_{side}", SPOT, kept, LEVELS)
            best = cluster.truth(kept).book_at(answer["last_update_id"])[at][:LEVELS]
            assert [tuple(map(float, level)) for level in best] == [tuple(each) for each in answer[side]]
        created = await call("create_depthcache", SPOT, other, 2)
        assert created.get("error_id") in (None, "#1024"), (
            created
        )  # by a node that was killed before it answered
        await call.ok("get_depthcache_info", SPOT, other)
        stopped = await call("stop_depthcache", SPOT, other)
        assert stopped.get("error_id") in (None, "#7000"), stopped
        assert list((await call.ok("get_depthcache_list"))["depthcache_list"][SPOT]) == [kept]
        assert kept in (await call.ok("get_cluster_info"))["db"]["depthcaches"][SPOT]
        rounds += 1
    return rounds


@pytest.mark.parametrize("is_blocking", [True, False])
async def test_no_call_fails_when_a_node_is_killed(tmp_path: Path, is_blocking: bool) -> None:
    async with balanced(tmp_path) as (found, balancer):
        client = await asyncio.to_thread(DropIn, "127.0.0.1", balancer.port, settings=DIRECT)
        with client:
            over = asyncio.Event()
            using = asyncio.create_task(use(Caller(client, is_blocking=is_blocking), found, over))
            for name in "cb":
                await found[name].kill()
                await survivors_agree(found)
                await found[name].restart()
                await survivors_agree(found)
                assert not using.done(), using.result()
            over.set()
            assert await using > 3


async def survivors_agree(cluster: Processes) -> None:
    """Wait until the nodes that are up see each other, and the kept book is synced as wanted."""
    ids = {node.id for node in cluster.up}

    def is_so(status: dict[str, Any]) -> bool:
        alive = {each["id"] for each in status["nodes"] if each["state"] == "alive"}
        return alive == ids and any(
            (each["symbol"], each["synced"]) == (SYMBOLS[2], 2) for each in status["books"]
        )

    for node in cluster.up:
        await node.wait(is_so)


@pytest.mark.parametrize("is_blocking", [True, False])
async def test_every_method_works_whichever_node_answers(tmp_path: Path, is_blocking: bool) -> None:
    async with balanced(tmp_path) as (found, balancer):
        client = await asyncio.to_thread(DropIn, "127.0.0.1", balancer.port, settings=DIRECT)
        with client:
            await call_everything(Caller(client, is_blocking=is_blocking), found)
        assert len(balancer.asked) == 3, "all nodes answered"
