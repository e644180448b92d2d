"""Whether a book is as wanted, and why not, of the status of a cluster: for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["is_wrong", "possible", "why_not"]


def possible(status: Mapping[str, Any]) -> int:
    """How many nodes may hold a book."""
    return max(1, sum(each["state"] in ("alive", "suspect") for each in status["nodes"]))


def is_wrong(book: Mapping[str, Any], nodes: int) -> bool:
    """Whether a book is synced on fewer nodes than wanted and possible."""
    return int(book["synced"]) < min(int(book["replicas"]), nodes)


def why_not(book: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Why a book is not synced as wanted: the reasons of its nodes, or the states of replicas and nodes."""
    reasons = dict.fromkeys(str(each) for each in book.get("reasons", {}).values())
    if reasons:
        return "; ".join(reasons)
    missing = [f"{node} {state}" for node, state in book["holders"].items() if state != "synced"]
    suspect = {each["id"] for each in nodes if each["state"] == "suspect"} & book["holders"].keys()
    missing += [f"node {node} is suspect" for node in sorted(suspect)]
    return ", ".join(missing) or "fewer nodes than replicas"
