"""`depthcache cluster`: run a node of a cluster, and manage the cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from depthcache.cli.cluster_backup import backup, restore
from depthcache.cli.cluster_doctor import doctor
from depthcache.cli.cluster_options import (
    CLUSTER,
    DATA_DIR,
    SECONDS,
    asking,
    complete_node,
    node_of,
    parts,
    print_json,
    until,
)
from depthcache.cli.cluster_rebalance import rebalance
from depthcache.cli.cluster_rotate import rotate
from depthcache.cli.exchange_name import exchange_option
from depthcache.cli.log_format import log_format_option

if TYPE_CHECKING:
    from depthcache.cli.cluster_client import NodeClient

__all__ = ["cluster"]

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
_MOST_NAMED = 5
_NODE_ID = re.compile(r"[1-9A-F][0-9A-F]{7,15}")
"""What the id of a node, or its beginning, is as a symbol."""
_NODE = click.option(
    "--node", metavar="NODE", shell_complete=complete_node, help="Remove this node instead of books."
)


def _running(command: Command) -> Command:
    """The options of commands that run a node."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready."),
        click.option(
            "--handover",
            "handover_s",
            type=SECONDS,
            default=10.0,
            show_default=True,
            metavar="SECONDS",
            help="How long other nodes may take to copy its books when it ends.",
        ),
        log_format_option,
        click.option("--access-log", metavar="FILE", help="Write one JSON line per request; - for stderr."),
        click.option(
            "--compat-manage", is_flag=True, default=None, help="Let old clients on this machine add books."
        ),
        click.option(
            "--compat-allow",
            multiple=True,
            metavar="NETWORK",
            help="Let old clients of this network connect.",
        ),
        click.option("--compat-listen-2-8", metavar="ADDR:PORT", help="The same for releases up to 2.8."),
        click.option(
            "--compat-listen", metavar="ADDR:PORT", help="Also serve clients of the old cluster here."
        ),
        click.option(
            "--depth",
            type=click.IntRange(1),
            default=100,
            show_default=True,
            help="Complete levels per side.",
        ),
        click.option(
            "--capacity", type=float, help="How many books it holds, relative to others.  [default: 1]"
        ),
        click.option(
            "--egress", metavar="NAME", help="Nodes with the same name share the exchange's weight limit."
        ),
        click.option(
            "--zone", metavar="NAME", help="Nodes that fail together; replicas go to different zones."
        ),
        click.option(
            "--host",
            "hosts",
            multiple=True,
            metavar="NAME",
            help="Name or address at which others reach it; the best first.",
        ),
        click.option(
            "--node-port",
            type=click.IntRange(0, 65_535),
            help="Port for other nodes; 0: any free one.  [default: 42080]",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            help="Port for readers; 0: any free one.  [default: 42081]",
        ),
        click.option(
            "--listen",
            metavar="ADDR",
            help="Address to listen on.  [default: 127.0.0.1; join: the one that reaches HOST]",
        ),
        DATA_DIR,
    ):
        command = option(command)
    return command


@click.group(short_help="Several machines as one book server.")
def cluster() -> None:
    """Several machines as one book server: each book is kept by several nodes, and any node answers any read.

    \b
    depthcache cluster start                      the first node; on one machine it is the whole cluster
    depthcache cluster join HOST:PORT TOKEN       one more machine
    depthcache cluster secrets DIR                for equal nodes, such as those of Kubernetes
    depthcache cluster add BTCUSDT --replicas 2   keep a book on two nodes
    depthcache cluster status                     nodes, books, and why a book is not synced
    depthcache cluster doctor                     what is wrong with nodes and the network, and what to do
    """


for command in (doctor, backup, restore, rotate, rebalance):
    cluster.add_command(command)


# --- run a node --------------------------------------------------------------------------------


