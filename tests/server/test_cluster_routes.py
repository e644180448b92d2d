"""The routes of a cluster at a running server, and the old contract on a node of a cluster."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from depthcache.cluster.compat_credentials import SharedCredentials
from depthcache.cluster.core.members import MemberState
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.credentials import CredentialStore
from depthcache.cluster.moves import Move
from depthcache.server import BookServer
from tests.cluster.managed import BTC, JOIN_TOKEN, WALL_MS, FakeNode, serving
from tests.server.asking import ADMIN, READ, Answer, ask

SPOT = "binance.com"
JSON = {"Content-Type": "application/json"}
BOOKS = {"exchange": SPOT, "symbols": ["BTCUSDT"]}


async def call(running: BookServer, method: str, path: str, body: Any = None, token: str = ADMIN) -> Answer:
    sent = None if body is None else json.dumps(body).encode()
    return await asyncio.to_thread(
        ask, running.port, path, method=method, token=token, body=sent, headers={} if body is None else JSON
    )


async def old(running: BookServer, path: str, **given: Any) -> Any:
    """The answer of a path of old clients."""
    port = int(running.compat_urls[0].rpartition(":")[2])
    answer = await asyncio.to_thread(ask, port, f"/{path}?{urlencode(given)}", token=None)
    assert answer.status == 200, answer.body
    assert answer.json["event"] == path.upper()
    return answer.json


def test_books_and_nodes_are_managed_over_http(tmp_path: Path) -> None:
    async def run() -> None:
        node = FakeNode("b2")
        async with serving(tmp_path, node) as running:
            made = await call(running, "POST", "/v1/cluster/books", {**BOOKS, "replicas": 1})
            assert (made.status, made.json["created"]) == (200, ["BTCUSDT"])
            assert (await call(running, "PATCH", "/v1/cluster/books", {**BOOKS, "replicas": 2})).status == 200
            found = (await call(running, "GET", "/v1/cluster", token=READ)).json
            assert [(each["symbol"], each["replicas"]) for each in found["books"]] == [("BTCUSDT", 2)]
            for path, key in (("nodes", "nodes"), ("moves", "moves")):
                answer = await call(running, "GET", f"/v1/cluster/{path}", token=READ)
                assert isinstance(answer.json[key], list)
            assert (await call(running, "DELETE", "/v1/cluster/books", BOOKS)).json["stopped"] == ["BTCUSDT"]
            drained = await call(running, "POST", "/v1/cluster/nodes/b2/drain", {"draining": True})
            assert drained.json["node"] == "b2"
            assert (await call(running, "DELETE", "/v1/cluster/nodes/b2")).json["removed"] is True
            token = await call(running, "POST", "/v1/cluster/tokens/join")
            assert (token.status, token.json["command"][-1]) == (201, JOIN_TOKEN)
            assert (await call(running, "POST", "/v1/cluster/leave")).status == 409
            node.core.register("c3", now_ns=0, wall_ms=WALL_MS)
            node.see("c3", MemberState.ALIVE)
            assert (await call(running, "POST", "/v1/cluster/leave")).status == 202
            found = await call(running, "POST", "/v1/cluster/authority")
            assert (found.status, found.json) == (202, {"authority": "5" * 64})

    asyncio.run(run())


def test_the_routes_of_one_book_are_those_of_the_cluster_there(tmp_path: Path) -> None:
    async def run() -> None:
        node = FakeNode()
        async with serving(tmp_path, node) as running:
            path = f"/v1/books/{SPOT}/btcusdt"
            assert (await call(running, "PUT", path)).status == 201
            assert list(node.core.wanted.books()) == [BTC]
            assert (await call(running, "DELETE", path)).status == 204
            assert list(node.core.wanted.books()) == []

    asyncio.run(run())


def test_a_server_that_is_no_node_has_none_of_these_routes(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, None) as running:
            for method, path in (
                ("GET", ""),
                ("GET", "/moves"),
                ("POST", "/books"),
                ("POST", "/tokens/join"),
            ):
                answer = await call(running, method, f"/v1/cluster{path}")
                assert (answer.status, answer.error["code"]) == (404, "no_cluster")
                assert "depthcache cluster start" in answer.error["message"]

    asyncio.run(run())


def test_several_requests_wait_for_the_cluster_at_once(tmp_path: Path) -> None:
    """A change that waits for other nodes' disks holds up no other request."""

    async def run() -> None:
        node = FakeNode()
        may_go_on = asyncio.Event()
        node.fake.may_go_on = may_go_on
        async with serving(tmp_path, node) as running:
            waiting = asyncio.create_task(call(running, "POST", "/v1/cluster/books", BOOKS))
            for _ in range(2):
                assert (await call(running, "GET", "/v1/cluster", token=READ)).status == 200
            assert not waiting.done()
            may_go_on.set()
            assert (await waiting).json["created"] == ["BTCUSDT"]

    asyncio.run(run())


