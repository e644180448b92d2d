"""The routes under /v1/cluster: what programs read about the cluster and change in it.

`crates/server/src/table.rs` has the routes and the roles that may use them. On a node of a cluster, the
routes that begin and end one book do the same as those that create and stop books of the cluster.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, cast

import msgspec

from depthcache import logs
from depthcache.cluster.core.access_tokens import Role
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Value
from depthcache.cluster.core.wanted_set import WantedBook, parse_replicas
from depthcache.cluster.errors import BookNotWanted, ChangeNotStored, JoinRefused
from depthcache.cluster.moves import Move
from depthcache.cluster.overview import Overview
from depthcache.cluster.rotation import rotation_status
from depthcache.errors import DepthCacheError, InvalidArgument, UnknownExchange
from depthcache.model import compact_json

__all__ = ["Admission", "ClusterManagement", "Invitation", "ManagedNode", "NewToken", "Runner", "shortage"]

_MOST_SYMBOLS = 5_000
_USUAL_REPLICAS = 2
_WITHOUT_KEY = "no node can join, and the certificates of nodes end within a week"
_READS = ("read_cluster", "list_cluster_nodes", "list_cluster_moves")
_OK = HTTPStatus.OK

Answer = tuple[int, bytes]
"""A status and JSON."""


class Runner(Protocol):
    """`NodeRunner`, as far as it is used here."""

    core: NodeCore

    async def drain(self, node: str, *, draining: bool, until_after: int | None = None) -> int:
        """As `NodeRunner.drain`."""
        ...


class ManagedNode(Protocol):
    """What is asked of a running node: `ClusterNode`."""

    @property
    def runner(self) -> Runner:
        """What it decides, and what drains nodes."""
        ...

    @property
    def overview(self) -> Overview:
        """What it shows of the whole cluster."""
        ...

    def status(self) -> Mapping[str, Any]:
        """As `ClusterNode.status`."""
        ...

    def node_rows(self) -> Sequence[Mapping[str, Any]]:
        """As `ClusterNode.node_rows`."""
        ...

    def book_status(self, key: BookKey) -> Mapping[str, Any]:
        """As `ClusterNode.book_status`."""
        ...

    def moves(self) -> Sequence[Move]:
        """As `ClusterNode.moves`."""
        ...

    def keys(self, exchange: str, symbols: Iterable[str]) -> tuple[BookKey, ...]:
        """As `ClusterNode.keys`."""
        ...

    async def create_books(
        self, exchange: str, symbols: Iterable[str], *, replicas: int, settings: Mapping[str, Value]
    ) -> tuple[BookKey, ...]:
        """As `ClusterNode.create_books`."""
        ...

    async def change_books(
        self, exchange: str, symbols: Iterable[str], *, replicas: int | None, settings: Mapping[str, Value]
    ) -> tuple[BookKey, ...]:
        """As `ClusterNode.change_books`."""
        ...

    async def stop_books(self, exchange: str, symbols: Iterable[str]) -> tuple[BookKey, ...]:
        """As `ClusterNode.stop_books`."""
        ...

    async def remove(self, node: str) -> int:
        """As `ClusterNode.remove`."""
        ...

    def begin_leaving(self) -> None:
        """As `ClusterNode.begin_leaving`."""

    def why_apart(self) -> str:
        """As `ClusterNode.why_apart`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Lets one more node join.

    Attributes:
        command: the arguments of `depthcache` for the new node: `cluster join HOST:PORT TOKEN`; a secret.
        valid_s: for how many seconds.
    """

    command: tuple[str, ...] = field(repr=False)
    valid_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A new access token.

    Attributes:
        secret: what is sent after `Bearer`.
        old_until_ms: when the earlier tokens of its role end, in milliseconds since 1970.
    """

    secret: str = field(repr=False)
    old_until_ms: int


class Admission(Protocol):
    """Lets nodes join and makes access tokens: what the program around a node adds."""

    def invite(self) -> Invitation:
        """Let one further node join. Raises JoinRefused where this node cannot."""
        ...

    async def rotate_token(self, role: Role) -> NewToken:
        """Make a new access token. Raises ChangeNotStored, OSError."""
        ...

    async def rotate_authority(self) -> str:
        """As `Housekeeping.rotate_authority`."""
        ...

    async def renew_certificates(self) -> None:
        """As `Housekeeping.renew_certificates`."""