@cluster.command(short_help="Run the first node of a cluster, or a node again.")
@CLUSTER
@click.option(
    "--secrets",
    metavar="DIR",
    type=_FILE,
    help="Start as one of several equal nodes, with their shared secrets.",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Another node, by its port for nodes; with --secrets.  [default port: 42080]",
)
@click.option("--ephemeral", is_flag=True, help="Leave the cluster for good when it ends; with --secrets.")
@_running
def start(
    cluster: str | None,
    secrets: Path | None,
    peers: Sequence[str],
    ephemeral: bool,
    data_dir: Path | None,
    as_json: bool,
    depth: int,
    handover_s: float,
    **options: Any,
) -> int:
    """Start a cluster with its first node, or run the node of the data folder again, until SIGTERM or Ctrl-C.

    A new cluster gets a name, tokens, and an authority that signs the certificates of its nodes. All files
    are in the data folder. It also keeps addresses, ports, zone, egress and capacity; give other options at
    each start. When the node ends, others serve its books.

    With --secrets, equal nodes start at once and in any order, as under Kubernetes: `depthcache cluster
    secrets` makes DIR. With an empty data folder a node joins by itself; the --peer names of all nodes may
    be the same, have addresses of several nodes, include this node, and be unknown yet. --ephemeral is for a
    data folder that is lost at each restart: the other nodes forget such a node, also if it is away for ten
    minutes.

    \b
    depthcache cluster start
    depthcache cluster start --listen 10.0.0.1 --zone rack1
    depthcache cluster start --data-dir DIR --port 0 --node-port 0 --json
    depthcache cluster start --secrets DIR --peer node1.example --peer node2.example --listen 10.0.0.1

    Exit code 0: it ran until it was asked to end, or has left. 2: it could not run, was removed, or runs from
    the copy of a folder that is in use.
    """
    from depthcache.cli.cluster_node import run, shared_start, started, started_with

    if secrets is None and (peers or ephemeral):
        raise click.UsageError(f"{'--peer' if peers else '--ephemeral'} needs --secrets DIR")
    opening = (
        started(cluster, data_dir, options)
        if secrets is None
        else started_with(secrets, cluster, data_dir, options)
    )
    return run(
        opening,
        options,
        depth=depth,
        handover_s=handover_s,
        as_json=as_json,
        start=None if secrets is None else shared_start(peers, is_ephemeral=ephemeral),
    )


