"""A whole cluster as one node can show it: nodes, books, request weight and moves, and what has changed.

Why a book is not synced, how much request weight is used and which books moved, a node knows only of itself.
So the node that is asked asks the others, at most once a second however many pages show it, and only while
one does. A node that is slow delays no page: what it said last counts until it says more.

Everything that changes gets the next number. A page sends the number of its last look (`at`) and gets what
has a later one, so a quiet cluster of 5,000 books costs some hundred bytes a look. Numbers belong to one
process: after a restart, or at another node, the page gets `reset` and begins again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec

from depthcache.cluster.book_states import is_wrong, possible, why_not
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.moves import Move
from depthcache.errors import InvalidArgument

__all__ = ["AskPeer", "ObservedNode", "Overview"]

AskPeer = Callable[[str, str], Awaitable[bytes | None]]
"""Ask the server at an address (host and port) for a path; None if it gives no answer of status 200."""

_EVERY_NS = 1_000_000_000
"""How often other nodes are asked."""
_READ_NS = 250_000_000
"""How often the own view is read again, at most."""
_RESTS = 9
"""How many times as long as it was read it is then left alone: 5,000 books take 0.2 s (2026-12-01)."""
_PATIENCE_S = 0.4
_AT_ONCE = 16
_TURN = 200
"""Books that are read before the event loop does something else."""
_MOST_BOOKS = 500
"""Changed books in one answer."""
_MOST_LISTED = 1_000
_USUALLY_LISTED = 250
_MOST_MOVES = 5_000
_MOVES_AT_ONCE = 1_000
_FIRST_MOVES = 500
_MOST_REMOVED = 10_000
_POSITION = re.compile(r"([0-9a-f]{1,16})\.([0-9]{1,15})")
_POSITION_WORDS = "the one of an earlier response"


class ObservedRunner(Protocol):
    """`NodeRunner`, as far as it is used here."""

    core: NodeCore


class ObservedNode(Protocol):
    """What an overview reads of the running node: `ClusterNode`."""

    @property
    def runner(self) -> ObservedRunner:
        """What it decides."""
        ...

    @property
    def cluster(self) -> str:
        """The name of its cluster."""
        ...

    def node_rows(self) -> list[dict[str, Any]]:
        """As `status` has them under `nodes`."""
        ...

    def weight(self) -> list[dict[str, Any]]:
        """As `status` has it."""
        ...

    def reason(self, key: BookKey) -> str:
        """Why a replica of this node is not synced."""
        ...

    def moves_after(self, number: int, most: int) -> tuple[int, Sequence[Move]]:
        """The number of the newest move, and the moves that follow the one of a number."""
        ...

    def wall_ms(self) -> int:
        """The system's clock in milliseconds since 1970."""
        ...

    def now_ns(self) -> int:
        """A clock that never goes back."""
        ...


class _Weight(msgspec.Struct, kw_only=True):
    """The request weight of one pool of an exchange, at the address that an egress group shares."""

    egress: str
    pool: str
    limit: int
    allowed: int
    used: int
    exchange_used: int | None

    def newest(self) -> int:
        """What is used, as the exchange says if it did."""
        return self.used if self.exchange_used is None else self.exchange_used


class _Knowledge(msgspec.Struct, kw_only=True):
    """What one node alone knows, as `own` writes it; releases may add fields."""

    node: str
    weight: list[_Weight]
    reasons: dict[str, list[tuple[str, str]]] | None = None
    """Books by reason; None if they are those of `reasons_digest`, which the asking node has."""
    reasons_digest: str
    moves: list[Move]
    moves_at: str
    has_more: bool


@dataclass(slots=True)
class _Peer:
    """The last answer of another node."""

    weight: list[_Weight] = field(default_factory=list[_Weight])
    reasons: dict[BookKey, str] = field(default_factory=dict[BookKey, str])
    digest: str = ""
    moves_at: str = ""
    newest_ms: int = 0
    answers: bool | None = None
    """Whether it answered when it was asked last; None before that."""
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Row:
    """One book as it is sent."""

    raw: msgspec.Raw
    text: str
    is_wrong: bool
    is_lacking: bool
    synced: int
    holders: dict[str, str]


