"""A node as a program: its data folder, the running node, and what its server answers about the cluster.

    async with open_node(folder, config) as program:
        print(program.node.url)
        await program.ended()

`cli/cluster.py` starts it. Not here: the node itself (`running_node`), its files (`data_folder`), and what it
keeps in order (`housekeeping`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from depthcache.cluster import join_service
from depthcache.cluster.check_routes import CheckRoutes, NotChecked, parse_check
from depthcache.cluster.compat_credentials import CredentialRoutes, SharedCredentials
from depthcache.cluster.compat_management import ClusterCompat
from depthcache.cluster.core.access_tokens import Role
from depthcache.cluster.core.join_tokens import LIFE_NS
from depthcache.cluster.core.node import SelfRegistration
from depthcache.cluster.data_folder import DEFAULT_NODE_PORT, DEFAULT_PORT, DataFolder, Identity
from depthcache.cluster.given_peers import GivenPeers, probe_with, without_own
from depthcache.cluster.housekeeping import Housekeeping
from depthcache.cluster.management import ClusterManagement, Invitation, NewToken
from depthcache.cluster.runner import SystemClock
from depthcache.cluster.running_node import ClusterNode, NodeOptions
from depthcache.cluster.secret_sharing import SharingNetwork
from depthcache.cluster.self_check import SelfCheck
from depthcache.cluster.zenoh_network import ZenohNetwork, ZenohSettings
from depthcache.io.network.interface import Failure
from depthcache.server import ServerConfig
from depthcache.settings import Settings

__all__ = ["JoinRoutes", "NodeProgram", "SharedStart", "open_node", "server_config"]

OVERLAP_S = 60 * 60
"""How long the earlier tokens of a role are taken after a new one was made."""
_KNOWN_S = 3.0
"""How long a node that starts waits for the others before it says that it is ready."""
_CHECK_S = 8.0
"""How long another node may take to check itself; a request of a command is answered within 10 s."""
_JOIN_ROUTES = (join_service.JOIN_ROUTE, join_service.RENEW_ROUTE)


@dataclass(frozen=True, slots=True)
class SharedStart:
    """How a node that has the secrets of its cluster finds the other nodes.

    Attributes:
        peers: hosts and ports for nodes, which may be this one's, and need not be known yet.
        is_ephemeral: whether it leaves for good when it ends.
    """

    peers: tuple[str, ...] = ()
    is_ephemeral: bool = False


@asynccontextmanager
async def open_node(
    folder: DataFolder,
    config: ServerConfig,
    *,
    settings: Settings | None = None,
    depth: int = 100,
    start: SharedStart | None = None,
) -> AsyncGenerator[NodeProgram]:
    """Run the node of an open folder, which is closed at the end; inside, it knows who has the books.
    `start`: how it finds its cluster; None for a node that others let join. Raises OSError,
    ConnectionFailed."""
    try:
        identity = folder.identity
        denied = tuple(sorted(folder.load_wanted().denied()))
        given = GivenPeers(
            without_own(() if start is None else start.peers, identity),
            now_ns=SystemClock().now_ns,
            probe=probe_with(folder),
        )
        await given.try_all()
        engine = ZenohNetwork(ZenohSettings.of(folder, denied=denied, peers=given.reachable()))

        def denied_now() -> frozenset[str]:
            return node.runner.core.wanted.denied()

        def is_denied(peer: str) -> bool:
            return peer in denied_now() or peer in node.runner.core.incompatible()

        network = SharingNetwork(
            engine,
            folder.credentials,
            is_denied=is_denied,
            is_sealed=lambda: engine.refuses(denied_now()),
        )
        over = asyncio.Event()
        node = ClusterNode(
            identity,
            NodeOptions(
                folder=folder.path,
                server=server_config(identity, folder, config),
                settings=settings or Settings.from_environment(),
                depth=depth,
                network=lambda: network,
                registration=_registration(folder, start),
                why_apart=(lambda: "") if start is None else given.why_apart,
            ),
            on_removed=lambda _: over.set(),
            on_left=over.set,
        )
        async with node:
            given.attach(node.runner.core)
            housekeeping = Housekeeping(
                folder,
                node.runner,
                engine,
                _Served(node),
                clock=SystemClock(),
                denied=denied,
                on_secrets=network.share,
                given=given,
            )
            program = NodeProgram(folder, node, housekeeping, over)
            edits = node.server._keep_credentials_in(  # noqa: SLF001
                SharedCredentials(folder.credentials, wall_ms=SystemClock().wall_ms, on_change=network.share)
            )
            node.server._delegate(CredentialRoutes(edits, network.spread))  # noqa: SLF001
            keeping = asyncio.get_running_loop().create_task(housekeeping.run())
            try:
                await node.until_known(_KNOWN_S)
                yield program
            finally:
                keeping.cancel()
                with suppress(asyncio.CancelledError):
                    await keeping
    finally:
        folder.close()


def _registration(folder: DataFolder, start: SharedStart | None) -> SelfRegistration | None:
    if start is None:
        return None
    return SelfRegistration(
        listen=folder.identity.listen, is_ephemeral=start.is_ephemeral, was_away=folder.was_away
    )


def server_config(identity: Identity, folder: DataFolder, given: ServerConfig) -> ServerConfig:
    """How the book server of a node behaves: as given, with the addresses and certificates of the node."""
    return replace(
        given,
        listen=identity.bind,
        port=int(identity.node.address.rpartition(":")[2]),
        certificate=folder.certificate_file,
        key=folder.key_file,
        hosts=tuple(dict.fromkeys((*given.hosts, *filter(_is_name, identity.hosts)))),
        data_dir=folder.path,
    )


class NodeProgram:
    """A running node and its data folder. It lets nodes join and makes tokens: `management.Admission`.

    Attributes:
        folder: the data folder.
        node: the node, which runs.
    """

    def __init__(
        self, folder: DataFolder, node: ClusterNode, housekeeping: Housekeeping, over: asyncio.Event
    ) -> None:
        """`over`: set when the node has left or was removed."""
        self.folder: DataFolder = folder
        self.node: ClusterNode = node
        self._housekeeping, self._over = housekeeping, over
        node.server._delegate(  # noqa: SLF001
            ClusterManagement(node, self),
            ClusterCompat(node),
            JoinRoutes(self),
            CheckRoutes(
                SelfCheck(node, folder.path, core=lambda: node.runner.core),
                cluster=folder.identity.cluster,
                core=lambda: node.runner.core,
                ask=partial(_ask_check, node),
            ),
        )
        node.server._running().set_authority(folder.identity.authority)  # noqa: SLF001

    @property
    def can_invite(self) -> bool:
        """Whether this node has the key of the authority."""
        return self._housekeeping.issuer() is not None

    async def ended(self) -> str:
        """Wait until the node has left or was removed. Returns why it was removed; empty if it left."""
        await self._over.wait()
        return self.node.removed

    def invite(self) -> Invitation:
        """As `management.Admission.invite`."""
        token = self._housekeeping.issue_join_token()
        command = ("cluster", "join", _join_address(self.folder.identity), token.text())
        return Invitation(command=command, valid_s=LIFE_NS // 1_000_000_000)

    async def rotate_token(self, role: Role) -> NewToken:
        """As `management.Admission.rotate_token`."""
        until_ms = time.time_ns() // 1_000_000 + OVERLAP_S * 1_000
        secret = await self._housekeeping.rotate_token(role, overlap_s=OVERLAP_S)
        return NewToken(secret=secret, old_until_ms=until_ms)

    async def rotate_authority(self) -> str:
        """As `management.Admission.rotate_authority`."""
        return await self._housekeeping.rotate_authority()

    async def renew_certificates(self) -> None:
        """As `management.Admission.renew_certificates`."""
        await self._housekeeping.renew_certificates()

    async def answer_join(self, route: str, body: bytes) -> tuple[int, bytes]:
        """Answer a node that joins or renews its certificate."""
        return await join_service.answer(
            route,
            body,
            issuer=self._housekeeping.issuer(),
            cluster=join_service.RunningCluster(self.folder, self.node.runner),
            now_ns=time.monotonic_ns(),
            now=datetime.now(UTC),
        )


class JoinRoutes:
    """The routes of joining, as `server.delegated.DelegatedRoutes`."""

    def __init__(self, program: NodeProgram) -> None:
        self._program = program

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        return route in _JOIN_ROUTES

    async def answer(self, route: str, _first: str, _second: str, body: bytes) -> tuple[int, bytes]:
        """As `NodeProgram.answer_join`."""
        return await self._program.answer_join(route, body)


class _Served:
    """The server of a running node: `housekeeping.NodeServer`."""

    def __init__(self, node: ClusterNode) -> None:
        self._node = node

    def use(self, identity: Identity) -> None:
        """Serve with this certificate, and trust and show these authorities, from now on."""
        self._node.renew(identity)
        self._native().set_authority(identity.authority)

    def set_tokens(self, tokens: Sequence[tuple[str, bytes, int | None]]) -> None:
        """Take these tokens alone."""
        self._native().set_tokens(list(tokens))

    def set_denied(self, nodes: Sequence[str]) -> None:
        """Refuse these nodes."""
        self._native().set_denied(list(nodes))

    def _native(self) -> Any:
        return self._node.server._running()  # noqa: SLF001


async def _ask_check(node: ClusterNode, address: str) -> Mapping[str, Any]:
    """What another node finds when it checks itself: `check_routes.AskNode`."""
    if not address:
        raise NotChecked("its address is not known")
    found = await node.ask_node(address, "/v1/cluster/check", timeout_s=_CHECK_S)
    if isinstance(found, Failure):
        raise NotChecked(found.reason)
    return parse_check(found.status, found.body)


def _join_address(identity: Identity) -> str:
    """Where the next node asks: the node port where both ports are the usual ones, as `join` takes it."""
    is_usual = identity.listen.endswith(f":{DEFAULT_NODE_PORT}")
    is_usual = is_usual and identity.node.address.endswith(f":{DEFAULT_PORT}")
    return identity.listen if is_usual else identity.node.address


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host != "localhost"
    return False
