"""Nodes over Zenoh: whom they refuse, how soon they notice, and a cluster that takes over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from depthcache.cluster import zenoh_network
from depthcache.cluster.authority import Authority, make_node_key
from depthcache.cluster.core.commands import FromExchange, FromSibling, Source
from depthcache.cluster.core.members import MemberState
from depthcache.cluster.core.node import NodeCore, load
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedBook, WantedSet
from depthcache.cluster.message_proofs import MessageProofs
from depthcache.cluster.runner import NodeRunner, SystemClock
from depthcache.cluster.wanted_file import WantedFile
from depthcache.cluster.zenoh_network import ZenohNetwork
from tests.cluster.test_seam import NAMES, Engine, OverSockets, SeamNode, facts, free_ports

CHILD = """
import asyncio, json, sys
from pathlib import Path
from depthcache.cluster.core.members import Node
from depthcache.cluster.zenoh_network import ZenohNetwork, ZenohSettings

given = json.loads(sys.argv[1])
paths = {name: Path(given[name]) for name in ("authority", "certificate", "key")}
settings = ZenohSettings(cluster="test", listen=given["listen"], peers=tuple(given["peers"]), **paths)

class Quiet:
    def on_tell(self, sender, payload): ...
    async def on_ask(self, sender, payload): return payload

async def main():
    network = ZenohNetwork(settings)
    await network.join(Node(id=given["id"], run=1, address="x:1"), Quiet())
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Process:
    """A node in a process of its own."""

    def __init__(self, sockets: OverSockets, name: str) -> None:
        self.sockets, self.name = sockets, name

    async def __aenter__(self) -> Process:
        import json

        given = self.sockets.settings(self.name)
        text = json.dumps(
            {
                "id": self.name,
                "listen": given.listen,
                "peers": given.peers,
                "authority": str(given.authority),
                "certificate": str(given.certificate),
                "key": str(given.key),
            }
        )
        self.process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, text)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


