"""Which tokens, certificates and authorities are valid, and what their replacement still waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from depthcache.cluster.core.wanted_set import CertificateReport, WantedSet

__all__ = ["rotation_status"]

_AWAY = ("away", "suspect")


def rotation_status(wanted: WantedSet, states: Mapping[str, str]) -> dict[str, Any]:
    """Ready for JSON. `states`: of the nodes, as `ClusterNode.status` has them.

    `waits` of a node says what it has not done yet; empty if nothing is under way, or all is done there.
    """
    reports, replaced = wanted.certificates(), wanted.replaced_certificates()
    successors = {each.hash for each in wanted.authorities()}
    is_replacing = any(len(each.trusts) > 1 for each in reports.values()) or any(
        not each.is_final for each in wanted.authorities()
    )
    nodes: list[dict[str, Any]] = []
    for peer in sorted(wanted.registered()):
        report, state = reports.get(peer), states.get(peer, "away")
        waits = _waits(report, replaced.get(peer), successors if is_replacing else set())
        if waits and state in _AWAY:
            waits = f"it is {state}: {waits}"
        known = report or CertificateReport(frozenset(), "", False)
        nodes.append(
            {
                "id": peer,
                "state": state,
                "issuer": known.issuer,
                "trusts": sorted(known.trusts),
                "has_authority_key": known.issues,
                "certificate": known.certificate,
                "until_ms": known.until_ms or None,
                "waits": waits,
            }
        )
    tokens = [{"role": each.role.value, "until_ms": each.until_ms} for each in wanted.tokens()]
    return {"nodes": nodes, "tokens": tokens, "is_replacing_authority": is_replacing}


def _waits(report: CertificateReport | None, replaced: str | None, successors: set[str]) -> str:
    """What a node still has to do, in words."""
    if report is None:
        return "it has not said which certificate it has" if replaced or successors else ""
    if successors and not successors & report.trusts:
        return "it does not trust the new authority yet"
    if successors and report.issuer not in successors:
        return "it has no certificate of the new authority yet"
    if successors and len(report.trusts) > 1:
        return "it still trusts the old authority, until all nodes have new certificates"
    if replaced is not None and replaced == report.certificate:
        return "it has no new certificate yet"
    return ""
