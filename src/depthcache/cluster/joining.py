"""How a node joins, without the connection: what it asks, and what the issuer of its token answers.

1. The new node reads the authority's certificate from the issuer, over TLS that it cannot check yet, and
compares it with the hash in its token (`JoinToken.check`). From then on it trusts that authority alone. 2.
Over TLS checked so, it sends a `JoinRequest`: the secret, and a request for a certificate. 3. The issuer
redeems the secret, signs, registers the node in the wanted set, and answers with a `JoinGrant`.

A refused request uses no token up, except for a malformed request for a certificate: its secret was shown.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from depthcache.cluster.authority import Authority, is_signed, node_of, sign, trusts
from depthcache.cluster.core.join_tokens import JoinToken, JoinTokens
from depthcache.cluster.core.protocol import FIRST, ProtocolRange
from depthcache.cluster.errors import JoinRefused

__all__ = ["REMOVED", "RUNS_TWICE", "Issuer", "JoinGrant", "JoinRequest", "RenewGrant", "RenewRequest"]

REMOVED = "the node was removed from the cluster"
"""Why a removed node gets no certificate."""
RUNS_TWICE = "another process runs as this node, from a copy of its data folder"
"""Why a process that sees no other node gets no certificate."""
_MOST_BYTES = 65_536
_NODE = re.compile(r"[1-9a-f][0-9a-f]{0,31}")
_ENDPOINT = re.compile(r"[A-Za-z0-9._:\[\]-]{1,253}:[0-9]{1,5}")
_MOST_HOSTS = 16
_RENEWAL_MS = 60 * 60_000
"""How far the clocks of a node and of the issuer may be apart."""


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a new node sends.

    Attributes:
        secret: of its token.
        node: the id that it has chosen at random.
        request: its request for a certificate in PEM.
        hosts: names and addresses at which it is reached.
        listen: host and port at which it talks to other nodes.
        protocol: the versions of the protocol between nodes that it speaks.
        version: of its package; empty if it does not say it.
    """

    secret: str = field(repr=False)
    node: str
    request: str
    hosts: tuple[str, ...]
    listen: str
    protocol: ProtocolRange = FIRST
    version: str = ""

    def encode(self) -> bytes:
        """As JSON, for the body of the request: a secret."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> JoinRequest:
        """Read the body of a request. Raises JoinRefused, which shows nothing of it."""
        try:
            found = msgspec.json.decode(body[: _MOST_BYTES + 1], type=cls)
        except (msgspec.MsgspecError, RecursionError):
            raise JoinRefused(reason="the request is malformed") from None
        is_right = _NODE.fullmatch(found.node) and _ENDPOINT.fullmatch(found.listen)
        if not is_right or not 1 <= len(found.hosts) <= _MOST_HOSTS:
            raise JoinRefused(reason="the request is malformed")
        return found

    @property
    def mark(self) -> str:
        """What tells it from the request of another node with the same token."""
        return hashlib.sha256(f"{self.node} {self.request}".encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class JoinGrant:
    """What the issuer answers.

    Attributes:
        cluster: the name of the cluster.
        certificate: the node's certificate in PEM.
        authority: the certificates of the authorities that nodes trust, in PEM.
        peers: hosts and ports at which the nodes that are known talk to each other.
        wanted: the wanted set, as base64 in JSON: with it, the node begins.
        secrets: the cluster's access tokens and credentials, as base64 in JSON.
        protocol: the versions of the protocol between nodes that the issuer speaks.
        version: of its package; empty if it does not say it.
    """

    cluster: str
    certificate: str
    authority: str
    peers: tuple[str, ...]
    wanted: bytes = field(repr=False)
    secrets: bytes = field(repr=False)
    protocol: ProtocolRange = FIRST
    version: str = ""

    def encode(self) -> bytes:
        """As JSON, for the body of the response."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> JoinGrant:
        """Read the body of a response. Raises JoinRefused."""
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, RecursionError):
            raise JoinRefused(reason="the answer of the cluster is malformed") from None


