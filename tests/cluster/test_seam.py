"""What every messaging engine of the cluster must do, in memory and over sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from benches.growth import entries, grown
from depthcache.cluster.authority import Authority, make_node_key
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.errors import AskFailed, AskRefused, AskTimeout, NodeUnreachable
from depthcache.cluster.memory_network import MemoryCluster
from depthcache.cluster.seam import ClusterNetwork
from depthcache.cluster.zenoh_network import ZenohNetwork, ZenohSettings
from depthcache.simulator.virtual_loop import VirtualLoop
from tests.cluster.harness import Clock

NAMES = ("a1", "b2", "c3")


class SeamNode:
    """One node: what it was told, asked, and saw."""

    def __init__(self, name: str, network: Any) -> None:
        self.name = name
        self.network: ClusterNetwork = network
        self.told: list[tuple[str, bytes]] = []
        self.asked: list[tuple[str, bytes]] = []
        self.seen: list[tuple[str, int, MemberState]] = []
        self._news = asyncio.Event()
        self.answer: Callable[[bytes], Awaitable[bytes]] = self._echo
        network.watch(self._on_member)

    def on_tell(self, sender: str, payload: bytes) -> None:
        self.told.append((sender, payload))
        self._news.set()

    async def on_ask(self, sender: str, payload: bytes) -> bytes:
        self.asked.append((sender, payload))
        self._news.set()
        return await self.answer(payload)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what is told, asked or seen."""
        async with asyncio.timeout(10):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    async def sees(self, *alive: str) -> None:
        """Wait until exactly these other nodes are alive."""
        await self.until(lambda: self.alive() == set(alive))

    def alive(self) -> set[str]:
        return {each.node.id for each in self.network.members() if each.state is MemberState.ALIVE}

    def _on_member(self, member: Member) -> None:
        self.seen.append((member.node.id, member.node.run, member.state))
        self._news.set()

    async def _echo(self, payload: bytes) -> bytes:
        return payload


class Engine(Protocol):
    """A way to run nodes."""

    def run(self, test: Callable[[Engine], Awaitable[None]]) -> None: ...

    async def start(self, name: str, *, run: int = 1) -> SeamNode: ...

    async def lose(self, node: SeamNode) -> None: ...


def facts(name: str, run: int) -> Node:
    return Node(id=name, run=run, address=f"{name}:1", zone="x", capacity=2.5, egress="office")


