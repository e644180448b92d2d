"""What strangers try against a running cluster: each try fails, tells nothing, and harms no reader."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import DEADLINE_S, SPOT, NodeProcess, Processes, running

pytestmark = [pytest.mark.slow, pytest.mark.processes]

SYMBOLS = ("SYM0USDT", "SYM1USDT")
OPEN = {"/", "/v1/ws", "/healthz", "/readyz", "/docs", "/openapi.json", "/v1/cluster/authority"}
JOINING = {"/v1/cluster/join", "/v1/cluster/renew"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Three nodes, for all tests of this file. Their processes belong to no event loop."""
    loop = asyncio.new_event_loop()
    made = running(tmp_path_factory.mktemp("cluster"), symbols=SYMBOLS)
    try:
        yield loop.run_until_complete(made.__aenter__())
    finally:
        loop.run_until_complete(made.__aexit__(None, None, None))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def request(
    node: NodeProcess, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    """Status and body; status 0 where the node ended the connection."""
    host, port = node.address
    context = ssl.create_default_context(cafile=node.authority)
    connection = HTTPSConnection(host, port, timeout=DEADLINE_S, context=context)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def node_port(node: NodeProcess) -> tuple[str, int]:
    """Where other nodes talk to it."""
    facts = json.loads((node.folder / "node.json").read_text())
    return facts["listen"], facts["node_port"]


def bearer(secret: str) -> str:
    return f"Bearer {secret}"


def routes(node: NodeProcess) -> list[tuple[str, str]]:
    """Method and path of all routes, with names filled in."""
    document = json.loads(request(node, "/openapi.json")[1])
    filled = {"{exchange}": SPOT, "{symbol}": SYMBOLS[0], "{node}": "0" * 16, "{role}": "read"}
    found = []
    for path, methods in document["paths"].items():
        for name, value in filled.items():
            path = path.replace(name, value)
        found += [
            (method.upper(), path)
            for method in methods
            if method in ("get", "post", "put", "patch", "delete")
        ]
    return found


def test_no_route_answers_without_a_token_or_with_a_wrong_one(cluster: Processes) -> None:
    node = cluster["b"]
    tried = [(method, path) for method, path in routes(node) if path not in OPEN | JOINING]
    assert len(tried) > 20
    for method, path in tried:
        for given in ({}, {"Authorization": "Bearer dcr_wrong"}, {"Authorization": "Basic YTpi"}):
            status, body = request(node, path, method, **given)
            assert status == 401, (method, path, given, body)


def test_a_reader_manages_nothing(cluster: Processes) -> None:
    node, manages = cluster["b"], 0
    for method, path in routes(node):
        if method == "GET" or path in JOINING:
            continue
        status, body = request(node, path, method, b"{}", Authorization=bearer(node.secret("read")))
        assert status == 403, (method, path, body)
        manages += 1
    assert manages > 8


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:42081"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
    ids=str,
)
def test_pages_of_other_sites_and_rebound_names_are_refused(
    cluster: Processes, headers: dict[str, str]
) -> None:
    """Also with a token, at every route, and in the exchange's protocol, which asks for none here."""
    node = cluster["c"]
    paths = [(method, path) for method, path in routes(node) if path.startswith("/v1")]
    paths.append(("GET", f"/{SPOT}/api/v3/depth?symbol={SYMBOLS[0]}"))
    for method, path in paths:
        given = {"Authorization": bearer(node.secret("admin")), **headers}
        if path.startswith(f"/{SPOT}"):
            del given["Authorization"]
        status, body = request(node, path, method, None if method == "GET" else b"{}", **given)
        assert status == 403, (method, path, body)


def test_a_join_token_lets_one_node_in_alone(cluster: Processes) -> None:
    async def run() -> None:
        invitation = await cluster["a"].ask("POST", "/tokens/join", {})
        words = [*invitation["command"], "--port", "0", "--node-port", "0"]
        first = NodeProcess(cluster.folder / "first", cluster.environment)
        second = NodeProcess(cluster.folder / "second", cluster.environment)
        cluster.nodes["first"] = first
        await first.start(*words)
        with pytest.raises(AssertionError, match="redeemed already"):
            await second.start(*words)
        assert await second.ended() == 2
        assert not second.folder.exists()
        await first.ask("POST", "/leave", {})
        assert await first.ended() == 0
        del cluster.nodes["first"]
        await cluster.settled()

    asyncio.run(run())


