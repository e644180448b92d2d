"""A node is cut off, and comes back: three nodes in network namespaces of the kernel.

    python -m benches.cluster_cut

The exchange and the readers are in one namespace, each node in another, joined by a bridge. The link of one
node goes down: packets are dropped, not refused, so no socket reports an error. It needs `unshare`,
`nsenter` and `ip`, and the right to make namespaces; elsewhere nothing is measured.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import depthcache
from benches import thin_exchange
from benches.cluster_followers import Follower
from benches.cluster_nodes import Nodes
from benches.measure import Row
from benches.thin_exchange import QUICK, VENUE, symbols

BOOKS = 1_000
NAMES = ("a1", "b2", "c3")
MOST_S, MOST_SILENT_S = 5.0, 2.0
SETTLE_S = 1.0
_NETWORK = "10.89.0"
_TOOLS = ("unshare", "nsenter", "ip")


def run(books: int = BOOKS) -> list[Row]:
    """The rows of the report; one without a figure where namespaces are not to be had."""
    command = ["unshare", "--net", sys.executable, "-m", "benches.cluster_cut", "--books", str(books)]
    if not all(map(shutil.which, _TOOLS)):
        return [Row("a node is cut off", "not measured: no unshare, nsenter or ip")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if not lines or not lines[-1].startswith("["):
        why = (done.stderr.splitlines() or ["no output"])[-1]
        return [Row("a node is cut off", f"not measured: {why}")]
    return [Row(*each) for each in json.loads(lines[-1])]


async def measured(books: int) -> list[Row]:
    """Inside the namespace of exchange and readers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        pids = stack.enter_context(namespaces(NAMES))
        host = f"{_NETWORK}.1"
        endpoint = stack.enter_context(thin_exchange.serving(books=books, interval_s=1.0, host=host))
        nodes = Nodes(
            folder,
            thin_exchange.environment(endpoint),
            NAMES,
            depth20=True,
            hosts={name: f"{_NETWORK}.{number}" for number, name in enumerate(NAMES, 2)},
            before={name: ("nsenter", "--net", "--target", str(pid)) for name, pid in pids.items()},
        )
        try:
            await nodes.start()
            await nodes.since_whole(NAMES, alive=len(NAMES))
            await nodes.nodes[NAMES[0]].ask("create", VENUE, symbols(books), 2)
            await nodes.since_whole(NAMES, alive=len(NAMES))
            return await cut_off(nodes)
        finally:
            await nodes.end()


async def cut_off(nodes: Nodes) -> list[Row]:
    """The last node, which the follower prefers."""
    victim, *others = reversed(NAMES)
    first = nodes.nodes[NAMES[0]]
    settings = depthcache.Settings(proxies=False, ca_file=first.folder / "authority.pem")
    urls = [nodes.nodes[name].url for name in (victim, *others)]
    token = await first.ask("read_token")
    async with depthcache.connect(
        VENUE, symbols(QUICK), server=urls, token=token, settings=settings
    ) as books:
        await books.wait_synced()
        follower = Follower(books)
        await asyncio.sleep(SETTLE_S)
        follower.reset()
        began_s = time.monotonic()
        link(victim, "down")
        again_s = await nodes.since_whole(others, alive=len(others)) - began_s
        await asyncio.sleep(SETTLE_S)
        silent_s = follower.silence()
        began_s = time.monotonic()
        link(victim, "up")
        back_s = await nodes.since_whole(others, alive=len(NAMES), is_even=True) - began_s
        faults = follower.faults
    what = f"cut: both copies of every book synced again, of {MOST_S:g} s"
    silent = f"cut: longest silence of a followed book, of {MOST_SILENT_S:g} s"
    return [
        Row(what, f"{again_s:.2f} s", again_s / MOST_S, 1.0),
        Row(silent, f"{silent_s:.2f} s; {len(faults)} false updates", silent_s / MOST_SILENT_S, 1.0),
        Row("cut: even again after the link is back", f"{back_s:.1f} s"),
    ]


# --- namespaces -----------------------------------------------------------------------------------------


@contextmanager
def namespaces(names: Sequence[str]) -> Iterator[dict[str, int]]:
    """A namespace for each node, with an address of its own; a process in it, by name."""
    call("ip", "link", "set", "lo", "up")
    call("ip", "link", "add", "bridge0", "type", "bridge")
    call("ip", "address", "add", f"{_NETWORK}.1/24", "dev", "bridge0")
    call("ip", "link", "set", "bridge0", "up")
    with ExitStack() as stack:
        pids: dict[str, int] = {}
        for number, name in enumerate(names, 2):
            waits = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
            stack.callback(waits.wait)
            stack.callback(waits.kill)
            pids[name] = waits.pid
            wait_for_namespace(waits.pid)
            inside = ("nsenter", "--net", "--target", str(waits.pid), "ip")
            call("ip", "link", "add", f"link-{name}", "type", "veth", "peer", "eth0", "netns", str(waits.pid))
            call("ip", "link", "set", f"link-{name}", "master", "bridge0", "up")
            call(*inside, "address", "add", f"{_NETWORK}.{number}/24", "dev", "eth0")
            call(*inside, "link", "set", "eth0", "up")
            call(*inside, "link", "set", "lo", "up")
        yield pids


def wait_for_namespace(pid: int) -> None:
    """Until the process has left this one."""
    own = Path("/proc/self/ns/net").readlink()
    ends_s = time.monotonic() + 10
    while Path(f"/proc/{pid}/ns/net").readlink() == own and time.monotonic() < ends_s:
        time.sleep(0.01)


def link(name: str, state: str) -> None:
    """Cut a node off, or not any more."""
    call("ip", "link", "set", f"link-{name}", state)


def call(*command: str) -> None:
    """Raises CalledProcessError."""
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    rows = asyncio.run(measured(int(sys.argv[-1]) if "--books" in sys.argv else BOOKS))
    print(json.dumps([[row.what, row.figure, row.ratio, row.threshold] for row in rows]))