@dataclass(frozen=True, slots=True)
class RenewRequest:
    """What a node sends to get a new certificate. Only the owner of the current one's key can sign it.

    Attributes:
        certificate: its current certificate in PEM.
        request: its request for the next one in PEM.
        hosts: names and addresses at which it is reached.
        authority: hash of the authority that is to sign; empty for any.
        time_ms: milliseconds since 1970: the issuer takes it for an hour.
        run, server: of a process that sees no other node: the facts `run` and `address` of its `Node`; 0 and
            empty for all others.
        signature: of all this, with the key of the current certificate, in hexadecimal.
    """

    certificate: str
    request: str
    hosts: tuple[str, ...]
    authority: str
    time_ms: int
    signature: str
    run: int = 0
    server: str = ""

    @classmethod
    def sign(
        cls,
        request: str,
        *,
        certificate: str,
        key: str,
        hosts: tuple[str, ...],
        authority: str,
        time_ms: int,
        run: int = 0,
        server: str = "",
    ) -> RenewRequest:
        """The request of the node with this certificate and key, in PEM."""
        signature = sign(key, _signed(request, hosts, authority, time_ms, run, server))
        return cls(certificate, request, hosts, authority, time_ms, signature, run, server)

    def encode(self) -> bytes:
        """As JSON, for the body of the request."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> RenewRequest:
        """Read the body of a request. Raises JoinRefused."""
        try:
            found = msgspec.json.decode(body[: _MOST_BYTES + 1], type=cls)
        except (msgspec.MsgspecError, RecursionError):
            raise JoinRefused(reason="the request is malformed") from None
        if not 1 <= len(found.hosts) <= _MOST_HOSTS:
            raise JoinRefused(reason="the request is malformed")
        return found

    def sender(self, authorities: str, *, now: datetime) -> str:
        """The id of the node that sent it. Raises JoinRefused unless it is a node of this cluster, now."""
        refused = JoinRefused(reason="the certificate is not a valid one of this cluster: join again")
        try:
            if not trusts(authorities, self.certificate, now=now):
                raise refused
        except ValueError:
            raise refused from None
        signed = _signed(self.request, self.hosts, self.authority, self.time_ms, self.run, self.server)
        if not is_signed(self.certificate, signed, self.signature):
            raise JoinRefused(reason="the request is not signed by the node of its certificate")
        if abs(self.time_ms - now.timestamp() * 1_000) > _RENEWAL_MS:
            raise JoinRefused(
                reason="the clocks of the node and of the issuer are more than an hour apart: set them"
            )
        return node_of(self.certificate)[0]


@dataclass(frozen=True, slots=True)
class RenewGrant:
    """What the issuer answers: the new certificate, in PEM."""

    certificate: str

    def encode(self) -> bytes:
        """As JSON, for the body of the response."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> RenewGrant:
        """Read the body of a response. Raises JoinRefused."""
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.MsgspecError, RecursionError):
            raise JoinRefused(reason="the answer of the cluster is malformed") from None


def _signed(
    request: str, hosts: tuple[str, ...], authority: str, time_ms: int, run: int, server: str
) -> bytes:
    process = (run, server) if run else ()
    return msgspec.json.encode(["depthcache renew", request, hosts, authority, time_ms, *process])


@dataclass(frozen=True, slots=True)
class Issuer:
    """The node that has the authority's key: it issues tokens and lets nodes join."""

    authority: Authority
    tokens: JoinTokens = field(default_factory=JoinTokens, repr=False)

    def issue(self, *, secret: str, now_ns: int) -> JoinToken:
        """A new join token. As `JoinTokens.issue`."""
        return self.tokens.issue(self.authority.hash, secret=secret, now_ns=now_ns)

    def admit(
        self,
        request: JoinRequest,
        *,
        known: frozenset[str],
        denied: frozenset[str],
        why_not: str = "",
        now_ns: int,
        now: datetime,
    ) -> str:
        """Redeem a token. Returns the node's certificate; the caller registers the node before it answers.

        Args:
            request: what the node sent.
            known: the ids of registered nodes.
            denied: the ids of removed nodes.
            why_not: why the build of the node does not fit the cluster; empty if it does.
            now_ns: a clock that never goes back.
            now: the time for the certificate.

        The same request may be repeated until the token expires. Raises JoinRefused.
        """
        is_repeated = self.tokens.check(request.secret, by=request.mark, now_ns=now_ns)
        if request.node in denied or (request.node in known and not is_repeated):
            raise JoinRefused(reason="the id of the node is taken, or was removed: use an empty data folder")
        if why_not:
            raise JoinRefused(reason=why_not)
        self.tokens.redeem(request.secret, by=request.mark, now_ns=now_ns)
        return self.authority.issue(request.request, node=request.node, hosts=request.hosts, now=now)

    def renew(
        self, request: str, *, node: str, hosts: tuple[str, ...], denied: frozenset[str], now: datetime
    ) -> str:
        """A new certificate for a node that asked over its own TLS connection.

        Args:
            request: a request for a certificate in PEM.
            node: the id that the node's certificate names, not what the node says.
            hosts: names and addresses at which it is reached.
            denied: the ids of removed nodes.
            now: the time.

        Raises JoinRefused.
        """
        if node in denied:
            raise JoinRefused(reason=REMOVED)
        return self.authority.issue(request, node=node, hosts=hosts, now=now)
