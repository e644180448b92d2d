"""`depthcache cluster rebalance`: how even books are spread, what has not moved, and what a change moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.cluster_options import SECONDS, asking, complete_node, node_of, print_json, until

if TYPE_CHECKING:
    from depthcache.cli.cluster_nodes import AnyNode
    from depthcache.cluster.core.members import Node
    from depthcache.cluster.evenness import Plan, Spread

__all__ = ["rebalance"]

_SHORT, _MOST_MOVING = 8, 10
_NEW = "new node"
_CHANGES = (
    "to change it, restart the node: `depthcache cluster start --capacity N --zone NAME`; "
    "other nodes have its books meanwhile"
)
_NOTHING = (
    "nothing to rebalance: books are placed by a function of their names, nodes, zones and capacities, which "
    "every node computes by itself"
)


@click.command(short_help="How even books are spread, and what a change would move.")
@click.option(
    "--timeout", type=SECONDS, default=0.0, help="Seconds to wait until all has moved.  [default: 0]"
)
@click.option(
    "--without", multiple=True, metavar="NODE", shell_complete=complete_node, help="What if it were drained?"
)
@click.option("--capacity", "capacities", multiple=True, metavar="NODE=N", help="What if it had this one?")
@click.option("--zone", "zones", multiple=True, metavar="NODE=NAME", help="What if it were in this zone?")
@click.option("--add", "added", type=click.IntRange(1, 64), help="What if so many nodes joined?")
@asking
def rebalance(
    timeout: float,
    without: Sequence[str],
    capacities: Sequence[str],
    zones: Sequence[str],
    added: int | None,
    as_json: bool,
    **where: Any,
) -> int:
    """Show how even books are spread over nodes and zones, and what has not moved yet.

    Nothing has to be started: when a node joins, leaves, is drained, or comes back with another capacity or
    zone, books move at once, and only those that have to. This command says when that is done, and what it
    waits for. What is left uneven is chance: placement does not move books to make up for it.

    With --without, --capacity, --zone and --add it shows what such a change would move, and changes nothing.

    \b
    depthcache cluster rebalance --timeout 60
    depthcache cluster rebalance --without 3f2a91bc
    depthcache cluster rebalance --capacity 3f2a91bc=2 --add 1

    Exit code 0: all books are where they belong. 1: some have not moved yet. 2: no node answered.
    """
    from depthcache.cli.cluster_nodes import AnyNode
    from depthcache.cluster.evenness import plan, spread

    node = AnyNode(node_of(where, manages=False))
    if without or capacities or zones or added:
        status = node.ask("GET", "")
        nodes = _changed(status, without, capacities, zones, added or 0)
        found = plan(status, nodes)
        if as_json:
            print_json({"nodes": _plan_rows(status, nodes, found), "moves": found.moves})
        else:
            click.echo("\n".join(_plan_lines(status, nodes, found)))
        return 0
    status = _settled(node, timeout)
    now = spread(status)
    if as_json:
        print_json(_plain(status, now))
    else:
        click.echo("\n".join(_lines(status, now)))
    return 1 if now.moving or now.close else 0


def _settled(node: AnyNode, timeout_s: float) -> Mapping[str, Any]:
    """The status once all books have moved, or when the time is over."""
    from depthcache.cli.cluster_look import look
    from depthcache.cluster.evenness import spread

    found: list[Mapping[str, Any]] = []

    def is_done() -> bool:
        found[:] = [node.use(look)[0]]
        node.learn(found[0]["nodes"])
        now = spread(found[0])
        return not now.moving and not now.close

    until(timeout_s, is_done)
    return found[0]


# --- what if -----------------------------------------------------------------------------------


def _changed(
    status: Mapping[str, Any],
    without: Sequence[str],
    capacities: Sequence[str],
    zones: Sequence[str],
    added: int,
) -> list[Node]:
    """The nodes among which books would be placed. Raises UsageError, InvalidArgument."""
    from depthcache.cluster.core.members import Node
    from depthcache.cluster.evenness import placed_nodes
    from depthcache.errors import UsageError

    nodes = {each.id: each for each in placed_nodes(status)}
    for text in capacities:
        name, value = _pair(text, "--capacity", nodes)
        nodes[name] = replace(nodes[name], capacity=_capacity(value, text))
    for text in zones:
        name, value = _pair(text, "--zone", nodes)
        nodes[name] = replace(nodes[name], zone=value)
    for text in without:
        del nodes[_named(text, "--without", nodes)]
    for number in range(added):
        name = f"{_NEW} {number + 1}"
        nodes[name] = Node(id=name, run=0, address="", zone="")
    if not nodes:
        raise UsageError("no node would be left that can hold books")
    return list(nodes.values())


def _pair(text: str, option: str, nodes: Mapping[str, Node]) -> tuple[str, str]:
    from depthcache.errors import InvalidArgument

    name, is_there, value = text.partition("=")
    if not is_there:
        raise InvalidArgument(name=option, value=text, allowed="NODE=VALUE, such as 3f2a91bc=2")
    return _named(name, option, nodes), value


def _named(text: str, option: str, nodes: Mapping[str, Node]) -> str:
    from depthcache.errors import InvalidArgument

    found = [each for each in nodes if text and each.startswith(text)]
    if len(found) != 1:
        allowed = f"one of the nodes that can hold books: {', '.join(sorted(nodes))}"
        raise InvalidArgument(name=option, value=text, allowed=allowed)
    return found[0]


def _capacity(value: str, text: str) -> float:
    from depthcache.errors import InvalidArgument

    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found <= 1_000_000:
        raise InvalidArgument(
            name="--capacity", value=text, allowed="NODE=N with N above 0, at most 1,000,000"
        )
    return found


def _plan_rows(status: Mapping[str, Any], nodes: Sequence[Node], found: Plan) -> list[dict[str, Any]]:
    by_id = {each.id: each for each in nodes}
    names = dict.fromkeys([str(each["id"]) for each in status["nodes"] if each["state"] != "removed"])
    names |= dict.fromkeys(by_id)
    owners = [peer for book in status["books"] for peer in book["owners"]]
    rows = [
        {
            "node": name,
            "zone": by_id[name].zone if name in by_id else "",
            "capacity": by_id[name].capacity if name in by_id else None,
            "now": owners.count(name),
            "then": found.owned.get(name, 0),
            "gains": found.gains.get(name, 0),
            "losses": found.losses.get(name, 0),
        }
        for name in names
    ]
    return [each for each in rows if each["node"] in by_id or each["now"]]


def _plan_lines(status: Mapping[str, Any], nodes: Sequence[Node], found: Plan) -> list[str]:
    from depthcache.cli.cluster_status import table

    rows: list[Sequence[str]] = [("NODE", "ZONE", "CAPACITY", "REPLICAS NOW", "THEN", "GAINS", "LOSES")]
    for each in _plan_rows(status, nodes, found):
        name, capacity = str(each["node"]), each["capacity"]
        shown = name if name.startswith(_NEW) else name[:_SHORT]
        counts = (f"{each[column]:,}" for column in ("now", "then", "gains", "losses"))
        rows.append((shown, each["zone"] or "-", "-" if capacity is None else f"{capacity:g}", *counts))
    moves = f"{found.moves:,} {'replica' if found.moves == 1 else 'replicas'} would move"
    return [
        f"{moves}; nothing was changed",
        "",
        *table(rows, (12, 15, 8, 12, 9, 9, 9), right=(2, 3, 4, 5, 6)),
    ]


# --- now ---------------------------------------------------------------------------------------


def _lines(status: Mapping[str, Any], now: Spread) -> list[str]:
    from depthcache.cli.cluster_status import table
    from depthcache.cli.state import counted
    from depthcache.foreign_text import clean

    total = sum(each.owned for each in now.loads)
    head = (
        f"cluster {clean(status['cluster'])}: {total:,} replicas of {counted(len(status['books']), 'book')}"
    )
    rows: list[Sequence[str]] = [("NODE", "ZONE", "CAPACITY", "REPLICAS", "SYNCED", "EVEN SHARE", "OFF BY")]
    for each in now.loads:
        off = f"{(each.owned - each.even) / each.even:+.1%}" if each.even >= 1 else "-"
        facts = (each.node.id[:_SHORT], each.node.zone or "-", f"{each.node.capacity:g}")
        rows.append((*facts, f"{each.owned:,}", f"{each.synced:,}", f"{each.even:,.0f}", off))
    lines = [head, "", *table(rows, (9, 15, 8, 9, 9, 10, 8), right=(2, 3, 4, 5, 6)), ""]
    for book in now.moving[:_MOST_MOVING]:
        extra = ", ".join(name[:_SHORT] for name in book.extra)
        serves = f"; {extra} serves it until then" if extra else ""
        lines.append(f"{clean(book.key.symbol)}: {clean(book.why)}{serves}")
    if len(now.moving) > _MOST_MOVING:
        lines.append(f"… and {len(now.moving) - _MOST_MOVING:,} more")
    if now.moving:
        verb = "has" if len(now.moving) == 1 else "have"
        lines.append(f"{counted(len(now.moving), 'book')} {verb} not moved yet, which goes on by itself")
    if now.close:
        lines.append(f"{counted(len(now.close), 'book')}: replicas in fewer zones than is possible")
    if not now.moving and not now.close:
        lines.append(_NOTHING)
    if now.uneven:
        names = ", ".join(each.node.id[:_SHORT] for each in now.uneven)
        lines.append(f"further off than chance explains: {names}; please report this")
    if now.short:
        lines.append(f"{counted(now.short, 'book')} with more replicas than nodes: let more nodes join")
    return [*lines, _CHANGES]


def _plain(status: Mapping[str, Any], now: Spread) -> dict[str, Any]:
    nodes = [
        {
            "node": each.node.id,
            "zone": each.node.zone,
            "capacity": each.node.capacity,
            "replicas": each.owned,
            "synced": each.synced,
            "even_share": round(each.even, 1),
        }
        for each in now.loads
    ]
    moving = [
        {
            "exchange": each.key.exchange,
            "symbol": each.key.symbol,
            "missing": list(each.missing),
            "extra": list(each.extra),
            "why": each.why,
        }
        for each in now.moving
    ]
    return {
        "cluster": status["cluster"],
        "nodes": nodes,
        "moving": moving,
        "in_too_few_zones": [list(each) for each in now.close],
        "more_replicas_than_nodes": now.short,
    }
