"""One HTTP request, GET or POST of JSON, with a timeout, a size limit and no redirects.

It always returns in time: a `Response` for a response of any status, otherwise a `Failure` with the reason.
`core.requests` interprets responses and retries.
"""

from __future__ import annotations

import ssl

import aiohttp

from depthcache.errors import ConnectionFailed
from depthcache.foreign_text import clean
from depthcache.io.network.interface import Failure, Response, lacks_descriptors
from depthcache.io.network.proxies import DIRECT, proxy_for
from depthcache.io.network.sessions import Sessions, noting_addresses, route_arguments

__all__ = ["describe_error", "fetch"]

_MOST_BYTES = 16 * 1024 * 1024
"""Largest response in bytes. The largest real ones are snapshots of 5,000 levels a side, about 320 kB."""
_CHUNK_BYTES = 64 * 1024


async def fetch(
    sessions: Sessions, url: str, *, timeout_s: float, use_proxies: bool, posted: bytes | None = None
) -> Response | Failure:
    """GET `url`, or POST the JSON text `posted` to it.

    `timeout_s` covers everything from the DNS lookup to the last byte.
    """
    with noting_addresses() as tried:
        try:
            return await _fetch(sessions, url, timeout_s=timeout_s, use_proxies=use_proxies, posted=posted)
        except TimeoutError:
            return Failure(tried.told(f"no complete response within {timeout_s:g} s"))
        except aiohttp.ClientConnectorError as error:
            return Failure(tried.told(describe_error(error)))
        except Exception as error:  # noqa: BLE001 - peers can cause any error, such as by bad compression
            return Failure(describe_error(error))


async def _fetch(
    sessions: Sessions, url: str, *, timeout_s: float, use_proxies: bool, posted: bytes | None
) -> Response | Failure:
    route = proxy_for(url) if use_proxies else DIRECT
    taken = route_arguments(route)
    if posted is not None:
        taken["headers"] = {**(taken["headers"] or {}), "Content-Type": "application/json"}
    async with sessions.of(route).request(
        "GET" if posted is None else "POST",
        url,
        data=posted,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        allow_redirects=False,
        **taken,
    ) as response:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > _MOST_BYTES:
                response.close()
                return Failure(f"the response is larger than {_MOST_BYTES:,} bytes")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status, headers, bytes(body))


def describe_error(error: BaseException) -> str:
    """A network error as one line of text, cleaned, because peers write parts of it."""
    return clean(_describe_error(error))


def _is_plain(error: OSError) -> bool:
    """Whether the peer answered the TLS handshake in another protocol, such as plain HTTP."""
    return isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER"


def _describe_error(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = error.certificate_error
        detail = refused.verify_message if isinstance(refused, ssl.SSLCertVerificationError) else refused
        return f"the TLS certificate was rejected: {detail}"
    if isinstance(error, aiohttp.ClientConnectorError) and _is_plain(error.os_error):
        return "the server does not speak TLS"
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        found, wanted = (each.hex(":").upper() for each in (error.got, error.expected))
        return f"the TLS certificate was rejected: the certificate has the fingerprint {found}, not {wanted}"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"the server answered the WebSocket handshake with HTTP {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy returned HTTP {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the response is not valid HTTP: {error.message}"
    if isinstance(error, ConnectionFailed):
        return error.reason
    if told := lacks_descriptors(error):
        return told
    text = clean(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
