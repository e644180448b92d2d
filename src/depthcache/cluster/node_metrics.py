"""What `/metrics` of a node says of the cluster: nodes, replicas, moves, and how long take-overs take.

It needs no package: a node without prometheus-client can be watched, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

from depthcache.cluster.core.ownership import ReplicaState

__all__ = ["NODE_STATES", "NodeMetrics"]

NODE_STATES = ("alive", "draining", "suspect", "away", "incompatible", "removed")
"""As `ClusterNode.status` names them."""
_MOVES = ("began", "synced", "ended")
_BUCKETS_S = tuple(2**power / 1e3 for power in range(17))


class NodeMetrics:
    """Counts moves since the process began, and writes the families."""

    def __init__(self) -> None:
        self._moves: Counter[str] = Counter()
        self._took = [0] * (len(_BUCKETS_S) + 1)
        """Take-overs by bucket, those above the last at the end."""
        self._took_s = 0.0

    def on_move(self, what: str) -> None:
        """A book began, was synced for the first time since, or ended: as `Move.what`."""
        self._moves[what] += 1

    def on_taken_over(self, took_s: float) -> None:
        """A replica that began is synced."""
        self._took[bisect_left(_BUCKETS_S, took_s)] += 1
        self._took_s += took_s

    def text(self, *, nodes: Iterable[str], replicas: Mapping[ReplicaState, int], wanted: int) -> str:
        """The families in the Prometheus text format.

        Args:
            nodes: the state of each node of the cluster, this one included.
            replicas: how many replicas of this node have each state.
            wanted: the number of books that the cluster keeps.
        """
        states, took = Counter(nodes), "depthcache_cluster_take_over_seconds"
        lines = [
            *_family("nodes", "gauge", "Nodes of the cluster as this one sees them"),
            *(f'depthcache_cluster_nodes{{state="{each}"}} {states[each]}' for each in NODE_STATES),
            *_family("wanted_books", "gauge", "Books that the cluster keeps"),
            f"depthcache_cluster_wanted_books {wanted}",
            *_family("replicas", "gauge", "Replicas of this node"),
            *(
                f'depthcache_cluster_replicas{{state="{each.value}"}} {replicas.get(each, 0)}'
                for each in ReplicaState
            ),
            *_family("moves_total", "counter", "Replicas that began, were synced and ended on this node"),
            *(f'depthcache_cluster_moves_total{{what="{each}"}} {self._moves[each]}' for each in _MOVES),
            *_family("take_over_seconds", "histogram", "Time from the begin of a replica until it is synced"),
        ]
        seen = 0
        for bound, count in zip((*map(str, _BUCKETS_S), "+Inf"), self._took, strict=True):
            seen += count
            lines.append(f'{took}_bucket{{le="{bound}"}} {seen}')
        return "\n".join([*lines, f"{took}_sum {self._took_s}", f"{took}_count {seen}", ""])


def _family(name: str, kind: str, words: str) -> tuple[str, str]:
    return f"# HELP depthcache_cluster_{name} {words}", f"# TYPE depthcache_cluster_{name} {kind}"