class InMemory:
    """On a virtual clock."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster()

    def run(self, test: Callable[[Engine], Awaitable[None]]) -> None:
        loop = VirtualLoop(Clock())
        try:
            loop.run_until_complete(test(self))
        finally:
            loop.close()

    async def start(self, name: str, *, run: int = 1) -> SeamNode:
        node = SeamNode(name, self.cluster.network())
        await node.network.join(facts(name, run), node)
        return node

    async def lose(self, node: SeamNode) -> None:
        self.cluster.kill(node.name)


class OverSockets:
    """On loopback, with certificates of an authority of its own."""

    def __init__(self, folder: Path, names: tuple[str, ...] = NAMES) -> None:
        self.folder, self.authority = folder, Authority.create("test", now=datetime.now(UTC))
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.networks: list[ZenohNetwork] = []
        self.denied: tuple[str, ...] = ()
        self.authority_file = "authority.pem"
        (folder / "authority.pem").write_text(self.authority.certificate)
        for name in names:
            key = make_node_key(name)
            given = self.authority.issue(key.request, node=name, hosts=["127.0.0.1"], now=datetime.now(UTC))
            (folder / f"{name}.pem").write_text(given)
            (folder / f"{name}.key").write_text(key.key)

    def run(self, test: Callable[[Engine], Awaitable[None]]) -> None:
        async def whole() -> None:
            try:
                await test(self)
            finally:
                for network in self.networks:
                    await network.leave()

        asyncio.run(whole())

    def settings(self, name: str) -> ZenohSettings:
        return ZenohSettings(
            cluster="test",
            listen=f"127.0.0.1:{self.ports[name]}",
            peers=tuple(f"127.0.0.1:{port}" for other, port in self.ports.items() if other != name),
            authority=self.folder / self.authority_file,
            certificate=self.folder / f"{name}.pem",
            key=self.folder / f"{name}.key",
            denied=self.denied,
        )

    async def start(self, name: str, *, run: int = 1) -> SeamNode:
        network = ZenohNetwork(self.settings(name))
        self.networks.append(network)
        node = SeamNode(name, network)
        await network.join(facts(name, run), node)
        return node

    async def lose(self, node: SeamNode) -> None:
        assert isinstance(node.network, ZenohNetwork)
        await node.network.lose()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(params=["memory", "zenoh"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return InMemory() if request.param == "memory" else OverSockets(tmp_path)


async def two(engine: Engine) -> tuple[SeamNode, SeamNode]:
    one, other = await engine.start("a1"), await engine.start("b2")
    await one.sees("b2")
    await other.sees("a1")
    return one, other


def test_nodes_see_each_other_with_their_facts(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, _ = await two(engine)
        third = await engine.start("c3")
        await third.sees("a1", "b2")
        await one.sees("b2", "c3")
        assert {each.node for each in one.network.members()} == {facts("b2", 1), facts("c3", 1)}

    engine.run(test)


def test_what_is_told_arrives_once_and_in_order(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        sent = [b"%d" % number * (1 + number * 40) for number in range(100)]
        for number, payload in enumerate(sent):
            one.network.tell("b2" if number % 2 else None, payload)
        await other.until(lambda: len(other.told) == len(sent))
        assert other.told == [("a1", payload) for payload in sent]
        assert one.told == []

    engine.run(test)


def test_what_is_told_to_a_node_that_is_not_there_is_lost_silently(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        one.network.tell("c3", b"lost")
        one.network.tell("a1", b"to itself")
        one.network.tell("b2", b"found")
        await other.until(lambda: other.told == [("a1", b"found")])
        assert one.told == []

    engine.run(test)


def test_a_request_is_answered(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        large = bytes(range(256)) * 2_000
        assert await one.network.ask("b2", large, timeout_s=5) == large
        assert await one.network.ask("b2", b"", timeout_s=5) == b""
        assert [sender for sender, _ in other.asked] == ["a1", "a1"]

    engine.run(test)


def test_many_large_messages_all_arrive(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        large = bytes(range(256)) * 4_000
        for _ in range(10):
            one.network.tell("b2", large)
        asked = [one.network.ask("b2", large, timeout_s=10) for _ in range(10)]
        assert await asyncio.gather(*asked) == [large] * 10
        await other.until(lambda: len(other.told) == 10)

    engine.run(test)


def test_requests_do_not_wait_for_each_other(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        let_go = asyncio.Event()

        async def answer(payload: bytes) -> bytes:
            if payload == b"slow":
                await let_go.wait()
            return payload

        other.answer = answer
        slow = asyncio.ensure_future(one.network.ask("b2", b"slow", timeout_s=10))
        await other.until(lambda: bool(other.asked))
        assert await one.network.ask("b2", b"quick", timeout_s=5) == b"quick"
        let_go.set()
        assert await slow == b"slow"

    engine.run(test)


def test_an_error_of_the_handler_reaches_the_asker(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)

        async def refuse(_: bytes) -> bytes:
            raise RuntimeError("the disk is full")

        other.answer = refuse
        with pytest.raises(AskRefused, match="node b2 refused the request: the disk is full"):
            await one.network.ask("b2", b"store", timeout_s=5)

    engine.run(test)


def test_a_node_that_does_not_answer_in_time_may_have_acted(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        never = asyncio.Event()

        async def answer(payload: bytes) -> bytes:
            await never.wait()
            return payload

        other.answer = answer
        with pytest.raises(AskTimeout) as caught:
            await one.network.ask("b2", b"act", timeout_s=0.2)
        assert (caught.value.node, caught.value.timeout_s) == ("b2", 0.2)
        assert other.asked == [("a1", b"act")]
        never.set()

    engine.run(test)


def test_a_node_that_was_never_there_is_unreachable_at_once(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, _ = await two(engine)
        with pytest.raises(NodeUnreachable):
            await one.network.ask("c3", b"hello", timeout_s=60)

    engine.run(test)


def test_a_lost_node_is_suspect_and_unreachable(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        await engine.lose(other)
        await one.sees()
        assert one.seen[-1] == ("b2", 1, MemberState.SUSPECT)
        assert [each.state for each in one.network.members()] == [MemberState.SUSPECT]
        with pytest.raises(NodeUnreachable):
            await one.network.ask("b2", b"hello", timeout_s=60)

    engine.run(test)


def test_a_request_to_a_node_that_is_lost_meanwhile_fails_before_its_time(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        never = asyncio.Event()

        async def answer(payload: bytes) -> bytes:
            await never.wait()
            return payload

        other.answer = answer
        asking = asyncio.ensure_future(one.network.ask("b2", b"act", timeout_s=60))
        await other.until(lambda: bool(other.asked))
        await engine.lose(other)
        async with asyncio.timeout(10):
            with pytest.raises(AskTimeout):
                await asking
        never.set()

    engine.run(test)


def test_a_node_that_leaves_keeps_nobody_waiting(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        never, ended = asyncio.Event(), asyncio.Event()

        async def answer(payload: bytes) -> bytes:
            try:
                await never.wait()
            finally:
                ended.set()
            return payload

        other.answer = answer
        asking = asyncio.ensure_future(one.network.ask("b2", b"act", timeout_s=60))
        await other.until(lambda: bool(other.asked))
        await other.network.leave()
        async with asyncio.timeout(10):
            with pytest.raises(AskFailed):
                await asking
            await ended.wait()

    engine.run(test)


def test_a_restarted_node_is_alive_with_its_new_run(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one, other = await two(engine)
        await engine.lose(other)
        again = await engine.start("b2", run=2)
        await one.until(lambda: ("b2", 2, MemberState.ALIVE) in one.seen)
        await again.sees("a1")
        assert await one.network.ask("b2", b"hello", timeout_s=5) == b"hello"
        assert [each.node.run for each in one.network.members()] == [2]

    engine.run(test)


def test_a_node_that_leaves_has_left_and_is_no_member(engine: Engine) -> None:
    async def test(engine: Engine) -> None:
        one = await engine.start("a1")
        before = entries(one.network, without=[one])
        other = await engine.start("b2")
        await one.sees("b2")
        await other.sees("a1")
        await other.network.leave()
        await other.network.leave()
        await one.until(lambda: ("b2", 1, MemberState.LEFT) in one.seen)
        assert one.network.members() == ()
        async with asyncio.timeout(10):
            while grown(before, entries(one.network, without=[one])):  # noqa: ASYNC110 - nothing says so
                await asyncio.sleep(0.01)

    engine.run(test)