@pytest.mark.parametrize("path", sorted(JOINING))
def test_guessed_join_tokens_are_refused_and_slowed_down(cluster: Processes, path: str) -> None:
    node = cluster["a"]
    bodies = [b"", b"{", b"[" * 50_000, b"\xff" * 99, b'{"secret":"x"}', b"{}"]
    statuses = {request(node, path, "POST", body, Content_Type="application/json")[0] for body in bodies * 6}
    assert statuses - {0} == {403, 429}
    assert request(node, path, "POST", b"x" * 1_000_000)[0] in (0, 413, 429)


def test_a_stranger_with_an_authority_of_its_own_sees_and_is_seen_by_nobody(cluster: Processes) -> None:
    """It has the name of the cluster, and knows where its nodes listen."""

    async def run() -> None:
        facts = json.loads((cluster["a"].folder / "node.json").read_text())
        stranger = NodeProcess(cluster.folder / "stranger", cluster.environment)
        words = ("cluster", "start", "--cluster", facts["cluster"], "--port", "0", "--node-port", "0")
        try:
            await stranger.start(*words)
            await stranger.terminate()
            path = stranger.folder / "node.json"
            changed = json.loads(path.read_text())
            listens = [f"{host}:{port}" for host, port in map(node_port, cluster.up)]
            assert "peers" in changed
            path.write_text(json.dumps({**changed, "peers": listens}))
            await stranger.restart()
            await cluster["c"].kill()
            await cluster["c"].restart()
            await cluster.settled()
            status = await stranger.status()
            assert [each["id"] for each in status["nodes"]] == [stranger.id]
            assert status["books"] == []
            for node in cluster.up:
                assert stranger.id not in {each["id"] for each in (await node.status())["nodes"]}
        finally:
            stranger.end()

    asyncio.run(run())


def test_a_removed_node_is_out_for_good(cluster: Processes) -> None:
    """Its certificate is valid for days, and its folder is complete."""

    async def run() -> None:
        removed = await cluster.join("removed")
        await cluster.settled()
        identity, address = removed.id, removed.address
        read = removed.secret("read")
        del cluster.nodes["removed"]
        try:
            await cluster["b"].ask("DELETE", f"/nodes/{identity}")
            assert await removed.ended() == 2
            assert "removed" in removed.log
            await cluster.settled()
            with suppress(AssertionError, TimeoutError):
                await removed.restart()
            for node in cluster.up:
                states = {each["id"]: each["state"] for each in (await node.status())["nodes"]}
                assert states.get(identity, "removed") == "removed"
                context = ssl.create_default_context(cafile=node.authority)
                context.load_cert_chain(removed.folder / "node.pem", removed.folder / "node.key")
                connection = HTTPSConnection(*node.address, timeout=DEADLINE_S, context=context)
                try:
                    connection.request("GET", f"/v1/books/{SPOT}/{SYMBOLS[0]}")
                    status = connection.getresponse().status
                except (OSError, HTTPException):
                    status = 0
                finally:
                    connection.close()
                assert status in (0, 401, 403), f"{status} of {address} with {read[:4]}"
        finally:
            removed.end()

    asyncio.run(run())


def _send(address: tuple[str, int], data: bytes) -> None:
    with suppress(OSError), socket.create_connection(address, timeout=2) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(2)
        while connection.recv(1 << 16):
            pass


def test_rubbish_on_both_ports_harms_nobody(cluster: Processes) -> None:
    node = cluster["b"]
    rubbish = [
        b"", b"\x00" * 4_096, os.urandom(65_536), b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50_000,
        b"\x16\x03\x01\xff\xff" + os.urandom(5_000), b"\x16\x03\x01",
        b"POST /v1/cluster/join HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 999,
    ]  # fmt: skip
    for data in rubbish:
        _send(node.address, data)
        _send(node_port(node), data)
    asyncio.run(_is_whole(cluster))


