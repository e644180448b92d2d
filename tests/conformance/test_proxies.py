"""Proxies in the environment are used for requests and WebSockets, or refused, but never bypassed."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from aiohttp import web

from depthcache.errors import ConnectionFailed
from depthcache.io.network.interface import Failure, Response
from depthcache.io.network.proxies import proxy_for
from tests.support.peers import Listening, read_on, serving, talking

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def hello(request: web.Request) -> web.StreamResponse:
    return web.Response(text="hello")


ROUTES = {"/x": hello, "/ws": talking(read_on)}


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


@asynccontextmanager
async def proxying() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A CONNECT proxy; yields its address and the heads of the requests it got."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        if method != b"CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nforwarded")
            await writer.drain()
            writer.close()
            return
        host, port = target.decode().rsplit(":", 1)
        other_reader, other_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_requests_and_websockets_go_through_the_proxy_of_https(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, listening: Listening
) -> None:
    async with proxying() as (proxy, heads), serving(ROUTES, tls=tls) as host:
        monkeypatch.setenv("HTTPS_PROXY", f"http://us%40er:pass@{proxy}")
        async with listening() as (network, listener):
            network.fetch(1, f"https://{host}/x", timeout_s=20.0)
            network.open(2, f"wss://{host}/ws")
            response = await listener.answer_to(1)
            await listener.until(lambda: listener.opened or listener.closed)
        assert isinstance(response, Response), response
        assert (response.body, listener.opened) == (b"hello", [2])
        secret = base64.b64encode(b"us@er:pass")
        assert len(heads) == 2
        for head in heads:
            assert head.startswith(f"CONNECT {host} HTTP/1.1\r\n".encode())
            assert b"Proxy-Authorization: Basic " + secret in head


async def test_a_way_to_plain_http_gets_the_whole_url(
    monkeypatch: pytest.MonkeyPatch, listening: Listening
) -> None:
    async with proxying() as (proxy, heads):
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@{proxy}")
        async with listening() as (network, listener):
            network.fetch(1, "http://exchange.example/x", timeout_s=20.0)
            response = await listener.answer_to(1)
        assert isinstance(response, Response), response
        assert response.body == b"forwarded"
        assert heads[0].startswith(b"GET http://exchange.example/x HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:pass") in heads[0]


async def test_proxies_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, listening: Listening) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with serving(ROUTES) as host, listening(use_proxies=False) as (network, listener):
        network.fetch(1, f"http://{host}/x", timeout_s=20.0)
        assert isinstance(await listener.answer_to(1), Response)


async def test_a_proxy_that_refuses_is_a_failure_that_names_it(
    monkeypatch: pytest.MonkeyPatch, listening: Listening
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with listening() as (network, listener):
            network.fetch(1, "https://exchange.example/x", timeout_s=20.0)
            network.open(2, "wss://exchange.example/ws")
            response, closed = await listener.answer_to(1), await listener.closing_of(2)
    assert isinstance(response, Failure)
    assert response.reason.startswith("the proxy returned HTTP 407")
    assert closed.reason.startswith("the proxy returned HTTP 407")


async def test_a_proxy_of_an_unsupported_kind_is_not_gone_around(
    monkeypatch: pytest.MonkeyPatch, listening: Listening
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks4://user:secret@127.0.0.1:1080")
    async with serving(ROUTES) as host, listening() as (network, listener):
        network.fetch(1, f"http://{host}/x", timeout_s=20.0)
        network.open(2, f"ws://{host}/ws")
        response, closed = await listener.answer_to(1), await listener.closing_of(2)
        assert isinstance(response, Failure)
        assert "socks4://127.0.0.1:1080" in response.reason
        assert "secret" not in response.reason
        assert listener.opened == []
        assert closed.reason == response.reason


@asynccontextmanager
async def socks(*, user: bytes = b"", password: bytes = b"") -> AsyncIterator[tuple[str, list[str]]]:
    """A SOCKS5 proxy (RFC 1928, 1929); yields its address and the places it was asked to reach."""
    places: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = b"\x02" if user else b"\x00"
        writer.write(b"\x05" + (wanted if wanted in methods else b"\xff"))
        if user:
            _, length = await reader.readexactly(2)
            name = await reader.readexactly(length)
            given = (name, await reader.readexactly((await reader.readexactly(1))[0]))
            writer.write(b"\x01\x00" if given == (user, password) else b"\x01\x01")
        *_, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        places.append(host)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", places
    finally:
        server.close()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("password", ["pass", "pässwörd"])
async def test_requests_and_websockets_go_through_a_socks_proxy_that_looks_names_up(
    password: str, secure: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, listening: Listening
) -> None:
    async with (
        socks(user=b"us@er", password=password.encode()) as (proxy, places),
        serving(ROUTES, tls=tls if secure else None) as host,
    ):
        monkeypatch.setenv("ALL_PROXY", f"socks5h://us%40er:{quote(password)}@{proxy}")
        s, place = ("s", host) if secure else ("", host.replace("127.0.0.1", "exchange.example"))
        async with listening() as (network, listener):
            network.fetch(1, f"http{s}://{place}/x", timeout_s=20.0)
            network.open(2, f"ws{s}://{place}/ws")
            response = await listener.answer_to(1)
            await listener.until(lambda: listener.opened or listener.closed)
        assert isinstance(response, Response), response
        assert (response.body, listener.opened) == (b"hello", [2])
        assert places == ["127.0.0.1" if secure else "exchange.example"] * 2


async def test_a_socks_proxy_that_refuses_is_a_failure_that_names_it(
    monkeypatch: pytest.MonkeyPatch, listening: Listening
) -> None:
    async with socks(user=b"user", password=b"other") as (proxy, _):
        monkeypatch.setenv("ALL_PROXY", f"socks5://user:pass@{proxy}")
        async with listening() as (network, listener):
            network.fetch(1, "https://exchange.example/x", timeout_s=20.0)
            network.open(2, "wss://exchange.example/ws")
            response, closed = await listener.answer_to(1), await listener.closing_of(2)
    assert isinstance(response, Failure)
    assert response.reason.startswith("through the proxy: ")
    assert closed.reason.startswith("through the proxy: ")


async def test_a_proxy_behind_tls_uses_aiohttp_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, listening: Listening, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "https://127.0.0.1:1")
    async with listening() as (network, listener):
        with caplog.at_level("INFO", logger="depthcache"):
            network.open(1, "wss://exchange.example/ws")
            closed = await listener.closing_of(1)
    assert "127.0.0.1:1" in closed.reason
    said = "the native transport does not support the proxy https://127.0.0.1:1" in caplog.text
    assert said == (transport == "native")


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://h/x", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://h/x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "wss://h/x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://h/x", None),
        ({"HTTP_PROXY": "p:1"}, "ws://h/x", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "ws://h/x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "h"}, "wss://h:9443/x", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".binance.com"}, "wss://stream.binance.com:9443/x", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://h/x", None),
        ({"HTTPS_PROXY": ""}, "https://h/x", None),
        ({"HTTPS_PROXY": "http://u:p@p:1/"}, "https://h/x", "http://p:1"),
        ({"ALL_PROXY": "socks5h://u:p@p"}, "wss://h/x", "socks5://p:1080"),
        ({"ALL_PROXY": "https://[::1]:8443"}, "wss://h/x", "https://[::1]:8443"),
    ],
)
def test_the_environment_decides_the_proxy(
    environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(url).proxy
    assert (None if found is None else str(found)) == proxy


@pytest.mark.parametrize("text", ["socks4://p:1", "ftp://p", "http://", "nonsense://x"])
def test_unusable_proxies_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(
        ConnectionFailed, match="only http://, https://, socks5:// and socks5h:// proxies are supported"
    ):
        proxy_for("https://h/x")


@pytest.mark.parametrize("credentials", ["user:" + "p" * 256, "ü" * 128 + ":pass"])
def test_credentials_that_socks_cannot_send_are_refused(
    credentials: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"socks5://{credentials}@p:1")
    with pytest.raises(ConnectionFailed, match="at most 255 bytes") as caught:
        proxy_for("https://h/x")
    assert credentials[:5] not in str(caught.value)


def test_credentials_of_a_proxy_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@p:1")
    assert "secret" not in repr(proxy_for("https://h/x"))
