"""What a node answers those who join, and nodes that renew their certificates.

Strangers send these requests, so every refusal says why in one sentence and shows nothing of what was sent.
"""

from __future__ import annotations

import json
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from depthcache.cluster.build import own_version, spoken
from depthcache.cluster.core.protocol import ProtocolRange
from depthcache.cluster.data_folder import DataFolder
from depthcache.cluster.errors import ChangeNotStored, JoinRefused
from depthcache.cluster.joining import (
    REMOVED,
    RUNS_TWICE,
    Issuer,
    JoinGrant,
    JoinRequest,
    RenewGrant,
    RenewRequest,
)
from depthcache.cluster.runner import NodeRunner

__all__ = ["JOIN_ROUTE", "RENEW_ROUTE", "JoinableCluster", "RunningCluster", "answer", "join", "renew"]

JOIN_ROUTE, RENEW_ROUTE = "join_cluster", "renew_node_certificate"
"""The names of the native routes."""
_NO_KEY = "this node does not have the authority's key: ask the node that issued the token"


class _OtherAuthority(JoinRefused):
    """Another node has the key that is to sign."""


class JoinableCluster(Protocol):
    """What joining needs of a running node."""

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        ...

    def known(self) -> frozenset[str]:
        """The ids of registered nodes."""
        ...

    def denied(self) -> frozenset[str]:
        """The ids of removed nodes."""
        ...

    def runs_elsewhere(self, node: str, *, run: int, server: str) -> bool:
        """Whether a node is alive here in another process than this one."""
        ...

    def why_not(self, protocol: ProtocolRange) -> str:
        """Why a node that speaks these versions of the nodes' protocol cannot join; empty if it can."""
        ...

    def peers(self) -> tuple[str, ...]:
        """Hosts and ports at which the known nodes talk to each other, this one included."""
        ...

    def trusted(self) -> str:
        """The certificates of the authorities that nodes trust, in PEM."""
        ...

    def wanted(self) -> bytes:
        """The wanted set, as on disk."""
        ...

    def secrets(self) -> bytes:
        """The secrets that all nodes share, in the clear."""
        ...

    async def register(self, node: str, *, listen: str) -> None:
        """Let a node join. Raises ChangeNotStored."""
        ...


class RunningCluster:
    """`JoinableCluster` of a running node and its data folder."""

    def __init__(self, folder: DataFolder, runner: NodeRunner) -> None:
        self._folder, self._runner = folder, runner

    @property
    def cluster(self) -> str:
        """As `JoinableCluster.cluster`."""
        return self._folder.identity.cluster

    def known(self) -> frozenset[str]:
        """As `JoinableCluster.known`."""
        return self._runner.core.wanted.registered()

    def denied(self) -> frozenset[str]:
        """As `JoinableCluster.denied`."""
        return self._runner.core.wanted.denied()

    def runs_elsewhere(self, node: str, *, run: int, server: str) -> bool:
        """As `JoinableCluster.runs_elsewhere`."""
        members = self._runner.core.members
        seen = members.node(node)
        return seen is not None and members.is_alive(node) and (seen.run, seen.address) != (run, server)

    def why_not(self, protocol: ProtocolRange) -> str:
        """As `JoinableCluster.why_not`."""
        for node in self._runner.core.members.not_dead():
            if node.protocol.common(protocol) is None:
                build = f" (depthcache {node.version})" if node.version else ""
                return (
                    f"its build speaks version {protocol} of the protocol between nodes, node "
                    f"{node.id}{build} of the cluster {node.protocol}: install a release that both understand"
                )
        return ""

    def peers(self) -> tuple[str, ...]:
        """As `JoinableCluster.peers`."""
        listens = self._runner.core.wanted.listens().values()
        return tuple(dict.fromkeys((self._folder.identity.listen, *listens)))

    def trusted(self) -> str:
        """As `JoinableCluster.trusted`."""
        return self._folder.identity.authority

    def wanted(self) -> bytes:
        """As `JoinableCluster.wanted`."""
        return self._runner.core.snapshot()

    def secrets(self) -> bytes:
        """As `JoinableCluster.secrets`."""
        return self._folder.credentials.export()

    async def register(self, node: str, *, listen: str) -> None:
        """As `JoinableCluster.register`."""
        await self._runner.register(node, listen=listen)


async def answer(
    route: str, body: bytes, *, issuer: Issuer | None, cluster: JoinableCluster, now_ns: int, now: datetime
) -> tuple[int, bytes]:
    """Status and body of the response to a native route.

    `issuer`: None where this node has not the authority's key. `now_ns`: a clock that never goes back. `now`:
    the time for certificates.
    """
    try:
        if route != JOIN_ROUTE:
            return HTTPStatus.OK, renew(issuer, cluster, body, now=now).encode()
        if issuer is None:
            raise _OtherAuthority(reason=_NO_KEY)
        return HTTPStatus.OK, (await join(issuer, cluster, body, now_ns=now_ns, now=now)).encode()
    except _OtherAuthority:
        return _refusal(HTTPStatus.NOT_FOUND, "no_issuer", _NO_KEY)
    except JoinRefused as error:
        return _refusal(HTTPStatus.FORBIDDEN, "join_refused", error.reason)
    except ChangeNotStored as error:
        return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", error.reason)


async def join(
    issuer: Issuer, cluster: JoinableCluster, body: bytes, *, now_ns: int, now: datetime
) -> JoinGrant:
    """Redeem a token and register its node. Raises JoinRefused; ChangeNotStored, after which it may be
    repeated."""
    request = JoinRequest.decode(body)
    certificate = issuer.admit(
        request,
        known=cluster.known(),
        denied=cluster.denied(),
        why_not=cluster.why_not(request.protocol),
        now_ns=now_ns,
        now=now,
    )
    if request.node not in cluster.known():
        await cluster.register(request.node, listen=request.listen)
    return JoinGrant(
        cluster.cluster,
        certificate,
        cluster.trusted(),
        tuple(each for each in cluster.peers() if each != request.listen),
        cluster.wanted(),
        cluster.secrets(),
        spoken(),
        own_version(),
    )


def renew(issuer: Issuer | None, cluster: JoinableCluster, body: bytes, *, now: datetime) -> RenewGrant:
    """A new certificate for a node that proves that it has the current one's key. Raises JoinRefused.

    Nodes without a key, too, say that a node was removed, or runs twice: a process that sees no other node
    asks each of them for that."""
    request = RenewRequest.decode(body)
    node = request.sender(cluster.trusted(), now=now)
    if node in cluster.denied():
        raise JoinRefused(reason=REMOVED)
    if request.run and cluster.runs_elsewhere(node, run=request.run, server=request.server):
        raise JoinRefused(reason=RUNS_TWICE)
    if issuer is None or request.authority not in ("", issuer.authority.hash):
        raise _OtherAuthority(reason=_NO_KEY)
    if node not in cluster.known():
        raise JoinRefused(reason="the node does not belong to the cluster any more: let it join again")
    certificate = issuer.renew(
        request.request, node=node, hosts=request.hosts, denied=cluster.denied(), now=now
    )
    return RenewGrant(certificate)


def _refusal(status: HTTPStatus, code: str, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"code": code, "message": message}}).encode()
