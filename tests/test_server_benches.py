"""The benchmark of the book server: a server that is slow, expensive or in the way of its books misses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benches.measure import Row

pytest.importorskip("orjson")
from benches import old_cluster, pushed, server
from benches.pushed import Crowd, Readers

ROUNDS = 6
QUICK = {"p50_ms": 0.05, "p99_ms": 0.2}


@dataclass
class Stage:
    """Programs that were not started. The server's `cpu_us` a message, `late_ms` of its messages above the
    relay's and of its books with subscribers; the `rate` that the exchange reaches."""

    cpu_us: float = 10.0
    late_ms: float = 0.1
    books_late_ms: float = 0.05
    rate: int = pushed.RATE
    bytes: float = field(default=50.0 * 2**20)

    def measure(self, seconds: float) -> dict[str, float]:
        """Without subscribers."""
        idle = {"cpu_s": 0.1, "relay_cpu_s": 0.1, "books_p99_ms": 0.2, "bytes": self.bytes}
        return {"seconds": 1.0, "frames": self.rate, "messages": 0, "p50_ms": 0.0, "p99_ms": 0.0, **idle}

    def with_readers(self, readers: Readers, crowd: Crowd, *, seconds: float) -> dict[str, float]:
        """With them."""
        alone, messages = self.measure(seconds), float(self.rate)
        if readers is pushed.RELAYED:
            relay = {"relay_cpu_s": alone["relay_cpu_s"] + 5e-6 * messages}
            return alone | QUICK | relay | {"messages": messages}
        late = {name: value + self.late_ms for name, value in QUICK.items()}
        own = {"cpu_s": alone["cpu_s"] + 1e-6 * self.cpu_us * messages, "messages": messages}
        return alone | late | own | {"books_p99_ms": alone["books_p99_ms"] + self.books_late_ms}


def rows_of(stage: Stage) -> list[Row]:
    made: Any = stage
    both = (
        *pushed.costs(made, rounds=ROUNDS, seconds=1.0),
        *pushed.many(made, rounds=ROUNDS, seconds=1.0),
    )
    return list(both)


def missed(rows: list[Row]) -> list[str]:
    return [row.what for row in rows if row.result == "MISSED"]


def test_a_server_that_keeps_its_limits_meets_them() -> None:
    rows = rows_of(Stage())
    assert missed(rows) == []
    assert sum(row.result == "met" for row in rows) == 7
    [cost] = [row for row in rows if row.what.startswith("every, JSON: CPU")]
    assert (cost.figure, cost.ratio) == ("10.0 us at 5,000/s", pytest.approx(0.5))


@pytest.mark.parametrize(
    ("stage", "words", "count"),
    [
        (Stage(cpu_us=25.0), ": CPU for a message, of 20 us", 3),
        (Stage(late_ms=1.0), ": p99 above the relay's", 3),
        (Stage(books_late_ms=0.3), ": p99 of the books above without", 1),
    ],
    ids=["expensive", "late", "in the way of the books"],
)
def test_a_server_that_does_not_misses(stage: Stage, words: str, count: int) -> None:
    found = missed(rows_of(stage))
    assert len(found) == count
    assert all(words in what for what in found)


def test_a_machine_that_is_too_small_for_the_load_is_told() -> None:
    figures = [row.figure for row in rows_of(Stage(rate=3_000)) if "at " in row.figure]
    assert figures
    assert all("(of 5,000 frames a second only 3,000 fit this machine)" in figure for figure in figures)


class Cluster:
    """An old cluster that is there, or not."""

    def __init__(self, why: str = "") -> None:
        self._why = why

    def port(self) -> int:
        if self._why:
            raise old_cluster.Unavailable(self._why)
        return 1


@pytest.mark.parametrize(("times", "result"), [(60, "met"), (40, "MISSED")])
def test_the_old_cluster_is_compared_at_the_same_request(
    monkeypatch: pytest.MonkeyPatch, times: int, result: str
) -> None:
    asked: list[tuple[int, str]] = []

    def load(program: Path, port: int, path: str, **_: object) -> server.Load:
        asked.append((port, path))
        return server.Load(100, 300 if port == 1 else 300 * times, 3_000, 9_000, 9_000)

    monkeypatch.setattr(server, "load", load)
    made: Any = Cluster()
    rows = server.against_the_old_cluster(Path(), (3, 2), "/v1/books", made, ROUNDS, 1.0)
    assert [row.result for row in rows] == ["", result, ""]
    assert asked[:3] == [(1, old_cluster.PATH), (2, old_cluster.PATH), (3, "/v1/books")]
    assert f"{times} times as many" in rows[1].figure


def test_an_old_cluster_that_cannot_be_had_is_told() -> None:
    made: Any = Cluster("no such release")
    [row] = server.against_the_old_cluster(Path(), (3, 2), "/v1/books", made, ROUNDS, 1.0)
    assert (row.figure, row.result) == ("not measured: no such release", "")