@cluster.command(short_help="Make the secrets that equal nodes start with.")
@click.argument("folder", metavar="DIR", type=_FILE)
@click.option("--name", metavar="NAME", help="Name of the new cluster.  [default: a random one]")
@click.option(
    "--from",
    "source",
    metavar="FOLDER",
    type=_FILE,
    help="Write the present secrets of the node with this data folder instead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def secrets(folder: Path, name: str | None, source: Path | None, as_json: bool) -> int:
    """Make the secrets of a new cluster in a new or empty folder: its name, authority and tokens.

    Nodes that `depthcache cluster start --secrets DIR` starts with them become one cluster. Who has them can
    do everything in that cluster. With --from, DIR gets the secrets that a cluster has now, such as after
    `depthcache cluster token` or `rotate-ca`: give them to the orchestrator then. That needs a node with the
    authority's key.

    \b
    depthcache cluster secrets secrets --name amber-fox
    depthcache cluster secrets secrets --from ~/.local/share/depthcache/amber-fox

    Exit code 0: done. 2: it could not be done.
    """
    from shlex import quote

    from depthcache.cli.cluster_node import made
    from depthcache.cluster.shared_secrets import SECRET_FILES

    if name is not None and source is not None:
        raise click.UsageError("--name is for a new cluster, and --from for one that there is")
    found = made(folder, cluster=name, folder=source)
    if as_json:
        facts = {"cluster": found.cluster, "dir": str(folder.absolute()), "files": list(SECRET_FILES)}
        print_json({**facts, "authority": found.authority.hash})
        return 0
    path = quote(str(folder))
    lines = [
        f'the secrets of cluster "{found.cluster}" are in {folder}; they allow everything in it',
        f"  on Kubernetes:  kubectl create secret generic {found.cluster} --from-file={path}",
        f"  on machines:    copy {path} to each of them, and run there",
        f"                  depthcache cluster start --secrets {path} --listen ADDRESS --peer HOST",
    ]
    click.echo("\n".join(lines))
    return 0


@cluster.command(short_help="Join a cluster with one more machine.")
@click.argument("address", metavar="HOST:PORT")
@click.argument("token")
@_running
def join(
    address: str,
    token: str,
    data_dir: Path | None,
    as_json: bool,
    depth: int,
    handover_s: float,
    **options: Any,
) -> int:
    """Join a cluster with one more node, and run it until SIGTERM or Ctrl-C.

    `depthcache cluster token join` prints this command with a token. If TOKEN is -, it is read from standard
    input, so that it is not in the list of processes. The node sends nothing secret before the cluster has
    proven that it issued the token. To run the node again later, use `depthcache cluster start`.

    \b
    depthcache cluster join 10.0.0.1:42080 dcj_… --listen 10.0.0.2

    Exit code 0: it ran until it was asked to end, or has left. 2: it could not join or run, or was removed.
    """
    import sys

    from depthcache.cli.cluster_node import joined, run

    secret = sys.stdin.readline().strip() if token == "-" else token  # noqa: S105
    opening = joined(address, secret, data_dir, options)
    return run(opening, options, depth=depth, handover_s=handover_s, as_json=as_json)


# --- look --------------------------------------------------------------------------------------


@cluster.command(short_help="Nodes, books, and why a book is not synced.")
@asking
@click.option(
    "--books", "shows_all", is_flag=True, help="List all books, not only those that lack synced replicas."
)
@click.option("--watch", is_flag=True, help="Follow it until Ctrl-C: on a terminal, a console with keys.")
def status(as_json: bool, shows_all: bool, watch: bool, **where: Any) -> int:
    """Show nodes, books that are not synced as wanted and why, request weight, and the newest moves.

    States of nodes and books are those that the node marked with * sees. Reasons, weight and moves come from
    all nodes that answer.

    \b
    depthcache cluster status
    depthcache cluster status --watch
    depthcache cluster status --server https://10.0.0.1:42081 --ca authority.pem --token-file read.token

    Exit code 0: every node is up, and every book is synced on as many nodes as wanted and possible. 1: not
    so. 2: no node answered.
    """
    from depthcache.cli.cluster_watch import watch as follow
    from depthcache.cli.interrupt import Interrupt

    node = node_of(where, manages=False)
    if not watch:
        return _show(node, as_json=as_json, shows_all=shows_all)
    with Interrupt() as interrupt:
        follow(node, interrupt, as_json=as_json, shows_all=shows_all)
    return 0


def _show(node: NodeClient, *, as_json: bool, shows_all: bool) -> int:
    from depthcache.cli.cluster_look import look
    from depthcache.cli.cluster_status import is_whole, status_lines

    found, moves = look(node)
    if as_json:
        print_json({**found, "moves": moves})
    else:
        click.echo("\n".join(status_lines(found, moves, shows_all=shows_all)))
    return 0 if is_whole(found) else 1


# --- books -------------------------------------------------------------------------------------


@cluster.command(short_help="Add books.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@exchange_option("Of the symbols. `depthcache exchanges` lists them.")
@click.option(
    "--replicas", type=click.IntRange(1, 64), default=2, show_default=True, help="Nodes that hold each book."
)
@click.option("--depth", type=click.IntRange(1), help="Complete levels per side.")
@click.option("--speed-ms", type=click.IntRange(1), help="Update speed of the streams.")
@click.option(
    "--timeout", type=SECONDS, default=0.0, help="Seconds to wait until all are synced.  [default: 0]"
)
@asking
def add(
    symbols: Sequence[str],
    exchange: str,
    replicas: int,
    depth: int | None,
    speed_ms: int | None,
    timeout: float,
    as_json: bool,
    **where: Any,
) -> int:
    """Add books, each kept by several nodes. Books that the cluster already keeps stay as they are.

    The command returns once the change is on the disks of two nodes, or of one that is alone.

    \b
    depthcache cluster add BTCUSDT ETHUSDT --replicas 2
    depthcache cluster add BTCUSDT --exchange binance.com-futures --depth 1000 --timeout 30

    Exit code 0: done. 1: added, but not all synced within --timeout. 2: it could not be done.
    """
    from depthcache.cli.cluster_look import look

    node = node_of(where, manages=True)
    settings = _given(depth=depth, speed_ms=speed_ms)
    done: dict[str, Any] = {"created": [], "existing": []}
    for part in parts(symbols):
        body = {"exchange": exchange, "symbols": part, "replicas": replicas, "settings": settings}
        _add_up(done, node.ask("POST", "/books", body))
    named = {*done["created"], *done["existing"]}
    code = 0
    if timeout:
        done["synced"] = _wait(node, timeout, lambda found: not _missing(found, exchange, named))
        code = 0 if done["synced"] else 1
    words = [f"{_books(len(done['created']))} added"]
    if done["existing"]:
        words.append(f"{len(done['existing'])} there already (`depthcache cluster set` changes them)")
    if timeout:
        words.append("all synced" if done["synced"] else f"not all synced after {timeout:g} s")
    _tell(done, ", ".join(words), as_json=as_json)
    if code and not as_json:
        missing = _missing(look(node)[0], exchange, named)
        click.echo("\n".join(f"{name}: {why}" for name, why in list(missing.items())[:_MOST_NAMED]))
    return code


@cluster.command("set", short_help="Change how books are kept.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@exchange_option("Of the symbols. `depthcache exchanges` lists them.")
@click.option("--replicas", type=click.IntRange(1, 64), help="Nodes that hold each book.")
@click.option("--depth", type=click.IntRange(1), help="Complete levels per side.")
@click.option("--speed-ms", type=click.IntRange(1), help="Update speed of the streams.")
@asking
def set_books(
    symbols: Sequence[str],
    exchange: str,
    replicas: int | None,
    depth: int | None,
    speed_ms: int | None,
    as_json: bool,
    **where: Any,
) -> int:
    """Change the replicas, depth or speed of books. What you do not give stays as it is.

    \b
    depthcache cluster set BTCUSDT ETHUSDT --replicas 3

    Exit code 0: done. 2: it could not be done.
    """
    settings = _given(depth=depth, speed_ms=speed_ms)
    if replicas is None and not settings:
        raise click.UsageError("nothing to change: give --replicas, --depth or --speed-ms")
    node = node_of(where, manages=True)
    done: dict[str, Any] = {"changed": []}
    for part in parts(symbols):
        body: dict[str, Any] = {"exchange": exchange, "symbols": part, "settings": settings}
        _add_up(done, node.ask("PATCH", "/books", body | _given(replicas=replicas)))
    _tell(done, f"{_books(len(done['changed']))} changed", as_json=as_json)
    return 0


@cluster.command(short_help="End books, or remove a node.")
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]…")
@exchange_option("Of the symbols. `depthcache exchanges` lists them.")
@_NODE
@asking
def remove(symbols: Sequence[str], exchange: str, node: str | None, as_json: bool, **where: Any) -> int:
    """End books; or, with --node, remove a node, which all others refuse from then on.

    Remove a node that will not or must not come back, such as after a lost disk or a stolen data folder. For
    a node that runs, use `depthcache cluster leave`.

    \b
    depthcache cluster remove ETHUSDT
    depthcache cluster remove --node 3f2a91bc

    Exit code 0: done. 1: the cluster did not keep some of the books. 2: it could not be done.
    """
    if bool(symbols) == bool(node):
        raise click.UsageError("name symbols, or a node with --node")
    client = node_of(where, manages=True)
    if node:
        found = client.ask("DELETE", f"/nodes/{_in_path(node)}")
        _tell(found, f"node {found['node']} is removed; the others refuse it", as_json=as_json)
        return 0
    done: dict[str, Any] = {"stopped": [], "missing": []}
    for part in parts(symbols):
        _add_up(done, client.ask("DELETE", "/books", {"exchange": exchange, "symbols": part}))
    words = [f"{_books(len(done['stopped']))} removed"]
    if done["missing"]:
        words.append(f"not kept: {', '.join(done['missing'])}")
        if any(_NODE_ID.fullmatch(each) for each in done["missing"]):
            words.append("--node removes a node")
    _tell(done, ", ".join(words), as_json=as_json)
    return 1 if done["missing"] else 0


# --- nodes -------------------------------------------------------------------------------------


@cluster.command(short_help="Move all books away from a node.")
@click.argument("node", required=False, shell_complete=complete_node)
@click.option(
    "--self",
    "is_self",
    is_flag=True,
    help="Instead of NODE: the node of this machine, until it starts again.",
)
@click.option("--undo", is_flag=True, help="Let the node hold books again.")
@click.option("--timeout", type=SECONDS, default=60.0, show_default=True, help="Seconds to wait; 0: do not.")
@asking
def drain(node: str | None, is_self: bool, undo: bool, timeout: float, as_json: bool, **where: Any) -> int:
    """Move all books away from a node, such as before maintenance. It still answers reads.

    NODE is its id in `depthcache cluster status`, or the beginning of it. The node gives a book up once all
    new owners have it synced. With --self, the node that is asked is drained until its next start, such as
    before an orchestrator replaces it: it then holds books again by itself.

    \b
    depthcache cluster drain 3f2a91bc
    depthcache cluster drain 3f2a91bc --undo
    depthcache cluster drain --self --data-dir DIR --timeout 45

    Exit code 0: done. 1: it still holds books after --timeout, and continues. 2: it could not be done.
    """
    if (node is not None) is is_self:
        raise click.UsageError("name a node, or give --self")
    client = node_of(where, manages=True)
    name = client.ask("GET", "")["node"] if node is None else node
    body = {"draining": not undo} | ({"until_restart": True} if is_self and not undo else {})
    found = client.ask("POST", f"/nodes/{_in_path(name)}/drain", body)
    name = found["node"]
    if undo:
        _tell(found, f"node {name} can hold books again", as_json=as_json)
        return 0
    held = _synced if is_self else _held
    is_empty = bool(timeout) and _wait(client, timeout, lambda status: held(status, name) == 0)
    words = f"node {name} holds no book" if is_empty else f"node {name} is being drained"
    words += ", until it starts again" if is_self else ""
    _tell({**found, "empty": is_empty}, words, as_json=as_json)
    return 0 if is_empty or not timeout else 1


@cluster.command(short_help="Let a node leave for good.")
@click.option("--timeout", type=SECONDS, default=60.0, show_default=True, help="Seconds to wait; 0: do not.")
@asking
def leave(timeout: float, as_json: bool, **where: Any) -> int:
    """Let the node of this machine, or of --server, hand over its books, leave the cluster for good, and end.

    To stop the node for a while, send it SIGTERM instead: then it stays a member.

    \b
    depthcache cluster leave
    depthcache cluster leave --server https://10.0.0.2:42081 --ca authority.pem --token-file admin.token

    Exit code 0: it has left. 1: it is still leaving after --timeout. 2: it could not be done.
    """
    client = node_of(where, manages=True)
    found = client.ask("POST", "/leave", {})
    has_left = bool(timeout) and until(timeout, lambda: not _answers(client))
    words = f"node {found['node']} has left" if has_left else f"node {found['node']} is leaving"
    if has_left and client.folder is not None:
        words += f"; you can delete its folder {client.folder}"
    _tell({**found, "left": has_left}, words, as_json=as_json)
    return 0 if has_left or not timeout else 1


@cluster.command(short_help="Replace a token, or let a node join.")
@click.argument("role", type=click.Choice(["read", "manage", "exchange", "join"]))
@asking
def token(role: str, as_json: bool, **where: Any) -> int:
    """Make a new token: for one more node (join), or to replace that of readers (read), of clients of the
    exchange's own protocol (exchange: the key in their paths), or of managers (manage).

    join: prints the command for the new node. It works once, within 30 minutes, at the node that was asked.
    The others: earlier tokens end after an hour, and so do connections that were opened with them. The token
    that is valid now is in read.token, exchange.token or admin.token of the data folder.

    \b
    depthcache cluster token join
    depthcache cluster token read

    Exit code 0: done. 2: it could not be done.
    """
    from datetime import UTC, datetime
    from shlex import join

    from depthcache.cli.streams import tell

    found = node_of(where, manages=True).ask("POST", f"/tokens/{role}", {})
    if as_json:
        print_json(found)
    elif role == "join":
        click.echo(f"depthcache {join(found['command'])}")
        minutes = found["valid_s"] // 60
        tell(f"depthcache: for one node, within {minutes} minutes; add options as `cluster join --help` says")
    else:
        until = datetime.fromtimestamp(found["old_until_ms"] / 1_000, UTC)
        click.echo(found["token"])
        file = "admin" if role == "manage" else role
        tell(f"depthcache: this is now in {file}.token of every node; earlier ones end at {until:%H:%M} UTC")
    return 0


@cluster.command("rotate-ca", short_help="Replace the certificate authority.")
@asking
def rotate_ca(as_json: bool, **where: Any) -> int:
    """Replace the certificate authority, such as after somebody may have seen its key.

    Nodes get new certificates by themselves, without an interruption: within half a minute if all run. A node
    that is away delays this until it is back or removed. Clients on other machines then need the new
    authority.pem. Ask a node that has the authority's key.

    \b
    depthcache cluster rotate-ca

    Exit code 0: it has begun. 2: it could not be done.
    """
    found = node_of(where, manages=True).ask("POST", "/authority", {})
    authority = f"the authority {found['authority'][:16]}… takes over"
    words = f"{authority}; clients of other machines need the new authority.pem"
    _tell(found, words, as_json=as_json)
    return 0


# --- helpers -----------------------------------------------------------------------------------


def _in_path(node: str) -> str:
    from urllib.parse import quote

    return quote(node, safe="")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _add_up(done: dict[str, Any], answer: Mapping[str, Any]) -> None:
    for name, value in answer.items():
        if isinstance(value, list):
            done[name] += value
        else:
            done[name] = value


def _tell(done: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    click.echo(words)
    if "note" in done:
        click.echo(done["note"])


def _wait(node: NodeClient, timeout_s: float, is_so: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether the status of the cluster becomes so in time."""
    return until(timeout_s, lambda: is_so(node.ask("GET", "")))


def _answers(node: NodeClient) -> bool:
    from depthcache.cli.cluster_client import NodeRefused
    from depthcache.errors import ConnectionFailed

    try:
        node.ask("GET", "/nodes")
    except ConnectionFailed:
        return False
    except NodeRefused:  # it is ending
        return True
    return True


def _held(status: Mapping[str, Any], node: str) -> int:
    return sum(node in book["holders"] for book in status["books"])


def _synced(status: Mapping[str, Any], node: str) -> int:
    """The books that a node could give away."""
    return sum(book["holders"].get(node) == "synced" for book in status["books"])


def _missing(status: Mapping[str, Any], exchange: str, symbols: set[str]) -> dict[str, str]:
    """Those of these books that are not synced as often as wanted and possible, and why."""
    from depthcache import venues
    from depthcache.cli.cluster_status import is_wrong, possible, why_not

    name, nodes = venues.venue(exchange).name, possible(status)
    named = {each["symbol"]: each for each in status["books"] if each["exchange"] == name}
    missing = dict.fromkeys(symbols - named.keys(), "the cluster does not keep it")
    wrong = sorted(symbol for symbol in symbols & named.keys() if is_wrong(named[symbol], nodes))
    return missing | {symbol: why_not(named[symbol], status["nodes"]) for symbol in wrong}


def _books(count: int) -> str:
    return f"{count} {'book' if count == 1 else 'books'}"