class _Refused(Exception):
    """A request cannot be carried out."""

    def __init__(self, status: HTTPStatus, code: str, message: str, **facts: object) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.facts = status, code, message, facts


class ClusterManagement:
    """Answers the management requests of one node, on its event loop."""

    def __init__(self, node: ManagedNode, admission: Admission) -> None:
        self._node, self._admission = node, admission
        self._handlers: dict[str, Callable[[str, str, bytes], Awaitable[Answer]]] = {
            "read_cluster": self._read,
            "list_cluster_nodes": self._list_nodes,
            "list_cluster_moves": self._list_moves,
            "read_cluster_overview": self._look,
            "read_cluster_node": self._read_own,
            "list_cluster_books": self._list_books,
            "create_cluster_books": self._create,
            "put_cluster_books": self._put,
            "change_cluster_books": self._change,
            "stop_cluster_books": self._stop,
            "drain_cluster_node": self._drain,
            "remove_cluster_node": self._remove,
            "rotate_cluster_token": self._rotate,
            "rotate_cluster_authority": self._rotate_authority,
            "list_cluster_certificates": self._list_certificates,
            "renew_cluster_certificates": self._renew_certificates,
            "leave_cluster": self._leave,
            "begin_book": self._begin_one,
            "end_book": self._end_one,
        }

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        return route in self._handlers

    async def answer(self, route: str, first: str, second: str, body: bytes) -> Answer:
        """Status and JSON. `first`, `second`: the parameters of the path. Never raises: a bug is status 500
        and a log line."""
        try:
            if route not in _READS and (reason := self._node.why_apart()):
                words = f"the node changes nothing before it has met the other nodes: {reason}"
                raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "apart", words, reason=reason)
            return await self._handlers[route](first, second, body)
        except _Refused as error:
            return _error(error.status, error.code, error.message, **error.facts)
        except UnknownExchange as error:
            return _error(HTTPStatus.NOT_FOUND, "unknown_exchange", str(error), exchange=error.name)
        except BookNotWanted as error:
            facts = {"exchange": error.exchange, "symbol": error.symbol}
            return _error(HTTPStatus.NOT_FOUND, "not_wanted", str(error), **facts)
        except InvalidArgument as error:
            facts = {"name": error.name, "value": str(error.value)[:100], "allowed": error.allowed}
            return _error(HTTPStatus.BAD_REQUEST, "invalid_parameter", str(error), **facts)
        except ChangeNotStored as error:
            disks = {"stored": error.stored, "needed": error.needed, "reason": error.reason}
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", str(error), **disks)
        except JoinRefused as error:
            return _error(HTTPStatus.CONFLICT, "cannot_issue", str(error), reason=error.reason)
        except DepthCacheError as error:
            return _error(HTTPStatus.CONFLICT, "refused", str(error))
        except OSError as error:
            reason = f"disk: {error.strerror or error}"
            words = f"the change cannot be saved ({reason}): nothing has changed"
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", words, reason=reason)
        except Exception as error:  # noqa: BLE001 - the sender gets a status, the log the error
            logs.unexpected(where="a request about a cluster", error=error)
            words = "a bug in the server: its log has the error"
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", words)

    # --- books ----------------------------------------------------------------------------------

    async def _create(self, _first: str, _second: str, body: bytes) -> Answer:
        given = _object(body, "exchange", "symbols", "replicas", "settings")
        exchange, keys = self._named(given)
        wanted = self._wanted()
        missing = [key.symbol for key in keys if key not in wanted]
        existing = [key.symbol for key in keys if key in wanted]
        replicas, settings = _replicas(given), _settings(given)
        if missing:
            await self._node.create_books(exchange, missing, replicas=replicas, settings=settings)
        return _OK, compact_json({"created": missing, "existing": existing} | self._notes(replicas))

    async def _put(self, _first: str, _second: str, body: bytes) -> Answer:
        given = _object(body, "exchange", "symbols", "replicas", "settings")
        exchange, keys = self._named(given)
        replicas, settings = parse_replicas(given.get("replicas")), _settings(given)
        wanted, symbols = self._wanted(), [key.symbol for key in keys]
        exactly = (replicas, tuple(sorted(settings.items())))
        same = [key.symbol for key in keys if key in wanted and _exact(wanted[key]) == exactly]
        other = [symbol for symbol in symbols if symbol not in set(same)]
        if other:
            await self._node.create_books(exchange, other, replicas=replicas, settings=settings)
        return _OK, compact_json({"put": other, "same": same} | self._notes(replicas))

    async def _change(self, _first: str, _second: str, body: bytes) -> Answer:
        given = _object(body, "exchange", "symbols", "replicas", "settings")
        exchange, keys = self._named(given)
        symbols, replicas, settings = [key.symbol for key in keys], given.get("replicas"), _settings(given)
        if replicas is None and not settings:
            allowed = "replicas, settings, or both"
            text = f"there is nothing to change: give {allowed}"
            raise InvalidArgument(name="body", value="neither", allowed=allowed, text=text)
        await self._node.change_books(exchange, symbols, replicas=replicas, settings=settings)
        return _OK, compact_json({"changed": symbols} | self._notes(replicas or 1))

    async def _stop(self, _first: str, _second: str, body: bytes) -> Answer:
        exchange, keys = self._named(_object(body, "exchange", "symbols"))
        wanted = self._wanted()
        held = [key.symbol for key in keys if key in wanted]
        missing = [key.symbol for key in keys if key not in wanted]
        if held:
            await self._node.stop_books(exchange, held)
        return _OK, compact_json({"stopped": held, "missing": missing})

    async def _begin_one(self, exchange: str, symbol: str, body: bytes) -> Answer:
        given = _object(body or b"{}", "depth", "replicas")
        [key] = self._node.keys(exchange, [symbol])
        settings = {} if given.get("depth") is None else {"depth": given["depth"]}
        replicas = _replicas(given)
        held = self._wanted().get(key)
        if held is None:
            await self._node.create_books(key.exchange, [key.symbol], replicas=replicas, settings=settings)
            return HTTPStatus.CREATED, _one(key, replicas, settings)
        kept = dict(held.settings)
        if any(kept.get(name) != value for name, value in settings.items()):
            words = (
                f"the cluster keeps {key.symbol} with other settings: PATCH /v1/cluster/books changes them"
            )
            raise _Refused(HTTPStatus.CONFLICT, "exists_otherwise", words, settings=kept)
        return _OK, _one(key, held.replicas, kept)

    async def _end_one(self, exchange: str, symbol: str, body: bytes) -> Answer:
        if body:
            raise InvalidArgument(name="body", value="a body", allowed="no body")
        [key] = self._node.keys(exchange, [symbol])
        if key in self._wanted():
            await self._node.stop_books(key.exchange, [key.symbol])
        return HTTPStatus.NO_CONTENT, b""

    def _named(self, given: Mapping[str, Any]) -> tuple[str, tuple[BookKey, ...]]:
        """The exchange and the books of a request."""
        exchange, symbols = given.get("exchange"), given.get("symbols")
        if not isinstance(exchange, str):
            raise InvalidArgument(name="exchange", value=exchange, allowed="the name of an exchange")
        listed: list[Any] = cast("list[Any]", symbols)
        if not isinstance(symbols, list) or not 1 <= len(listed) <= _MOST_SYMBOLS:
            allowed = f"a list of 1 to {_MOST_SYMBOLS:,} symbols"
            kind = type(cast("object", symbols)).__name__
            raise InvalidArgument(name="symbols", value=kind, allowed=allowed)
        return exchange, self._node.keys(exchange, listed)

    def _wanted(self) -> Mapping[BookKey, WantedBook]:
        """The books that the cluster keeps now: while a request waits for disks, others change them."""
        return dict(self._node.runner.core.wanted.books())

    def _notes(self, replicas: int) -> dict[str, object]:
        note = shortage(self._node.runner.core, replicas)
        return {"note": note} if note else {}

    # --- nodes ----------------------------------------------------------------------------------

    async def _read(self, _first: str, _second: str, _body: bytes) -> Answer:
        return _OK, msgspec.json.encode(self._node.status())

    async def _list_nodes(self, _first: str, _second: str, _body: bytes) -> Answer:
        return _OK, msgspec.json.encode({"node": self._me(), "nodes": self._node.node_rows()})

    async def _list_moves(self, _first: str, _second: str, _body: bytes) -> Answer:
        return _OK, msgspec.json.encode({"moves": self._node.moves()})

    async def _look(self, _first: str, _second: str, body: bytes) -> Answer:
        return _OK, await self._node.overview.look(**_object(body or b"{}", "since", "moves"))

    async def _read_own(self, _first: str, _second: str, body: bytes) -> Answer:
        return _OK, self._node.overview.own(**_object(body or b"{}", "moves", "reasons"))

    async def _list_books(self, _first: str, _second: str, body: bytes) -> Answer:
        given = _object(body or b"{}", "exchange", "search", "only", "limit", "cursor")
        return _OK, await self._node.overview.list_books(**given)

    async def _drain(self, node: str, _second: str, body: bytes) -> Answer:
        given = _object(body or b"{}", "draining", "until_restart")
        draining, until_restart = given.get("draining", True), given.get("until_restart", False)
        for name, value in (("draining", draining), ("until_restart", until_restart)):
            if not isinstance(value, bool):
                raise InvalidArgument(name=name, value=value, allowed="true or false")
        node = self._known(node)
        if draining and self._owning() <= {node}:
            words = f"node {node} is the only one that can hold books: let another one join first"
            raise _Refused(HTTPStatus.CONFLICT, "last_node", words, node=node)
        run = self._run_to_drain(node) if draining and until_restart else None
        if run is None or not self._is_drained_for_good(node):
            await self._node.runner.drain(node, draining=draining, until_after=run)
        return _OK, compact_json({"node": node, "draining": draining})

    def _run_to_drain(self, node: str) -> int:
        """The run of a node's process."""
        found = self._node.runner.core.members.node(node)
        if found is None:
            words = f"node {node} does not run: without until_restart it is drained until that is undone"
            raise _Refused(HTTPStatus.CONFLICT, "not_running", words, node=node)
        return found.run

    def _is_drained_for_good(self, node: str) -> bool:
        """Whether an operator has drained a node already: a restart does not undo that."""
        wanted = self._node.runner.core.wanted
        return node in wanted.draining() and node not in wanted.drained_runs()

    async def _remove(self, node: str, _second: str, body: bytes) -> Answer:
        _object(body or b"{}")
        node, me = self._known(node), self._me()
        if node == me:
            words = "a node cannot remove itself: let it leave, or ask another node"
            raise _Refused(HTTPStatus.CONFLICT, "own_node", words, node=node)
        had_key = self._is_last_with_key(node)
        await self._node.remove(node)
        note = {"note": f"no other node has the authority's key: {_WITHOUT_KEY}"} if had_key else {}
        return _OK, compact_json({"node": node, "removed": True} | note)

    async def _rotate(self, role: str, _second: str, body: bytes) -> Answer:
        _object(body or b"{}")
        if role == Role.JOIN.value:
            invitation = self._admission.invite()
            facts: dict[str, object] = {"command": invitation.command, "valid_s": invitation.valid_s}
        elif role in (Role.READ.value, Role.MANAGE.value, Role.EXCHANGE.value):
            made = await self._admission.rotate_token(Role(role))
            facts = {"token": made.secret, "old_until_ms": made.old_until_ms}
        else:
            raise InvalidArgument(name="role", value=role, allowed="read, manage, exchange or join")
        return HTTPStatus.CREATED, compact_json({"role": role, **facts})

    async def _rotate_authority(self, _first: str, _second: str, body: bytes) -> Answer:
        _object(body or b"{}")
        digest = await self._admission.rotate_authority()
        return HTTPStatus.ACCEPTED, compact_json({"authority": digest})

    async def _list_certificates(self, _first: str, _second: str, _body: bytes) -> Answer:
        states = {each["id"]: each["state"] for each in self._node.status()["nodes"]}
        return _OK, msgspec.json.encode(rotation_status(self._node.runner.core.wanted, states))

    async def _renew_certificates(self, _first: str, _second: str, body: bytes) -> Answer:
        _object(body or b"{}")
        await self._admission.renew_certificates()
        return HTTPStatus.ACCEPTED, compact_json({"renewing": True})

    async def _leave(self, _first: str, _second: str, body: bytes) -> Answer:
        _object(body or b"{}")
        me = self._me()
        if self._owning() <= {me}:
            words = f"node {me} is the only one that can hold books: end its process instead"
            raise _Refused(HTTPStatus.CONFLICT, "last_node", words, node=me)
        if self._is_last_with_key(me):
            words = (
                f"only node {me} has the authority's key: copy authority.key into the data folder of another "
                "node, restart that node, and repeat this"
            )
            raise _Refused(HTTPStatus.CONFLICT, "last_key", words, node=me)
        self._node.begin_leaving()
        return HTTPStatus.ACCEPTED, compact_json({"node": me, "leaving": True})

    def _me(self) -> str:
        return self._node.runner.core.members.me.id

    def _is_last_with_key(self, node: str) -> bool:
        """Whether no other node could let nodes join and renew certificates."""
        reports = self._node.runner.core.wanted.certificates()
        return {peer for peer, each in reports.items() if each.issues} == {node}

    def _owning(self) -> set[str]:
        return _owning(self._node.runner.core)

    def _known(self, node: str) -> str:
        """The node of an id, or of its beginning where only one has that."""
        registered = self._node.runner.core.wanted.registered()
        found = [node] if node in registered else [each for each in registered if each.startswith(node)]
        if len(found) == 1 and node:
            return found[0]
        which = "several nodes have ids that begin with" if found else "no node has the id"
        words = f"{which} {node[:40]!r}: the nodes are {', '.join(sorted(registered))}"
        raise _Refused(HTTPStatus.NOT_FOUND, "unknown_node", words, nodes=sorted(registered))


