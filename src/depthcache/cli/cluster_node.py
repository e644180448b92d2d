"""Run a node of a cluster in the foreground: open its folder, say how to reach it, end at a signal."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from depthcache.cli.log_lines import Lines, identify, written
from depthcache.cli.service_manager import notify
from depthcache.cli.streams import tell
from depthcache.foreign_text import clean

if TYPE_CHECKING:
    import asyncio

    from depthcache.cli.interrupt import Interrupt
    from depthcache.cluster.data_folder import DataFolder, Identity, NodeOptions
    from depthcache.cluster.management import Invitation
    from depthcache.cluster.program import NodeProgram, SharedStart
    from depthcache.cluster.shared_secrets import SharedSecrets
    from depthcache.errors import InvalidArgument
    from depthcache.server import ServerConfig

__all__ = ["headline", "joined", "made", "run", "shared_start", "started", "started_with"]

_OF_NODE = ("listen", "port", "node_port", "hosts", "zone", "egress", "capacity")
_OF_SERVER = ("compat_listen", "compat_listen_2_8", "compat_allow", "compat_manage", "access_log")

Made = TypeVar("Made")
Opening = Callable[[], Awaitable["DataFolder"]]


def started(cluster: str | None, data_dir: Path | None, options: Mapping[str, Any]) -> Opening:
    """Open the folder of a node, or make that of a new cluster."""

    async def open_folder() -> DataFolder:
        from depthcache.cluster.data_folder import DataFolder, find_folder
        from depthcache.errors import InvalidArgument

        node = _node_options(options)
        found = find_folder(cluster=cluster, data_dir=data_dir)
        try:
            if found is None:
                _check_ports(node)
                return DataFolder.create(data_dir, node, cluster=cluster)
            return DataFolder.open(found, node)
        except InvalidArgument as error:
            raise _of_command(error) from None

    return open_folder


def started_with(
    secrets: Path, cluster: str | None, data_dir: Path | None, options: Mapping[str, Any]
) -> Opening:
    """Open the folder of a node that has the secrets of its cluster, or make one."""

    async def open_folder() -> DataFolder:
        from depthcache.cluster.data_folder import DataFolder, find_folder
        from depthcache.cluster.shared_secrets import read
        from depthcache.errors import InvalidArgument, UsageError

        node, given = _node_options(options), read(secrets)
        if cluster not in (None, given.cluster):
            raise UsageError(f"{secrets} has the secrets of cluster {given.cluster}, not of {cluster}")
        name = cluster if data_dir is not None else given.cluster
        found = find_folder(cluster=name, data_dir=data_dir)
        try:
            if found is None:
                _check_ports(node)
                return DataFolder.begin(data_dir, node, given)
            return DataFolder.open(found, node, secrets=given)
        except InvalidArgument as error:
            raise _of_command(error) from None

    return open_folder


def shared_start(peers: Sequence[str], *, is_ephemeral: bool) -> SharedStart:
    """How the node finds the others. Raises InvalidArgument."""
    from depthcache.cluster.given_peers import parse_peer
    from depthcache.cluster.program import SharedStart

    return SharedStart(tuple(map(parse_peer, peers)), is_ephemeral)


def joined(address: str, token: str, data_dir: Path | None, options: Mapping[str, Any]) -> Opening:
    """Join a cluster, and open the folder that this makes."""

    async def open_folder() -> DataFolder:
        from depthcache.cluster.join_client import join_cluster
        from depthcache.errors import InvalidArgument, UsageError

        if address.startswith("dcj_") and not token.startswith("dcj_"):
            raise UsageError("HOST:PORT comes first, then the token")
        given = dict(options)
        if given["listen"] is None:
            given["listen"] = _address_towards(address)
        node = _node_options(given)
        _check_ports(node)  # before the token is used up
        try:
            return await join_cluster(address, token, node, data_dir=data_dir, on_wait=_tell_wait)
        except InvalidArgument as error:
            raise _of_command(error) from None

    return open_folder


def made(path: Path, *, cluster: str | None, folder: Path | None) -> SharedSecrets:
    """New shared secrets in a folder, or those of the cluster of a node with this data folder."""
    from depthcache.cluster.data_folder import cluster_of_folder
    from depthcache.cluster.shared_secrets import export, make
    from depthcache.errors import InvalidArgument

    if folder is not None:
        return export(path, folder, cluster=cluster_of_folder(folder))
    try:
        return make(path, cluster=cluster)
    except InvalidArgument as error:
        raise InvalidArgument(name="--name", value=error.value, allowed=error.allowed) from None


def _tell_wait(reason: str) -> None:
    tell(f"depthcache: no answer yet: {reason}; trying again for a minute")


def run(
    opening: Opening,
    options: Mapping[str, Any],
    *,
    depth: int,
    handover_s: float,
    as_json: bool,
    start: SharedStart | None = None,
) -> int:
    """Run the node until it is asked to end, leaves, or is removed. Returns the exit code; Abort if it was
    asked to end before it had a folder. `handover_s`: how long others may take to copy what it alone has,
    once it is asked to end."""
    import asyncio

    from depthcache.cli.interrupt import Interrupt

    _check_can_run()
    config = _server_config(options)
    with Interrupt() as interrupt, written(Lines.OF_A_NODE, always=True):
        return asyncio.run(
            _run(
                opening,
                config,
                interrupt,
                depth=depth,
                handover_s=handover_s,
                as_json=as_json,
                start=start,
            )
        )


async def _run(
    opening: Opening,
    config: ServerConfig,
    interrupt: Interrupt,
    *,
    depth: int,
    handover_s: float,
    as_json: bool,
    start: SharedStart | None,
) -> int:
    import asyncio

    from depthcache.cluster.program import open_node
    from depthcache.errors import UsageError

    for host, port, _ in config.compat_listeners():
        _check_port(host, port, "--compat-listen")
    asked = asyncio.create_task(_until_asked(interrupt))
    folder = await _opened(opening, asked)
    identify(node=folder.identity.node.id, cluster=folder.identity.cluster)
    try:
        _check_ports(_of_identity(folder.identity))
    except BaseException:
        folder.close()
        raise
    async with open_node(folder, config, depth=depth, start=start) as program:
        if reason := program.node.removed:  # its own files say so
            raise UsageError(f"node {program.node.identity.node.id} cannot run: {reason}")
        if not interrupt.has_happened:
            click.echo(_ready_line(program) if as_json else "\n".join(_ready_lines(program)))
            notify("READY=1")
        over = asyncio.create_task(program.ended())
        await asyncio.wait((over, asked), return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        if over.done():
            if reason := over.result():
                raise UsageError(f"node {program.node.identity.node.id} ends: {reason}")
            tell(f"depthcache: the node has left the cluster; you can delete its folder {folder.path}")
        else:
            over.cancel()
            has_others = bool(program.node.runner.core.members.alive())
            is_spare = await program.node.hand_over(timeout_s=handover_s)
            served = (
                ", other nodes serve its books" if is_spare else ", some of its books are on no other node"
            )
            tell("depthcache: ending" + (served if has_others else ""))
            if program.node.is_leaving:
                tell(
                    "depthcache: the node has not left yet and will hold no books: start it and let it leave "
                    "again, or `depthcache cluster drain NODE --undo`"
                )
        asked.cancel()
    return 0


async def _opened(opening: Opening, asked: asyncio.Task[None]) -> DataFolder:
    """The open folder. Joining may wait for a node that does not answer; then nothing was written."""
    import asyncio

    task = asyncio.ensure_future(opening())
    await asyncio.wait((task, asked), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
        if task.cancelled():
            tell("depthcache: interrupted before the node had joined; the token may still be good")
            raise click.Abort
    return task.result()


async def _until_asked(interrupt: Interrupt) -> None:
    while not await interrupt.wait_async(3_600):
        pass


def _check_can_run() -> None:
    """Before a join token is used up. Raises PackageMissing, UsageError."""
    import os
    from importlib import import_module

    from depthcache.errors import PackageMissing, UsageError

    for package, module in (("eclipse-zenoh", "zenoh"), ("cryptography", "cryptography.x509")):
        try:
            import_module(module)
        except ImportError:
            raise PackageMissing(package=package, wanted_for="a cluster") from None
    if os.environ.get("DEPTHCACHE_SERVER"):
        raise UsageError("a node takes its books from the exchange: unset DEPTHCACHE_SERVER")


def _node_options(options: Mapping[str, Any]) -> NodeOptions:
    """What was given. Raises InvalidArgument in the words of the command."""
    from depthcache.cluster.data_folder import NodeOptions

    return _checked(NodeOptions, options, _OF_NODE)


def _server_config(options: Mapping[str, Any]) -> ServerConfig:
    """What was given. Raises InvalidArgument in the words of the command."""
    from depthcache.server import ServerConfig

    return _checked(ServerConfig, options, _OF_SERVER)


def _checked(make: Callable[..., Made], options: Mapping[str, Any], names: Sequence[str]) -> Made:
    from depthcache.errors import InvalidArgument

    try:
        return make(**{name: options[name] for name in names if options[name] not in (None, ())})
    except InvalidArgument as error:
        raise _of_command(error) from None


def _of_command(error: InvalidArgument) -> InvalidArgument:
    """The error with the options of the command instead of the fields of a configuration."""
    from depthcache.errors import InvalidArgument
    from depthcache.server.config import NEEDS_NETWORKS

    if error.name not in (*_OF_NODE, *_OF_SERVER):
        return error
    name, allowed = _option(error.name), error.allowed
    if error.allowed == NEEDS_NETWORKS:
        allowed = "an address of this machine (127.0.0.1, ::1), or --compat-allow with networks"
    if error.name == "hosts" and error.value is None:
        text = "--listen 0.0.0.0 and :: need --host: a name or address at which other machines reach this one"
        return InvalidArgument(name=name, value=None, allowed=allowed, text=text)
    return InvalidArgument(name=name, value=error.value, allowed=allowed)


def _option(field_name: str) -> str:
    return "--host" if field_name == "hosts" else f"--{field_name.replace('_', '-')}"


def _of_identity(identity: Identity) -> NodeOptions:
    from depthcache.cluster.data_folder import NodeOptions

    port, node_port = (int(each.rpartition(":")[2]) for each in (identity.node.address, identity.listen))
    return NodeOptions(listen=identity.bind, port=port, node_port=node_port)


def _check_ports(options: NodeOptions) -> None:
    """Raises UsageError for a port that another program has: the node would fail later, and less clearly."""
    from depthcache.cluster.data_folder import DEFAULT_NODE_PORT, DEFAULT_PORT

    host = options.listen or "127.0.0.1"
    for option, given, usual in (
        ("--port", options.port, DEFAULT_PORT),
        ("--node-port", options.node_port, DEFAULT_NODE_PORT),
    ):
        _check_port(host, usual if given is None else given, option)


def _check_port(host: str, port: int, option: str) -> None:
    import errno
    import socket

    from depthcache.errors import UsageError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(
                    f"{host} is not an address of this machine: choose another with --listen"
                ) from None
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}") from None
            words = f"port {port} of {host} is taken, perhaps by another node; choose another with {option}"
            any_free = "" if option.startswith("--compat") else f", or {option} 0 for any free one"
            raise UsageError(words + any_free) from None


def _address_towards(address: str) -> str | None:
    """The address of this machine from which another host is reached, so that it can be reached from there.
    None where that is not known."""
    import socket
    from urllib.parse import urlsplit

    try:
        host = urlsplit(f"//{address}").hostname
        [(family, kind, protocol, _, found), *_] = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(found)  # sends nothing
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return None


def _invitation(program: NodeProgram) -> Invitation | None:
    return program.invite() if program.can_invite else None


def _ready_line(program: NodeProgram) -> str:
    invitation, folder = _invitation(program), program.folder
    path = folder.path.absolute()
    facts: dict[str, Any] = {
        "url": program.node.url,
        "page": f"{program.node.page_url}/#token={program.node.read_token}",
        "read_token": program.node.read_token,
        "admin_token_file": str(path / "admin.token"),
        "node": program.node.identity.node.id,
        "not_ready": program.node.why_apart() or None,
        "join": None if invitation is None else list(invitation.command),
        "cluster": program.node.identity.cluster,
        "data_dir": str(path),
        "authority_file": str(path / folder.authority_file.name),
    }
    if urls := program.node.server.compat_urls:
        facts["compat_urls"] = urls
    return json.dumps(facts)


def headline(cluster: str, number: int, *, of: int, not_ready: str) -> str:
    """What a node prints once it runs. `not_ready`: why it is not of use yet; empty if it is."""
    state = f"not ready: {clean(not_ready)}" if not_ready else "ready"
    return f'depthcache cluster "{cluster}", node {number} of {of}, {state}'


def _ready_lines(program: NodeProgram) -> list[str]:
    """Secrets are shown on a terminal alone: anything else may be a log."""
    import sys
    from shlex import join

    node, folder = program.node, program.folder.path
    joined = node.runner.core.wanted.joined()
    number = joined.index(node.identity.node.id) + 1
    is_shown = sys.stdout.isatty()
    page = f"{node.page_url}/#token={node.read_token}    read only" if is_shown else None
    rows = [
        ("page", page or f"{node.page_url}/    enter the token of {_short(folder / 'read.token')}"),
        ("admin", f"token in {_short(folder / 'admin.token')} (0600)"),
        ("trust", f"{_short(folder / 'authority.pem')}    for clients of other machines"),
        *(("ubdcc", f"{url}    clients of the old cluster, no token") for url in node.server.compat_urls),
    ]
    lines = [
        headline(node.identity.cluster, number, of=len(joined), not_ready=node.why_apart()),
        *(f"  {label:<7}  {text}" for label, text in rows),
    ]
    if program.can_invite and is_shown:
        command = join(program.invite().command)
        lines.append(f"  add a machine:  depthcache {command}    (30 minutes, once, at this node)")
    elif program.can_invite:
        lines.append("  add a machine:  `depthcache cluster token join` prints the command")
    return lines


def _short(path: Path) -> str:
    from contextlib import suppress

    with suppress(RuntimeError, ValueError):  # a user without a home; another folder
        return f"~/{path.relative_to(Path.home())}"
    return str(path)
