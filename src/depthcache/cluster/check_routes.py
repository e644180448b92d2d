"""The routes of `depthcache cluster doctor`: what one node finds, and what all nodes find, asked by one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

from depthcache import logs
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.self_check import SelfCheck
from depthcache.foreign_text import clean
from depthcache.model import compact_json

__all__ = ["CheckRoutes", "NotChecked", "clock_offset", "parse_check"]

_OF_ONE, _OF_ALL = "check_cluster_node", "check_cluster"
_AT_ONCE = 64

AskNode = Callable[[str], Awaitable[Mapping[str, Any]]]
"""What the node at this host and port finds. Raises NotChecked."""


class NotChecked(Exception):
    """Another node did not say what it finds; the reason is the only argument."""


class CheckRoutes:
    """Answers both routes, as `server.delegated.DelegatedRoutes`."""

    def __init__(
        self,
        check: SelfCheck,
        *,
        cluster: str,
        core: Callable[[], NodeCore],
        ask: AskNode,
        wall_ms: Callable[[], float] = lambda: time.time() * 1e3,
    ) -> None:
        self._check, self._cluster, self._core = check, cluster, core
        self._ask, self._wall_ms = ask, wall_ms

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        return route in (_OF_ONE, _OF_ALL)

    async def answer(self, route: str, _first: str, _second: str, _body: bytes) -> tuple[int, bytes]:
        """As `DelegatedRoutes.answer`."""
        try:
            found = await (self._check.facts() if route == _OF_ONE else self._of_all())
        except Exception as error:  # noqa: BLE001 - the sender gets a status, the log the error
            logs.unexpected(where="a check of a node", error=error)
            words = "a bug in the server: its log has the error"
            problem = {"error": {"code": "internal", "message": words}}
            return HTTPStatus.INTERNAL_SERVER_ERROR, compact_json(problem)
        return HTTPStatus.OK, compact_json(found)

    async def _of_all(self) -> dict[str, Any]:
        """What every node finds: all are asked at once, this one too. Bounded by the time of one request."""
        core = self._core()
        me, wanted = core.members.me.id, core.wanted
        limit = asyncio.Semaphore(_AT_ONCE)

        async def ask(peer: str) -> dict[str, Any]:
            member = core.members.node(peer)
            address = member.address if member is not None else wanted.servers().get(peer, "")
            facts: dict[str, Any] = {
                "id": peer,
                "state": "",
                "address": address,
                "listen": wanted.listens().get(peer, ""),
                "check": None,
                "problem": "",
                "clock": None,
            }
            if peer in wanted.denied():
                return facts | {"state": core.state_of(peer)}
            async with limit:
                begun_ms, begun_s = self._wall_ms(), time.monotonic()
                try:
                    found = await (self._check.facts() if peer == me else self._ask(address))
                except NotChecked as error:
                    return facts | {"state": core.state_of(peer), "problem": str(error)}
            if peer != me:
                took_ms = (time.monotonic() - begun_s) * 1e3
                facts["clock"] = clock_offset(begun_ms, begun_ms + took_ms, found)
            return facts | {"state": core.state_of(peer), "check": found}

        peers = sorted(wanted.registered() | wanted.denied() | {me})
        nodes = list(await asyncio.gather(*map(ask, peers)))
        tokens = [{"role": each.role.value, "until_ms": each.until_ms} for each in wanted.tokens()]
        reports = wanted.certificates()
        return {
            "cluster": self._cluster,
            "node": me,
            "at_ms": self._wall_ms(),
            "nodes": nodes,
            "tokens": tokens,
            "trusted": {peer: sorted(each.trusts) for peer, each in sorted(reports.items())},
            "issuers": sorted(peer for peer, each in reports.items() if each.issues),
        }


def clock_offset(sent_ms: float, came_ms: float, found: Mapping[str, Any]) -> dict[str, float] | None:
    """How far a node's clock is ahead of this one's, as NTP computes it: its own work does not count. None if
    it does not say its clock."""
    received, answered = found.get("received_ms"), found.get("answered_ms")
    if not isinstance(received, int | float) or not isinstance(answered, int | float):
        return None
    offset = ((received - sent_ms) + (answered - came_ms)) / 2
    error = max((came_ms - sent_ms) - (answered - received), 0.0) / 2
    return {"offset_ms": round(offset, 1), "error_ms": round(error, 1)}


def parse_check(status: int, body: bytes) -> Mapping[str, Any]:
    """The facts in a response of another node. Raises NotChecked."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if status == HTTPStatus.OK and isinstance(found, dict):
        return cast("dict[str, Any]", found)
    if status == HTTPStatus.NOT_FOUND:
        raise NotChecked("its release cannot check itself: it is older")
    said = cast("dict[str, Any]", found).get("error") if isinstance(found, dict) else None
    words = cast("dict[str, Any]", said).get("message") if isinstance(said, dict) else None
    raise NotChecked(clean(words) if words else f"it answers with status {status}")
