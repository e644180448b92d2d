"""One HTTP request with a time and a size limit, no redirects: a GET, or JSON that is posted.

Every response of any status is a `Response`, everything else a `Failure` that says why: whatever a peer sends
and whatever a library makes of it, something comes back in time. Not here: what an answer means, and when to
ask again.
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
"""The largest real answers are snapshots of 5,000 levels a side, about 320 kB."""
_CHUNK_BYTES = 64 * 1024


async def fetch(
    sessions: Sessions, url: str, *, timeout_s: float, use_proxies: bool, posted: bytes | None = None
) -> Response | Failure:
    """GET `url`, or POST it where JSON is `posted`; `timeout_s` covers everything from the name lookup to
    the last byte."""
    with noting_addresses() as tried:
        try:
            return await _fetch(sessions, url, timeout_s=timeout_s, use_proxies=use_proxies, posted=posted)
        except TimeoutError:
            return Failure(tried.told(f"no complete answer within {timeout_s:g} s"))
        except aiohttp.ClientConnectorError as error:
            return Failure(tried.told(describe_error(error)))
        except Exception as error:  # noqa: BLE001 - broken packing, absurd heads … : the list would never end
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
    """An error of the network as one line for people, cleaned: peers write most of these texts."""
    return clean(_describe_error(error))


def _describe_error(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = error.certificate_error
        detail = refused.verify_message if isinstance(refused, ssl.SSLCertVerificationError) else refused
        return f"the TLS certificate was rejected: {detail}"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"the server answered the WebSocket handshake with HTTP {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with HTTP {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the answer breaks the rules of HTTP: {error.message}"
    if isinstance(error, ConnectionFailed):
        return error.reason
    if told := lacks_descriptors(error):
        return told
    text = clean(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
