"""`depthcache cluster doctor`: check every node, every link between two of them, and what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.cluster_options import asking, node_of, print_json

if TYPE_CHECKING:
    from depthcache.cli.cluster_client import NodeClient
    from depthcache.cluster.probing import Probe
    from depthcache.doctor import Finding

__all__ = ["doctor"]

_ASK_S = 15.0
"""A node answers within 10 s, or a bit later on a busy machine."""
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "info": "cyan"}


@click.command(short_help="Check every node, and every link between two.")
@asking
def doctor(as_json: bool, **where: Any) -> int:
    """Check the cluster, and say what to do about what is wrong.

    Every node checks itself, and tries both ports of every other node from where it is. The node that is
    asked collects the results. The doctor checks ports and links in both directions, clocks, versions,
    certificates, the authority, tokens, request weight, connections and bans of the exchange, disks, limits
    of the system, books, capacity and zones. It also tries the ports of all nodes from this machine.

    Lines marked info are no faults. Needs the admin token. Nothing is changed, but for a small file that each
    node writes into its data folder and deletes.

    \b
    depthcache cluster doctor
    depthcache cluster doctor --server https://10.0.0.1:42081 --ca authority.pem --token-file admin.token

    Exit code 0: no warning and no failure. 1: some. 2: no node answered.
    """
    client = node_of(where, manages=True)
    findings, facts = _examine(client)
    if as_json:
        print_json({**facts, "findings": [_plain(each) for each in findings]})
    else:
        for each in findings:
            _show(each)
        click.echo(_outcome(facts["cluster"], findings))
    return 1 if any(each.severity in ("warn", "fail") for each in findings) else 0


def _examine(client: NodeClient) -> tuple[list[Finding], dict[str, Any]]:
    """The findings, and which cluster and node they are of. Raises ConnectionFailed, NodeRefused."""
    from depthcache.cluster.diagnosis import diagnose, parse_report
    from depthcache.errors import UsageError

    answered, report, before = _ask(client)
    status = answered.ask("GET", "")
    try:
        facts = parse_report(report, status, _try_from_here(answered, report))
        findings = [*before, *diagnose(facts)]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{answered.url} sent a report that this release cannot read ({type(error).__name__}): "
            "use the release of the cluster"
        ) from None
    return findings, {"cluster": str(report["cluster"]), "node": facts.asked, "server": answered.url}


def _ask(client: NodeClient) -> tuple[NodeClient, Mapping[str, Any], list[Finding]]:
    """The report of the node that is meant or, if that is silent, of another one that its folder knows."""
    from dataclasses import replace

    from depthcache.doctor import Finding, Severity
    from depthcache.errors import ConnectionFailed

    patient = replace(client, timeout_s=_ASK_S)
    try:
        return patient, patient.ask("POST", "/check", {}), []
    except ConnectionFailed as error:
        advice = "another node answered instead"
        failed = Finding("node of this machine", Severity.FAIL, error.reason, advice)
        for address in _others(client):
            other = replace(patient, url=f"https://{address}")
            try:
                return other, other.ask("POST", "/check", {}), [failed]
            except ConnectionFailed:
                continue
        raise


def _others(client: NodeClient) -> list[str]:
    from depthcache.cluster.data_folder import other_servers
    from depthcache.errors import DepthCacheError

    if client.folder is None:
        return []
    try:
        return sorted(other_servers(client.folder).values())
    except (DepthCacheError, OSError):
        return []


def _try_from_here(client: NodeClient, report: Mapping[str, Any]) -> dict[str, Sequence[Probe]]:
    """Probes of both ports of all nodes, by node, all at once."""
    import asyncio

    from depthcache.cluster.probing import Port, checking_context, probe

    context = None
    if client.authority is not None:
        context = checking_context(client.authority.read_text("ascii", "replace"), checks_name=True)

    async def of_node(node: Mapping[str, Any]) -> tuple[str, Sequence[Probe]]:
        name = str(node["id"])
        tries = [(Port.READERS, str(node["address"]), context, name)]
        if node.get("listen"):
            tries.append((Port.NODES, str(node["listen"]), None, ""))
        probes = [probe(port, at, context=trust, node=of) for port, at, trust, of in tries if at]
        return name, await asyncio.gather(*probes)

    async def of_all() -> dict[str, Sequence[Probe]]:
        members = [each for each in report["nodes"] if each["state"] != "removed"]
        return dict(await asyncio.gather(*map(of_node, members)))

    return asyncio.run(of_all())


def _show(finding: Finding) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    words = f"{finding.check}: {finding.measured}"
    console.print(Text.assemble((f"{finding.severity:<5}", _STYLES[finding.severity]), words))
    if finding.advice:
        console.print(Text(f"      -> {finding.advice}"))


def _outcome(cluster: str, findings: Sequence[Finding]) -> str:
    from depthcache.cli.state import counted
    from depthcache.foreign_text import clean

    failed = sum(each.severity == "fail" for each in findings)
    warned = sum(each.severity == "warn" for each in findings)
    words = [counted(count, word) for count, word in ((failed, "failure"), (warned, "warning")) if count]
    return f"cluster {clean(cluster)}: {', '.join(words) or 'nothing is wrong'}"


def _plain(finding: Finding) -> dict[str, str]:
    from dataclasses import asdict

    return asdict(finding)
