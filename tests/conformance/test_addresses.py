"""Connecting tries every address of both families, and an error lists them all."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from depthcache.io.network import sessions
from depthcache.io.network.interface import Failure, Response
from depthcache.io.network.native import NativeNetwork
from tests.conformance.test_proxies import ROUTES
from tests.hostile.socket_peer import Wire, black_hole, peer
from tests.support.peers import Listening, serving

NAME = "exchange.example"


class Names(AbstractResolver):
    """A resolver that knows one name."""

    addresses: tuple[str, ...] = ()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        assert host == NAME, host
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


class Named:
    """Says which addresses the name has, to both transports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *addresses: str) -> None:
        found = {NAME: [ip_address(each) for each in addresses]}
        self._monkeypatch.setattr(NativeNetwork, "_addresses", found)
        self._monkeypatch.setattr(Names, "addresses", addresses)
        connector: Any = sessions.TCPConnector
        self._monkeypatch.setattr(
            sessions, "TCPConnector", lambda **options: connector(resolver=Names(), **options)
        )


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    return Named(monkeypatch)


@pytest.fixture
def free_port() -> Iterator[int]:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def at_peace(wire: Wire) -> None:
    wire.shake()
    wire.until_close_frame()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="how a black hole is made on loopback")
async def test_a_first_address_that_swallows_everything_costs_a_moment(
    listening: Listening, named: Named
) -> None:
    """Both are of one family, so that racing the families would not do."""
    with black_hole("127.0.0.2") as port:
        named("127.0.0.2", "127.0.0.1")

        with peer(at_peace, port=port):
            async with listening() as (network, listener):
                for number in (1, 2):  # the same on the next try
                    network.open(number, f"ws://{NAME}:{port}/ws")
                    await listener.until(
                        lambda number=number: {number} & {*listener.opened, *listener.closed}
                    )
                    assert number in listener.opened
                    network.close(number)
                    await listener.closing_of(number)


@pytest.mark.parametrize("dead", [("127.0.0.2",), ("127.0.0.2", "127.0.0.3", "127.0.0.4"), ("::1",)])
async def test_addresses_that_refuse_are_passed_over(
    dead: tuple[str, ...], listening: Listening, named: Named
) -> None:
    named(*dead, "127.0.0.1")
    async with serving(ROUTES) as host, listening() as (network, listener):
        port = host.rpartition(":")[2]
        network.open(1, f"ws://{NAME}:{port}/ws")
        network.fetch(2, f"http://{NAME}:{port}/x", timeout_s=20.0)
        await listener.until(lambda: listener.opened or listener.closed)
        assert listener.closed == {}
        assert isinstance(await listener.answer_to(2), Response)


async def test_the_reason_names_every_address_and_what_it_said(
    listening: Listening, named: Named, free_port: int
) -> None:
    named("127.0.0.2", "127.0.0.3")
    async with listening() as (network, listener):
        network.open(1, f"ws://{NAME}:{free_port}/ws")
        network.fetch(2, f"http://{NAME}:{free_port}/x", timeout_s=20.0)
        closed, response = await listener.closing_of(1), await listener.answer_to(2)
    assert isinstance(response, Failure)
    for reason in (closed.reason, response.reason):
        assert "127.0.0.2" in reason
        assert "127.0.0.3" in reason
        assert NAME in reason


async def test_an_address_that_answers_nothing_is_tried_last_the_next_time(
    listening: Listening, named: Named, transport: str
) -> None:
    if transport == "aiohttp":
        pytest.skip("aiohttp takes the addresses in turn by itself")
    named("127.0.0.2", "127.0.0.1")

    with peer(Wire.wait, host="127.0.0.2") as mute, peer(at_peace, port=int(mute.rpartition(":")[2])):
        url = f"ws://{NAME}:{mute.rpartition(':')[2]}/ws"
        async with listening(connect_s=0.05) as (network, listener):
            network.open(1, url)
            closed = await listener.closing_of(1)
            assert closed.reason.startswith(
                f"connected to {mute}, but there was no response to the WebSocket handshake"
            )
            network.open(2, url)
            await listener.until(lambda: listener.opened or 2 in listener.closed)
            assert listener.opened == [2], listener.closed


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
async def test_literal_addresses_are_reached(host: str, listening: Listening) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("there is no IPv6 on this host")
    with peer(at_peace, host=host) as place:
        async with listening() as (network, listener):
            network.open(1, f"ws://{place}/ws")
            await listener.until(lambda: listener.opened or listener.closed)
            assert listener.closed == {}


async def test_localhost_is_reached_by_whichever_family_it_has(listening: Listening) -> None:
    with peer(at_peace) as place:
        async with listening() as (network, listener):
            network.open(1, f"ws://localhost:{place.rpartition(':')[2]}/ws")
            await listener.until(lambda: listener.opened or listener.closed)
            assert listener.closed == {}


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_all_addresses_of_a_proxy_are_tried(
    scheme: str, listening: Listening, named: Named, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here they all refuse: each is named, on the native way and for requests."""
    named("127.0.0.2", "127.0.0.3")
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, free_port)) for ip in ("127.0.0.2", "127.0.0.3")
    ]

    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        return list(found)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("all_proxy", f"{scheme}://{NAME}:{free_port}")
    async with listening() as (network, listener):
        network.open(1, "wss://behind.example/ws")
        network.fetch(2, "https://behind.example/x", timeout_s=20.0)
        closed, response = await listener.closing_of(1), await listener.answer_to(2)
    assert isinstance(response, Failure)
    for reason in (closed.reason, response.reason):
        assert "127.0.0.2" in reason
        assert "127.0.0.3" in reason


async def test_a_name_that_is_not_there_is_said(listening: Listening) -> None:
    async with listening() as (network, listener):
        network.open(1, "ws://nowhere.invalid/ws")
        closed = await listener.closing_of(1)
    assert "nowhere.invalid" in closed.reason