class Overview:
    """The overview of one node. All calls are made on its event loop."""

    def __init__(self, node: ObservedNode, ask: AskPeer, *, patience_s: float = _PATIENCE_S) -> None:
        """`patience_s`: how long a look waits for other nodes."""
        self._node, self._ask, self._patience_s = node, ask, patience_s
        self._epoch = secrets.token_hex(8)
        self._number = 0
        """Of the last change."""
        self._floor = 0
        """Books that were removed up to this number are forgotten."""
        self._asked_ns = self._read_ns = -_EVERY_NS
        self._rest_ns = _READ_NS
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._reading = asyncio.Lock()
        self._peers: dict[str, _Peer] = {}
        self._rows: dict[BookKey, _Row] = {}
        self._sorted: list[BookKey] | None = None
        self._changed: dict[BookKey, int] = {}
        """The number of the last change of each book, in order; removed books, too."""
        self._sections: dict[str, tuple[int, bytes]] = {}
        """Number and content of the other parts."""
        self._seen: object = None
        """What the rows were made of."""
        self._own_reasons: dict[BookKey, str] = {}
        self._counts: dict[str, tuple[int, int]] = {}
        """How many books each node holds, and how many of them are synced."""
        self._moves: deque[tuple[int, Move]] = deque(maxlen=_MOST_MOVES)
        self._last_move = self._own_move = 0
        self._states: dict[str, tuple[str, int]] = {}
        """The states of nodes, and since when this one sees them."""

    # --- what the node calls ---------------------------------------------------------------

    def note_states(self, states: Mapping[str, str]) -> None:
        """The states of the nodes now: since when they are so is part of the overview."""
        now_ms = self._node.wall_ms()
        before = self._states
        self._states = {
            peer: before[peer] if peer in before and before[peer][0] == state else (state, now_ms)
            for peer, state in states.items()
        }

    async def close(self) -> None:
        """Stop asking other nodes."""
        tasks = [each.task for each in self._peers.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what requests ask -----------------------------------------------------------------

    async def look(self, *, since: str = "", moves: str = "") -> bytes:
        """JSON: what has changed since an earlier look; everything but the books where there was none."""
        begun, number = self._position("since", since)
        moves_begun, moves_number = self._position("moves", moves)
        await self._renew()
        is_reset = bool(since) and (not begun or not self._floor <= number <= self._number)
        is_first = not since or is_reset
        answer: dict[str, Any] = {
            "cluster": self._node.cluster,
            "node": self._node.runner.core.members.me.id,
            "reset": is_reset,
        }
        at = self._number
        if not is_first:
            keys, has_more = self._changes(number)
            if keys:
                answer["books"] = [self._sent(key) for key in keys]
            if has_more:
                at = self._changed[keys[-1]]
                answer["more"] = True
        for name, (changed, raw) in self._sections.items():
            if is_first or changed > number:
                answer[name] = msgspec.Raw(raw)
        found, moves_at, has_more = self._moves_after(moves_number if moves_begun else None)
        if found:
            answer["moves"] = found
        if has_more:
            answer["more"] = True
        return msgspec.json.encode(
            answer | {"at": f"{self._epoch}.{at}", "moves_at": f"{self._epoch}.{moves_at}"}
        )

    async def list_books(
        self, *, exchange: str = "", search: str = "", only: str = "", limit: str = "", cursor: str = ""
    ) -> bytes:
        """JSON: a page of the books that the cluster keeps, by exchange and symbol."""
        if only not in ("", "wrong", "lacking"):
            raise InvalidArgument(name="only", value=only, allowed="wrong or lacking")
        most = _whole("limit", limit or str(_USUALLY_LISTED), _MOST_LISTED)
        if cursor and "/" not in cursor:
            raise InvalidArgument(name="cursor", value=cursor, allowed="the `next` of the page before")
        await self._renew()
        if self._sorted is None:
            self._sorted = sorted(self._rows)
        words = search.lower().split()

        def is_meant(key: BookKey) -> bool:
            row = self._rows[key]
            is_so = row.is_wrong if only == "wrong" else row.is_lacking if only else True
            return is_so and exchange in ("", key.exchange) and all(word in row.text for word in words)

        is_all = not (exchange or words or only)
        found = self._sorted if is_all else list(filter(is_meant, self._sorted))
        first = bisect_right(found, BookKey(*cursor.split("/", 1))) if cursor else 0
        page = found[first : first + most]
        more = first + most < len(found)
        return msgspec.json.encode(
            {
                "at": f"{self._epoch}.{self._number}",
                "total": len(found),
                "books": [self._rows[key].raw for key in page],
                "next": "/".join(page[-1]) if more else None,
            }
        )

    def own(self, *, moves: str = "", reasons: str = "") -> bytes:
        """JSON: what this node alone knows. `moves`, `reasons`: `moves_at` and `reasons_digest` of an
        earlier answer."""
        core = self._node.runner.core
        run, begun, number = f"{core.members.me.run:x}", False, 0
        if moves:
            found = _POSITION.fullmatch(moves)
            if found is None:
                raise InvalidArgument(name="moves", value=moves, allowed=f"`moves_at`: {_POSITION_WORDS}")
            begun, number = found[1] == run, int(found[2])
        last, _ = self._node.moves_after(0, 0)
        first = min(number, last) if begun else max(0, last - _MOVES_AT_ONCE)
        _, shown = self._node.moves_after(first, _MOVES_AT_ONCE)
        reached = last if len(shown) < _MOVES_AT_ONCE else min(last, first + len(shown))
        by_reason: dict[str, list[tuple[str, str]]] = {}
        for key, reason in sorted(self._reasons().items()):
            by_reason.setdefault(reason, []).append(key)
        digest = hashlib.blake2b(msgspec.json.encode(by_reason), digest_size=8).hexdigest()
        return msgspec.json.encode(
            _Knowledge(
                node=core.members.me.id,
                weight=self._own_weight(),
                reasons=None if digest == reasons else by_reason,
                reasons_digest=digest,
                moves=list(shown),
                moves_at=f"{run}.{reached}",
                has_more=reached < last,
            )
        )

    # --- other nodes -----------------------------------------------------------------------

    async def _renew(self) -> None:
        """Ask the others where that is due, and read what this node sees."""
        if self._node.now_ns() - self._asked_ns >= _EVERY_NS:
            self._asked_ns = self._node.now_ns()
            self._ask_others()
        tasks = [each.task for each in self._peers.values() if each.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._patience_s)
        async with self._reading:
            began_ns = self._node.now_ns()
            if began_ns - self._read_ns >= self._rest_ns:
                await self._read()
                self._read_ns = self._node.now_ns()
                self._rest_ns = max(_READ_NS, _RESTS * (self._read_ns - began_ns))

    def _ask_others(self) -> None:
        core = self._node.runner.core
        known = core.wanted.registered()
        for gone in self._peers.keys() - known:
            if (task := self._peers.pop(gone).task) is not None:
                task.cancel()
        for row in self._node.node_rows():
            peer = str(row["id"])
            if peer == core.members.me.id or peer not in known:
                continue
            held = self._peers.setdefault(peer, _Peer())
            if row["state"] not in ("alive", "draining") or not row["address"]:
                held.answers, held.weight = None, []
            elif held.task is None:
                held.task = asyncio.get_running_loop().create_task(self._ask_peer(peer, row["address"], held))

    async def _ask_peer(self, peer: str, address: str, held: _Peer) -> None:
        try:
            async with self._turns:
                has_more = True
                while has_more:
                    known = {"moves": held.moves_at, "reasons": held.digest}
                    query = urlencode({name: text for name, text in known.items() if text})
                    answer = await self._ask(address, f"/v1/cluster/node?{query}")
                    has_more = answer is not None and self._take(peer, held, answer)
                    held.answers = answer is not None
        except msgspec.MsgspecError:
            held.answers = False  # such as another release
        finally:
            held.task = None

    def _take(self, peer: str, held: _Peer, answer: bytes) -> bool:
        """What a node says; whether it has further moves. Raises MsgspecError."""
        said = msgspec.json.decode(answer, type=_Knowledge)
        if said.node != peer:
            raise msgspec.ValidationError(f"node {said.node} answered in the place of {peer}")
        held.weight, held.digest = said.weight, said.reasons_digest
        if said.reasons is not None:
            held.reasons = {BookKey(*key): reason for reason, keys in said.reasons.items() for key in keys}
        is_going_on = held.moves_at.partition(".")[0] == said.moves_at.partition(".")[0]
        for move in said.moves:
            if is_going_on or move.at_ms > held.newest_ms:  # after its restart, it repeats old ones
                self._add_move(move)
                held.newest_ms = max(held.newest_ms, move.at_ms)
        held.moves_at = said.moves_at
        return said.has_more and bool(said.moves)

    def _add_move(self, move: Move) -> None:
        self._last_move += 1
        self._moves.append((self._last_move, move))

    # --- reading ---------------------------------------------------------------------------

    async def _read(self) -> None:
        """Give numbers to what has changed since the last call."""
        last, _ = self._node.moves_after(0, 0)
        first = self._own_move or max(0, last - _MOVES_AT_ONCE)
        _, moves = self._node.moves_after(first, max(0, last - first))
        for move in moves:
            self._add_move(move)
        self._own_move = last
        nodes = self._node.node_rows()
        self.note_states({str(each["id"]): str(each["state"]) for each in nodes})
        await self._read_books(nodes)
        self._set("nodes", [self._shown(row) for row in nodes])
        self._set("weight", self._weights())

    async def _read_books(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        core = self._node.runner.core
        most = possible({"nodes": nodes})
        self._own_reasons = self._reasons()
        digests = tuple((peer, each.digest) for peer, each in sorted(self._peers.items()))
        states = tuple((each["id"], each["state"]) for each in nodes)
        seen = (core.books.revision, hash(tuple(self._own_reasons.items())), digests, states)
        if seen == self._seen:
            return
        wanted = dict(core.wanted.books())
        for index, (key, book) in enumerate(wanted.items()):
            if index % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            holders = {peer: state.value for peer, state in core.books.all_states(key).items()}
            facts: dict[str, Any] = {
                "exchange": key.exchange,
                "symbol": key.symbol,
                "replicas": book.replicas,
                "settings": dict(book.settings),
                "owners": core.books.owners(key),
                "holders": holders,
                "synced": len(core.books.holders(key)),
                "reasons": self._reasons_of(key, holders),
                "why": core.books.why(key),
            }
            self._take_book(key, facts, nodes, most)
        for key in self._rows.keys() - wanted.keys():
            del self._rows[key]
            self._sorted = None
            self._count_change(key)
        self._forget_removed()
        self._seen = seen
        rows = self._rows.values()
        held = Counter(peer for row in rows for peer in row.holders)
        synced = Counter(peer for row in rows for peer, state in row.holders.items() if state == "synced")
        self._counts = {peer: (count, synced[peer]) for peer, count in held.items()}
        self._set(
            "books_count",
            {
                "all": len(self._rows),
                "synced": sum(each.synced > 0 for each in rows),
                "wrong": sum(each.is_wrong for each in rows),
                "lacking": sum(each.is_lacking for each in rows),
                "possible": most,
            },
        )

    def _take_book(
        self, key: BookKey, facts: dict[str, Any], nodes: Sequence[Mapping[str, Any]], most: int
    ) -> None:
        is_lacking = int(facts["synced"]) < int(facts["replicas"])
        wrong = is_wrong(facts, most)
        facts |= {"wrong": wrong, "why_not": why_not(facts, nodes) if is_lacking else ""}
        raw = msgspec.json.encode(facts)
        before = self._rows.get(key)
        if before is not None and bytes(before.raw) == raw:
            return
        self._sorted = None if before is None else self._sorted
        text = f"{key.symbol} {key.exchange}".lower()
        held: dict[str, str] = facts["holders"]
        self._rows[key] = _Row(msgspec.Raw(raw), text, wrong, is_lacking, int(facts["synced"]), held)
        self._count_change(key)

    def _reasons(self) -> dict[BookKey, str]:
        """Why replicas of this node are not synced."""
        states, synced = self._node.runner.core.books.states(), ReplicaState.SYNCED
        found = {key: self._node.reason(key) for key, state in states.items() if state is not synced}
        return {key: reason for key, reason in found.items() if reason}

    def _reasons_of(self, key: BookKey, holders: Mapping[str, str]) -> dict[str, str]:
        me = self._node.runner.core.members.me.id
        found: dict[str, str] = {}
        for peer, state in holders.items():
            held = self._peers.get(peer)
            said = self._own_reasons if peer == me else {} if held is None else held.reasons
            if state != "synced" and key in said:
                found[peer] = said[key]
        return found

    def _shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A node, with what it said itself."""
        core, peer = self._node.runner.core, str(row["id"])
        is_me, held = peer == core.members.me.id, self._peers.get(peer, _Peer())
        books, synced = self._counts.get(peer, (0, 0))
        return {
            **row,
            "address": row["address"] or core.wanted.servers().get(peer),
            "since_ms": self._states[peer][1],
            "answers": True if is_me else held.answers,
            "books": books,
            "synced": synced,
        }

    def _own_weight(self) -> list[_Weight]:
        return msgspec.convert(self._node.weight(), list[_Weight])

    def _weights(self) -> list[_Weight]:
        """One row for each egress group and pool: the newest count of the exchange is the highest one."""
        rows: dict[tuple[str, str], _Weight] = {}
        for each in chain(self._own_weight(), *(held.weight for held in self._peers.values())):
            key = (each.egress, each.pool)
            if key not in rows or each.newest() > rows[key].newest():
                rows[key] = each
        return [rows[key] for key in sorted(rows)]

    # --- numbers ---------------------------------------------------------------------------

    def _position(self, name: str, text: str) -> tuple[bool, int]:
        """Whether a position is one of this process, and its number. Raises InvalidArgument."""
        if not text:
            return False, 0
        found = _POSITION.fullmatch(text)
        if found is None:
            raise InvalidArgument(name=name, value=text, allowed=_POSITION_WORDS)
        return found[1] == self._epoch, int(found[2])

    def _set(self, name: str, content: object) -> None:
        raw = msgspec.json.encode(content)
        if name not in self._sections or self._sections[name][1] != raw:
            self._number += 1
            self._sections[name] = (self._number, raw)

    def _count_change(self, key: BookKey) -> None:
        self._number += 1
        self._changed.pop(key, None)
        self._changed[key] = self._number

    def _forget_removed(self) -> None:
        spare = len(self._changed) - len(self._rows) - _MOST_REMOVED
        if spare > 0:
            removed = [key for key in self._changed if key not in self._rows][:spare]
            self._floor = self._changed[removed[-1]]
            for key in removed:
                del self._changed[key]

    def _changes(self, number: int) -> tuple[list[BookKey], bool]:
        """The books that changed after a number, the first change first, and whether there are more."""
        found: list[BookKey] = []
        for key, changed in reversed(self._changed.items()):
            if changed <= number:
                break
            found.append(key)
        found.reverse()
        return found[:_MOST_BOOKS], len(found) > _MOST_BOOKS

    def _sent(self, key: BookKey) -> object:
        row = self._rows.get(key)
        return {"exchange": key.exchange, "symbol": key.symbol, "removed": True} if row is None else row.raw

    def _moves_after(self, number: int | None) -> tuple[list[Move], int, bool]:
        """Moves, the number of the last of them, and whether there are more."""
        if number is None:
            found = list(self._moves)[-_FIRST_MOVES:]
            return [move for _, move in found], self._last_move, False
        later: list[tuple[int, Move]] = []
        for each in reversed(self._moves):
            if each[0] <= number:
                break
            later.append(each)
        later.reverse()
        found = later[:_MOVES_AT_ONCE]
        return (
            [move for _, move in found],
            found[-1][0] if found else self._last_move,
            len(later) > len(found),
        )


def _whole(name: str, text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most or len(text) > 9:
        raise InvalidArgument(name=name, value=text, allowed=f"1 to {most:,}")
    return int(text)
