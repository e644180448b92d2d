"""A node as a program: its data folder, the running node, and what its server answers about the cluster.

    async with open_node(folder, config) as program:
        print(program.node.url)
        await program.ended()

`cli/cluster.py` starts it. Not here: the node itself (`running_node`), and its files (`data_folder`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from depthcache.cluster import join_service
from depthcache.cluster.compat_management import ClusterCompat
from depthcache.cluster.core.access_tokens import Role, digest_of
from depthcache.cluster.core.join_tokens import LIFE_NS
from depthcache.cluster.data_folder import (
    DEFAULT_NODE_PORT,
    DEFAULT_PORT,
    DataFolder,
    Identity,
    make_secret,
    token_name,
)
from depthcache.cluster.errors import JoinRefused
from depthcache.cluster.joining import Issuer
from depthcache.cluster.management import ClusterManagement, Invitation, NewToken
from depthcache.cluster.running_node import ClusterNode, NodeOptions
from depthcache.server import ServerConfig
from depthcache.settings import Settings

__all__ = ["JoinRoutes", "NodeProgram", "open_node", "server_config"]

OLD_TOKEN_MS = 60 * 60 * 1_000
"""How long the earlier tokens of a role are taken after a new one was made."""
_TOKEN_FILES = {Role.READ: "read", Role.MANAGE: "admin"}
_LOOK_S = 1.0
_JOIN_ROUTES = (join_service.JOIN_ROUTE, join_service.RENEW_ROUTE)


def server_config(identity: Identity, folder: DataFolder, given: ServerConfig) -> ServerConfig:
    """How the book server of a node behaves: as given, with the addresses and certificates of the node."""
    port = int(identity.node.address.rpartition(":")[2])
    return replace(
        given,
        listen=identity.bind,
        port=port,
        certificate=folder.certificate_file,
        key=folder.key_file,
        hosts=tuple(dict.fromkeys((*given.hosts, *filter(_is_name, identity.hosts)))),
        data_dir=folder.path,
    )


@asynccontextmanager
async def open_node(
    folder: DataFolder, config: ServerConfig, *, settings: Settings | None = None, depth: int = 100
) -> AsyncIterator[NodeProgram]:
    """Run the node of an open folder, which is closed at the end. Raises OSError, ConnectionFailed."""
    try:
        identity = folder.identity
        over = asyncio.Event()
        node = ClusterNode(
            identity,
            NodeOptions(
                folder=folder.path,
                listen=_at(identity.bind, identity.listen.rpartition(":")[2]),
                server=server_config(identity, folder, config),
                settings=settings or Settings.from_environment(),
                depth=depth,
            ),
            on_removed=lambda _: over.set(),
            on_left=over.set,
        )
        async with node:
            program = NodeProgram(folder, node, over)
            tokens = asyncio.get_running_loop().create_task(program.keep_tokens())
            try:
                yield program
            finally:
                tokens.cancel()
    finally:
        folder.close()


@dataclass(slots=True)
class NodeProgram:
    """A running node and its data folder; it issues join tokens and makes access tokens."""

    folder: DataFolder
    node: ClusterNode
    _over: asyncio.Event
    _issuer: Issuer | None = None

    def __post_init__(self) -> None:
        authorities = self.folder.authorities()
        if authorities:
            self._issuer = Issuer(authorities[0])
        server = self.node.server
        server._delegate(  # noqa: SLF001
            ClusterManagement(self.node, self), ClusterCompat(self.node), JoinRoutes(self)
        )
        server._running().set_authority(self.folder.identity.authority)  # noqa: SLF001

    @property
    def issuer(self) -> Issuer | None:
        """What lets nodes join; None where this node has no key of the authority."""
        return self._issuer

    async def ended(self) -> str:
        """Wait until the node has left or was removed. Returns why it was removed; empty if it left."""
        await self._over.wait()
        return self.node.removed

    def invite(self) -> Invitation:
        """As `management.Admission.invite`."""
        if self._issuer is None:
            raise JoinRefused(reason="this node has no key of the cluster's authority: ask one that has it")
        token = self._issuer.issue(secret=secrets.token_urlsafe(24), now_ns=time.monotonic_ns())
        command = ("cluster", "join", _join_address(self.node.identity), token.text())
        return Invitation(command=command, valid_s=LIFE_NS // 1_000_000_000)

    async def rotate_token(self, role: Role) -> NewToken:
        """As `management.Admission.rotate_token`."""
        name, wall_ms = _TOKEN_FILES[role], time.time_ns() // 1_000_000
        secret, old_until_ms = make_secret(name), wall_ms + OLD_TOKEN_MS
        await self.node.runner.rotate_token(digest_of(secret), role=role, old_until_ms=old_until_ms)
        self.folder.credentials.put(token_name(name), {"secret": secret}, wall_ms=wall_ms)
        self.folder.write_tokens()
        self._take_tokens()
        return NewToken(secret=secret, old_until_ms=old_until_ms)

    async def keep_tokens(self) -> None:
        """Take the tokens that other nodes made, too."""
        known: object = None
        while True:
            tokens = self.node.runner.core.wanted.tokens()
            if tokens != known:
                self._take_tokens()
                known = tokens
            await asyncio.sleep(_LOOK_S)

    def _take_tokens(self) -> None:
        tokens = self.node.runner.core.wanted.tokens()
        found = [
            (each.role.value, bytes.fromhex(each.digest), each.until_ms)
            for each in tokens
            if each.role is not Role.JOIN
        ]
        if found:
            self.node.server._running().set_tokens(found)  # noqa: SLF001


class JoinRoutes:
    """Answers nodes that join or renew their certificates."""

    def __init__(self, program: NodeProgram) -> None:
        self._program = program
        self._cluster = join_service.RunningCluster(program.folder, program.node.runner)

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        return route in _JOIN_ROUTES

    async def answer(self, route: str, _first: str, _second: str, body: bytes) -> tuple[int, bytes]:
        """As `join_service.answer`."""
        return await join_service.answer(
            route,
            body,
            issuer=self._program.issuer,
            cluster=self._cluster,
            now_ns=time.monotonic_ns(),
            now=datetime.now(UTC),
        )


def _join_address(identity: Identity) -> str:
    """Where the next node asks: the node port where both ports are the usual ones, as `join` takes it."""
    is_usual = identity.listen.endswith(f":{DEFAULT_NODE_PORT}")
    is_usual = is_usual and identity.node.address.endswith(f":{DEFAULT_PORT}")
    return identity.listen if is_usual else identity.node.address


def _at(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host != "localhost"
    return False
