"""Nodes that a node was told to look for: found in any order, named when they are not, and met."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from depthcache.cluster import given_peers
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.core.node import NodeCore, SelfRegistration
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.data_folder import DataFolder, NodeOptions
from depthcache.cluster.given_peers import Found, GivenPeers, Kind, parse_peer, probe_with, without_own
from depthcache.cluster.readiness import Readiness
from depthcache.cluster.shared_secrets import make
from depthcache.errors import InvalidArgument

WALL_MS = 1_796_000_000_000
SECOND = 1_000_000_000


class Case:
    """Node a1 and the addresses that it was told of, on a clock that is moved by hand."""

    def __init__(self, *names: str) -> None:
        self.now_ns = 5 * SECOND
        self.answers: dict[str, tuple[Found, ...]] = {name: nothing(name) for name in names}
        self.tried: list[tuple[float, str]] = []
        self.peers = GivenPeers(names, now_ns=lambda: self.now_ns, probe=self.probe)
        registration = SelfRegistration(listen="a1:42080")
        me = Node(id="a1", run=1, address="a1:42081")
        self.core = NodeCore(me, WantedSet("a1"), registration=registration)

    def start(self) -> None:
        asyncio.run(self.peers.try_all())
        self.core.start(self.now_ns, WALL_MS)
        self.peers.attach(self.core)

    async def probe(self, name: str) -> tuple[Found, ...]:
        self.tried.append((self.now_ns / 1e9 - 5, name))
        return self.answers[name]

    def sees(self, peer: str, state: MemberState = MemberState.ALIVE) -> None:
        node = Node(id=peer, run=1, address=f"{peer}:42081")
        self.core.on_member(Member(node, state), self.now_ns)

    def look(self, seconds: int = 1) -> int:
        """Look once a second; how often the session had to be opened again."""
        opened = 0
        for _ in range(seconds):
            self.now_ns += SECOND
            opened += asyncio.run(self.peers.look())
        return opened

    @property
    def apart(self) -> str:
        return self.peers.why_apart()


def nothing(name: str) -> tuple[Found, ...]:
    return (Found(Kind.NOTHING, name, reason="the name is not known"),)


def node(address: str, peer: str) -> Found:
    return Found(Kind.NODE, address, node=peer)


def test_a_node_whose_name_is_not_known_yet_is_found_later_and_met() -> None:
    case = Case("b:1", "c:1")
    assert case.apart == "the node starts"
    case.start()
    assert case.peers.reachable() == ()
    assert case.apart == "no other node was reached yet at b:1"
    assert case.look(5) == 0
    case.answers["b:1"] = (node("10.0.0.2:1", "b2"),)
    opened = case.look(6)
    assert case.peers.reachable() == ("10.0.0.2:1",)
    assert opened == 1
    assert case.apart == "the node at 10.0.0.2:1 answers, and is not connected yet"
    case.sees("b2")
    assert case.apart == "this node has not got the list of books of the other nodes yet"
    other = WantedSet("b2")
    delta, _ = other.register("b2", wall_ms=WALL_MS)
    case.core.wanted.merge(delta)
    assert case.apart == ""
    assert case.look(60) == 0


def test_a_session_is_opened_again_less_and_less_often_for_a_node_that_stays_unseen() -> None:
    case = Case("b:1")
    case.answers["b:1"] = (node("b:1", "b2"),)
    case.start()
    times = [second for second in range(1, 601) if case.look()]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] in (4, 5)
    assert gaps[:4] == [10, 20, 40, 80]


def test_a_name_is_tried_less_and_less_often_and_at_once_when_its_node_was_lost() -> None:
    case = Case("b:1")
    case.start()
    case.look(600)
    at_s = [at for at, _ in case.tried]
    assert at_s[:3] == [0, 1, 3]
    assert max(later - earlier for earlier, later in pairwise(at_s)) <= 31
    assert len(at_s) < 40
    case.answers["b:1"] = (node("b:1", "b2"),)
    case.sees("b2")
    case.look(40)
    before = len(case.tried)
    case.look(100)
    assert len(case.tried) == before
    case.sees("b2", MemberState.LEFT)
    case.answers["b:1"] = nothing("b:1")
    assert case.look(1) == 0
    assert len(case.tried) == before + 1


def test_a_node_that_was_lost_opens_no_session_before_its_address_answers_again() -> None:
    case = Case("b:1")
    case.answers["b:1"] = (node("b:1", "b2"),)
    case.start()
    case.sees("b2")
    case.look(10)
    case.answers["b:1"] = nothing("b:1")
    case.sees("b2", MemberState.LEFT)
    assert case.look(60) == 0


def test_a_node_that_was_lost_right_after_it_was_found_opens_no_session() -> None:
    """What its address said says nothing any more, long before it is due to be tried again."""
    case = Case("b:1")
    case.start()
    case.look(600)
    case.answers["b:1"] = (node("b:1", "b2"),)
    while not case.peers.reachable():
        case.look(1)
    case.sees("b2")
    case.look(1)
    case.answers["b:1"] = nothing("b:1")
    case.sees("b2", MemberState.LEFT)
    assert case.look(20) == 0


def test_a_name_with_the_addresses_of_several_nodes_is_one_for_each() -> None:
    """Such as that of a headless service, which has this node's own address too."""
    case = Case("nodes:1")
    case.answers["nodes:1"] = (node("10.0.0.1:1", "a1"),)
    case.start()
    assert case.apart == "no other node was reached yet at nodes:1"
    case.answers["nodes:1"] = (node("10.0.0.1:1", "a1"), node("10.0.0.2:1", "b2"), node("10.0.0.3:1", "c3"))
    case.look(2)
    assert case.peers.reachable() == ("10.0.0.2:1", "10.0.0.3:1")
    case.sees("b2")
    assert case.look(10) >= 1
    case.sees("c3")
    assert case.look(100) == 0


