"""`/metrics` of a node: nodes and replicas by state, moves, and how long take-overs take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.node_metrics import NODE_STATES, NodeMetrics
from tests.cluster.nodes import SPOT, SYMBOLS, cluster, until
from tests.server.asking import ask

parser = pytest.importorskip("prometheus_client.parser")


def values(text: str) -> dict[tuple[str, ...], float]:
    """All samples, by name and values of labels."""
    families: Any = parser.text_string_to_metric_families(text)
    return {
        (sample.name.removeprefix("depthcache_cluster_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("depthcache_cluster_")
    }


def test_every_state_has_a_number_and_take_overs_are_in_buckets() -> None:
    metrics = NodeMetrics()
    for what in ("began", "began", "synced", "ended"):
        metrics.on_move(what)
    for took_s in (0.001, 0.3, 1_000.0):
        metrics.on_taken_over(took_s)
    replicas = {ReplicaState.SYNCED: 5, ReplicaState.STALE: 1}
    found = values(metrics.text(nodes=["alive", "alive", "away"], replicas=replicas, wanted=7))
    states = {name: found["nodes", name] for name in NODE_STATES}
    assert states == {"alive": 2, "draining": 0, "suspect": 0, "away": 1, "incompatible": 0, "removed": 0}
    assert {each: found["replicas", each.value] for each in ReplicaState} == {
        **dict.fromkeys(ReplicaState, 0),
        **replicas,
    }
    assert [found["moves_total", each] for each in ("began", "synced", "ended")] == [2, 1, 1]
    assert found["wanted_books",] == 7
    buckets = {each[1]: count for each, count in found.items() if each[0] == "take_over_seconds_bucket"}
    assert (buckets["0.001"], buckets["0.256"], buckets["0.512"], buckets["+Inf"]) == (1, 1, 2, 3)
    assert found["take_over_seconds_count",] == 3
    assert found["take_over_seconds_sum",] == pytest.approx(1_000.301)


@pytest.mark.slow
async def test_a_node_counts_what_it_holds(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        one, *_ = await found.three()
        await one.create_books(SPOT, SYMBOLS, replicas=3)
        await until(lambda: found.is_whole(3))
        one._look()
        seen = values(ask(one.server.port, "/metrics", token=one.read_token).body.decode())
        assert seen["nodes", "alive"] == 3
        assert (
            seen["replicas", "synced"]
            == seen["wanted_books",]
            == seen["moves_total", "synced"]
            == len(SYMBOLS)
        )
        assert seen["take_over_seconds_count",] == len(SYMBOLS)
