"""Nodes as users run them: `depthcache cluster start` and `join` in processes of their own, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from depthcache import simulator
from depthcache.cli.cluster_client import NodeClient
from depthcache.cli.cluster_status import is_whole
from depthcache.errors import DepthCacheError
from depthcache.simulator.environment import closed_environment
from tests.cluster.nodes import SPOT, SYMBOLS, exchange

__all__ = ["SPOT", "SYMBOLS", "NodeProcess", "Processes", "running"]

DEADLINE_S = 90
_LOOK_S = 0.05


class NodeProcess:
    """One node. It is down from before it is stopped until it is ready again."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, within: Sequence[str] = ()) -> None:
        """`within`: a command that runs the node's command, such as one that enters a namespace."""
        self.folder, self.is_down = folder, True
        self.options: tuple[str, ...] = ()
        self.build: Mapping[str, str] = {}
        """Variables of the environment that make it run another build: of `builds`."""
        self.facts: dict[str, Any] = {}
        self._environment, self._within = dict(environment), tuple(within)
        self._process: subprocess.Popen[bytes] | None = None

    # --- what it says ---------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return str(self.facts["node"])

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    @property
    def address(self) -> tuple[str, int]:
        """Of its server."""
        host, _, port = self.url.removeprefix("https://").rpartition(":")
        return host, int(port)

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def log(self) -> str:
        """Everything that it wrote to standard error, of all its runs."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self.folder.with_suffix(".log")

    def secret(self, name: str) -> str:
        """Of a token: read, admin, exchange."""
        return (self.folder / f"{name}.token").read_text().strip()

    # --- its life -------------------------------------------------------------------------------

    async def start(self, *arguments: str) -> None:
        """Run `depthcache` with these arguments, and wait until the node is ready."""
        command = [sys.executable, "-m", "depthcache", *arguments, *self.options]
        command += ["--data-dir", str(self.folder), "--json"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it only begins here
                [*self._within, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**self._environment, **self.build},
                cwd=self.folder.parent,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            line = await asyncio.to_thread(self._process.stdout.readline)
        assert line, f"the node has ended: {self.log}"
        self.facts = json.loads(line)
        self.is_down = False

    async def replace(self, build: Mapping[str, str]) -> None:
        """End it, and run its folder with another build."""
        code = await self.terminate()
        assert code == 0, f"exit code {code}: {self.log}"
        self.build = build
        await self.restart()

    async def restart(self) -> None:
        """Run the node of the folder again."""
        await self.start("cluster", "start")

    def freeze(self) -> None:
        """SIGSTOP."""
        self.is_down = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self.is_down = False

    async def kill(self) -> None:
        """kill -9."""
        self.is_down = True
        self._signal(signal.SIGKILL)
        await self.ended()

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.is_down = True
        self._signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        self.is_down = True
        assert self._process is not None
        assert self._process.stdout is not None
        code = await asyncio.to_thread(self._process.wait, DEADLINE_S)
        self._process.stdout.close()
        return code

    def end(self) -> None:
        """End the process, whatever its state."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    # --- questions ------------------------------------------------------------------------------

    async def ask(
        self, method: str, path: str = "", body: dict[str, Any] | None = None, *, role: str = "admin"
    ) -> Any:
        """The answer of a route under /v1/cluster. Raises NodeRefused, ConnectionFailed."""
        client = NodeClient(url=self.url, token=self.secret(role), authority=self.authority)
        return await asyncio.to_thread(client.ask, method, path, body)

    async def status(self) -> dict[str, Any]:
        """The cluster as this node sees it."""
        found: dict[str, Any] = await self.ask("GET", role="read")
        return found

    async def wait(self, is_so: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the cluster, as this node sees it, is so."""
        status: Any = None
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    status = await self.status()
                    if is_so(status):
                        return
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise AssertionError(f"still not so: {json.dumps(status)}") from None

    async def sees(self, *others: NodeProcess) -> None:
        """Wait until this node sees these others alone, and all books are synced as wanted."""
        expected = {self.id, *(each.id for each in others)}

        def is_so(status: dict[str, Any]) -> bool:
            alive = {each["id"] for each in status["nodes"] if each["state"] in ("alive", "draining")}
            seen = [each for each in status["nodes"] if each["id"] in expected]
            return alive == expected and is_whole({**status, "nodes": seen})

        await self.wait(is_so)


class Processes:
    """A cluster, and the exchange that its nodes read from."""

    def __init__(self, folder: Path, server: simulator.Server) -> None:
        self.folder, self.exchange = folder, server
        self.nodes: dict[str, NodeProcess] = {}
        self.build: Mapping[str, str] = {}
        """Of nodes that are made from now on."""
        self.patience = 1.0
        """Larger on slow machines: how much longer readers wait for a node that is silent."""
        self.trusted: Path | None = None
        """The certificates of authorities that readers trust; None for those of the first node."""
        own = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONUNBUFFERED": "1"}
        self.environment = {**os.environ, **closed_environment(server), **own}
        for name in ("SSL_CERT_FILE", "DEPTHCACHE_TOKEN", "DEPTHCACHE_SERVER"):
            self.environment.pop(name, None)

    def __getitem__(self, name: str) -> NodeProcess:
        return self.nodes[name]

    @property
    def up(self) -> tuple[NodeProcess, ...]:
        """The nodes that are not down."""
        return tuple(each for each in self.nodes.values() if not each.is_down)

    @property
    def urls(self) -> list[str]:
        return [each.url for each in self.nodes.values()]

    @property
    def authority(self) -> Path:
        """What readers trust: the file of a node, unless they were given another one."""
        return self.trusted or next(iter(self.nodes.values())).authority

    @property
    def read_token(self) -> str:
        return next(iter(self.nodes.values())).secret("read")

    def truth(self, symbol: str) -> simulator.Truth:
        """The exchange's book."""
        return self.exchange.truth(SPOT, symbol)

    async def start(self, name: str, *options: str) -> NodeProcess:
        """The first node."""
        return await self._run(name, options, "cluster", "start")

    async def join(self, name: str, *options: str, issuer: str = "a") -> NodeProcess:
        """One more node, let in by another one."""
        invitation = await self.nodes[issuer].ask("POST", "/tokens/join", {})
        return await self._run(name, options, *invitation["command"])

    async def settled(self) -> None:
        """Wait until all nodes that are up see each other, and all books are synced as wanted."""
        up = self.up
        await asyncio.gather(*(each.sees(*(other for other in up if other is not each)) for each in up))

    def end(self) -> None:
        """End all processes."""
        for each in self.nodes.values():
            each.end()

    async def _run(self, name: str, options: Sequence[str], *arguments: str) -> NodeProcess:
        node = self.nodes[name] = NodeProcess(self.folder / name, self.environment)
        node.options, node.build = tuple(options), self.build
        await node.start(*arguments, "--port", "0", "--node-port", "0")
        return node


@asynccontextmanager
async def running(
    folder: Path,
    names: str = "abc",
    *options: str,
    symbols: Sequence[str] = SYMBOLS,
    replicas: int = 2,
    build: Mapping[str, str] | None = None,
    patience: float = 1.0,
) -> AsyncIterator[Processes]:
    """A cluster whose nodes see each other and whose books are synced; all processes end with it.

    `names`: of the nodes; empty to begin without one, and without books. `patience`: as of `Processes`.
    """
    with exchange(symbols=tuple(symbols)) as server:
        cluster = Processes(folder, server)
        cluster.build, cluster.patience = build or {}, patience
        try:
            if names:
                await cluster.start(names[0], *options)
            for name in names[1:]:
                await cluster.join(name, *options, issuer=names[0])
            body = {"exchange": SPOT, "symbols": list(symbols), "replicas": replicas}
            if names and symbols:
                await cluster[names[-1]].ask("POST", "/books", body)
            await cluster.settled()
            yield cluster
        except (AssertionError, DepthCacheError, TimeoutError):
            for name, node in cluster.nodes.items():
                print(f"--- {name}\n{node.log}")
            raise
        finally:
            cluster.end()
