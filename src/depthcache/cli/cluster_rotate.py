"""`depthcache cluster rotate`: new tokens, certificates of nodes and authorities, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.cluster_options import SECONDS, asking, node_of, print_json, until, write_file
from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache.cli.cluster_client import NodeClient
    from depthcache.cli.cluster_nodes import AnyNode

__all__ = ["rotate"]

_ROLES = ("read", "exchange", "manage")
"""Last the one that the command itself uses."""
_FILES = {"read": "read.token", "exchange": "exchange.token", "manage": "admin.token"}
_UNKNOWN_ROUTE = (404, 405)


@click.command(short_help="Replace tokens, certificates or the authority.")
@click.option("--tokens", is_flag=True, help="New tokens for readers, managers and the exchange's protocol.")
@click.option("--certificates", is_flag=True, help="New certificates for all nodes.")
@click.option("--authority", is_flag=True, help="A new authority, with new certificates for all nodes.")
@click.option("--all", "everything", is_flag=True, help="The authority, the certificates and the tokens.")
@click.option("--timeout", type=SECONDS, default=120.0, show_default=True, help="Seconds to wait; 0: do not.")
@asking
def rotate(
    tokens: bool,
    certificates: bool,
    authority: bool,
    everything: bool,
    timeout: float,
    as_json: bool,
    **where: Any,
) -> int:
    """Replace secrets of the cluster without an interruption, and wait until all nodes have done their part.

    Tokens: earlier ones end after an hour. The new ones are in read.token, exchange.token and admin.token of
    every node, and are not printed; with --server, the new admin token replaces --token-file.
    Certificates: nodes renew them daily by themselves; this is for a key that somebody may have seen.
    Authority: clients on other machines need the new authority.pem; with --server, it replaces --ca.

    A replacement of the authority that is under way is continued, so repeat the command if it did not finish.
    What a node still waits for is named.

    \b
    depthcache cluster rotate --tokens
    depthcache cluster rotate --all --timeout 300

    Exit code 0: done. 1: begun, but not finished everywhere within --timeout. 2: it could not be done.
    """
    if not (tokens or certificates or authority or everything):
        raise click.UsageError("say what: --tokens, --certificates, --authority or --all")
    from depthcache.cli.cluster_nodes import AnyNode

    client = node_of(where, manages=True)
    if client.folder is None and (tokens or everything):
        _check_writable(where["token_file"], "the new admin token")
    node = AnyNode(client, on_change=lambda url, why: tell(f"depthcache: {why}; going on at {url}"))
    before = _status(node)
    node.learn(node.ask("GET", "/nodes")["nodes"])
    done: dict[str, Any] = {}
    if authority or everything:
        done["authority"] = _replace_authority(node, before)
    elif certificates:
        node.ask("POST", "/certificates", {})
        done["certificates"] = True
    code = 0
    if done:
        done["waits"] = _waits(node, timeout, issuer=done.get("authority", ""))
        done["nodes"] = [each["id"] for each in before["nodes"]]
        code = 1 if done["waits"] else 0
    if tokens or everything:
        done["tokens"] = _replace_tokens(node, where)
    if as_json:
        print_json(done)
    else:
        click.echo("\n".join(_lines(done, timeout)))
    return code


# --- what is replaced --------------------------------------------------------------------------


def _replace_authority(node: AnyNode, before: Mapping[str, Any]) -> str:
    """Let a new authority take over, or go on with one that does. Its hash; empty if one is under way."""
    client = node.client
    if client.folder is None and client.authority is not None:
        _check_writable(client.authority, "the new authority.pem")
    if before["is_replacing_authority"]:
        tell("depthcache: the authority is being replaced already, which goes on")
        found = ""
    else:
        issuer = _issuer(node, before)
        found = str(issuer.ask("POST", "/authority", {})["authority"])
        if client.folder is None and client.authority is not None:
            _take_authority(issuer, client.authority)
    return found


def _issuer(node: AnyNode, before: Mapping[str, Any]) -> NodeClient:
    """The node that can replace the authority. Raises UsageError if none that is up can."""
    from depthcache.errors import UsageError

    having = {each["id"] for each in before["nodes"] if each["has_authority_key"]}
    status = node.ask("GET", "/nodes")["nodes"]
    up = [each for each in status if each["id"] in having and each["address"] and each["state"] != "away"]
    if not up:
        names = ", ".join(sorted(having))
        has = f": it is on {names}, which is away" if names else ""
        raise UsageError(f"no node that is up has the authority's key{has}")
    client = node.client
    urls = [f"https://{each['address']}" for each in up]
    if client.authority is None or client.url in urls:  # alone, or there already
        return client
    return replace(client, url=urls[0])


def _take_authority(issuer: NodeClient, file: Path) -> None:
    """Trust the new authority as well, while the certificate of the node is still of the old one."""
    from depthcache.cluster.authority import pem_blocks

    found: list[str] = []

    def has_both() -> bool:
        found[:] = pem_blocks(issuer.read_text("/authority"))
        return len(found) > 1

    if until(10.0, has_both):
        write_file(file, "".join(found))
        tell(f"depthcache: {file} has both authorities now")


def _replace_tokens(node: AnyNode, where: Mapping[str, Any]) -> dict[str, Any]:
    """When the earlier tokens of each role end, in milliseconds since 1970."""
    ends: dict[str, Any] = {}
    for role in _ROLES:
        found = node.ask("POST", f"/tokens/{role}", {})
        ends[role] = found["old_until_ms"]
        if role == "manage" and node.client.folder is None:
            write_file(where["token_file"], f"{found['token']}\n")
    return ends


# --- how far it is -----------------------------------------------------------------------------


def _status(node: AnyNode) -> Mapping[str, Any]:
    from depthcache.cli.cluster_client import NodeRefused
    from depthcache.errors import UsageError

    try:
        found: Mapping[str, Any] = node.ask("GET", "/certificates")
    except NodeRefused as error:
        if error.status not in _UNKNOWN_ROUTE:
            raise
        words = "the node runs an older release: use `depthcache cluster token` and `rotate-ca`"
        raise UsageError(words) from None
    return found


def _waits(node: AnyNode, timeout_s: float, *, issuer: str) -> dict[str, str]:
    """What nodes still wait for, by node, once all are done or the time is over. `issuer`: the authority that
    signs all certificates at the end; empty for any."""
    found: list[Mapping[str, Any]] = []

    def is_done() -> bool:
        found[:] = [_status(node)]
        status, nodes = found[0], found[0]["nodes"]
        is_signed = all(each["issuer"] == issuer for each in nodes) if issuer else True
        return is_signed and not status["is_replacing_authority"] and not any(each["waits"] for each in nodes)

    if until(timeout_s, is_done):
        return {}
    status = found[0]
    waits = {str(each["id"]): str(each["waits"]) for each in status["nodes"] if each["waits"]}
    unsigned = [str(each["id"]) for each in status["nodes"] if issuer and each["issuer"] != issuer]
    missing = dict.fromkeys(unsigned, "it has no certificate of the new authority yet")
    return missing | waits or {"all": "the old authority is still trusted"}


def _check_writable(path: Any, what: str) -> None:
    """Raises UsageError before anything is replaced."""
    import os

    from depthcache.errors import UsageError

    if not (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)):
        raise UsageError(f"{path} cannot be written, and {what} has to go there: nothing was changed")


# --- words -------------------------------------------------------------------------------------


def _lines(done: Mapping[str, Any], timeout_s: float) -> list[str]:
    from datetime import UTC, datetime

    from depthcache.foreign_text import clean

    lines: list[str] = []
    if "waits" in done:
        what = "the authority and certificates" if "authority" in done else "certificates"
        total, late = len(done["nodes"]), done["waits"]
        count = total - len(late)
        lines.append(f"{what}: {count} of {total} {'node' if total == 1 else 'nodes'} done")
        lines += [f"  {clean(name)[:8]}: {clean(why)}" for name, why in late.items()]
        if late and timeout_s:
            lines.append("nodes go on by themselves; repeat the command to see how far they are")
        if "authority" in done:
            lines.append("clients of other machines need the new authority.pem of any node")
    if "tokens" in done:
        until_ms = max(done["tokens"].values())
        ends = f"{datetime.fromtimestamp(until_ms / 1_000, UTC):%H:%M} UTC"
        files = ", ".join(_FILES.values())
        lines.append(f"tokens: new ones are in {files} of every node; earlier ones end at {ends}")
    return lines