def test_a_removed_node_is_not_dialled() -> None:
    case = Case("b:1")
    case.answers["b:1"] = (node("b:1", "b2"),)
    case.start()
    case.core.deny("b2", until_ms=WALL_MS + 1, now_ns=case.now_ns, wall_ms=WALL_MS)
    assert case.look(60) == 0
    assert case.peers.reachable() == ()


@pytest.mark.parametrize(
    ("kind", "is_alone_later"), [(Kind.NOTHING, True), (Kind.SILENT, False), (Kind.STRANGER, False)]
)
def test_a_node_works_alone_only_if_nothing_is_at_the_other_addresses(
    kind: Kind, is_alone_later: bool
) -> None:
    case = Case("b:1")
    case.answers["b:1"] = (Found(kind, "b:1", reason="some reason"),)
    case.start()
    readiness = Readiness(
        case.core, is_hopeless=lambda _: False, has_peers=lambda: False, why_apart=case.peers.why_apart
    )
    assert "no other node was reached yet" in readiness.why_not()
    case.look(16)
    assert bool(case.apart) is not is_alone_later
    if not is_alone_later:
        assert case.apart == "no other node was reached yet; b:1: some reason"
    case.core.on_time(case.now_ns, WALL_MS)
    case.core.take_commands(case.now_ns)
    assert bool(readiness.why_not()) is not is_alone_later


def test_without_addresses_a_node_is_alone_at_once() -> None:
    case = Case()
    case.start()
    assert case.apart == ""
    assert case.look(3) == 0


def test_what_is_not_reached_is_written_once(caplog: pytest.LogCaptureFixture) -> None:
    case = Case("b:1", "c:1")
    case.answers["c:1"] = (Found(Kind.STRANGER, "c:1", reason="its certificate is not ours"),)
    case.start()
    case.look(1)
    assert [record.message for record in caplog.records] == [
        "no node of this cluster was reached at c:1, it is tried again: its certificate is not ours"
    ]
    case.look(300)
    assert [record.args[0] for record in caplog.records if record.args] == ["c:1", "b:1"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("node1.example", "node1.example:42080"),
        ("10.0.0.1:7", "10.0.0.1:7"),
        ("::1", "[::1]:42080"),
        ("[fd00::1]:9", "[fd00::1]:9"),
        ("a-0.b_c.svc", "a-0.b_c.svc:42080"),
    ],
)
def test_a_peer_is_a_host_and_a_port(given: str, expected: str) -> None:
    assert parse_peer(given) == expected


@pytest.mark.parametrize(
    "given", ["", ":1", "a:b", "a:0", "a:", "a:70000", "a/b", "u@a", "a b", "http://a", "[::1"]
)
def test_another_peer_is_refused(given: str) -> None:
    with pytest.raises(InvalidArgument, match="HOST or HOST:PORT") as caught:
        parse_peer(given)
    assert (caught.value.name, caught.value.value) == ("--peer", given)


def test_the_names_of_the_node_itself_are_left_out(tmp_path: Path) -> None:
    options = NodeOptions(listen="127.0.0.1", port=0, node_port=42080, hosts=("a.example",))
    folder = DataFolder.begin(tmp_path / "a", options, make(tmp_path / "s"))
    names = ("a.example:42080", "127.0.0.1:42080", "127.0.0.1:1", "b.example:42080")
    assert without_own(names, folder.identity) == ("127.0.0.1:1", "b.example:42080")
    folder.close()


# --- over sockets -----------------------------------------------------------------------------


async def served(folder: DataFolder) -> asyncio.Server:
    """Speaks TLS as a node does."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.certificate_file, folder.key_file)
    context.load_verify_locations(folder.authority_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)


async def test_a_try_says_which_node_answers_or_why_none_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given_peers, "_TRY_S", 1.0)
    free = NodeOptions(port=0, node_port=0)
    secrets, foreign = make(tmp_path / "s"), make(tmp_path / "f")
    me, other = (DataFolder.begin(tmp_path / name, free, secrets) for name in "ab")
    stranger = DataFolder.begin(tmp_path / "c", free, foreign)
    nodes = [await served(each) for each in (other, stranger)]
    plain = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    probe = probe_with(me)

    def port(of: asyncio.Server) -> int:
        found: int = of.sockets[0].getsockname()[1]
        return found

    try:
        ports: Mapping[str, int] = {
            "node": port(nodes[0]),
            "stranger": port(nodes[1]),
            "plain": port(plain),
            "closed": closed.getsockname()[1],
            "silent": silent.getsockname()[1],
        }
        found = {name: (await probe(f"127.0.0.1:{each}"))[0] for name, each in ports.items()}
        assert found["node"] == node(f"127.0.0.1:{ports['node']}", other.identity.node.id)
        kinds = {name: each.kind for name, each in found.items()}
        assert kinds["stranger"] is Kind.STRANGER
        assert "or the authority was replaced" in found["stranger"].reason
        assert kinds["closed"] is Kind.NOTHING
        assert kinds["silent"] is Kind.SILENT
        assert kinds["plain"] in (Kind.STRANGER, Kind.SILENT)

        async def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
        assert (await probe("b.example:1")) == (
            Found(Kind.NOTHING, "b.example:1", reason="the name is not known"),
        )
    finally:
        for each in (*nodes, plain):
            each.close()
        for folder in (me, other, stranger):
            folder.close()
        closed.close()
        silent.close()
