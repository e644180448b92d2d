"""TLS accepts only valid certificates of trusted authorities for the right host."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from depthcache.io.network.interface import Failure, Response
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