def test_more_threads_receive_than_links_end_at_once_unless_the_user_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test_cut_links` shows what happens otherwise."""
    settings = OverSockets(tmp_path).settings("a1")
    monkeypatch.delenv("ZENOH_RUNTIME", raising=False)
    ZenohNetwork(settings)
    assert "rx: (worker_threads: 64)" in os.environ["ZENOH_RUNTIME"]
    monkeypatch.setenv("ZENOH_RUNTIME", "(rx: (worker_threads: 2))")
    ZenohNetwork(settings)
    assert os.environ["ZENOH_RUNTIME"] == "(rx: (worker_threads: 2))"


@pytest.mark.slow
def test_a_killed_process_is_suspect_and_a_frozen_one_until_it_runs_again(tmp_path: Path) -> None:
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        one = await engine.start("a1")
        async with Process(sockets, "b2") as frozen, Process(sockets, "c3") as killed:
            await one.sees("b2", "c3")
            killed.process.kill()
            await one.sees("b2")
            frozen.process.send_signal(signal.SIGSTOP)
            await one.sees()
            frozen.process.send_signal(signal.SIGCONT)
            await one.sees("b2")
        assert ("b2", 1, MemberState.LEFT) not in one.seen

    sockets.run(test)


def test_a_machine_that_does_not_answer_delays_no_node_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be ten seconds for each."""
    monkeypatch.setattr(zenoh_network, "_OPEN_MS", 200)

    async def test(engine: Engine) -> None:
        assert isinstance(engine, OverSockets)
        with socket.create_server(("127.0.0.1", engine.ports["b2"])):  # takes connections and says nothing
            async with asyncio.timeout(5):
                await engine.start("a1")

    OverSockets(tmp_path, ("a1", "b2")).run(test)


@pytest.mark.parametrize("trusts_the_cluster", [False, True])
def test_a_stranger_with_another_authority_sees_and_is_seen_by_nobody(
    tmp_path: Path, trusts_the_cluster: bool
) -> None:
    sockets = OverSockets(tmp_path)
    strange = Authority.create("test", now=datetime.now(UTC))
    key = make_node_key("c3")
    (tmp_path / "c3.pem").write_text(
        strange.issue(key.request, node="c3", hosts=["127.0.0.1"], now=datetime.now(UTC))
    )
    (tmp_path / "c3.key").write_text(key.key)
    (tmp_path / "strange.pem").write_text(strange.certificate)

    async def test(engine: Engine) -> None:
        one = await engine.start("a1")
        sockets.authority_file = "authority.pem" if trusts_the_cluster else "strange.pem"
        stranger = await engine.start("c3")
        sockets.authority_file = "authority.pem"
        other = await engine.start("b2")
        await one.sees("b2")
        await other.sees("a1")
        stranger.network.tell(None, b"hello")
        one.network.tell(None, b"known")
        await other.until(lambda: other.told == [("a1", b"known")])
        assert stranger.network.members() == ()
        assert {each.node.id for each in one.network.members()} == {"b2"}

    sockets.run(test)


def test_a_removed_node_with_a_valid_certificate_sees_and_is_seen_by_nobody(tmp_path: Path) -> None:
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        removed = await engine.start("c3")
        sockets.denied = ("c3",)
        one, other = await engine.start("a1"), await engine.start("b2")
        await one.sees("b2")
        await other.sees("a1")
        one.network.tell(None, b"known")
        await other.until(lambda: other.told == [("a1", b"known")])
        assert removed.network.members() == ()
        assert {each.node.id for each in one.network.members()} == {"b2"}

    sockets.run(test)


def test_a_node_cannot_speak_in_the_name_of_another_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It has a certificate of the cluster and an open session, as a removed node until the others reopen."""
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        one, other, hostile = [await engine.start(name) for name in NAMES]
        await one.sees("b2", "c3")
        await other.sees("a1", "c3")
        session, proofs = sockets.networks[2]._session, sockets.networks[2]._proofs
        assert session is not None
        assert proofs is not None
        overheard: list[tuple[bytes, bytes]] = []

        def record(sample: Any) -> None:
            overheard.append((sample.payload.to_bytes(), sample.attachment.to_bytes()))

        session.declare_subscriber("depthcache/test/tell/a1/b2", record)
        told = 0
        async with asyncio.timeout(10):
            while not overheard:  # the subscription takes a moment to reach b2
                told += 1
                other.network.tell("a1", b"real")
                await one.until(lambda: len(one.told) == told)  # noqa: B023 - called at once
        payload, proof = overheard[0]
        own = proofs.sign("tell/a1/b2", b"forged")
        for key in ("tell/a1/b2", "bye/a1/b2"):
            session.put(f"depthcache/test/{key}", b"forged")
            session.put(f"depthcache/test/{key}", b"forged", attachment=own)
            session.put(f"depthcache/test/{key}", b"forged", attachment=proof)
            session.put(f"depthcache/test/{key}", b"forged", attachment=b"\xff\xffno certificate")
        session.put("depthcache/test/tell/b2/a1", payload, attachment=proof)  # to another node
        session.put("depthcache/test/tell/a1/b2", payload, attachment=proof)  # again
        session.liveliness().declare_token(forged_token(proofs))
        for node in (one, other):
            hostile.network.tell(node.name, b"last")
            await node.until(lambda node=node: ("c3", b"last") in node.told)  # type: ignore[misc]
        assert one.told == [("b2", b"real")] * told + [("c3", b"last")]
        assert other.told == [("c3", b"last")]
        assert {each.node for each in one.network.members()} == {facts("b2", 1), facts("c3", 1)}
        assert one.alive() == {"b2", "c3"}
        assert "a message in the name of node b2 was dropped" in caplog.text

    sockets.run(test)


def forged_token(proofs: MessageProofs) -> str:
    """A token that says that b2 started again, elsewhere."""
    moved = json.dumps(asdict(replace(facts("b2", 7), address="evil.example:1"))).encode()
    key = f"member/b2/7/{zenoh_network._text(moved)}"
    return f"depthcache/test/{key}/{zenoh_network._text(proofs.sign(key, b''))}"


def test_a_node_cannot_answer_in_the_name_of_another_one(tmp_path: Path) -> None:
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        one, other, _ = [await engine.start(name) for name in NAMES]
        await one.sees("b2", "c3")
        session, proofs = sockets.networks[2]._session, sockets.networks[2]._proofs
        assert session is not None
        assert proofs is not None
        caught: list[bytes] = []

        def answer(query: Any) -> None:
            caught.append(query.payload.to_bytes())
            request = hashlib.sha256(query.attachment.to_bytes()).hexdigest()
            for kind in ("answer", "refusal"):
                signed = proofs.sign(f"{kind}/b2/{request}", b"forged")
                query.reply(query.key_expr, b"forged", attachment=signed)
            query.reply(query.key_expr, b"forged")
            query.reply_err(b"forged")
            query.drop()

        session.declare_queryable("depthcache/test/ask/b2/*", answer, complete=True)
        async with asyncio.timeout(10):
            while not caught:
                assert await one.network.ask("b2", b"question", timeout_s=5) == b"question"
        assert {said for _, said in other.asked} == {b"question"}

    sockets.run(test)


def test_a_node_whose_certificate_has_ended_is_suspect_once_its_link_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link ends at the same moment as the certificate: nothing is proven any more."""
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        one = await engine.start("a1")
        await engine.start("b2")
        await one.sees("b2")
        monkeypatch.setattr(MessageProofs, "signer", lambda *_: None)
        await sockets.networks[1].lose()
        await one.sees()
        assert one.seen[-1] == ("b2", 1, MemberState.SUSPECT)

    sockets.run(test)


def test_a_node_that_reopens_is_suspect_for_a_moment_and_uses_its_new_certificate(tmp_path: Path) -> None:
    sockets = OverSockets(tmp_path)
    successor = Authority.create("test", now=datetime.now(UTC))

    def renew(name: str) -> None:
        key = make_node_key(name)
        given = successor.issue(key.request, node=name, hosts=["127.0.0.1"], now=datetime.now(UTC))
        (tmp_path / f"{name}.pem").write_text(given)
        (tmp_path / f"{name}.key").write_text(key.key)

    async def test(engine: Engine) -> None:
        one, other = await engine.start("a1"), await engine.start("b2")
        await one.sees("b2")
        await other.sees("a1")
        (tmp_path / "authority.pem").write_text(successor.certificate + sockets.authority.certificate)
        for node in (one, other):
            await sockets.networks[0 if node is one else 1].reopen(
                peers=sockets.settings(node.name).peers, denied=()
            )
            await one.sees("b2")
            await other.sees("a1")
        renew("a1")
        await sockets.networks[0].reopen(peers=sockets.settings("a1").peers, denied=())
        await other.sees("a1")
        await one.sees("b2")
        (tmp_path / "authority.pem").write_text(successor.certificate)
        renew("c3")
        strict = await engine.start("c3")  # trusts the successor alone
        await strict.sees("a1")
        one.network.tell("b2", b"after")
        await other.until(lambda: ("a1", b"after") in other.told)
        assert await other.network.ask("a1", b"question", timeout_s=5) == b"question"
        states = [(run, state) for peer, run, state in other.seen if peer == "a1"]
        assert set(states) == {(1, MemberState.ALIVE), (1, MemberState.SUSPECT)}

    sockets.run(test)


def test_a_node_that_is_removed_while_all_run_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zenoh_network, "_CONFIRM_S", 0.2)
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        one, other, removed = [await engine.start(name) for name in NAMES]
        await one.sees("b2", "c3")
        await other.sees("a1", "c3")
        await removed.sees("a1", "b2")
        for name, network in zip(NAMES[:2], sockets.networks, strict=False):
            await network.reopen(peers=sockets.settings(name).peers, denied=("c3",))
        await removed.sees()
        await one.sees("b2")
        await other.sees("a1")
        for tell in (removed.network.tell, one.network.tell):
            tell(None, b"hello")
        await other.until(lambda: ("a1", b"hello") in other.told)
        assert [sender for sender, _ in other.told] == ["a1"]
        assert removed.told == []

    sockets.run(test)


def test_a_node_that_ended_while_another_reopened_is_suspect_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zenoh_network, "_CONFIRM_S", 0.2)
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        one = await engine.start("a1")
        await engine.start("b2")
        await one.sees("b2")
        reopen, loop = sockets.networks[0]._open, asyncio.get_running_loop()

        def late(me: object) -> None:
            asyncio.run_coroutine_threadsafe(sockets.networks[1].lose(), loop).result()
            reopen(me)  # type: ignore[arg-type]

        sockets.networks[0]._open = late  # type: ignore[method-assign, assignment]
        await sockets.networks[0].reopen(peers=sockets.settings("a1").peers, denied=())
        await one.sees()
        assert ("b2", 1, MemberState.SUSPECT) in one.seen

    sockets.run(test)


def test_a_node_whose_copy_has_ended_is_seen_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zenoh forgets what the first one declared, and keeps its session: messages come, and no token."""
    monkeypatch.setattr(zenoh_network, "_UNSEEN_S", 0.2)
    sockets = OverSockets(tmp_path)

    async def test(engine: Engine) -> None:
        one, other = await engine.start("a1"), await engine.start("b2")
        await one.sees("b2")
        await other.sees("a1")
        first = sockets.ports["a1"]
        (sockets.ports["a1"],) = free_ports(1)
        copy = await engine.start("a1", run=2)
        sockets.ports["a1"] = first
        await copy.network.leave()
        await other.sees()  # as of Zenoh 1.10
        network = sockets.networks[1]

        def is_unseen() -> bool:
            one.network.tell("b2", b"beat")
            return network.unseen() == ("a1",)

        await other.until(is_unseen)
        await network.reopen(peers=sockets.settings("b2").peers, denied=())
        assert network.unseen() == ()
        await other.sees("a1")
        other.network.tell("a1", b"hello")
        await one.until(lambda: ("b2", b"hello") in one.told)

    sockets.run(test)


class Books:
    """Books that are synced at once, and where they came from."""

    def __init__(self) -> None:
        self.runner: NodeRunner | None = None
        self.sources: dict[BookKey, Source] = {}

    def start(self, book: WantedBook, source: Source) -> None:
        self.sources[book.key] = source
        runner = self.runner
        assert runner is not None
        asyncio.get_running_loop().call_soon(runner.on_replica, book.key, ReplicaState.SYNCED)

    def update(self, book: WantedBook) -> None: ...

    def stop(self, key: BookKey) -> None:
        del self.sources[key]

    def set_budget_share(self, share: float) -> None: ...

    def set_holders(self, key: BookKey, nodes: object, *, is_synced: bool) -> None: ...

    def set_denied(self, nodes: frozenset[str]) -> None: ...


class Member:
    """A whole node: core, sockets, disk."""

    def __init__(self, sockets: OverSockets, name: str, content: bytes | None) -> None:
        file = WantedFile(sockets.folder / name / "wanted.journal")
        if content is not None:
            file.append([content])
        wanted = WantedSet(name)
        load(wanted, file.load())
        self.network, self.books = ZenohNetwork(sockets.settings(name)), Books()
        sockets.networks.append(self.network)
        self.node = SeamNode(name, self.network)
        self.runner = NodeRunner(
            NodeCore(facts(name, 1), wanted),
            self.network,
            disk=file,
            host=self.books,
            clock=SystemClock(),
            on_stop=lambda reason: None,
        )
        self.books.runner = self.runner


@pytest.mark.slow
def test_a_cluster_over_sockets_takes_over_and_keeps_its_wanted_set(tmp_path: Path) -> None:
    sockets = OverSockets(tmp_path)
    keys = [BookKey("binance.com", f"SYM{number}") for number in range(20)]
    members: dict[str, Member] = {}

    def is_whole() -> bool:
        alive = [member for name, member in members.items() if name != "b2" or len(members) == 3]
        return all(sum(key in each.books.sources for each in alive) == min(2, len(alive)) for key in keys)

    async def join(name: str, content: bytes | None) -> Member:
        member = members[name] = Member(sockets, name, content)
        await member.runner.start()
        return member

    async def wait(is_so: object) -> None:
        async with asyncio.timeout(10):
            while not is_so():  # type: ignore[operator]
                await members["a1"].node._news.wait()
                members["a1"].node._news.clear()

    async def test(engine: Engine) -> None:
        first = await join("a1", None)
        for name in NAMES[1:]:
            await first.runner.register(name)
            await join(name, first.runner.core.snapshot())
        for key in keys:
            await first.runner.create(key, replicas=2, settings={"depth": 100})
        tell = first.runner.on_tell

        def on_tell(sender: str, payload: bytes) -> None:
            tell(sender, payload)
            first.node._news.set()

        first.runner.on_tell = on_tell  # type: ignore[method-assign]
        await wait(is_whole)
        sources = [source for each in members.values() for source in each.books.sources.values()]
        assert sum(isinstance(source, FromExchange) for source in sources) == len(keys)
        lost = members.pop("b2")
        await lost.network.lose()
        await wait(is_whole)
        moved = [key for key in keys if key in lost.books.sources]
        taken = [each.books.sources[key] for key in moved for each in members.values()]
        assert sum(isinstance(source, FromSibling) for source in taken) >= len(moved)
        for each in (*members.values(), lost):
            await each.runner.close()
        wanted = WantedSet("a1")
        load(wanted, WantedFile(tmp_path / "c3" / "wanted.journal").load())
        assert set(wanted.books()) == set(keys)

    sockets.run(test)
