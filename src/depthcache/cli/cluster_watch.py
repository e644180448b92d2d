"""`depthcache cluster status --watch`: a console on a terminal, blocks or JSON lines everywhere else."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.cluster_options import print_json
from depthcache.cli.streams import tell
from depthcache.errors import ConnectionFailed

if TYPE_CHECKING:
    from depthcache.cli.cluster_client import NodeClient
    from depthcache.cli.cluster_nodes import AnyNode
    from depthcache.cli.interrupt import Interrupt

__all__ = ["watch"]

_EVERY_S = 2.0


def watch(client: NodeClient, interrupt: Interrupt, *, as_json: bool, shows_all: bool) -> None:
    """Show the status until Ctrl-C or, in the console, `q`. When the node is lost, another one is asked.

    Raises ConnectionFailed and NodeRefused of the first answer: what is wrong from the start stays wrong."""
    from depthcache.cli.cluster_nodes import AnyNode

    if as_json or not _is_console():
        node = AnyNode(client, on_change=lambda url, why: tell(f"depthcache: {why}; asking {url} now"))
        asyncio.run(_print(node, interrupt, as_json=as_json, shows_all=shows_all))
    else:
        asyncio.run(_show(client, interrupt, shows_all=shows_all))


async def _print(node: AnyNode, interrupt: Interrupt, *, as_json: bool, shows_all: bool) -> None:
    from depthcache.cli.cluster_look import look
    from depthcache.cli.cluster_status import status_lines

    is_over = False
    while not is_over:
        try:
            status, moves = await asyncio.to_thread(node.use, look)
        except ConnectionFailed as error:
            tell(f"depthcache: {error}")
        else:
            node.learn(status["nodes"])
            if as_json:
                print_json({**status, "moves": moves})
            else:
                click.echo("\n".join((*status_lines(status, moves, shows_all=shows_all), "")))
        is_over = await interrupt.wait_async(_EVERY_S)


async def _show(client: NodeClient, interrupt: Interrupt, *, shows_all: bool) -> None:
    from depthcache.cli.cluster_look import look
    from depthcache.cli.cluster_nodes import AnyNode
    from depthcache.cli.cluster_status import status_lines
    from depthcache.cli.terminal.app import run
    from depthcache.cli.terminal.cluster_console import ClusterConsole, picture

    console = ClusterConsole(url=client.url, now_s=time.monotonic)
    console.shows_all = shows_all
    loop = asyncio.get_running_loop()

    def on_change(url: str, why: str) -> None:
        loop.call_soon_threadsafe(console.change_source, url, why)

    node = AnyNode(client, on_change=on_change)
    first: Any = await asyncio.to_thread(node.use, look)
    newest = first

    async def follow() -> None:
        nonlocal newest
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                newest = await asyncio.to_thread(node.use, look)
            except ConnectionFailed as error:
                console.fail(error.reason)
                continue
            node.learn(newest[0]["nodes"])
            console.update(*newest)

    node.learn(first[0]["nodes"])
    console.update(*first)
    following = loop.create_task(follow())

    async def ended(wait_s: float) -> bool:
        if following.done():
            following.result()
        return await interrupt.wait_async(wait_s)

    try:
        is_there = await run(console, ended, draw=picture)
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    if is_there:
        click.echo("\n".join(status_lines(*newest)))


def _is_console() -> bool:
    """Whether the console can run here. Prints a hint if only its package is missing."""
    import os
    import sys
    from importlib.util import find_spec

    kind = os.environ.get("TERM", "" if os.name == "posix" else "windows")
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or kind in ("", "dumb"):
        return False
    if find_spec("textual") is None:
        tell('depthcache: the console needs Textual: pip install "depthcache[tui]"; blocks until then')
        return False
    return True
