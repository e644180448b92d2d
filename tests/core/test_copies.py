"""Books copied from another node's book server: right, confirmed by the own stream, and at no weight."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from depthcache.core.notices import CopyFailed
from depthcache.core.policy import Policy
from depthcache.core.reasons import COPY_TOO_OLD
from depthcache.model import Status
from tests.core.harness import SECOND, SPOT, Bench
from tests.engine import Engine

SIBLING = "http://10.0.0.2:42081/binance.com"
Answer = tuple[int, dict[str, str], bytes]


class Cluster(Bench):
    """A client that copies its books from a node that is this much behind the exchange."""

    def __init__(self, *, lag_s: float = 0.05, **given: Any) -> None:
        self.source: str | None = SIBLING
        self.answer: Callable[[], Answer | str | None] = lambda: None
        """What the node answers instead of its book; a text: it does not answer."""
        self.copies: list[str] = []
        self.lag_ns = round(lag_s * SECOND)
        self.past: list[tuple[int, bytes]] = []
        super().__init__(copy_from=lambda *_: self.source, **given)

    def tick(self) -> None:
        """Change the book once."""
        self.exchange.tick("BTCUSDT")
        self.past.append((self.now_ns, self.exchange.market("BTCUSDT").body()))

    def ticks(self, every_s: float) -> None:
        """Change the book again and again."""

        def again() -> None:
            self.tick()
            self.after(round(every_s * SECOND), again)

        again()

    def get(self, request: int, url: str) -> None:
        """A request to the node or to the exchange."""
        if not url.startswith(SIBLING):
            super().get(request, url)
            return
        self.copies.append(url)
        given = self.answer()
        if isinstance(given, str):
            self.after(2 * SECOND, lambda: self.core.on_failure(request, given, self.now_ns))
            return
        seen = [body for at_ns, body in self.past if at_ns <= self.now_ns - self.lag_ns]
        found = given or (200, {}, seen[-1])
        self.after(5_000_000, lambda: self.core.on_response(request, *found, self.now_ns))

    @property
    def failures(self) -> list[str]:
        """Why copies failed."""
        return [each.reason for each in self.told if isinstance(each, CopyFailed)]


def begun(engine: Engine, **given: Any) -> Cluster:
    """A client with a book, and a market that was there long before."""
    cluster = Cluster(router=engine.Router(), **given)
    cluster.exchange.market("BTCUSDT")
    cluster.tick()
    cluster.run(10)
    cluster.add("BTCUSDT")
    return cluster


def test_a_copy_is_bridged_by_the_own_stream_and_costs_no_weight(engine: Engine) -> None:
    cluster = begun(engine)
    cluster.ticks(0.1)
    cluster.run_until(cluster.all_synced, within_s=1)
    cluster.run(30.03)
    assert cluster.follows("BTCUSDT")
    assert cluster.seen("BTCUSDT") == [Status.BRIDGING, Status.SYNCED]
    assert (cluster.exchange.requests, len(cluster.copies)) == ([], 1)
    assert cluster.copies[0] == f"{SIBLING}/api/v3/depth?symbol=BTCUSDT&limit=5000"


def test_a_quiet_book_is_copied_again_and_synced_after_a_second(engine: Engine) -> None:
    cluster = begun(engine)
    took_s = cluster.run_until(cluster.all_synced, within_s=2)
    assert took_s >= 1
    assert (cluster.exchange.requests, len(cluster.copies)) == ([], 2)
    assert cluster.follows("BTCUSDT")


def test_a_copy_that_lacks_an_update_from_before_the_subscription_is_never_synced(engine: Engine) -> None:
    """The exchange changed before this client subscribed, and the node does not know yet."""
    cluster = begun(engine, lag_s=0.5)
    cluster.tick()
    while not cluster.all_synced():
        cluster.run(0.02)
    assert cluster.follows("BTCUSDT")


def test_a_copy_that_is_behind_the_own_stream_is_awaited(engine: Engine) -> None:
    cluster = begun(engine, lag_s=0.4)
    cluster.exchange.ack_delay_ns = 0
    cluster.ticks(0.05)
    cluster.run_until(cluster.all_synced, within_s=2)
    cluster.run(0.03)
    assert cluster.follows("BTCUSDT")
    assert (cluster.failures, cluster.exchange.requests) == ([], [])
    assert len(cluster.copies) > 1


def test_a_node_that_stays_behind_is_given_up(engine: Engine) -> None:
    cluster = begun(engine, lag_s=60)
    cluster.past.insert(0, (0, cluster.past[0][1]))
    cluster.ticks(0.05)
    cluster.run_until(lambda: bool(cluster.failures), within_s=3)
    assert cluster.failures == [COPY_TOO_OLD]
    cluster.source = None
    cluster.run_until(cluster.all_synced, within_s=3)
    assert len(cluster.exchange.requests) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}, b'{"code":-1121,"msg":"Invalid symbol."}'), "Invalid symbol"),
        ((503, {}, b'{"code":-1000,"msg":"BTCUSDT of binance.com is stale here: gap"}'), "is stale here"),
        ((429, {"retry-after": "600"}, b"{}"), "HTTP 429"),
        ((403, {}, b"<html>"), "HTTP 403"),
        ((200, {}, b"<html>"), "malformed"),
        ((200, {}, b'{"lastUpdateId":1,"bids":[["x","1"]],"asks":[]}'), "malformed"),
        ("no complete response within 2 s", "no complete response within 2 s"),
    ],
    ids=["unknown", "stale", "limited", "forbidden", "html", "malformed", "silent"],
)
def test_what_is_no_book_is_reported_and_the_exchange_is_asked(
    engine: Engine, answer: Answer | str, reason: str
) -> None:
    cluster = begun(engine)
    cluster.answer = lambda: answer
    cluster.ticks(0.1)
    cluster.run_until(lambda: bool(cluster.failures), within_s=3)
    assert reason.lower() in cluster.failures[0].lower()
    assert reason.lower() in cluster.book("BTCUSDT").reason.lower()
    cluster.source = None
    cluster.core.ask_again(cluster.ids["BTCUSDT"], cluster.now_ns)
    assert cluster.run_until(cluster.all_synced, within_s=1) < 1
    cluster.run(0.03)
    assert cluster.follows("BTCUSDT")


def test_another_source_is_asked_at_once(engine: Engine) -> None:
    cluster = begun(engine)
    cluster.answer = lambda: "silence"
    cluster.run(0.5)
    cluster.source = None
    cluster.core.ask_again(cluster.ids["BTCUSDT"], cluster.now_ns)
    cluster.run_until(cluster.all_synced, within_s=0.3)
    assert len(cluster.exchange.requests) == 1
    cluster.run(3)
    assert cluster.failures == []


def test_a_copy_is_complete_only_as_far_as_the_book_of_the_node(engine: Engine) -> None:
    cluster = begun(engine)
    body = {
        "lastUpdateId": 101,
        "bids": [["99.00", "1"], ["98.00", "1"]],
        "asks": [["101.00", "1"], ["102.00", "1"]],
    }
    cluster.answer = lambda: (200, {"x-depthcache-limit": "2"}, json.dumps(body).encode())
    cluster.run_until(cluster.all_synced, within_s=2)
    assert cluster.book("BTCUSDT").complete_to == (98.0, 102.0)


def test_a_resync_copies_too(engine: Engine) -> None:
    cluster = begun(engine)
    cluster.ticks(0.1)
    cluster.run_until(cluster.all_synced, within_s=1)
    cluster.run(70)
    cluster.exchange.drop_next_diff("BTCUSDT")
    before = len(cluster.copies)
    cluster.run(1)
    assert cluster.seen("BTCUSDT")[-2:] == [Status.BUFFERING, Status.SYNCED]
    assert cluster.book("BTCUSDT").counters["gaps"] == 1
    assert (len(cluster.copies), cluster.exchange.requests) == (before + 1, [])


def test_an_own_update_that_the_copy_has_already_delays_nothing(engine: Engine) -> None:
    cluster = begun(engine, lag_s=0)
    cluster.exchange.ack_delay_ns = SECOND // 2
    cluster.after(SECOND // 4, cluster.tick)
    cluster.run_until(cluster.all_synced, within_s=2)
    assert cluster.follows("BTCUSDT")


def test_a_book_of_the_best_levels_does_not_replace_a_copy_that_is_on_its_way(engine: Engine) -> None:
    cluster = begun(engine, policy=Policy(bootstrap_from_depth20=True))
    cluster.answer = lambda: "silence"
    cluster.run(0.5)
    (socket,) = cluster.exchange.sockets.values()
    body = json.loads(cluster.exchange.market("BTCUSDT").body())
    cluster.exchange.say(socket, {"stream": "btcusdt@depth20@100ms", "data": body})
    cluster.run(0.5)
    assert cluster.status("BTCUSDT") is not Status.SYNCED


def test_nodes_behind_one_address_share_its_weight_and_connects() -> None:
    bench = Bench(policy=Policy(limit_share=0.5))
    bench.core.set_budget_share(0.25, bench.now_ns)
    bench.add(*(f"SYM{number}" for number in range(200)), depth=1_000)
    bench.run(60)
    assert bench.exchange.most_weight_in_any_minute(SPOT.weight_pool) <= SPOT.weight_per_minute * 0.5 * 0.25
    budget = bench.core.slots()[0]._budget
    taken = 0
    while budget.take_connect(0.5 * 0.25, bench.now_ns) == bench.now_ns:
        taken += 1
    assert taken + len(bench.exchange.connects) == int(SPOT.connects_per_5_minutes * 0.5 * 0.25)
    bench.core.set_budget_share(1.0, bench.now_ns)
    bench.run(120)
    assert bench.all_synced()


def test_a_request_that_costs_more_than_the_share_is_made_when_nothing_else_was() -> None:
    bench = Bench()
    bench.core.set_budget_share(0.001, bench.now_ns)
    bench.add("BTCUSDT", "ETHUSDT")
    bench.run(59)
    assert bench.synced() == 1
    bench.run_until(bench.all_synced, within_s=10)


def test_another_depth_is_reached_without_losing_sync(engine: Engine) -> None:
    bench = Bench(router=engine.Router())
    market = bench.exchange.market("BTCUSDT")
    for number in range(3, 900):
        market.bids[f"{99 - number / 100:.2f}"] = market.asks[f"{101 + number / 100:.2f}"] = "1.5"
    bench.add("BTCUSDT", depth=100)
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    bench.run_until(bench.all_synced, within_s=2)
    bench.core.set_depth(bench.ids["BTCUSDT"], 5_000)
    bench.run_until(lambda: bench.exchange.requests[-1][2] == 5_000, within_s=5)
    assert bench.seen("BTCUSDT") == [Status.BUFFERING, Status.SYNCED]


def test_a_book_that_is_copied_needs_no_stream_of_the_best_levels(engine: Engine) -> None:
    cluster = begun(engine, policy=Policy(bootstrap_from_depth20=True))
    cluster.ticks(0.1)
    cluster.run_until(cluster.all_synced, within_s=1)
    assert cluster.subscribe_names() == ["btcusdt@depth@100ms"]


def test_a_book_that_cannot_be_copied_takes_the_best_levels_at_no_weight(engine: Engine) -> None:
    cluster = begun(engine, policy=Policy(bootstrap_from_depth20=True))
    cluster.answer = lambda: (400, {}, b'{"code":-1121,"msg":"Invalid symbol."}')
    cluster.run_until(lambda: bool(cluster.failures), within_s=1)
    cluster.source = None
    cluster.core.ask_again(cluster.ids["BTCUSDT"], cluster.now_ns)
    cluster.run(0.5)
    assert cluster.subscribe_names() == ["btcusdt@depth@100ms", "btcusdt@depth20@100ms"]
    (socket,) = cluster.exchange.sockets.values()
    body = json.loads(cluster.exchange.market("BTCUSDT").body())
    cluster.exchange.say(socket, {"stream": "btcusdt@depth20@100ms", "data": body})
    cluster.run(0.1)
    assert cluster.status("BTCUSDT") is Status.SYNCED
    assert cluster.exchange.requests == []
