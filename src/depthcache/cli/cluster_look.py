"""The status of a whole cluster, from the node that is asked and all others.

Every node knows the states of all replicas. Why a book is not synced, how much request weight is used and
which books moved, a node knows only of itself. So all others are asked at once; those that do not answer are
left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from depthcache.cli.cluster_client import NodeClient, NodeRefused
from depthcache.errors import ConnectionFailed

__all__ = ["look"]

_TIMEOUT_S = 3.0
_AT_ONCE = 16

Status = dict[str, Any]
Moves = list[dict[str, Any]]


def look(client: NodeClient) -> tuple[Status, Moves]:
    """Status and moves, oldest first. Books have `reasons` by node. Raises ConnectionFailed, NodeRefused."""
    status, moves = _ask(client)
    known = {status["node"]: (status, moves), **_ask_others(client, status)}
    for book in status["books"]:
        book["reasons"] = {}
    for node, (found, _) in known.items():
        _take_reasons(status, node, found)
    status["weight"] = _weights(found for found, _ in known.values())
    every = [move for _, found in known.values() for move in found]
    return status, sorted(every, key=lambda move: int(move["at_ms"]))


def _ask(client: NodeClient) -> tuple[Status, Moves]:
    return client.ask("GET", ""), client.ask("GET", "/moves")["moves"]


def _ask_others(client: NodeClient, status: Status) -> dict[str, tuple[Status, Moves]]:
    """What the other nodes that are up say, by node."""
    others = {
        str(each["id"]): replace(client, url=f"https://{each['address']}", timeout_s=_TIMEOUT_S)
        for each in status["nodes"]
        if each["address"] and each["id"] != status["node"] and each["state"] in ("alive", "draining")
    }
    if client.authority is None or not others:  # their certificates could not be checked
        return {}
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = dict(zip(others, threads.map(_ask_if_there, others.values()), strict=True))
    return {node: answer for node, answer in answers.items() if answer is not None}


def _ask_if_there(client: NodeClient) -> tuple[Status, Moves] | None:
    try:
        return _ask(client)
    except (ConnectionFailed, NodeRefused):
        return None


def _take_reasons(status: Status, node: str, found: Status) -> None:
    said = {(book["exchange"], book["symbol"]): book["reason"] for book in found["books"]}
    for book in status["books"]:
        reason = said.get((book["exchange"], book["symbol"]))
        if reason and book["holders"].get(node) not in (None, "synced"):
            book["reasons"][node] = reason


def _weights(found: Iterable[Status]) -> list[Mapping[str, Any]]:
    """One row for each egress group and pool: the newest count of the exchange is the highest one."""
    rows: dict[tuple[str, str], Mapping[str, Any]] = {}
    for each in (row for status in found for row in status["weight"]):
        key = (each["egress"], each["pool"])
        if key not in rows or _used(each) > _used(rows[key]):
            rows[key] = each
    return [rows[key] for key in sorted(rows)]


def _used(row: Mapping[str, Any]) -> int:
    return int(row["used"] if row["exchange_used"] is None else row["exchange_used"])
