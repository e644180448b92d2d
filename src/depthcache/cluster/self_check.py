"""What a node finds when it checks itself: its machine, its certificates, the exchange, and all other nodes.

`SelfCheck` collects facts, ready for JSON, and judges nothing: `diagnosis` does, where the facts of all nodes
are together. A check takes a few seconds at most, whatever hangs, and one runs at a time: requests that come
meanwhile get its result.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from depthcache.client.aio import Books
from depthcache.cluster.authority import authority_hashes, issuer_of, node_of, pem_blocks
from depthcache.cluster.build import own_version
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.data_folder import Identity
from depthcache.cluster.housekeeping import renew_at
from depthcache.cluster.probing import Port, Probe, checking_context, probe

__all__ = ["CheckedNode", "Prober", "SelfCheck", "SocketProber"]

_DISK_S = 3.0
"""How long the disk may take to write and sync a small file."""
_PROBES_AT_ONCE = 64
_JOURNAL = "wanted.journal"
_PROBE_FILE = ".check"


class CheckedNode(Protocol):
    """What is checked of a running node: `ClusterNode`."""

    @property
    def identity(self) -> Identity:
        """Who it is."""
        ...

    @property
    def books(self) -> Books:
        """Its client of the exchanges."""
        ...

    def exchange_clocks(self) -> Mapping[str, tuple[float, float]]:
        """As `ClusterNode.exchange_clocks`."""
        ...

    def why_apart(self) -> str:
        """As `ClusterNode.why_apart`."""
        ...


Prober = Callable[[Port, str, str], Awaitable[Probe]]
"""Tries a port: which, at which host and port, of which node."""


class SocketProber:
    """Probes over sockets, with the certificate that a node has now."""

    def __init__(self, node: CheckedNode, folder: Path) -> None:
        self._node, self._folder = node, folder
        self._contexts: dict[tuple[str, str, bool], ssl.SSLContext] = {}
        """Those of the newest certificate: one takes milliseconds to make."""

    async def __call__(self, port: Port, address: str, peer: str) -> Probe:
        """As `probe`."""
        identity = self._node.identity
        if not identity.certificate:  # a test of one process
            return await probe(port, address, context=None)
        context = self._context(identity, checks_name=port is Port.READERS)
        return await probe(port, address, context=context, node=peer)

    def _context(self, identity: Identity, *, checks_name: bool) -> ssl.SSLContext:
        key = identity.authority, identity.certificate, checks_name
        if key not in self._contexts:
            kept = {each: found for each, found in self._contexts.items() if each[:2] == key[:2]}
            files = str(self._folder / "node.pem"), str(self._folder / "node.key")
            made = checking_context(identity.authority, checks_name=checks_name, certificate=files)
            self._contexts = {**kept, key: made}
        return self._contexts[key]


class SelfCheck:
    """Checks one node. `facts` runs on its event loop."""

    def __init__(
        self,
        node: CheckedNode,
        folder: Path,
        *,
        core: Callable[[], NodeCore],
        prober: Prober | None = None,
        wall_ms: Callable[[], float] = lambda: time.time() * 1e3,
    ) -> None:
        """`folder`: the data folder. `core`: what the node decides. `prober`: None for sockets."""
        self._core = core
        self._node, self._folder, self._wall_ms = node, folder, wall_ms
        self._prober: Prober = SocketProber(node, folder) if prober is None else prober
        self._running: asyncio.Task[dict[str, Any]] | None = None
        self._disk: asyncio.Future[dict[str, Any]] | None = None
        """A write that has not ended: a disk may hang for ever."""

    async def facts(self) -> dict[str, Any]:
        """What was found. `received_ms` and `answered_ms` are times of the clock of this node: they say
        how far the clocks are apart."""
        received_ms = self._wall_ms()
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._find())
            self._running.add_done_callback(self._on_done)
        found = await asyncio.shield(self._running)
        return {**found, "received_ms": received_ms, "answered_ms": self._wall_ms()}

    def _on_done(self, _: asyncio.Task[dict[str, Any]]) -> None:
        self._running = None

    async def _find(self) -> dict[str, Any]:
        core, me = self._core(), self._core().members.me
        peers, disk = await asyncio.gather(self._peers(), self._check_disk())
        states = [each.value for each in core.books.states().values()]
        return {
            "node": me.id,
            "run": me.run,
            "version": own_version(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "zone": me.zone,
            "egress": me.egress,
            "capacity": me.capacity,
            "apart": self._node.why_apart(),
            "unreadable_messages": core.malformed,
            "disk": disk,
            "limits": _limits(),
            "certificates": self._certificates(),
            "exchange": self._exchange(),
            "replicas": {"all": len(states), "synced": states.count("synced")},
            "peers": peers,
        }

    # --- other nodes -------------------------------------------------------------------------

    async def _peers(self) -> list[dict[str, Any]]:
        core = self._core()
        me, wanted = core.members.me.id, core.wanted
        listens, servers = wanted.listens(), wanted.servers()
        limit = asyncio.Semaphore(_PROBES_AT_ONCE)

        async def check(peer: str) -> dict[str, Any]:
            member = core.members.node(peer)
            address = member.address if member is not None else servers.get(peer, "")
            ports = [(Port.READERS, address)]
            if self._node.identity.certificate:
                ports.append((Port.NODES, listens.get(peer, "")))
            async with limit:
                probes = await asyncio.gather(*(self._prober(port, at, peer) for port, at in ports))
            return {
                "id": peer,
                "state": self._core().state_of(peer),
                "probes": [each.to_dict() for each in probes],
            }

        others = sorted(wanted.registered() - wanted.denied() - {me})
        return list(await asyncio.gather(*map(check, others)))

    # --- this machine ------------------------------------------------------------------------

    async def _check_disk(self) -> dict[str, Any]:
        if self._disk is None or self._disk.done():
            self._disk = asyncio.ensure_future(asyncio.to_thread(_write, self._folder))
        done, _ = await asyncio.wait({self._disk}, timeout=_DISK_S)
        if not done:
            return {"problem": f"nothing could be written within {_DISK_S:g} s"}
        return self._disk.result()

    def _certificates(self) -> dict[str, Any]:
        given = self._node.identity
        if not given.certificate:
            return {}
        until, renewal = node_of(given.certificate)[1], renew_at(given.certificate)
        return {
            "until_ms": int(until.timestamp() * 1_000),
            "renewal_ms": int(renewal.timestamp() * 1_000),
            "issuer": issuer_of(given.authority, given.certificate),
            "has_authority_key": given.is_issuer,
            "authorities": [
                {"hash": each, "until_ms": int(node_of(pem)[1].timestamp() * 1_000)}
                for each, pem in zip(
                    authority_hashes(given.authority), pem_blocks(given.authority), strict=True
                )
            ],
        }

    # --- the exchange ------------------------------------------------------------------------

    def _exchange(self) -> dict[str, Any]:
        stats = self._node.books.stats()
        pools = [
            {
                "pool": each.pool,
                "limit": each.limit,
                "allowed": each.allowed,
                "used": each.used,
                "exchange_used": each.exchange_used,
                "waiting": each.waiting,
                "stopped_s": round(each.stopped_s, 1),
            }
            for each in stats.budgets
        ]
        connections: dict[str, dict[str, int]] = {}
        for each in stats.connections:
            of = connections.setdefault(each.exchange, {"connections": 0, "open": 0, "streams": 0})
            of["connections"] += 1
            of["open"] += each.is_open
            of["streams"] += each.streams
        clocks = {
            name: {"offset_ms": round(offset_s * 1e3, 1), "error_ms": round(error_s * 1e3, 1)}
            for name, (offset_s, error_s) in self._node.exchange_clocks().items()
        }
        return {"pools": pools, "connections": connections, "clocks": clocks}


def _write(folder: Path) -> dict[str, Any]:
    """Free space, and how long a small write takes until it is on disk."""
    found: dict[str, Any] = {"problem": ""}
    try:
        usage = shutil.disk_usage(folder)
        found |= {"free_bytes": usage.free, "total_bytes": usage.total}
        found["damaged"] = sorted(each.name for each in folder.glob(f"{_JOURNAL}.damaged"))
        with suppress(FileNotFoundError):
            found["journal_bytes"] = (folder / _JOURNAL).stat().st_size
        path = folder / _PROBE_FILE
        begun_s = time.perf_counter()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, bytes(4_096))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)
        found["sync_ms"] = round((time.perf_counter() - begun_s) * 1e3, 1)
    except OSError as error:
        found["problem"] = error.strerror or str(error)
    return found


def _limits() -> dict[str, Any]:
    """Descriptors and memory of this process, as far as the system says them."""
    found: dict[str, Any] = {}
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        infinite = resource.RLIM_INFINITY
        found["descriptors"] = None if soft == infinite else soft
        found["most_descriptors"] = None if hard == infinite else hard
    with suppress(OSError):
        found["descriptors_used"] = sum(1 for _ in Path("/proc/self/fd").iterdir())
    with suppress(OSError, ValueError, LookupError):
        found["memory_used_bytes"] = _kilobytes("/proc/self/status", "VmRSS") << 10
    with suppress(OSError, ValueError, LookupError):
        found["memory_free_bytes"] = _kilobytes("/proc/meminfo", "MemAvailable") << 10
    with suppress(OSError, ValueError):  # a container
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        found["memory_free_bytes"] = min(max(most - used, 0), found.get("memory_free_bytes", most))
    return found


def _kilobytes(path: str, name: str) -> int:
    lines = (line.split() for line in Path(path).read_text().splitlines() if line)
    return next(int(words[1]) for words in lines if words[0] == f"{name}:")
