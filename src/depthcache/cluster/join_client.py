"""What a node does to join a cluster, and to get its next certificate: requests to the nodes that can sign.

The order protects the secret of the token: the authority's certificate is read over TLS that cannot be
checked yet, and compared with the hash in the token. The secret is sent only over TLS that this authority,
and no other, vouches for. A request that gets no answer is repeated as it was: the issuer answers it again,
so that a lost answer costs no token. Nothing is written before the node has joined.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp

from depthcache.cluster.authority import (
    authority_hash,
    authority_hashes,
    belongs,
    cluster_of,
    make_node_key,
    node_of,
    pem_blocks,
    trusts,
)
from depthcache.cluster.build import own_version, spoken
from depthcache.cluster.cluster_names import check_cluster
from depthcache.cluster.core.join_tokens import JoinToken
from depthcache.cluster.core.members import Node
from depthcache.cluster.data_folder import (
    DEFAULT_NODE_PORT,
    DEFAULT_PORT,
    DataFolder,
    Identity,
    NodeOptions,
    check_empty,
    clusters_root,
    hosts_and_listen,
    make_node_id,
)
from depthcache.cluster.errors import JoinRefused
from depthcache.cluster.joining import JoinGrant, JoinRequest, RenewGrant, RenewRequest
from depthcache.errors import ConnectionFailed, InvalidArgument
from depthcache.foreign_text import clean

__all__ = ["join_cluster", "renew_certificate"]

_TRY_S = 15.0
"""How long one request may take."""
_PAUSE_S, _MOST_PAUSE_S = 0.5, 5.0
_MOST_BYTES = 64 << 20
_MOST_AUTHORITY_BYTES = 64 << 10
_FOR_GOOD = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)
"""Repeating the request would not help."""


class _TryAgain(Exception):
    """A node could not be asked, or cannot answer now."""


class _Untrusted(JoinRefused):
    """The server is no node of the cluster, or the clocks are too far apart to tell."""


async def join_cluster(
    address: str,
    token: str,
    options: NodeOptions,
    *,
    data_dir: Path | None = None,
    timeout_s: float = 60.0,
    on_wait: Callable[[str], None] = lambda _: None,
) -> DataFolder:
    """Join a cluster: `depthcache cluster join ADDRESS TOKEN`. Returns the folder that was made.

    Args:
        address: host and port of the server of the node that issued the token. The default port of nodes,
            42080, means the server beside it, 42081; without a port that one, too.
        token: what `depthcache cluster token join` printed.
        options: how this node is reached and placed.
        data_dir: an empty or new folder; None for that of the cluster's name in the user's data folder.
        timeout_s: how long to try while the node does not answer.
        on_wait: called once if it does not answer at first; gets the reason.

    Raises JoinRefused: no such token here, redeemed, expired, another cluster; ConnectionFailed: no answer in
    time; DataFolderUnusable: the folder has something; InvalidArgument. Then nothing was written, and a token
    that was not refused can be used again.
    """
    parsed = JoinToken.parse(token)
    url = _url(address)
    retries = _Retries(on_wait)
    try:
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession() as session:
            authority = await _authority(session, url, parsed, retries)
            cluster = check_cluster(cluster_of(authority))
            path = data_dir or clusters_root() / cluster
            check_empty(path)
            options, hosts, listen = hosts_and_listen(options)
            node = make_node_id()
            key = make_node_key(node)
            request = JoinRequest(
                parsed.secret, node, key.request, hosts, listen, protocol=spoken(), version=own_version()
            )
            context = ssl.create_default_context(cadata=authority)
            join = f"{url}/v1/cluster/join"
            body = await retries.ask(partial(_request, session, "POST", join, context, body=request.encode()))
    except TimeoutError:
        reason = (
            f"no node answered within {timeout_s:g} s ({retries.reason or 'silent'}): is this the address of "
            "a node, and does it run? The token can still be used"
        )
        raise ConnectionFailed(url=url, reason=reason) from None
    grant = JoinGrant.decode(body)
    _check(grant, cluster=cluster, authority=authority, node=node, key=key.key)
    return DataFolder.join(path, options, node=node, key=key, grant=grant)


async def renew_certificate(
    identity: Identity,
    addresses: Sequence[str],
    *,
    authority: str = "",
    process: Node | None = None,
    now: datetime | None = None,
) -> str:
    """The next certificate of a node, in PEM, from the first of some servers (host and port) that gives one.

    `authority`: the hash of the one that is to sign; empty for any. `process`: the facts of this process, if
    it sees no other node: a server that sees another process of the node refuses it.

    Raises JoinRefused if the cluster refuses the node, ConnectionFailed if no server of the cluster answered.
    """
    now = now or datetime.now(UTC)
    request = RenewRequest.sign(
        make_node_key(identity.node.id, key=identity.key).request,
        certificate=identity.certificate,
        key=identity.key,
        hosts=identity.hosts,
        authority=authority,
        time_ms=int(now.timestamp() * 1_000),
        run=0 if process is None else process.run,
        server="" if process is None else process.address,
    )
    context = ssl.create_default_context(cadata=identity.authority)
    reasons: list[str] = []
    async with aiohttp.ClientSession() as session:
        for address in addresses:
            url = f"https://{address}/v1/cluster/renew"
            try:
                body = await _request(
                    session, "POST", url, context, body=request.encode(), for_good=(HTTPStatus.FORBIDDEN,)
                )
            except _TryAgain as error:
                reasons.append(f"{address}: {error}")
            except _Untrusted as error:  # the address may belong to another host now
                reasons.append(f"{address}: {error.reason}")
            else:
                return RenewGrant.decode(body).certificate
    reason = "; ".join(reasons) or "no node is known that could sign"
    raise ConnectionFailed(url="https://(nodes of the cluster)", reason=reason)


async def _authority(session: aiohttp.ClientSession, url: str, token: JoinToken, retries: _Retries) -> str:
    """The certificate that the token names, and nothing else of what an unknown server sends."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    content = await retries.ask(
        partial(
            _request, session, "GET", f"{url}/v1/cluster/authority", unchecked, most=_MOST_AUTHORITY_BYTES
        )
    )
    found = content.decode("utf-8", "replace")
    hashes = authority_hashes(found)
    for each in pem_blocks(found) if token.authority in hashes else []:
        if authority_hash(each) == token.authority:
            return each
    token.check(hashes[0])
    raise JoinRefused(reason="the cluster sent no certificate that can be read")


