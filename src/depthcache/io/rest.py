"""One HTTP request of the aiohttp network: a GET with a time and a size limit, no redirects.

Every answer of any status is a `Response`, everything else a `Failure` that says why. Not here: what
an answer means, and when to ask again.
"""

from __future__ import annotations

import ssl

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from depthcache.errors import ConnectionFailed
from depthcache.io.network import Failure, Response
from depthcache.io.proxies import Proxy, proxy_for

__all__ = ["fetch", "proxy_of", "refuse_redirects", "words"]

_MOST_BYTES = 16 * 1024 * 1024
"""The largest real answers are snapshots of 5,000 levels a side, about 320 kB."""
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def fetch(
    session: aiohttp.ClientSession, url: str, *, timeout_s: float, use_proxies: bool
) -> Response | Failure:
    """GET `url`; `timeout_s` covers everything from the name lookup to the last byte."""
    try:
        proxy = proxy_of(url, use_proxies=use_proxies)
        async with session.get(
            url,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            proxy=proxy.url if proxy else None,
            proxy_headers=proxy.headers if proxy else None,
            allow_redirects=False,
        ) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MOST_BYTES:
                    answer.close()
                    return Failure(f"the answer is larger than {_MOST_BYTES:,} bytes")
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status, headers, bytes(body))
    except TimeoutError:
        return Failure(f"no complete answer within {timeout_s:g} s")
    except (aiohttp.ClientError, ConnectionFailed, OSError, ValueError, RuntimeError) as error:
        return Failure(words(error))


async def refuse_redirects(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Middleware: a redirect would leave the hosts that the user chose, also for a WebSocket."""
    answer = await handler(request)
    if answer.status in _REDIRECTS:
        target = answer.headers.get("Location", "an unnamed place")
        answer.close()
        raise ConnectionFailed(url=str(request.url), reason=f"redirected to {target}, which is not followed")
    return answer


def proxy_of(url: str, *, use_proxies: bool) -> Proxy | None:
    """The proxy of the environment, unless switched off. Raises ConnectionFailed."""
    return proxy_for(url) if use_proxies else None


def words(error: BaseException) -> str:
    """An error of the network as one line for people."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the TLS certificate was refused: {cause.verify_message}"
        cause = cause.__cause__
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"the WebSocket handshake was answered with HTTP {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with HTTP {error.status} ({error.message})"
    if isinstance(error, ConnectionFailed):
        return error.reason
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
