"""Run a node of a cluster in the foreground: open its folder, say how to reach it, end at a signal."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.service_manager import notify
from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cluster.data_folder import DataFolder, NodeOptions
    from depthcache.cluster.management import Invitation
    from depthcache.cluster.program import NodeProgram
    from depthcache.server import ServerConfig

__all__ = ["joined", "run", "started"]

_OF_NODE = ("listen", "port", "node_port", "hosts", "zone", "egress", "capacity")
_OF_SERVER = ("compat_listen", "compat_listen_2_8", "compat_allow", "compat_manage", "access_log")

Opening = Callable[[], Awaitable["DataFolder"]]


def started(cluster: str | None, data_dir: Path | None, options: Mapping[str, Any]) -> Opening:
    """Open the folder of a node, or make that of a new cluster."""

    async def open_folder() -> DataFolder:
        from depthcache.cluster.data_folder import DataFolder, find_folder

        node = _node_options(options)
        found = find_folder(cluster=cluster, data_dir=data_dir)
        if found is not None:
            return DataFolder.open(found, node)
        return DataFolder.create(data_dir, node, cluster=cluster)

    return open_folder


def joined(address: str, token: str, data_dir: Path | None, options: Mapping[str, Any]) -> Opening:
    """Join a cluster, and open the folder that this makes."""

    async def open_folder() -> DataFolder:
        from depthcache.cluster.join_client import join_cluster

        return await join_cluster(address, token, _node_options(options), data_dir=data_dir)

    return open_folder


def run(opening: Opening, options: Mapping[str, Any], *, depth: int, as_json: bool) -> int:
    """Run the node until it is asked to end, leaves, or is removed. Returns the exit code."""
    import asyncio

    from depthcache.cli.interrupt import Interrupt
    from depthcache.server import ServerConfig

    config = ServerConfig(**{name: options[name] for name in _OF_SERVER if options[name] not in (None, ())})
    with Interrupt() as interrupt:
        return asyncio.run(_run(opening, config, interrupt, depth=depth, as_json=as_json))


async def _run(
    opening: Opening, config: ServerConfig, interrupt: Interrupt, *, depth: int, as_json: bool
) -> int:
    import asyncio

    from depthcache.cluster.program import open_node
    from depthcache.errors import UsageError

    folder = await opening()
    async with open_node(folder, config, depth=depth) as program:
        click.echo(_ready_line(program) if as_json else "\n".join(_ready_lines(program)))
        notify("READY=1")
        over = asyncio.create_task(program.ended())
        asked = asyncio.create_task(_until_asked(interrupt))
        await asyncio.wait((over, asked), return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        if over.done():
            if reason := over.result():
                raise UsageError(f"node {program.node.identity.node.id} ends: {reason}")
            tell(f"depthcache: the node has left; its folder {folder.path} is of no use any more")
        else:
            over.cancel()
            tell("depthcache: ending, other nodes serve its books")
        asked.cancel()
    return 0


async def _until_asked(interrupt: Interrupt) -> None:
    while not await interrupt.wait_async(3_600):
        pass


def _node_options(options: Mapping[str, Any]) -> NodeOptions:
    """What was given. Raises InvalidArgument in the words of the command."""
    from depthcache.cluster.data_folder import NodeOptions
    from depthcache.errors import InvalidArgument

    given = {name: options[name] for name in _OF_NODE if options[name] not in (None, ())}
    try:
        return NodeOptions(**given)
    except InvalidArgument as error:
        name = {"hosts": "--host"}.get(error.name, f"--{error.name.replace('_', '-')}")
        raise InvalidArgument(name=name, value=error.value, allowed=error.allowed) from None


def _invitation(program: NodeProgram) -> Invitation | None:
    return None if program.issuer is None else program.invite()


def _ready_line(program: NodeProgram) -> str:
    invitation, folder = _invitation(program), program.folder
    facts: dict[str, Any] = {
        "url": program.node.url,
        "read_token": program.node.read_token,
        "admin_token_file": str(folder.path / "admin.token"),
        "node": program.node.identity.node.id,
        "join": None if invitation is None else list(invitation.command),
        "cluster": program.node.identity.cluster,
        "data_dir": str(folder.path),
        "authority_file": str(folder.authority_file),
    }
    if urls := program.node.server.compat_urls:
        facts["compat_urls"] = urls
    return json.dumps(facts)


def _ready_lines(program: NodeProgram) -> list[str]:
    """Secrets are shown on a terminal alone: anything else may be a log."""
    import sys
    from shlex import join

    node, folder = program.node, program.folder.path
    joined = node.runner.core.wanted.joined()
    number = joined.index(node.identity.node.id) + 1
    is_shown = sys.stdout.isatty()
    page = f"{node.url}/#token={node.read_token}    read only" if is_shown else None
    rows = [
        ("page", page or f"{node.url}/    enter the token of {_short(folder / 'read.token')}"),
        ("admin", f"token in {_short(folder / 'admin.token')} (0600)"),
        ("trust", f"{_short(folder / 'authority.pem')}    for clients of other machines"),
        *(("ubdcc", f"{url}    clients of the old cluster, no token") for url in node.server.compat_urls),
    ]
    lines = [
        f'depthcache cluster "{node.identity.cluster}", node {number} of {len(joined)}, ready',
        *(f"  {label:<7}  {text}" for label, text in rows),
    ]
    if program.issuer is not None and is_shown:
        command = join(program.invite().command)
        lines.append(f"  add a machine:  depthcache {command}    (30 minutes, once, at this node)")
    elif program.issuer is not None:
        lines.append("  add a machine:  `depthcache cluster token join` prints the command")
    return lines


def _short(path: Path) -> str:
    from contextlib import suppress

    with suppress(RuntimeError, ValueError):  # a user without a home; another folder
        return f"~/{path.relative_to(Path.home())}"
    return str(path)
