"""The contract of the old cluster (UBDCC 0.9) on a node of a cluster: management of the wanted set.

`desired_quantity` is the number of replicas. A book is listed with a copy for each node that has one; only a
synced copy is `running`. Exchange keys are treated as by a single server.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from depthcache import logs
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Value
from depthcache.cluster.errors import ChangeNotStored
from depthcache.cluster.management import ManagedNode, shortage
from depthcache.errors import DepthCacheError
from depthcache.model import compact_json
from depthcache.server.compat_management import (
    NO_EFFECT,
    ContractError,
    Given,
    contract_error,
    parse_markets,
    parse_options,
    parse_parameters,
    required,
    without_effect,
)

__all__ = ["ClusterCompat"]

_PREFIX = "compat_"
_CONTRACT = "0.9.1"
"""The version of the cluster whose contract this is, as `crates/server/src/compat/answers.rs` has it."""
_WORDS = {"refresh_interval": NO_EFFECT["refresh_interval"]}
_STATES = {
    ReplicaState.WAITING.value: "starting",
    ReplicaState.STARTING.value: "starting",
    ReplicaState.SYNCED.value: "running",
    ReplicaState.STALE.value: "out_of_sync",
}
_OK = 200


class ClusterCompat:
    """Answers old clients on one node, on its event loop."""

    def __init__(self, node: ManagedNode, *, wall_s: Callable[[], float] = time.time) -> None:
        self._node, self._wall_s = node, wall_s
        self._handlers: dict[str, Callable[[Given], Awaitable[Given]]] = {
            "create_depthcache": self._create,
            "create_depthcaches": self._create_several,
            "stop_depthcache": self._stop,
            "get_depthcache_list": self._list,
            "get_depthcache_info": self._info,
            "get_cluster_info": self._cluster,
        }

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        return route.startswith(_PREFIX) and route.removeprefix(_PREFIX) in self._handlers

    async def answer(self, route: str, _first: str, _second: str, body: bytes) -> tuple[int, bytes]:
        """Status 200 and the facts as JSON. Never raises: a bug is error #9000 and a log line."""
        try:
            given = parse_parameters(body)
            facts = {"result": "OK"} | await self._handlers[route.removeprefix(_PREFIX)](given)
        except ContractError as error:
            facts = contract_error(error.error_id, error.message)
        except ChangeNotStored as error:
            facts = contract_error("#1014", str(error))
        except Exception as error:  # noqa: BLE001 - the sender gets an answer, the log the error
            logs.unexpected(where="a request of an old client", error=error)
            facts = contract_error("#9000", "a bug in the server: its log has the error")
        return _OK, compact_json(facts)

    # --- books ----------------------------------------------------------------------------------

    async def _create(self, given: Given) -> Given:
        exchange, market = required(given, "#1016", "exchange", "market")
        options = parse_options(given)
        key = self._key(exchange, market)
        if key in self._node.runner.core.wanted.books():
            raise ContractError("#1024", f"DepthCache '{market}' for '{exchange}' already exists!")
        return await self._want(exchange, [key], options)

    async def _create_several(self, given: Given) -> Given:
        exchange, listed = required(given, "#1016", "exchange", "markets")
        options = parse_options(given)
        keys: list[BookKey] = []
        failed: dict[str, str] = {}
        for market in parse_markets(listed):
            try:
                keys.append(self._key(exchange, market))
            except ContractError as error:
                failed[market] = error.message
        wanted = self._node.runner.core.wanted.books()
        missing = [key for key in dict.fromkeys(keys) if key not in wanted]
        words = await self._want(exchange, missing, options)
        if failed:
            named = "; ".join(f"{market}: {why}" for market, why in list(failed.items())[:5])
            message = f"{len(failed)} of the markets cannot be kept: {named}"
            return contract_error("#1018", message) | {"failed": list(failed)}
        return words

    async def _want(self, exchange: str, keys: Iterable[BookKey], options: Mapping[str, int]) -> Given:
        symbols = [key.symbol for key in keys]
        settings: dict[str, Value] = {}
        if "update_interval" in options:
            settings["speed_ms"] = options["update_interval"]
        replicas = options.get("desired_quantity", 1)
        try:
            if symbols:
                await self._node.create_books(exchange, symbols, replicas=replicas, settings=settings)
        except ChangeNotStored:
            raise
        except DepthCacheError as error:
            raise ContractError("#1017", str(error)) from None
        words = [without_effect(options, _WORDS).get("message"), shortage(self._node.runner.core, replicas)]
        said = "; ".join(filter(None, words))
        return {"message": said} if said else {}

    async def _stop(self, given: Given) -> Given:
        exchange, market = required(given, "#1019", "exchange", "market")
        key = self._key(exchange, market)
        if key not in self._node.runner.core.wanted.books():
            raise ContractError("#7000", f"DepthCache '{market}' for '{exchange}' not found!")
        await self._node.stop_books(key.exchange, [key.symbol])
        return {}

    def _key(self, exchange: str, market: str) -> BookKey:
        try:
            [key] = self._node.keys(exchange, [market])
        except DepthCacheError as error:
            raise ContractError("#1017", str(error)) from None
        return key

    # --- lists ----------------------------------------------------------------------------------

    async def _list(self, _: Given) -> Given:
        return {"depthcache_list": self._caches(self._node.status()["books"])}

    async def _info(self, given: Given) -> Given:
        exchange, market = required(given, "#1006", "exchange", "market")
        key = self._key(exchange, market)
        if key not in self._node.runner.core.wanted.books():
            raise ContractError("#7000", f"DepthCache '{market}' for '{exchange}' not found!")
        return {"depthcache_info": self._cache(self._node.book_status(key), self._changes().get(key, []))}

    async def _cluster(self, _: Given) -> Given:
        status, now_s = self._node.status(), self._wall_s()
        pods: Given = {}
        for node in status["nodes"]:
            if node["state"] == "removed":
                continue
            for role, uid in (("ubdcc-dcn", node["id"]), ("ubdcc-restapi", f"{node['id']}-restapi")):
                pods[uid] = _pod(node, role, uid, now_s)
        database: Given = {
            "credentials": [],
            "depthcaches": self._caches(status["books"]),
            "nodes": {},
            "pods": pods,
            "timestamp": now_s,
        }
        return {"db": database, "version": _CONTRACT}

    def _caches(self, books: Iterable[Mapping[str, Any]]) -> Given:
        caches: dict[str, Given] = {}
        changes = self._changes()
        for book in books:
            key = BookKey(book["exchange"], book["symbol"])
            caches.setdefault(key.exchange, {})[key.symbol] = self._cache(book, changes.get(key, []))
        return caches

    def _cache(self, book: Mapping[str, Any], changes_ms: list[int]) -> Given:
        """`changes_ms`: when its copies came and went, oldest first."""
        key = BookKey(book["exchange"], book["symbol"])
        created_s = self._node.runner.core.wanted.created_ms(key) / 1_000
        return {
            "CREATED_TIME": created_s,
            "DESIRED_QUANTITY": book["replicas"],
            "DISTRIBUTION": {
                node: _copy(node, state, created_s) for node, state in sorted(book["holders"].items())
            },
            "DISTRIBUTION_CHANGES": max(1, len(changes_ms)),
            "EXCHANGE": key.exchange,
            "LAST_DISTRIBUTION_CHANGE": changes_ms[-1] / 1_000 if changes_ms else created_s,
            "MARKET": key.symbol,
            "REFRESH_INTERVAL": None,
            "UPDATE_INTERVAL": book["settings"].get("speed_ms"),
        }

    def _changes(self) -> dict[BookKey, list[int]]:
        """When copies of each book came to this node and went, as far as it remembers."""
        found: dict[BookKey, list[int]] = {}
        for move in self._node.moves():
            if move.what != "synced":
                found.setdefault(BookKey(move.exchange, move.symbol), []).append(move.at_ms)
        return found


def _copy(node: str, state: str, created_s: float) -> Given:
    return {
        "CREATED_TIME": created_s,
        "LAST_RESTART_TIME": 0.0,
        "POD_UID": node,
        "RESTARTS": 0,
        "SCHEDULED_START_TIME": created_s,
        "STATUS": _STATES[state],
    }


def _pod(node: Mapping[str, Any], role: str, uid: str, now_s: float) -> Given:
    host, _, port = (node["address"] or "").rpartition(":")
    is_away = node["state"] in ("away", "incompatible")
    return {
        "API_PORT_REST": int(port) if port.isdigit() else 0,
        "IP": host.strip("[]"),
        "LAST_SEEN": 0.0 if is_away else now_s,
        "NAME": f"depthcache {node['id']}",
        "NODE": node["id"],
        "ROLE": role,
        "STATUS": "away" if is_away else "suspect" if node["state"] == "suspect" else "running",
        "UID": uid,
        "VERSION": _CONTRACT,
    }