# --- the old contract ------------------------------------------------------------------------


def test_old_clients_create_and_stop_books_of_the_cluster(tmp_path: Path) -> None:
    async def run() -> None:
        node = FakeNode("b2")
        named = {"exchange": SPOT, "market": "btcusdt"}
        async with serving(tmp_path, node) as running:
            made = await old(running, "create_depthcache", **named, desired_quantity=2, refresh_interval=60)
            assert made["result"] == "OK"
            assert "refresh_interval has no effect" in made["message"]
            assert "desired_quantity" not in made["message"]
            assert node.core.wanted.books()[BTC].replicas == 2
            more = await old(running, "create_depthcache", exchange=SPOT, market="A", desired_quantity=3)
            assert more["message"].startswith("3 replicas are wanted and 2 nodes can hold books"), "C15"
            await old(running, "stop_depthcache", exchange=SPOT, market="A")
            again = await old(running, "create_depthcache", **named)
            assert (again["result"], again["error_id"]) == ("ERROR", "#1024")
            several = await old(running, "create_depthcaches", exchange=SPOT, markets="BTCUSDT,ETHUSDT,B!D")
            assert (several["error_id"], several["failed"]) == ("#1018", ["B!D"])
            assert {key.symbol for key in node.core.wanted.books()} == {"BTCUSDT", "ETHUSDT"}
            assert node.core.wanted.books()[BTC].replicas == 2, "an existing one is skipped"
            assert (await old(running, "stop_depthcache", **named))["result"] == "OK"
            assert (await old(running, "stop_depthcache", **named))["error_id"] == "#7000"
            for given, error_id in (
                ({"exchange": "binanse", "market": "A"}, "#1017"),
                ({"exchange": SPOT}, "#1016"),
                ({**named, "desired_quantity": 65}, "#1017"),
                ({**named, "desired_quantity": "x"}, "#1017"),
                ({**named, "update_interval": 7}, "#1017"),
            ):
                assert (await old(running, "create_depthcache", **given))["error_id"] == error_id
            node.fake.is_full = True
            assert (await old(running, "create_depthcache", **named))["error_id"] == "#1014"
            listed = await old(running, "get_credentials_list")
            assert listed["credentials"] == [], "answered as by a single server"

    asyncio.run(run())


