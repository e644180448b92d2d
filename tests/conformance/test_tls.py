"""TLS accepts only valid certificates of trusted authorities for the right host."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from depthcache.io.network.interface import Failure, Response, ServerAccess
from tests.support import peers
from tests.support.peers import Listening, read_on, serving, talking


async def hello(request: web.Request) -> web.StreamResponse:
    return web.Response(text="hello")


ROUTES = {"/x": hello, "/ws": talking(read_on)}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is one of the system's."""
    file = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


def server_with(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def ask(listening: Listening, tls: ssl.SSLContext) -> tuple[Response | Failure, str]:
    """What a request gets, and why a WebSocket ended ("" when it opened)."""
    async with serving(ROUTES, tls=tls) as host, listening() as (network, listener):
        network.fetch(1, f"https://{host}/x", timeout_s=20.0)
        network.open(2, f"wss://{host}/ws")
        await listener.until(lambda: 2 in listener.opened or 2 in listener.closed)
        return await listener.answer_to(1), listener.closed[2].reason if 2 in listener.closed else ""


@pytest.mark.usefixtures("trusted")
async def test_a_good_certificate_of_a_known_authority_is_accepted(
    authority: trustme.CA, listening: Listening
) -> None:
    response, ended = await ask(listening, server_with(authority.issue_cert("127.0.0.1")))
    assert isinstance(response, Response)
    assert (response.body, ended) == (b"hello", "")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("unknown authority", "unable to get local issuer certificate"),
        ("wrong host", "IP address mismatch|not valid for name"),
        ("expired", "certificate has expired"),
    ],
)
async def test_a_bad_certificate_is_refused_and_the_reason_said(
    authority: trustme.CA, flaw: str, words: str, listening: Listening
) -> None:
    if flaw == "unknown authority":
        certificate = trustme.CA().issue_cert("127.0.0.1")
    elif flaw == "wrong host":
        certificate = authority.issue_cert("127.0.0.2")
    else:
        certificate = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1))
    response, ended = await ask(listening, server_with(certificate))
    assert isinstance(response, Failure)
    assert response.reason.startswith("the TLS certificate was rejected: ")
    assert re.search(words, response.reason)
    assert ended.startswith("the TLS certificate was rejected: ")
    assert re.search(words, ended)


@pytest.mark.usefixtures("trusted")
async def test_a_server_that_speaks_no_tls_is_a_failure(listening: Listening) -> None:
    async with serving(ROUTES) as host, listening() as (network, listener):
        network.fetch(1, f"https://{host}/x", timeout_s=20.0)
        network.open(2, f"wss://{host}/ws")
        assert isinstance(await listener.answer_to(1), Failure)
        assert (await listener.closing_of(2)).reason


class Proving:
    """A server that asks for a certificate of the authority, and files with which a client proves itself."""

    def __init__(self, authority: trustme.CA, folder: Path) -> None:
        self.authorities, self.own = folder / "authorities.pem", (folder / "own.pem", folder / "own.key")
        authority.cert_pem.write_to_path(str(self.authorities))
        self.tls = server_with(authority.issue_cert("127.0.0.1"))
        self.tls.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(self.tls)
        self.prove_by(authority)

    def prove_by(self, issuer: trustme.CA) -> None:
        certificate = issuer.issue_cert("node")
        self.own[0].write_bytes(certificate.cert_chain_pems[0].bytes())
        self.own[1].write_bytes(certificate.private_key_pem.bytes())


async def test_a_server_that_asks_for_a_certificate_gets_it(
    authority: trustme.CA, listening: Callable[..., Any], tmp_path: Path
) -> None:
    """Nodes of a cluster prove themselves to each other."""
    proving = Proving(authority, tmp_path)
    access = ServerAccess(certificate=proving.own)
    async with serving(ROUTES, tls=proving.tls) as host:
        async with listening(ca_file=proving.authorities) as (network, listener):
            network.open(1, f"wss://{host}/ws")
            assert (await listener.closing_of(1)).reason
        async with listening(ca_file=proving.authorities, access=access) as (network, listener):
            network.fetch(1, f"https://{host}/x", timeout_s=20.0)
            network.open(2, f"wss://{host}/ws")
            await listener.until(lambda: 2 in listener.opened or 2 in listener.closed)
            assert 2 in listener.opened
            assert isinstance(await listener.answer_to(1), Response)


async def test_connections_use_a_certificate_that_was_renewed_meanwhile(
    authority: trustme.CA, tmp_path: Path
) -> None:
    proving = Proving(authority, tmp_path)
    proving.prove_by(trustme.CA())
    access = ServerAccess(certificate=proving.own)
    async with (
        serving(ROUTES, tls=proving.tls) as host,
        peers.listening("native", ca_file=proving.authorities, access=access) as (network, listener),
    ):
        network.open(1, f"wss://{host}/ws")
        assert (await listener.closing_of(1)).reason
        proving.prove_by(authority)
        network.open(2, f"wss://{host}/ws")
        await listener.until(lambda: 2 in listener.opened or 2 in listener.closed)
        assert 2 in listener.opened
