"""The facts that a node finds about itself, and what it collects from all others."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depthcache.client.metrics import BudgetStats, ConnectionStats, Stats
from depthcache.cluster import self_check
from depthcache.cluster.check_routes import CheckRoutes, NotChecked, clock_offset, parse_check
from depthcache.cluster.data_folder import DataFolder, NodeOptions
from depthcache.cluster.probing import Port, Probe, Reach
from depthcache.cluster.self_check import SelfCheck
from tests.cluster.managed import BTC, CLUSTER, FakeNode
from tests.server.asking import DEADLINE_S

BUDGET = BudgetStats(
    pool="binance.com spot", limit=6_000, allowed=3_000, used=40, exchange_used=120, waiting=2, in_flight=1,
    stopped_s=31.26, times=(), times_sum_s=0.0,
)  # fmt: skip
OPEN = ConnectionStats(
    exchange="binance.com", number=1, streams=200, is_open=True, frames=1, received_bytes=1, quiet_s=0.1,
    connects=1, delays=(), delays_sum_s=0.0,
)  # fmt: skip


class Checked:
    """A node of a cluster with a data folder, and probes that do not leave the process."""

    def __init__(self, folder: Path) -> None:
        self.files = DataFolder.create(folder, NodeOptions(port=0, node_port=0), cluster=CLUSTER)
        self.node = FakeNode("b2", "c3")
        self.identity = self.files.identity
        stats = Stats(books=(), connections=(OPEN,), budgets=(BUDGET,))
        self.books: Any = SimpleNamespace(stats=lambda: stats)
        self.apart = ""
        self.probed: list[tuple[Port, str, str]] = []
        self.walls = iter(range(1_000, 100_000, 10))
        self.check = SelfCheck(
            self, folder, core=lambda: self.node.core, prober=self.probe,
            wall_ms=lambda: float(next(self.walls)),
        )  # fmt: skip

    def exchange_clocks(self) -> Mapping[str, tuple[float, float]]:
        return {"binance.com": (0.25, 0.01)}

    def why_apart(self) -> str:
        return self.apart

    async def probe(self, port: Port, address: str, peer: str) -> Probe:
        self.probed.append((port, address, peer))
        return Probe(port=port, address=address, reach=Reach.REACHED)


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    found = Checked(tmp_path / "node")
    found.files.close()
    return found


async def test_a_node_checks_its_machine_its_certificates_the_exchange_and_all_others(
    checked: Checked,
) -> None:
    checked.node.core.create(BTC, replicas=3, settings={}, now_ns=0, wall_ms=1)
    checked.node.core.take_commands(10**12)
    found = await checked.check.facts()
    assert (found["node"], found["replicas"]["all"]) == ("a1", 1)
    disk = found["disk"]
    assert (disk["problem"], disk["damaged"]) == ("", [])
    assert disk["free_bytes"] > 0 < disk["sync_ms"]
    assert disk["journal_bytes"] > 0
    assert found["limits"]["descriptors_used"] < found["limits"]["descriptors"]
    certificates = found["certificates"]
    assert certificates["has_authority_key"]
    assert certificates["issuer"] == certificates["authorities"][0]["hash"]
    week_ms = certificates["until_ms"] - certificates["renewal_ms"]
    assert 5 * 86_400_000 < week_ms < 7 * 86_400_000
    exchange = found["exchange"]
    assert exchange["pools"][0]["stopped_s"] == 31.3
    assert exchange["connections"] == {"binance.com": {"connections": 1, "open": 1, "streams": 200}}
    assert exchange["clocks"] == {"binance.com": {"offset_ms": 250.0, "error_ms": 10.0}}
    assert [each["id"] for each in found["peers"]] == ["b2", "c3"]
    assert set(checked.probed) == {
        (port, at if port is Port.READERS else "", peer)
        for peer, at in (("b2", "10.0.0.178:42081"), ("c3", "10.0.0.195:42081"))
        for port in Port
    }


async def test_a_node_says_why_it_has_not_met_the_others(checked: Checked) -> None:
    assert (await checked.check.facts())["apart"] == ""
    checked.apart = "no other node was reached yet"
    assert (await checked.check.facts())["apart"] == "no other node was reached yet"


async def test_the_check_leaves_no_file_and_no_secret(checked: Checked, tmp_path: Path) -> None:
    before = sorted(path.name for path in (tmp_path / "node").iterdir())
    found = json.dumps(await checked.check.facts())
    assert sorted(path.name for path in (tmp_path / "node").iterdir()) == before
    for name in ("read", "admin", "exchange"):
        secret = checked.files.token(name)
        assert secret is not None
        assert secret not in found
    assert "PRIVATE" not in found


async def test_requests_at_the_same_time_share_one_check(checked: Checked) -> None:
    one, other = await asyncio.gather(checked.check.facts(), checked.check.facts())
    assert len(checked.probed) == 4
    assert one["received_ms"] < other["received_ms"]
    await checked.check.facts()
    assert len(checked.probed) == 8


async def test_a_disk_that_hangs_is_a_finding_and_one_thread_alone_waits_for_it(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, began = threading.Event(), list[int]()

    def hang(_: Path) -> dict[str, Any]:
        began.append(1)
        may_go_on.wait(DEADLINE_S)
        return {"problem": ""}

    monkeypatch.setattr(self_check, "_write", hang)
    monkeypatch.setattr(self_check, "_DISK_S", 0.01)
    for _ in range(2):
        found = await checked.check.facts()
        assert found["disk"]["problem"] == "nothing could be written within 0.01 s"
    may_go_on.set()
    assert len(began) == 1


async def test_a_full_disk_is_a_finding(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "node" / ".check").mkdir()  # as little can be written as to a full disk
    assert (await checked.check.facts())["disk"]["problem"]


# --- all nodes -------------------------------------------------------------------------------


def routes(checked: Checked, ask: Any, walls: Any = None) -> CheckRoutes:
    return CheckRoutes(
        checked.check, cluster=CLUSTER, core=lambda: checked.node.core, ask=ask,
        wall_ms=walls or (lambda: 5_000.0),
    )  # fmt: skip


async def test_the_node_that_is_asked_collects_what_all_others_find(checked: Checked) -> None:
    checked.node.core.deny("d4", until_ms=2**50, now_ns=0, wall_ms=1)
    asked: list[str] = []

    async def ask(address: str) -> Mapping[str, Any]:
        asked.append(address)
        if address.startswith("10.0.0.195"):
            raise NotChecked("no complete response within 8 s")
        return {"node": "b2", "received_ms": 7_000.0, "answered_ms": 7_900.0}

    status, body = await routes(checked, ask).answer("check_cluster", "", "", b"")
    found = json.loads(body)
    assert (status, found["cluster"], found["node"]) == (200, CLUSTER, "a1")
    assert sorted(asked) == ["10.0.0.178:42081", "10.0.0.195:42081"]
    by_id = {each["id"]: each for each in found["nodes"]}
    assert list(by_id) == ["a1", "b2", "c3", "d4"]
    assert (by_id["a1"]["check"]["node"], by_id["a1"]["clock"]) == ("a1", None)
    assert (by_id["c3"]["check"], by_id["c3"]["problem"]) == (None, "no complete response within 8 s")
    assert by_id["d4"]["state"] == "removed"
    clock = by_id["b2"]["clock"]  # 2 s ahead when asked, 2.9 s when it answered: its work took 0.9 s
    assert clock["offset_ms"] == pytest.approx(2_450, abs=200)
    assert clock["error_ms"] < 200


@pytest.mark.parametrize(
    ("received_ms", "answered_ms", "offset_ms", "error_ms"),
    [
        (1_050.0, 1_150.0, 0.0, 50.0),  # 50 ms there, 100 ms of work, 50 ms back
        (6_050.0, 6_150.0, 5_000.0, 50.0),
        (1_000.0, 1_100.0, -50.0, 50.0),  # all of the way back: within the error
        (-1_950.0, -1_850.0, -3_000.0, 50.0),
    ],
)
def test_the_clock_of_another_node_is_known_within_the_round_trip(
    received_ms: float, answered_ms: float, offset_ms: float, error_ms: float
) -> None:
    found = {"received_ms": received_ms, "answered_ms": answered_ms}
    assert clock_offset(1_000.0, 1_200.0, found) == {"offset_ms": offset_ms, "error_ms": error_ms}
    assert clock_offset(1_000.0, 1_200.0, {"received_ms": None}) is None


async def test_a_bug_in_a_check_is_a_status(checked: Checked) -> None:
    async def ask(_: str) -> Mapping[str, Any]:
        raise RuntimeError("a secret")

    status, body = await routes(checked, ask).answer("check_cluster", "", "", b"")
    assert (status, json.loads(body)["error"]["code"]) == (500, "internal")
    assert b"secret" not in body


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"{}", "its release cannot check itself: it is older"),
        (200, b"[]", "it answers with status 200"),
        (503, b'{"error": {"code": "x", "message": "the program did not respond"}}', "the program did not"),
        (500, b"\xff", "it answers with status 500"),
    ],
)
def test_what_is_no_report_of_a_node_is_named(status: int, body: bytes, words: str) -> None:
    with pytest.raises(NotChecked, match=words):
        parse_check(status, body)
    assert parse_check(200, b'{"node": "b2"}') == {"node": "b2"}
