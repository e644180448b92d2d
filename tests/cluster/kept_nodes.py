"""Nodes with data folders and housekeeping on a virtual clock; their servers and sessions are doubles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

from depthcache.cluster import join_service
from depthcache.cluster.authority import NodeKey, make_node_key, node_of, trusts
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import NodeCore, SelfRegistration
from depthcache.cluster.data_folder import DataFolder, Identity, NodeOptions, hosts_and_listen, make_node_id
from depthcache.cluster.errors import JoinRefused, NodeUnreachable
from depthcache.cluster.given_peers import GivenPeers
from depthcache.cluster.housekeeping import Housekeeping
from depthcache.cluster.join_service import RunningCluster
from depthcache.cluster.joining import JoinRequest, RenewGrant, RenewRequest
from depthcache.cluster.memory_network import MemoryCluster
from depthcache.cluster.runner import NodeRunner
from depthcache.cluster.secret_sharing import SharingNetwork
from depthcache.cluster.shared_secrets import SharedSecrets
from depthcache.simulator.virtual_loop import VirtualLoop
from tests.cluster.harness import WALL_MS, Clock, MemoryDisk, ProcessClock

FREE = NodeOptions(port=0, node_port=0)
BEGAN = datetime.fromtimestamp(WALL_MS / 1_000, UTC)


class NoBooks:
    """`runner.ReplicaHost` for clusters without books."""

    def start(self, *_: object) -> None: ...

    def update(self, *_: object) -> None: ...

    def stop(self, *_: object) -> None: ...

    def set_budget_share(self, share: float) -> None: ...

    def set_holders(self, *_: object, **__: object) -> None: ...

    def set_denied(self, nodes: frozenset[str]) -> None: ...


class KeptNode:
    """One process of a node."""

    def __init__(
        self,
        cluster: KeptCluster,
        folder: DataFolder,
        registration: SelfRegistration | None = None,
        given: GivenPeers | None = None,
    ) -> None:
        self.cluster, self.folder = cluster, folder
        self.id = folder.identity.node.id
        self.served: list[Identity] = []
        self.tokens: Sequence[tuple[str, bytes, int | None]] = ()
        self.denied: Sequence[str] = ()
        self.stopped: str = ""
        """Why the node ends."""
        self.reopened: list[tuple[float, tuple[str, ...]]] = []
        """When the session was reopened, in seconds, and whom it refuses."""
        self.not_seen: tuple[str, ...] = ()
        """Nodes that its session does not show although they are heard."""
        self.session: Identity = folder.identity
        """What the session was opened with."""
        memory = cluster.wire.network()
        wanted = folder.load_wanted()
        self.network = SharingNetwork(
            memory,
            folder.credentials,
            is_denied=lambda peer: peer in self.runner.core.wanted.denied(),
            is_sealed=self.is_sealed,
        )
        self.clock = clock = ProcessClock(cluster.clock, memory, 0)
        disk = cluster.disks.setdefault(self.id, MemoryDisk())
        self.runner = NodeRunner(
            NodeCore(folder.identity.node, wanted, registration=registration),
            self.network,
            disk=disk,
            host=NoBooks(),
            clock=clock,
            on_stop=self._on_stop,
        )
        self.housekeeping = Housekeeping(
            folder,
            self.runner,
            self,
            self,
            clock=clock,
            on_secrets=self.network.share,
            given=given,
            renew=cluster.renew,
            reaches=cluster.reaches,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.runner.start()
        self._task = asyncio.get_running_loop().create_task(self.housekeeping.run())

    async def stop(self) -> None:
        """The process ends; its folder is left to the next one."""
        if self._task is not None:
            self._task.cancel()
        await self.runner.close()
        wanted = self.folder.wanted_file
        wanted.rewrite(self.runner.core.snapshot())
        self.folder.close()

    def is_sealed(self) -> bool:
        """Whether its session refuses all removed nodes."""
        refused = self.reopened[-1][1] if self.reopened else ()
        return self.runner.core.wanted.denied() <= set(refused)

    def _on_stop(self, reason: str) -> None:
        self.stopped = reason

    # --- `housekeeping.NodeServer` and `housekeeping.ReopenableNetwork` ---

    def use(self, identity: Identity) -> None:
        self.served.append(identity)

    def set_tokens(self, tokens: Sequence[tuple[str, bytes, int | None]]) -> None:
        self.tokens = tokens

    def set_denied(self, nodes: Sequence[str]) -> None:
        self.denied = nodes

    def unseen(self) -> tuple[str, ...]:
        return self.not_seen

    async def reopen(self, *, peers: tuple[str, ...], denied: tuple[str, ...]) -> None:
        others = [node for node in self.cluster.nodes if node is not self and node.id not in denied]
        assert set(peers) >= {node.folder.identity.listen for node in others}
        self.session = self.folder.identity
        self.reopened.append((self.cluster.clock.now_ns / 1e9, denied))
        self.cluster.check()


class KeptCluster:
    """All nodes; the first one issues certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock, self.wire = Clock(), MemoryCluster()
        self.nodes: list[KeptNode] = []
        self.disks: dict[str, MemoryDisk] = {}
        self.is_cut_off = False
        """Whether no renewal reaches the first node."""
        self.is_reachable = False
        """Whether ports of nodes that are not seen take connections."""
        self.tried: list[str] = []
        """Addresses whose ports were tried."""

    def run(self, test: Callable[[KeptCluster], Awaitable[None]]) -> None:
        loop = VirtualLoop(self.clock)
        try:
            loop.run_until_complete(test(self))
        finally:
            for node in self.nodes:
                node.folder.close()
            loop.run_until_complete(self._end())
            loop.close()

    async def start(self, count: int) -> None:
        first = DataFolder.create(self.folder / "0", FREE, cluster="amber-fox", now=BEGAN)
        await self.add(first)
        for _ in range(1, count):
            await self.add(await self.join())
        await self.pass_s(5)

    async def appear(self, secrets: SharedSecrets, path: Path | None = None) -> KeptNode:
        """A node that has the secrets of the cluster: a new one, or that of a folder again."""
        if path is not None:
            folder = DataFolder.open(path, secrets=secrets, now=self.now())
        else:
            path = self.folder / make_node_id()
            folder = DataFolder.begin(path, FREE, secrets, now=self.now())
        return await self.add(
            folder, SelfRegistration(listen=folder.identity.listen, was_away=folder.was_away)
        )

    async def add(self, folder: DataFolder, registration: SelfRegistration | None = None) -> KeptNode:
        node = KeptNode(self, folder, registration)
        self.nodes.append(node)
        await node.start()
        return node

    async def join(self) -> DataFolder:
        """What `join_client` does, without the sockets."""
        first, node = self.nodes[0], make_node_id()
        key: NodeKey = make_node_key(node)
        token, issuer = first.housekeeping.issue_join_token(), first.housekeeping.issuer()
        assert issuer is not None
        options, hosts, listen = hosts_and_listen(FREE)
        request = JoinRequest(token.secret, node, key.request, hosts, listen)
        service = RunningCluster(first.folder, first.runner)
        now_ns, now = self.clock.now_ns, self.now()
        grant = await join_service.join(issuer, service, request.encode(), now_ns=now_ns, now=now)
        path = self.folder / node
        return DataFolder.join(path, options, node=node, key=key, grant=grant, now=now)

    async def restart(self, node: KeptNode, options: NodeOptions | None = None) -> KeptNode:
        """Start the process again that was stopped."""
        self.nodes.remove(node)
        return await self.add(DataFolder.open(node.folder.path, options, now=self.now()))

    async def renew(
        self, identity: Identity, addresses: Sequence[str], authority: str, process: Node | None = None
    ) -> str:
        """`join_client.renew_certificate`, without the sockets."""
        request = RenewRequest.sign(
            make_node_key(identity.node.id, key=identity.key).request,
            certificate=identity.certificate,
            key=identity.key,
            hosts=identity.hosts,
            authority=authority,
            time_ms=int(self.now().timestamp() * 1_000),
            run=0 if process is None else process.run,
            server="" if process is None else process.address,
        )
        body, now = request.encode(), self.now()
        for node in [] if self.is_cut_off else self.nodes:
            if node.folder.identity.node.address in addresses:
                issuer, service = node.housekeeping.issuer(), RunningCluster(node.folder, node.runner)
                status, content = await join_service.answer(
                    join_service.RENEW_ROUTE, body, issuer=issuer, cluster=service, now_ns=0, now=now
                )
                if status == HTTPStatus.OK:
                    return RenewGrant.decode(content).certificate
                if status == HTTPStatus.FORBIDDEN:
                    raise JoinRefused(reason=json.loads(content)["error"]["message"])
        raise NodeUnreachable(node="the issuer")

    async def reaches(self, address: str) -> bool:
        """Whether a port of a node takes connections."""
        self.tried.append(address)
        return self.is_reachable

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.clock.now_ns / 1e9)

    async def pass_s(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, is_so: Callable[[], bool], *, within_s: float = 60.0) -> None:
        began_ns = self.clock.now_ns
        while not is_so():
            assert (self.clock.now_ns - began_ns) / 1e9 <= within_s, f"not within {within_s:g} s"
            await asyncio.sleep(0.5)

    def check(self) -> None:
        """Every session accepts the certificate of every other one."""
        for one in self.nodes:
            for other in self.nodes:
                certificate = other.session.certificate
                at = min(self.now(), node_of(certificate)[1])
                assert trusts(one.session.authority, certificate, now=at), (one.id, other.id)

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
