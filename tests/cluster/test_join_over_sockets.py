"""Joining and renewing over the native open routes: whom a new node trusts, and what hostile ones get."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from depthcache.cluster import join_client
from depthcache.cluster.authority import Authority, make_node_key, node_of, trusts
from depthcache.cluster.build import FORCED
from depthcache.cluster.core.join_tokens import LIFE_NS
from depthcache.cluster.core.protocol import ProtocolRange
from depthcache.cluster.data_folder import DataFolder, NodeOptions
from depthcache.cluster.errors import DataFolderUnusable, JoinRefused
from depthcache.cluster.join_client import join_cluster, renew_certificate
from depthcache.cluster.joining import JoinRequest, RenewRequest
from depthcache.cluster.zenoh_network import ZenohNetwork, ZenohSettings
from depthcache.errors import ConnectionFailed, InvalidArgument
from tests.cluster.joining_server import JoiningServer
from tests.cluster.test_seam import SeamNode

FREE = NodeOptions(port=0, node_port=0)
SECRET = "-".join(("some", "secret", "of", "a", "test"))


@pytest.fixture
def first(tmp_path: Path) -> Iterator[DataFolder]:
    folder = DataFolder.create(tmp_path / "first", FREE, cluster="amber-fox")
    yield folder
    folder.close()


@pytest.fixture
def server(first: DataFolder) -> Iterator[JoiningServer]:
    with JoiningServer(first) as running:
        yield running


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_client, "_PAUSE_S", 0.01)


def join(server: JoiningServer, path: Path, token: str | None = None, *, timeout_s: float = 30) -> DataFolder:
    given = server.token(SECRET).text() if token is None else token
    return asyncio.run(join_cluster(server.address, given, FREE, data_dir=path, timeout_s=timeout_s))


def post(server: JoiningServer, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    context = ssl.create_default_context(cadata=server.folder.identity.authority)
    host, _, port = server.address.rpartition(":")
    connection = HTTPSConnection(host, int(port), timeout=30, context=context)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_node_joins_and_has_all_that_it_needs_to_run(server: JoiningServer, tmp_path: Path) -> None:
    folder = join(server, tmp_path / "second")
    given, first = folder.identity, server.folder.identity
    assert trusts(first.authority, given.certificate, now=datetime.now(UTC))
    assert (given.cluster, given.is_issuer) == ("amber-fox", False)
    assert given.peers == (first.listen,)
    wanted = folder.load_wanted()
    assert wanted.registered() == {first.node.id, given.node.id} == server.members.known()
    assert wanted.listens() == {first.node.id: first.listen, given.node.id: given.listen}
    for name in ("read", "admin", "exchange"):
        assert folder.token(name) == server.folder.token(name)
    folder.close()
    assert server.folder.identity.peers == ()


def test_nodes_that_joined_talk_to_each_other_with_the_files_of_their_folders(
    server: JoiningServer, tmp_path: Path
) -> None:
    folders = [server.folder, join(server, tmp_path / "second")]

    async def talk() -> None:
        nodes: list[SeamNode] = []
        for folder in folders:
            network = ZenohNetwork(ZenohSettings.of(folder, denied=()))
            nodes.append(SeamNode(folder.identity.node.id, network))
            await network.join(folder.identity.node, nodes[-1])
        one, other = nodes
        await one.sees(other.name)
        await other.sees(one.name)
        assert await other.network.ask(one.name, b"question", timeout_s=5) == b"question"
        for node in nodes:
            await node.network.leave()

    asyncio.run(talk())
    folders[1].close()


def test_a_replayed_token_is_refused_and_leaves_nothing_behind(server: JoiningServer, tmp_path: Path) -> None:
    token = server.token(SECRET).text()
    join(server, tmp_path / "second", token).close()
    with pytest.raises(JoinRefused, match="redeemed already"):
        join(server, tmp_path / "third", token)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["first", "second"]


def test_a_build_that_does_not_fit_is_refused_and_costs_no_token(
    server: JoiningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = server.token(SECRET).text()
    monkeypatch.setenv(FORCED, "7-8")
    with pytest.raises(JoinRefused, match="speaks version 7 to 8"):
        join(server, tmp_path / "new", token)
    assert not (tmp_path / "new").exists()
    monkeypatch.delenv(FORCED)
    join(server, tmp_path / "new", token).close()


def test_an_issuer_that_does_not_fit_is_noticed_by_the_node_that_joins(
    server: JoiningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Builds of the first version do not check who joins."""
    monkeypatch.setattr(server.members, "why_not", lambda _: "")
    monkeypatch.setattr(join_client, "spoken", lambda: ProtocolRange(7, 8))
    with pytest.raises(JoinRefused, match="the issuer speaks version 1 to 2"):
        join(server, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_expired_token_is_refused(server: JoiningServer, tmp_path: Path) -> None:
    token = server.token(SECRET).text()
    server.now_ns = LIFE_NS
    with pytest.raises(JoinRefused, match="expired"):
        join(server, tmp_path / "second", token)
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("shows_the_real_one", [False, True])
def test_a_man_in_the_middle_gets_no_secret(
    first: DataFolder, tmp_path: Path, shows_the_real_one: bool
) -> None:
    """One with an authority of its own, and one that shows the real authority, alone or beside its own."""
    strange = Authority.create("amber-fox", now=datetime.now(UTC))
    key = make_node_key("c3")
    certificate = strange.issue(key.request, node="c3", hosts=["127.0.0.1"], now=datetime.now(UTC))
    with JoiningServer(first, tls=(certificate, key.key)) as server:
        real = first.identity.authority
        for shown in (
            (real, strange.certificate + real, real + strange.certificate)
            if shows_the_real_one
            else (strange.certificate,)
        ):
            server.native.set_authority(shown)
            reason = "somebody may be in between" if shows_the_real_one else "another cluster"
            with pytest.raises(JoinRefused, match=reason):
                join(server, tmp_path / "second")
        assert server.asked == []
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("late", [timedelta(days=-8), timedelta(hours=2)], ids=str)
def test_clocks_that_are_far_apart_are_named(first: DataFolder, tmp_path: Path, late: timedelta) -> None:
    """The server's certificate was issued by a clock that is this late, or early."""
    (authority,) = first.authorities()
    key = make_node_key("c3")
    now = datetime.now(UTC) + late
    certificate = authority.issue(key.request, node="c3", hosts=["127.0.0.1"], now=now)
    with (
        JoiningServer(first, tls=(certificate, key.key)) as server,
        pytest.raises(JoinRefused, match="the clocks are far apart, set them"),
    ):
        join(server, tmp_path / "second")
    assert server.asked == []


def test_a_token_that_was_cut_is_refused_before_anything_is_asked(
    server: JoiningServer, tmp_path: Path
) -> None:
    token = server.token(SECRET).text()
    for cut in (token[:-1], token[:40], token.replace("dcj_", "dcj_0", 1), f"{token[:60]}_{SECRET}"):
        with pytest.raises(JoinRefused) as caught:
            join(server, tmp_path / "second", cut)
        assert SECRET not in str(caught.value)
    assert all(SECRET.encode() not in body for body in server.asked)


def test_an_answer_that_is_lost_costs_no_token(server: JoiningServer, tmp_path: Path) -> None:
    server.lost = 1
    folder = join(server, tmp_path / "second")
    assert [status for status, _ in server.answered] == [200, 200]
    assert server.members.known() == {server.folder.identity.node.id, folder.identity.node.id}
    folder.close()


def test_a_registration_that_no_disk_took_is_repeated(server: JoiningServer, tmp_path: Path) -> None:
    server.members.refusals = 2
    folder = join(server, tmp_path / "second")
    assert [status for status, _ in server.answered] == [503, 503, 200]
    folder.close()


def test_a_join_says_at_once_and_at_the_end_why_nobody_answers(tmp_path: Path) -> None:
    token = f"dcj_{'5' * 64}_{SECRET}"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    said: list[str] = []
    with pytest.raises(ConnectionFailed, match=r"within 0.2 s \(Connect.*\).*token can still be used"):
        asyncio.run(
            join_cluster(
                f"127.0.0.1:{port}", token, NodeOptions(port=0, node_port=0),
                data_dir=tmp_path / "new", timeout_s=0.2, on_wait=said.append,
            )
        )  # fmt: skip
    assert len(said) == 1
    assert "object at" not in said[0], "no Python object"


def test_a_frozen_issuer_is_waited_for_and_the_token_stays_good(first: DataFolder, tmp_path: Path) -> None:
    """Its kernel accepts connections, and nothing comes back."""
    server = JoiningServer(first)
    token = server.token(SECRET).text()
    host, _, port = first.identity.node.address.rpartition(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(ConnectionFailed, match="token can still be used"),
    ):
        join(server, tmp_path / "second", token, timeout_s=0.2)
    assert not (tmp_path / "second").exists()
    with server:
        join(server, tmp_path / "second", token).close()


def test_a_folder_that_is_not_empty_costs_no_token(server: JoiningServer, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "mine").touch()
    with pytest.raises(DataFolderUnusable, match="is not empty"):
        join(server, tmp_path / "second")
    assert server.asked == []


def test_a_folder_that_cannot_be_made_costs_no_token(server: JoiningServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusable, match="cannot be made: File exists"):
        join(server, tmp_path / "file" / "second")
    assert server.asked == []
    assert server.members.known() == {server.folder.identity.node.id}


def test_a_join_that_gets_no_answer_says_what_the_last_try_got(first: DataFolder, tmp_path: Path) -> None:
    token = JoiningServer(first).token(SECRET).text()
    words = r"0\.2 s \(.*Connect call failed.*\): .* The token can still be used"
    with pytest.raises(ConnectionFailed, match=words):
        join(JoiningServer(first), tmp_path / "second", token, timeout_s=0.2)


@pytest.mark.parametrize("address", ["", "host:x", "https://h:1", "h:1/x", "user@h:1", "h:99999", "h:1?x"])
def test_a_malformed_address_is_refused(address: str, tmp_path: Path) -> None:
    token = f"dcj_{'a' * 64}_{SECRET}"
    with pytest.raises(InvalidArgument, match="host and port"):
        asyncio.run(join_cluster(address, token, FREE, data_dir=tmp_path / "second"))


def test_the_default_node_port_means_the_server_beside_it() -> None:
    assert join_client._url("10.0.0.1:42080") == join_client._url("10.0.0.1") == "https://10.0.0.1:42081"
    assert join_client._url("[fd00::1]:7") == "https://[fd00::1]:7"


def test_the_open_routes_need_no_token_and_show_the_authority_alone(server: JoiningServer) -> None:
    context = ssl.create_default_context(cadata=server.folder.identity.authority)
    host, _, port = server.address.rpartition(":")
    for path, expected in (("/v1/cluster/authority", 200), ("/v1/books", 401)):
        connection = HTTPSConnection(host, int(port), timeout=30, context=context)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status == expected
        if expected == 200:
            assert body.decode() == server.folder.identity.authority
            assert response.headers["Content-Type"] == "application/x-pem-file"


@pytest.mark.parametrize("path", ["/v1/cluster/join", "/v1/cluster/renew"])
def test_malformed_and_oversized_bodies_are_refused_without_being_repeated(
    server: JoiningServer, path: str
) -> None:
    server.token(SECRET)
    bodies = (b"", b"{", b"[" * 60_000, b"\xff" * 100, json.dumps({"secret": SECRET, "hosts": []}).encode())
    for body in bodies:
        status, answered = post(server, path, body)
        assert (status, SECRET.encode() in answered) == (403, False)
        assert b"malformed" in answered
    assert post(server, path, b"x" * 70_000)[0] == 413
    assert post(server, path, b"{}", Origin="https://evil.example")[0] == 403
    assert post(server, path, b"{}", Host="evil.example")[0] == 403
    assert len(server.asked) == len(bodies)


def test_an_address_may_not_guess_tokens_quickly(server: JoiningServer) -> None:
    context = ssl.create_default_context(cadata=server.folder.identity.authority)
    host, _, port = server.address.rpartition(":")
    connection = HTTPSConnection(host, int(port), timeout=30, context=context)
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 1_000:
        connection.request("POST", "/v1/cluster/join", b"{}", {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses[0] == 403
    assert statuses[-1] == 429
    assert len(server.asked) == len(statuses) - 1


def test_a_node_without_the_key_says_so(first: DataFolder, server: JoiningServer, tmp_path: Path) -> None:
    server.issuer, token = None, server.token(SECRET).text()
    with pytest.raises(JoinRefused, match="does not have the authority's key"):
        join(server, tmp_path / "second", token)


def test_a_node_gets_its_next_certificate_for_its_own_key_alone(
    server: JoiningServer, tmp_path: Path
) -> None:
    folder = join(server, tmp_path / "second")
    given = folder.identity
    renewed = asyncio.run(renew_certificate(given, ["127.0.0.1:1", server.address]))
    assert renewed != given.certificate
    folder.write_certificate(renewed)
    with pytest.raises(ConnectionFailed, match="does not have the authority's key"):
        asyncio.run(renew_certificate(given, [server.address], authority="0" * 64))
    assert node_of(folder.identity.certificate)[0] == given.node.id
    folder.close()


def test_a_host_that_has_the_address_of_a_node_now_does_not_keep_it_from_the_others(
    first: DataFolder, server: JoiningServer, tmp_path: Path
) -> None:
    folder = join(server, tmp_path / "second")
    strange = DataFolder.create(tmp_path / "strange", FREE, cluster="amber-fox")
    with closing(strange), JoiningServer(strange) as other:
        assert asyncio.run(renew_certificate(folder.identity, [other.address, server.address]))
        with pytest.raises(ConnectionFailed, match="no certificate of this cluster"):
            asyncio.run(renew_certificate(folder.identity, [other.address]))
        assert other.asked == []
    folder.close()


def test_a_removed_node_gets_no_certificate_and_cannot_join_again(
    server: JoiningServer, tmp_path: Path
) -> None:
    folder = join(server, tmp_path / "second")
    given = folder.identity
    server.members.core.deny(given.node.id, until_ms=2**50, now_ns=0, wall_ms=1)
    with pytest.raises(JoinRefused, match="was removed"):
        asyncio.run(renew_certificate(given, [server.address]))
    request = JoinRequest.decode(server.asked[0])
    status, answered = post(server, "/v1/cluster/join", request.encode())
    assert (status, b"was removed" in answered) == (403, True)
    folder.close()


def test_a_renewal_that_is_not_signed_by_the_node_now_is_refused(
    server: JoiningServer, tmp_path: Path
) -> None:
    folder = join(server, tmp_path / "second")
    given, now = folder.identity, datetime.now(UTC)
    thief = make_node_key("b2")
    strange = Authority.create("amber-fox", now=now).issue(
        thief.request, node=given.node.id, hosts=["h"], now=now
    )

    def renewal(certificate: str, key: str, at: datetime) -> RenewRequest:
        return RenewRequest.sign(
            thief.request,
            certificate=certificate,
            key=key,
            hosts=("h",),
            authority="",
            time_ms=int(at.timestamp() * 1_000),
        )

    good = renewal(given.certificate, given.key, now)
    assert post(server, "/v1/cluster/renew", good.encode())[0] == 200
    for body, reason in (
        (renewal(given.certificate, thief.key, now).encode(), b"not signed by the node"),
        (good.encode().replace(b'["h"]', b'["evil"]'), b"not signed by the node"),
        (renewal(strange, thief.key, now).encode(), b"not a valid one of this cluster"),
        (renewal("rubbish", given.key, now).encode(), b"not a valid one of this cluster"),
        (renewal(given.certificate, given.key, now - timedelta(minutes=61)).encode(), b"clocks"),
    ):
        status, answered = post(server, "/v1/cluster/renew", body)
        assert (status, reason in answered) == (403, True), answered
    folder.close()


def test_secrets_are_in_no_log_answer_repr_or_error(
    server: JoiningServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = server.token(SECRET)
    folder = join(server, tmp_path / "second", token.text())
    with pytest.raises(JoinRefused) as caught:
        join(server, tmp_path / "third", token.text())
    (_, granted), *_ = server.answered
    shown = f"{caught.value} {folder.identity!r} {folder.credentials!r} {token!r} {caplog.text}"
    secrets = [SECRET, folder.identity.key, server.folder.identity.key]
    secrets += [str(folder.token(name)) for name in ("read", "admin", "exchange")]
    for secret in secrets:
        assert secret not in shown
    private = [each.key for each in server.folder.authorities()] + [server.folder.identity.key]
    for key in private:
        assert key.splitlines()[1].encode() not in granted, "private keys never travel"
    own = {"read.token", "admin.token", "exchange.token", "credentials", "node.key", "credentials.key"}
    for file in folder.path.iterdir():
        content = file.read_bytes()
        for secret in secrets:
            assert file.name in own or secret.encode() not in content, file
        assert SECRET.encode() not in content, "nobody keeps the token"
    folder.close()
