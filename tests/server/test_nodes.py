"""Who is a node: what its certificate proves, what it may do, and how it is refused."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import exchanging
from tests.server.asking import ADMIN, DEADLINE_S, diff
from tests.server.clustering import EXCHANGE, Cluster, as_node, issue
from tests.server.exchanging import options

pytest.importorskip("cryptography")

PATH = f"/v1/books/{EXCHANGE}/BTCUSDT"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        yield made


def status(connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str) -> int:
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    response.read()
    return response.status


def test_a_node_reads_without_a_token_and_manages_nothing(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.node("one", requests_per_second=1)
    node.hold("BTCUSDT")
    with as_node(node.port, issue(cluster.authority, "two"), tmp_path) as connection:
        assert [status(connection, PATH) for _ in range(3)] == [200] * 3, "no limit"
        assert status(connection, "/v1/stats", Host="any.name") == 200
        assert status(connection, PATH, "DELETE") == 403
        connection.request("DELETE", PATH)
        answer = connection.getresponse().read()
        assert b'"role":"node"' in answer


def test_without_a_certificate_a_client_needs_a_token(cluster: Cluster) -> None:
    node = cluster.node("one")
    node.hold("BTCUSDT")
    context = ssl.create_default_context(cadata=cluster.authority.certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", node.port, timeout=DEADLINE_S, context=context)
    assert status(connection, PATH) == 401
    assert status(connection, PATH, Authorization=f"Bearer {ADMIN}") == 200
    connection.close()


def test_a_node_of_another_cluster_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.node("one")
    with (
        Cluster() as other,
        as_node(node.port, issue(other.authority, "one"), tmp_path) as connection,
        pytest.raises(OSError),  # noqa: PT011 - by the moment: reset, or an alert
    ):
        status(connection, PATH)
    assert node.ask("/v1/stats").json["connections"]["refused"]["tls"] == 1


def test_nobody_else_can_answer_for_a_node(cluster: Cluster) -> None:
    """Neither a host of another cluster nor another node at the address."""
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    with Cluster() as other:
        stranger = other.node("stranger")
        stranger.hold("BTCUSDT")
        for holder, words in (
            (("other", far.holder[1]), "node other is not at its address: another node answers there"),
            (("stranger", stranger.holder[1]), "node stranger has no certificate of this cluster"),
        ):
            near.native.set_holders(EXCHANGE, "BTCUSDT", [holder])
            error = near.ask(PATH).error
            assert error["code"] == "no_holder_answers"
            assert error["message"].endswith(words)
        assert (far.reads("read_book"), stranger.reads("read_book")) == (0, 0)
    near.knows("BTCUSDT", far)
    assert near.ask(PATH).status == 200


def test_a_removed_node_is_refused_and_its_connections_end(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.node("one")
    node.hold("BTCUSDT")
    proof = issue(cluster.authority, "two")
    with as_node(node.port, proof, tmp_path) as connection:
        assert status(connection, PATH) == 200
        node.native.set_denied(["two"])
        assert isinstance(connection.sock, socket.socket)
        assert connection.sock.recv(1) == b"", "it is closed"
    with (
        as_node(node.port, proof, tmp_path) as connection,
        pytest.raises((OSError, http.client.HTTPException)),
    ):
        status(connection, PATH)
    assert node.ask("/v1/stats").json["connections"]["refused"]["removed_node"] == 1
    with as_node(node.port, issue(cluster.authority, "three"), tmp_path) as connection:
        assert status(connection, PATH) == 200
    node.native.set_denied([])
    with as_node(node.port, proof, tmp_path) as connection:
        assert status(connection, PATH) == 200


def test_a_removed_node_is_not_asked(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    assert near.ask(PATH).status == 200
    near.native.set_denied(["far"])
    assert near.ask(PATH).error["code"] == "no_holder_answers"
    assert far.reads("read_book") == 1


def test_what_a_node_asks_is_never_handed_on(cluster: Cluster, tmp_path: Path) -> None:
    one, two = cluster.nodes("one", "two", exchange=options())
    two.hold("BTCUSDT")
    one.knows("BTCUSDT", two)
    with as_node(one.port, issue(cluster.authority, "three"), tmp_path) as connection:
        assert status(connection, PATH) == 404
        assert status(connection, "/v1/stream?symbols=BTCUSDT") == 404
        assert status(connection, "/binance.com/api/v3/depth?symbol=BTCUSDT") == 400
        assert status(connection, "/compat/get_asks?exchange=binance.com&market=BTCUSDT") == 404
        connection.request("GET", "/v1/books?symbols=BTCUSDT")
        assert b"unknown_book" in connection.getresponse().read()
        connection.request("GET", "/v1/books")
        assert b'"books":[]' in connection.getresponse().read()
    assert one.counts()["forwarded"] == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_programs_of_the_host_do_without_tls(cluster: Cluster, scheme: str) -> None:
    """On one port; a page has the origin of its own scheme."""
    node = cluster.node("one")
    node.hold("BTCUSDT")
    connection: Any = http.client.HTTPConnection("127.0.0.1", node.port, timeout=DEADLINE_S)
    if scheme == "https":
        context = ssl.create_default_context(cadata=cluster.authority.certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", node.port, timeout=DEADLINE_S, context=context)
    for of_page, expected in (("http", 200), ("https", 200)):
        origin = f"{of_page}://127.0.0.1:{node.port}"
        wanted = expected if of_page == scheme else 403
        assert status(connection, PATH, Authorization=f"Bearer {ADMIN}", Origin=origin) == wanted
    connection.close()


def test_a_renewed_certificate_and_another_authority_are_used_both_ways(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    assert near.ask(PATH).status == 200
    with Cluster() as later:
        both = cluster.authority.certificate + later.authority.certificate
        for node in (near, far):  # first all trust the new one, too
            proof = issue(cluster.authority, node.name)
            node.native.replace_certificate(proof.certificate, proof.key, both)
        assert near.ask(PATH).status == 200
        proof = issue(later.authority, "far")
        far.native.replace_certificate(proof.certificate, proof.key)
        near.native.set_denied(["far"])  # new connections
        near.native.set_denied([])
        assert near.ask(PATH).status == 200
        proof = issue(later.authority, "near")
        near.native.replace_certificate(proof.certificate, proof.key, later.authority.certificate)
        assert near.ask(PATH).status == 200
        proof = issue(cluster.authority, "far")  # of the former authority alone
        far.native.replace_certificate(proof.certificate, proof.key, cluster.authority.certificate)
        near.native.set_denied(["far"])
        near.native.set_denied([])
        error = near.ask(PATH).error
        assert error["code"] == "no_holder_answers"
        assert error["message"].endswith("node far has no certificate of this cluster")
        for bad in ((proof.certificate, "no key"), ("no certificate", proof.key)):
            with pytest.raises(ValueError, match=r"key|certificate"):
                far.native.replace_certificate(*bad)
        with pytest.raises(ValueError, match="authority"):
            far.native.replace_certificate(proof.certificate, proof.key, "")


def test_what_cannot_be_a_node_is_refused(cluster: Cluster) -> None:
    from tests.server.asking import serving

    proof = issue(cluster.authority, "one")
    right = {
        "node": "one",
        "authority": cluster.authority.certificate,
        "certificate": proof.certificate,
        "key": proof.key,
    }
    for name in right:
        for changed in ({key: text for key, text in right.items() if key != name}, {**right, name: "\n"}):
            with pytest.raises(ValueError), serving(cluster=changed):  # noqa: PT011
                pass
    with (
        pytest.raises(ValueError, match="certificate of its cluster"),
        serving(cluster=right, tls=(proof.certificate, proof.key)),
    ):
        pass
    node = cluster.node("one")
    with pytest.raises(ValueError, match="no status"):
        node.native.set_holders(EXCHANGE, "BTCUSDT", [], status="fine")


def test_no_answer_of_a_node_has_its_key(cluster: Cluster) -> None:
    node = cluster.node("one")
    node.hold("BTCUSDT").apply(diff("BTCUSDT", 101, 101, []))
    node.native.set_holders(EXCHANGE, "ETHUSDT", [cluster.dead("dead")])
    for path in (PATH, "/v1/books", "/v1/stats", "/metrics", "/v1/books/binance.com/ETHUSDT"):
        assert b"PRIVATE KEY" not in node.ask(path).body


async def test_a_node_continues_the_updates_of_a_reader_that_comes_from_another_one(cluster: Cluster) -> None:
    """No reader was here before; it misses none of the updates, and gets none twice."""
    [node] = cluster.nodes("near", exchange=options())
    held = node.hold("BTCUSDT")
    for update_id in range(101, 106):
        held.apply(diff("BTCUSDT", update_id, update_id, [["999.99", f"{update_id}"]]))
    async with exchanging.connected(node.native, f"/{EXCHANGE}/stream") as reader:
        stream = "btcusdt@depth@100ms@state1"
        await reader.inner.send_json(
            {"method": "SUBSCRIBE", "params": [stream], "id": 1, "resume": {stream: 102}}
        )
        got = [await reader.json() for _ in range(5)]
    events = [each["data"] for each in got if "data" in each]
    assert [each["u"] for each in events if each["e"] == "depthUpdate"] == [103, 104, 105]
    assert (events[-1]["e"], events[-1]["u"]) == ("bookState", 105)