def test_old_clients_see_every_book_of_the_cluster_with_its_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        node = FakeNode("b2", "c3")
        await node.fake.create(BTC, replicas=3, settings={"speed_ms": 1_000})
        node.report("a1", BTC, ReplicaState.STARTING)
        node.report("b2", BTC, ReplicaState.SYNCED)
        node.report("c3", BTC, ReplicaState.STALE)
        node.history = [
            Move(WALL_MS + at, "b2", *BTC, what)
            for at, what in ((1, "began"), (2_000, "ended"), (9_000, "synced"))
        ]
        async with serving(tmp_path, node) as running:
            listed = await old(running, "get_depthcache_list")
            [book] = listed["depthcache_list"][SPOT].values()
            assert book == {
                "CREATED_TIME": WALL_MS / 1_000,
                "DESIRED_QUANTITY": 3,
                "DISTRIBUTION": book["DISTRIBUTION"],
                "DISTRIBUTION_CHANGES": 2,
                "EXCHANGE": SPOT,
                "LAST_DISTRIBUTION_CHANGE": WALL_MS / 1_000 + 2,
                "MARKET": "BTCUSDT",
                "REFRESH_INTERVAL": None,
                "UPDATE_INTERVAL": 1_000,
            }
            states = {each["POD_UID"]: each["STATUS"] for each in book["DISTRIBUTION"].values()}
            assert states == {"a1": "starting", "b2": "running", "c3": "out_of_sync"}
            monkeypatch.setattr(node, "status", lambda: 1 / 0)  # it is about one book
            info = await old(running, "get_depthcache_info", exchange=SPOT, market="btcusdt", debug="true")
            assert info["depthcache_info"] == book
            assert info["debug"]["url"].endswith("debug=true")
            missing = await old(running, "get_depthcache_info", exchange=SPOT, market="ETHUSDT")
            assert missing["error_id"] == "#7000"
            assert (await old(running, "get_depthcache_info"))["error_id"] == "#1006"
            monkeypatch.undo()
            node.see("c3", MemberState.LEFT)
            answer = await old(running, "get_cluster_info")
            assert answer["version"] == "0.9.1"
            database = answer["db"]
            assert database["depthcaches"][SPOT].keys() == {"BTCUSDT"}
            assert database["timestamp"] == 1_800.0
            pods = database["pods"]
            assert sorted(pods) == [
                f"{node}{role}" for node in ("a1", "b2", "c3") for role in ("", "-restapi")
            ]
            assert pods["a1"].keys() == pods["c3"].keys()
            assert (pods["c3"]["IP"], pods["c3"]["API_PORT_REST"]) == ("", 0)
            assert [pods[node]["STATUS"] for node in ("a1", "b2", "c3")] == ["running", "running", "away"]
            assert [pods[node]["LAST_SEEN"] for node in ("b2", "c3")] == [1_800.0, 0.0]
            assert (pods["b2"]["IP"], pods["b2"]["API_PORT_REST"]) == ("10.0.0.178", 42081)
            assert {each["ROLE"] for each in pods.values()} == {"ubdcc-dcn", "ubdcc-restapi"}
            assert database["credentials"] == []

    asyncio.run(run())


def test_keys_of_old_clients_are_on_all_nodes_without_their_secrets(tmp_path: Path) -> None:
    key, secret = "KEYabcdefghijklmn", "SECRETabcdefghijklmn"

    async def run() -> None:
        tmp_path.joinpath("store").mkdir(mode=0o700)
        store, shared = CredentialStore(tmp_path / "store", "a1"), list[None]()
        async with serving(tmp_path / "server", FakeNode()) as running:
            running._keep_credentials_in(
                SharedCredentials(store, wall_ms=lambda: WALL_MS, on_change=lambda: shared.append(None))
            )
            port = int(running.compat_urls[0].rpartition(":")[2])
            body = json.dumps({"account_group": SPOT, "api_key": key, "api_secret": secret}).encode()
            path = "/add_credentials"
            added = await asyncio.to_thread(
                ask, port, path, method="POST", token=None, body=body, headers=JSON
            )
            number = added.json["id"]
            [held] = (await old(running, "get_credentials_list"))["credentials"]
            assert (held["id"], held["api_key_preview"]) == (number, "KEYa**********mn")
            assert len(shared) == 1
            exported = store.export()
            assert key.encode() not in exported
            assert secret.encode() not in exported
            assert (await old(running, "remove_credentials", id=number))["result"] == "OK"
            assert (await old(running, "remove_credentials", id=number))["error_id"] == "#1034"
            assert (await old(running, "get_credentials_list"))["credentials"] == []
            assert len(shared) == 2

    asyncio.run(run())


def test_a_listener_for_reads_lists_the_cluster_and_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        node = FakeNode()
        await node.fake.create(BTC, replicas=1, settings={})
        async with serving(tmp_path, node, manages=False) as running:
            assert (await old(running, "get_depthcache_list"))["depthcache_list"][SPOT]
            refused = await old(running, "stop_depthcache", exchange=SPOT, market="BTCUSDT")
            assert refused["error_id"] == "#1014"
        assert list(node.core.wanted.books()) == [BTC]

    asyncio.run(run())