BODIES: list[Any] = [
    b"", b"{", b"null", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"exchange":1}',
    {"exchange": SPOT, "symbols": []},
    {"exchange": SPOT, "symbols": ["X"] * 5_001},
    {"exchange": SPOT, "symbols": ["A\x1b[2J"]},
    {"exchange": SPOT, "symbols": ["../../etc/passwd"]},
    {"exchange": SPOT, "symbols": [7]},
    {"exchange": SPOT, "symbols": ["X" * 100_000]},
    {"exchange": "typo", "symbols": ["BTCUSDT"]},
    {"exchange": SPOT, "symbols": ["SYM9USDT"], "replicas": 0},
    {"exchange": SPOT, "symbols": ["SYM9USDT"], "replicas": 10**30},
    {"exchange": SPOT, "symbols": ["SYM9USDT"], "replicas": True},
    {"exchange": SPOT, "symbols": ["SYM9USDT"], "settings": {"depth": -1}},
    {"exchange": SPOT, "symbols": ["SYM9USDT"], "settings": {"evil": 1}},
    {"exchange": SPOT, "symbols": ["SYM9USDT"], "unknown": 1},
]  # fmt: skip


def test_malformed_requests_of_managers_are_refused(cluster: Processes) -> None:
    node = cluster["a"]
    admin = {"Authorization": bearer(node.secret("admin")), "Content_Type": "application/json"}
    for given in BODIES:
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        for method in ("POST", "PATCH", "DELETE"):
            status, answer = request(node, "/v1/cluster/books", method, body, **admin)
            is_of_settings = isinstance(given, dict) and {"replicas", "settings"} & given.keys()
            if method == "DELETE" and not is_of_settings and status == 200:
                assert json.loads(answer)["stopped"] == [], "it names no book of the cluster"
                continue
            if len(body) > 64 << 10 and status in (0, 413):
                continue
            assert 400 <= status < 500, (method, given, status, answer[:300])
            json.loads(answer)
    for path in ("/v1/cluster/nodes/%00/drain", "/v1/cluster/nodes/..%2f..%2f/drain", "/v1/cluster/tokens/x"):
        assert 400 <= request(node, path, "POST", b"{}", **admin)[0] < 500
    assert request(node, "/v1/cluster/books", "POST", b"x" * (32 << 20), **admin)[0] in (0, 413)
    asyncio.run(_is_whole(cluster))


def test_no_secret_is_in_an_answer_a_log_or_a_foreign_file(cluster: Processes) -> None:
    """Keys, tokens and a join token that was used; in the answers to a manager, too."""
    invitation = asyncio.run(cluster["a"].ask("POST", "/tokens/join", {}))
    spent = invitation["command"][-1].rpartition("_")[2]
    secrets = {"join token": spent}
    own: dict[str, set[str]] = {"join token": set()}
    for name, node in cluster.nodes.items():
        for token in ("read", "admin", "exchange"):
            secrets[f"{name}'s {token} token"] = node.secret(token)
            own[f"{name}'s {token} token"] = {f"{token}.token"}
        for file in ("node.key", "authority.key"):
            if (node.folder / file).exists():
                lines = (node.folder / file).read_text().splitlines()
                secrets[f"{name}'s {file}"], own[f"{name}'s {file}"] = lines[1], {file}
    texts: dict[str, bytes] = {}
    for name, node in cluster.nodes.items():
        texts[f"the log of {name}"] = node.log.encode()
        given = bearer(node.secret("admin"))
        for method, path in routes(node):
            if method == "GET" and path not in ("/v1/ws", "/v1/stream"):
                texts[f"{name} {path}"] = request(node, path, Authorization=given)[1]
        for path in sorted(node.folder.rglob("*")):
            if path.is_file():
                assert path.stat().st_mode & 0o077 == 0, path
                texts[f"{name} file {path.name}"] = path.read_bytes()
    assert len(texts) > 60
    for where, text in texts.items():
        for what, secret in secrets.items():
            if where.rpartition(" ")[2] not in own[what]:
                assert secret.encode() not in text, f"{what} is in {where}"


async def _is_whole(cluster: Processes) -> None:
    await cluster.settled()
    for node in cluster.nodes.values():
        assert "Traceback" not in node.log
        assert "panicked" not in node.log


def test_it_is_whole_after_all_of_that(cluster: Processes) -> None:
    asyncio.run(_is_whole(cluster))
    assert set(cluster.nodes) == set("abc")
    assert isinstance(cluster.folder, Path)
