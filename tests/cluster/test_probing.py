"""Probes of the ports of nodes, over sockets: what answers, what is silent, and who else answers there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from depthcache.cluster.authority import Authority, make_node_key
from depthcache.cluster.probing import Port, Probe, Reach, checking_context, probe

NOW = datetime.now(UTC)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The host and port of a server."""
    handled: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handled.add(task)
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the probe has ended
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*handled)


class Tls:
    """An authority, and nodes with certificates of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, Authority.create("amber-fox", now=NOW)

    def server(self, node: str) -> ssl.SSLContext:
        key = make_node_key(node)
        certificate = self.authority.issue(key.request, node=node, hosts=["127.0.0.1"], now=NOW)
        (self.folder / "cert").write_text(certificate)
        (self.folder / "key").write_text(key.key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / "cert", self.folder / "key")
        return context

    @property
    def trusting(self) -> ssl.SSLContext:
        return checking_context(self.authority.certificate, checks_name=True)


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


async def test_a_node_is_reached_at_both_ports(tls: Tls) -> None:
    async with serving(healthy, tls.server("a1")) as address:
        for port in Port:
            found = await probe(port, address, context=tls.trusting, node="a1")
            assert (found.reach, found.problem, found.took_ms > 0) == (Reach.REACHED, "", True)
            assert Probe.of(found.to_dict()) == found


async def test_a_port_where_nothing_listens_refuses() -> None:
    async with serving(silent) as address:
        pass
    found = await probe(Port.READERS, address, context=None)
    assert found.reach is Reach.REFUSED
    assert "nothing listens" in found.problem


async def test_a_port_that_takes_connections_and_is_silent_is_told_from_one_that_is_lost(tls: Tls) -> None:
    async with serving(silent) as address:
        for context in (None, tls.trusting):
            found = await probe(Port.READERS, address, context=context, timeout_s=0.05)
            assert (found.reach, found.problem) == (Reach.SILENT, "connected, but no answer within 0.05 s")


async def test_another_node_at_the_address_is_named(tls: Tls) -> None:
    async with serving(healthy, tls.server("b2")) as address:
        found = await probe(Port.NODES, address, context=tls.trusting, node="a1")
        assert (found.reach, found.problem) == (Reach.UNTRUSTED, "another node answers there: b2")


async def test_a_node_of_another_cluster_is_not_trusted(tls: Tls) -> None:
    stranger = Authority.create("other", now=NOW)
    context = checking_context(stranger.certificate, checks_name=True)
    async with serving(healthy, tls.server("a1")) as address:
        found = await probe(Port.READERS, address, context=context, node="a1")
    assert found.reach is Reach.UNTRUSTED
    assert "not of this cluster" in found.problem


async def test_another_program_at_the_port_is_named(tls: Tls) -> None:
    async with serving(other) as address:
        for context in (None, tls.trusting):
            found = await probe(Port.READERS, address, context=context)
            assert found.reach is Reach.UNTRUSTED
            assert ("SSH" in found.problem) == (context is None)


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("", Reach.UNKNOWN),
        ("nosuchhost.invalid:1", Reach.NO_NAME),
        ("127.0.0.1:no", Reach.LOST),
        ("127.0.0.1:99999999", Reach.LOST),
        (f"{'x' * 300}:1", Reach.NO_NAME),
    ],
)
async def test_an_address_that_cannot_be_used_is_a_result_and_no_error(address: str, reach: Reach) -> None:
    found = await probe(Port.READERS, address, context=None)
    assert found.reach is reach
    assert found.problem


def test_the_result_of_another_release_is_no_probe() -> None:
    with pytest.raises(ValueError, match="teleported"):
        Probe.of({"port": "readers", "address": "", "reach": "teleported", "took_ms": 1, "problem": ""})
