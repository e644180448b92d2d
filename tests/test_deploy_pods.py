"""The promise of the chart, with real processes: pods are replaced one after another, and no read fails."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.nodes import SPOT, SYMBOLS, exchange
from tests.support.charts import NAMESPACE, of_kind, rendered
from tests.support.pods import Pod, Pods, mount_secret, skip_without_namespaces

pytestmark = [pytest.mark.slow, pytest.mark.processes]

DEADLINE_S = 120.0
READER = """
import asyncio, json, signal, sys
import depthcache

async def main():
    ended, errors, updates, last = asyncio.Event(), [], 0, {}
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    def on_update(update):
        nonlocal updates
        if update.status is depthcache.Status.CLOSED and not ended.is_set():
            errors.append(f"{update.symbol} closed: {update.reason}")
        if update.status is depthcache.Status.SYNCED:
            updates += 1
            if update.last_update_id < last.get(update.symbol, 0):
                errors.append(f"{update.symbol} went back")
            last[update.symbol] = update.last_update_id
    server, token, ca, *symbols = sys.argv[1:]
    async with depthcache.connect("binance.com", symbols, server=server, token=token, ca=ca) as books:
        await books.wait_synced(60)
        books.on_update(on_update, "every", levels=None, on_stale="serve")
        print("ready", flush=True)
        await ended.wait()
        for book in books:
            counts = book.counters
            lost = {each: counts[each] for each in ("gaps", "resets") if counts[each]}
            if lost:
                errors.append(f"{book.symbol}: {lost}")
    print(json.dumps({"errors": errors, "updates": updates}), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that pods may enter: those of pytest belong to one user."""
    path = Path(tempfile.mkdtemp(prefix="depthcache-pods-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Release:
    """Pods of a release, and what a kubelet and a service see of them."""

    def __init__(self, pods: Pods, port: int) -> None:
        self.pods, self.port = pods, port
        self.secrets = pods.folder / "secrets"
        self.ready: set[str] = set()
        self.errors: list[str] = []
        self.reads = 0
        self._context = ssl.create_default_context(cafile=str(self.secrets / "authority.pem"))
        self._unchecked = ssl.create_default_context()
        self._unchecked.check_hostname, self._unchecked.verify_mode = False, ssl.CERT_NONE

    async def until_ready(self, session: aiohttp.ClientSession, pod: Pod) -> None:
        """Wait for the readiness probe: HTTPS to the address of the pod, without a token and a check."""
        url = f"https://{pod.address}:{self.port}"
        async with asyncio.timeout(DEADLINE_S):
            while True:
                assert pod.process is not None
                assert pod.process.poll() is None, pod.log
                try:
                    async with session.get(f"{url}/readyz", ssl=self._unchecked) as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)
            async with session.get(f"{url}/healthz", ssl=self._unchecked) as response:
                assert response.status == 200
        self.ready.add(pod.name)

    async def read_on(self, session: aiohttp.ClientSession) -> None:
        """Read every book from every ready pod by the name of the service, again and again."""
        token = (self.secrets / "read.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            for pod in self.pods.nodes:
                for symbol in SYMBOLS:
                    if pod.name not in self.ready:
                        break
                    url = f"https://{pod.address}:{self.port}/v1/books/{SPOT}/{symbol}?levels=5"
                    try:
                        async with session.get(
                            url, headers=headers, ssl=self._context, server_hostname=self.service
                        ) as response:
                            body, status = await response.read(), response.status
                    except aiohttp.ClientError as error:
                        body, status = repr(error).encode(), 0
                    if status != 200 and pod.name in self.ready:
                        self.errors.append(f"{pod.name} {symbol}: {status} {body[:300]!r}")
                    self.reads += 1
            await asyncio.sleep(0.01)

    @property
    def service(self) -> str:
        return f"{self.pods.name}.{NAMESPACE}.svc"

    async def status(self) -> Any:
        [*_, pod] = [each for each in self.pods.nodes if each.name in self.ready]
        ran = await asyncio.to_thread(
            pod.run, "depthcache", "cluster", "status", "--json", "--data-dir=/data/node"
        )
        assert ran.returncode in (0, 1), ran.stderr
        return json.loads(ran.stdout)

    async def until_whole(self, count: int) -> Any:
        """Wait until so many nodes are up, each with books, and every book is synced twice."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = await self.status()
                alive = [each["id"] for each in found["nodes"] if each["state"] == "alive"]
                holders = {node for book in found["books"] for node in book["holders"]}
                synced = [book["synced"] for book in found["books"]]
                if len(alive) == count and synced == [2] * len(SYMBOLS) and holders == set(alive):
                    return found

    async def replace(self, session: aiohttp.ClientSession, pod: Pod, *, keeps: bool) -> None:
        """What Kubernetes does with a pod that is replaced: hook, SIGTERM, a new container."""
        async with asyncio.timeout(self.pods.grace_s):
            hook = await asyncio.to_thread(pod.pre_stop)
            assert hook.returncode == 0, hook.stdout + hook.stderr
            self.ready.discard(pod.name)
            assert pod.process is not None
            pod.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(pod.process.wait) == 0, pod.log
        if not keeps:
            pod.make_volumes()
        pod.start()
        await self.until_ready(session, pod)


@asynccontextmanager
async def release(folder: Path, name: str) -> AsyncIterator[tuple[Release, aiohttp.ClientSession]]:
    """The pods of a value file run, and the job has added its books."""
    skip_without_namespaces(folder)
    readers, nodes = free_ports(2)
    values = {
        "nodes": 3,
        "ports": {"readers": readers, "nodes": nodes},
        "service": {"port": readers},
        "books": [{"exchange": SPOT, "symbols": list(SYMBOLS), "replicas": 2, "depth": 50}],
        "shutdown": {"drainSeconds": 60, "handoverSeconds": 20},
    }
    (folder / "values.json").write_text(json.dumps(values), "utf-8")
    objects = rendered(name, "--values", str(folder / "values.json"))
    made = subprocess.run(  # noqa: ASYNC221 - nothing else runs yet
        [sys.executable, "-m", "depthcache", "cluster", "secrets", str(folder / "made")],
        check=True,
        capture_output=True,
    )
    assert b"kubectl create secret generic" in made.stdout
    mount_secret({each.name: each.read_bytes() for each in (folder / "made").iterdir()}, folder / "secrets")
    with exchange() as server:
        pods = Pods(objects, folder, server.environment)
        found = Release(pods, readers)
        try:
            for pod in pods.nodes:
                pod.start()
            async with aiohttp.ClientSession() as session:
                for pod in pods.nodes:
                    await found.until_ready(session, pod)
                await add_books(pods)
                await found.until_whole(len(pods.nodes))
                yield found, session
        finally:
            pods.end()


async def add_books(pods: Pods) -> None:
    """Run the job, twice: it must not matter."""
    spec = of_kind(pods.objects, "Job")["spec"]["template"]["spec"]
    job = Pod("job", "127.0.0.10", spec, pods)
    job.make_volumes()
    program = job.folder / "tmp" / "depthcache"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m depthcache "$@"\n', "utf-8")
    program.chmod(0o755)
    script = of_kind(pods.objects, "ConfigMap")["data"]["add.sh"]
    (job.folder / "add.sh").write_text(f"PATH={program.parent}:$PATH\n{job.localised(script)}", "utf-8")
    for _ in range(2):
        ran = await asyncio.to_thread(job.run, "/bin/sh", "-eu", str(job.folder / "add.sh"))
        assert ran.returncode == 0, ran.stdout + ran.stderr


@asynccontextmanager
async def reader(found: Release) -> AsyncIterator[None]:
    """A program in another pod that follows every book by the name of the service."""
    pod = Pod("reader", "127.0.0.10", {"containers": [{}]}, found.pods)
    pod.make_volumes()
    token = (found.secrets / "read.token").read_text().strip()
    server = f"https://{found.service}:{found.port}"
    # Files of the Secret are for its group: the program has a copy of the certificate.
    shutil.copy(found.secrets / "authority.pem", pod.folder / "data" / "authority.pem")
    (pod.folder / "data" / "authority.pem").chmod(0o644)
    command = [sys.executable, "-c", READER, server, token, f"{pod.folder}/data/authority.pem", *SYMBOLS]
    log = (found.pods.folder / "reader.log").open("wb")
    process = subprocess.Popen(  # noqa: ASYNC220 - it only begins here
        pod.sandboxed(command), stdout=subprocess.PIPE, stderr=log, env=pod.environment()
    )
    assert process.stdout is not None
    try:
        line = await asyncio.to_thread(process.stdout.readline)
        assert line == b"ready\n", pod.log
        yield
        process.send_signal(signal.SIGTERM)
        said = json.loads(await asyncio.to_thread(process.stdout.readline))
        assert said["errors"] == []
        assert said["updates"] > 100
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        log.close()


@pytest.mark.parametrize(
    ("values", "keeps"),
    [("default", True), ("ephemeral", False), ("ephemeral", True)],
    ids=["volumes", "ephemeral", "only the container"],
)
async def test_no_read_fails_while_all_pods_are_replaced(folder: Path, values: str, keeps: bool) -> None:
    async with release(folder, values) as (found, session):
        before = {each["id"] for each in (await found.status())["nodes"]}
        reading = asyncio.create_task(found.read_on(session))
        async with reader(found):
            for pod in reversed(found.pods.nodes):
                await found.replace(session, pod, keeps=keeps)
                await found.until_whole(len(found.pods.nodes))
        assert not reading.done(), reading.exception()
        reading.cancel()
        assert found.errors == []
        assert found.reads > 100
        after = {each["id"] for each in (await found.status())["nodes"]}
        assert len(after) == len(found.pods.nodes), "no node that is gone is left in the list"
        assert (after == before) is keeps


async def test_a_killed_pod_comes_back_as_the_same_node(folder: Path) -> None:
    async with release(folder, "default") as (found, session):
        before = {each["id"] for each in (await found.status())["nodes"]}
        pod = found.pods.nodes[0]
        found.ready.discard(pod.name)
        assert pod.process is not None
        pod.process.kill()
        await asyncio.to_thread(pod.process.wait)
        pod.start()
        await found.until_ready(session, pod)
        after = await found.until_whole(3)
        assert {each["id"] for each in after["nodes"]} == before
