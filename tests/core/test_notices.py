"""The notices of the core to users, and their order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from depthcache import reference
from depthcache._native import Router
from depthcache.core.notices import AuditDone, StatusChanged, TroubleFound
from depthcache.events import Comparison
from depthcache.model import Status
from tests.core.harness import Bench


@pytest.fixture(params=[Router, reference.Router], ids=["native", "reference"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A bench with one synced book in which nothing happens."""
    made = Bench(router=request.param())
    made.add("BTCUSDT")
    made.run(0.5)
    made.exchange.tick("BTCUSDT")
    made.run(5)
    assert made.status("BTCUSDT") is Status.SYNCED
    made.told.clear()
    return made


def audit(bench: Bench, body: dict[str, Any]) -> None:
    """Audit the book; the exchange's answer is this snapshot."""
    bench.exchange.answer_next(200, json.dumps(body).encode())
    bench.report(lambda: bench.core.audit(1, 7, None, bench.now_ns))
    bench.run(0.5)


def shown(bench: Bench) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(bench.exchange.market("BTCUSDT").body())
    return body


def test_an_audit_at_the_id_of_the_book_is_done_with_the_answer(bench: Bench) -> None:
    body = shown(bench)
    audit(bench, body)
    assert bench.told == [AuditDone(7, Comparison(body["lastUpdateId"], 6, 0, 0, 0), "")]


def test_an_audit_ahead_of_the_book_is_done_when_the_book_is_there(bench: Bench) -> None:
    body = shown(bench)
    body["lastUpdateId"] += 1
    body["bids"][0] = ["99.00", f"{body['lastUpdateId']}.5"]
    audit(bench, body)
    assert bench.told == []
    bench.exchange.tick("BTCUSDT")
    bench.run(0.5)
    assert bench.told == [AuditDone(7, Comparison(body["lastUpdateId"], 6, 0, 0, 0), "")]


def test_what_an_audit_found_wrong_is_told_before_its_end(bench: Bench) -> None:
    body = shown(bench)
    body["asks"][1][1] = "77"
    audit(bench, body)
    trouble, done = bench.told
    assert isinstance(trouble, TroubleFound)
    assert (trouble.cause, trouble.reason.partition(" prices")[0]) == ("differs", "1 of 6")
    assert isinstance(done, AuditDone)
    assert (done.found, done.found and done.found.wrong) == ((body["lastUpdateId"], 6, 1, 0, 0), 1)


def test_what_led_to_a_status_is_told_before_it(bench: Bench) -> None:
    bench.exchange.drop_next_diff("BTCUSDT")
    for _ in range(2):
        bench.exchange.tick("BTCUSDT")
    bench.run(0.05)
    trouble, status = bench.told
    assert isinstance(trouble, TroubleFound)
    assert isinstance(status, StatusChanged)
    assert (trouble.cause, status.status) == ("gap", Status.BUFFERING)