def shortage(core: NodeCore, replicas: int) -> str:
    """What to say where there are fewer nodes than wanted replicas; empty where there are enough."""
    nodes = len(_owning(core))
    if replicas <= nodes:
        return ""
    have = "1 node" if nodes == 1 else f"{nodes} nodes"
    return f"{replicas} replicas are wanted and {have} can hold books: the next nodes to join get the rest"


def _owning(core: NodeCore) -> set[str]:
    """The nodes that may hold books and are seen."""
    seen = {node.id for node in core.members.not_dead()}
    return seen & (core.wanted.registered() - core.wanted.draining())


def _object(body: bytes, *names: str) -> dict[str, Any]:
    """The JSON object of a body, with no other names than these."""
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidArgument(name="body", value="no JSON", allowed="a JSON object") from None
    if not isinstance(given, dict):
        raise InvalidArgument(name="body", value=type(given).__name__, allowed="a JSON object")
    found = cast("dict[str, Any]", given)
    for name in found.keys() - set(names):
        allowed = ", ".join(names) or "no names"
        raise InvalidArgument(name="body", value=name[:100], allowed=allowed)
    return found


def _replicas(given: Mapping[str, Any]) -> int:
    """Those of a request, also where all its books are kept already."""
    return parse_replicas(given.get("replicas", _USUAL_REPLICAS))


def _settings(given: Mapping[str, Any]) -> dict[str, Value]:
    found = given.get("settings", {})
    if not isinstance(found, dict):
        raise InvalidArgument(name="settings", value=found, allowed='an object such as {"depth": 1000}')
    return cast("dict[str, Value]", found)


def _exact(book: WantedBook) -> tuple[int, tuple[tuple[str, Value], ...]]:
    return book.replicas, book.settings


def _one(key: BookKey, replicas: int, settings: Mapping[str, Value]) -> bytes:
    facts = {"exchange": key.exchange, "symbol": key.symbol, "replicas": replicas, "settings": dict(settings)}
    return compact_json(facts)


def _error(status: HTTPStatus, code: str, message: str, **facts: object) -> Answer:
    return status, compact_json({"error": {"code": code, "message": message, **facts}})
