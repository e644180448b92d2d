"""What `/metrics` of a node says of the cluster: nodes, books, replicas, moves, and the state of the node.

It needs no package: a node without prometheus-client can be watched, too. Labels are bounded: states and
reasons are fixed, and `peer` has one value for each registered node.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from depthcache.cluster.book_health import BookState, HealthCounts
from depthcache.cluster.core.members import MemberState, NodeState
from depthcache.cluster.core.ownership import ReplicaState

__all__ = ["NodeMetrics", "NodeView", "PeerView"]

_MOVES = ("began", "synced", "ended")
_SOURCES = ("exchange", "node")
_ASK_FAILURES = ("unreachable", "timeout", "refused")
"""As `AskFailed.kind` has them."""
_BUCKETS_S = tuple(2**power / 1e3 for power in range(17))
_PREFIX = "depthcache_cluster_"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerView:
    """Another registered node, as this one sees it.

    Attributes:
        state: one of `NodeState`.
        silent_s: since it was heard last; None if it is no member.
        ahead_s: how far its system's clock is ahead; None before its first beat.
    """

    state: str
    silent_s: float | None = None
    ahead_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """What a node sees and is at one moment.

    Attributes:
        facts: labels that name the node and its release.
        nodes: the state of each node of the cluster, this one included.
        peers: the other registered nodes.
        replicas: how many replicas of this node have each state.
        wanted: the number of books that the cluster keeps.
        health: of the books of which this node is the first owner.
        differing: how many nodes that are alive reported another wanted set.
        digest: of the wanted set, in hexadecimal.
        changed_ms: when the wanted set was last edited, in milliseconds since 1970; 0 if never.
        is_ready: as `/readyz` says.
        has_authority_key: whether it can sign certificates.
        certificates: when they end, in seconds since 1970, by what they are of.
        can_write: whether the last write of the wanted set succeeded.
        failed_writes: as `NodeRunner.failed_writes`.
        failed_asks: as `NodeRunner.failed_asks`.
        failed_copies: as `NodeLog.failed_copies`.
        malformed: messages of other nodes that could not be read.
        disk: free and all bytes of the disk of the data folder; None if that is not known.
    """

    facts: Mapping[str, str]
    nodes: Iterable[str]
    peers: Mapping[str, PeerView]
    replicas: Mapping[ReplicaState, int]
    wanted: int
    health: HealthCounts
    differing: int
    digest: str
    changed_ms: int
    is_ready: bool
    has_authority_key: bool
    certificates: Mapping[str, float] = field(default_factory=dict[str, float])
    can_write: bool = True
    failed_writes: int = 0
    failed_asks: Mapping[str, int] = field(default_factory=dict[str, int])
    failed_copies: int = 0
    malformed: int = 0
    disk: tuple[int, int] | None = None


class NodeMetrics:
    """Counts moves and changes of peers since the process began, and writes the families."""

    def __init__(self) -> None:
        self._moves: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._changes: Counter[tuple[str, MemberState]] = Counter()
        self._members: dict[str, MemberState] = {}
        """As last reported."""
        self._took = [0] * (len(_BUCKETS_S) + 1)
        """Take-overs by bucket, those above the last at the end."""
        self._took_s = 0.0

    def on_move(self, what: str) -> None:
        """A book began, was synced for the first time since, or ended: as `Move.what`."""
        self._moves[what] += 1

    def on_taken_over(self, took_s: float, *, is_copy: bool) -> None:
        """A replica that began is synced; `is_copy`: from another node, not from the exchange."""
        self._sources[_SOURCES[is_copy]] += 1
        self._took[bisect_left(_BUCKETS_S, took_s)] += 1
        self._took_s += took_s

    def on_member(self, peer: str, state: MemberState) -> None:
        """The messaging engine reported another node."""
        if self._members.get(peer) is not state:
            self._members[peer] = state
            self._changes[peer, state] += 1

    def text(self, view: NodeView) -> str:
        """The families in the Prometheus text format."""
        out = _Families()
        out.gauge("info", "1, with what the node is as labels", [(view.facts, 1)])
        _write_nodes(out, view)
        self._write_peers(out, view)
        _write_books(out, view)
        self._write_moves(out, view)
        _write_node(out, view)
        return out.text()

    def _write_peers(self, out: _Families, view: NodeView) -> None:
        peers = sorted(view.peers.items())
        out.gauge(
            "peer_state",
            "1 for the state in which this node sees another one, 0 for every other",
            [
                ({"peer": peer, "state": state}, int(seen.state == state))
                for peer, seen in peers
                for state in NodeState
            ],
        )
        out.gauge(
            "peer_silent_seconds",
            "Time since another node was heard",
            [({"peer": peer}, each.silent_s) for peer, each in peers if each.silent_s is not None],
        )
        out.gauge(
            "peer_clock_offset_seconds",
            "How far the clock of another node is ahead of the own one",
            [({"peer": peer}, each.ahead_s) for peer, each in peers if each.ahead_s is not None],
        )
        out.counter(
            "peer_changes_total",
            "How often another node became alive, was suspect, or left",
            [
                ({"peer": peer, "state": state.value}, self._changes[peer, state])
                for peer, _ in peers
                for state in MemberState
            ],
        )

    def _write_moves(self, out: _Families, view: NodeView) -> None:
        out.gauge(
            "replicas",
            "Replicas of this node",
            [({"state": each.value}, view.replicas.get(each, 0)) for each in ReplicaState],
        )
        out.counter(
            "moves_total",
            "Replicas that began, were synced and ended on this node",
            [({"what": each}, self._moves[each]) for each in _MOVES],
        )
        out.counter(
            "taken_over_total",
            "Replicas that were synced, by where they came from",
            [({"source": each}, self._sources[each]) for each in _SOURCES],
        )
        out.counter("failed_copies_total", "Books that other nodes did not give", [({}, view.failed_copies)])
        out.histogram(
            "take_over_seconds",
            "Time from the begin of a replica until it is synced",
            zip((*map(str, _BUCKETS_S), "+Inf"), self._took, strict=True),
            self._took_s,
        )


def _write_nodes(out: _Families, view: NodeView) -> None:
    states = Counter(view.nodes)
    out.gauge(
        "nodes",
        "Nodes of the cluster as this one sees them",
        [({"state": each}, states[each]) for each in NodeState],
    )
    out.gauge(
        "differing_peers",
        "Nodes that are alive and reported another wanted set than that of this node",
        [({}, view.differing)],
    )
    out.gauge(
        "wanted_set_hash",
        "The same on two nodes if their wanted sets are",
        [({}, int(view.digest[-12:], 16))],  # 48 bits: a whole number in a float
    )
    out.gauge(
        "wanted_set_changed_timestamp_seconds",
        "When the wanted set was last changed",
        [({}, view.changed_ms / 1e3)],
    )


def _write_books(out: _Families, view: NodeView) -> None:
    health = view.health
    out.gauge("wanted_books", "Books that the cluster keeps", [({}, view.wanted)])
    out.gauge(
        "books",
        "Books of which this node is the first owner",
        [({"state": each.value}, health.books[each]) for each in BookState],
    )
    out.gauge("missing_replicas", "Replicas of these books that lack", [({}, health.missing)])
    out.gauge(
        "impossible_replicas",
        "Replicas of these books that are wanted and need further nodes",
        [({}, health.impossible)],
    )
    out.gauge(
        "unsynced_seconds",
        "For how long one of these books has been synced on no node",
        [({}, health.unsynced_s)],
    )
    out.gauge(
        "short_seconds",
        "For how long one of these books has been synced on fewer nodes than wanted and possible",
        [({}, health.short_s)],
    )


def _write_node(out: _Families, view: NodeView) -> None:
    out.gauge("ready", "1 while the node is ready for readers", [({}, int(view.is_ready))])
    out.gauge(
        "has_authority_key",
        "1 if the node can let others join and renew certificates",
        [({}, int(view.has_authority_key))],
    )
    out.gauge(
        "certificate_end_timestamp_seconds",
        "When the certificate of the node ends, and that of its authority",
        [({"of": of}, end_s) for of, end_s in sorted(view.certificates.items())],
    )
    out.gauge("disk_writable", "0 while the wanted set cannot be written", [({}, int(view.can_write))])
    out.counter("failed_writes_total", "Writes of the wanted set that failed", [({}, view.failed_writes)])
    if view.disk is not None:
        out.gauge("disk_free_bytes", "Free bytes of the disk of the data folder", [({}, view.disk[0])])
        out.gauge("disk_size_bytes", "All bytes of the disk of the data folder", [({}, view.disk[1])])
    out.counter(
        "failed_requests_total",
        "Requests to other nodes that failed",
        [({"reason": each}, view.failed_asks.get(each, 0)) for each in _ASK_FAILURES],
    )
    out.counter(
        "malformed_messages_total",
        "Messages of other nodes that could not be read",
        [({}, view.malformed)],
    )


class _Families:
    """The text format of Prometheus."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def gauge(self, name: str, words: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """A family of values."""
        self._add(name, "gauge", words, samples)

    def counter(self, name: str, words: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """A family of values that only grow."""
        self._add(name, "counter", words, samples)

    def histogram(self, name: str, words: str, buckets: Iterable[tuple[str, int]], total: float) -> None:
        """Counts by upper bound, the last of them `+Inf`, and the sum of all values."""
        self._head(name, "histogram", words)
        seen = 0
        for bound, count in buckets:
            seen += count
            self._sample(f"{name}_bucket", {"le": bound}, seen)
        self._sample(f"{name}_sum", {}, total)
        self._sample(f"{name}_count", {}, seen)

    def text(self) -> str:
        """All families."""
        return "\n".join([*self._lines, ""])

    def _add(
        self, name: str, kind: str, words: str, samples: Iterable[tuple[Mapping[str, str], float]]
    ) -> None:
        self._head(name, kind, words)
        for labels, value in samples:
            self._sample(name, labels, value)

    def _head(self, name: str, kind: str, words: str) -> None:
        self._lines += [f"# HELP {_PREFIX}{name} {words}", f"# TYPE {_PREFIX}{name} {kind}"]

    def _sample(self, name: str, labels: Mapping[str, str], value: float) -> None:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        self._lines.append(f"{_PREFIX}{name}{f'{{{shown}}}' if shown else ''} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