class _Retries:
    """Repeats requests until they are answered.

    Attributes:
        reason: why the last request that failed did so; empty if none has.
    """

    def __init__(self, on_wait: Callable[[str], None]) -> None:
        self.reason: str = ""
        self._on_wait = on_wait

    async def ask(self, call: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer to a request."""
        pause_s = _PAUSE_S
        while True:
            try:
                return await call()
            except _TryAgain as error:
                if not self.reason:
                    self._on_wait(str(error))
                self.reason = str(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MOST_PAUSE_S)


async def _request(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    context: ssl.SSLContext,
    *,
    body: bytes | None = None,
    most: int = _MOST_BYTES,
    for_good: Sequence[int] = _FOR_GOOD,
) -> bytes:
    """The body of a response with status 200. Raises JoinRefused for a status `for_good`, else _TryAgain."""
    headers = None if body is None else {"Content-Type": "application/json"}
    try:
        async with (
            asyncio.timeout(_TRY_S),
            session.request(
                method, url, data=body, headers=headers, ssl=context, allow_redirects=False
            ) as response,
        ):
            content = await _content(response, most)
            status = response.status
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or "unknown"
        if "not yet valid" in why or "has expired" in why:
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            reason = f"the server's {why}: the clocks are far apart, set them (here it is {now})"
            raise _Untrusted(reason=reason) from None
        reason = (
            f"the server has no certificate of this cluster that is good for its address now ({why}): "
            "somebody may be in between"
        )
        raise _Untrusted(reason=reason) from None
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is one
        raise _TryAgain(_failure(error)) from None
    if status == HTTPStatus.OK:
        return content
    reason = _reason(content) or f"HTTP status {status}"
    if status in for_good:
        raise JoinRefused(reason=reason)
    raise _TryAgain(reason)


def _failure(error: Exception) -> str:
    """Why a request failed, without the objects that aiohttp names."""
    if isinstance(error, TimeoutError):
        return f"silent for {_TRY_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name is not known"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "it does not speak TLS"
    found = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return clean(getattr(found, "strerror", None) or str(found)) or type(found).__name__


async def _content(response: aiohttp.ClientResponse, most: int) -> bytes:
    content = b""
    async for part in response.content.iter_chunked(1 << 16):
        content += part
        if len(content) > most:
            raise JoinRefused(reason="the answer of the server is too large for one of a cluster")
    return content


def _reason(content: bytes) -> str:
    """What a server says about its refusal; empty if it is no book server."""
    try:
        found = cast("dict[str, Any]", json.loads(content))["error"]["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return clean(str(found))[:500]


def _check(grant: JoinGrant, *, cluster: str, authority: str, node: str, key: str) -> None:
    """Whether the answer is one for this node. Raises JoinRefused."""
    own = spoken()
    if grant.protocol.common(own) is None:
        raise JoinRefused(
            reason=f"the issuer speaks version {grant.protocol} of the protocol between nodes, this build "
            f"{own}: install a release that both understand"
        )
    try:
        is_right = (
            grant.cluster == cluster
            and trusts(grant.authority, grant.certificate, now=datetime.now(UTC))
            and node_of(grant.certificate)[0] == node
            and belongs(grant.certificate, key)
            and authority_hash(authority) in authority_hashes(grant.authority)
        )
    except ValueError:
        is_right = False
    if not is_right:
        raise JoinRefused(reason="the cluster sent a certificate that is not for this node")


def _url(address: str) -> str:
    """Where the server is. Raises InvalidArgument."""
    refused = InvalidArgument(name="address", value=address, allowed="host and port, such as 10.0.0.1:42081")
    try:
        found = urlsplit(f"https://{address}")
        host, port = found.hostname, found.port or DEFAULT_PORT
    except ValueError:
        raise refused from None
    if not host or found.path or found.query or found.fragment or "@" in found.netloc:
        raise refused
    port = DEFAULT_PORT if port == DEFAULT_NODE_PORT else port
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
