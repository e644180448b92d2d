"""How a node joins, without the connection: what it asks, and what the issuer of its token answers.

1. The new node reads the authority's certificate from the issuer, over TLS that it cannot check yet, and
compares it with the hash in its token (`JoinToken.check`). From then on it trusts that authority alone. 2.
Over TLS checked so, it sends a `JoinRequest`: the secret, and a request for a certificate. 3. The issuer
redeems the secret, signs, registers the node in the wanted set, and answers with a `JoinGrant`.

A refused request uses no token up, except for a malformed request for a certificate: its secret was shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from depthcache.cluster.authority import Authority
from depthcache.cluster.core.join_tokens import JoinToken, JoinTokens
from depthcache.cluster.errors import JoinRefused

__all__ = ["Issuer", "JoinGrant", "JoinRequest"]

_MOST_BYTES = 65_536
_NODE = re.compile(r"[1-9a-f][0-9a-f]{0,31}")
_MOST_HOSTS = 16


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a new node sends.

    Attributes:
        secret: of its token.
        node: the id that it has chosen at random.
        request: its request for a certificate in PEM.
        hosts: names and addresses at which it is reached.
    """

    secret: str = field(repr=False)
    node: str
    request: str
    hosts: tuple[str, ...]

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
        if not _NODE.fullmatch(found.node) or not 1 <= len(found.hosts) <= _MOST_HOSTS:
            raise JoinRefused(reason="the request is malformed")
        return found


@dataclass(frozen=True, slots=True)
class JoinGrant:
    """What the issuer answers.

    Attributes:
        cluster: the name of the cluster.
        certificate: the node's certificate in PEM.
        authority: the authority's certificate in PEM.
        peers: hosts and ports at which the nodes that are known talk to each other.
        wanted: the wanted set, as base64 in JSON: with it, the node begins.
    """

    cluster: str
    certificate: str
    authority: str
    peers: tuple[str, ...]
    wanted: bytes = field(repr=False)

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
        now_ns: int,
        now: datetime,
    ) -> str:
        """Redeem a token. Returns the node's certificate; the caller registers the node before it answers.

        Args:
            request: what the node sent.
            known: the ids of registered nodes.
            denied: the ids of removed nodes.
            now_ns: a clock that never goes back.
            now: the time for the certificate.

        Raises JoinRefused.
        """
        self.tokens.check(request.secret, now_ns=now_ns)
        if request.node in denied or request.node in known:
            raise JoinRefused(reason="the id of the node is taken, or was removed: use an empty data folder")
        self.tokens.redeem(request.secret, now_ns=now_ns)
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
            raise JoinRefused(reason="the node was removed from the cluster")
        return self.authority.issue(request, node=node, hosts=hosts, now=now)
