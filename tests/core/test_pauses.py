"""After a pause or a blocked loop, earlier requests prove nothing, and silent books are compared."""

from __future__ import annotations

import pytest

from depthcache.core.markets.watchdogs import time_to_detect_ns
from depthcache.core.policy import Policy
from depthcache.model import Status
from tests.core.harness import SECOND, SPOT, Bench

REST_S = 10.0


def pause(bench: Bench, seconds: float) -> None:
    """The machine sleeps: nothing happens, and then it goes on."""
    began_ns = bench.now_ns
    bench.now_ns += round(seconds * SECOND)
    bench.router.pause(f"the machine slept for {seconds:g} s", began_ns, bench.now_ns)
    bench.core.on_resumed(bench.now_ns)
    bench.settle()


def synced(*symbols: str) -> Bench:
    bench = Bench()
    bench.add(*symbols)
    bench.run_until(bench.all_synced, within_s=5)
    bench.run(10)
    return bench


def test_a_silent_book_is_compared_soon_and_says_stale_until_then() -> None:
    bench = synced("QUIETUSDT")
    asked = len(bench.asked("QUIETUSDT"))
    pause(bench, 20)
    assert bench.status("QUIETUSDT") is Status.STALE
    assert bench.seen("QUIETUSDT")[-1] is Status.STALE, "users are told"
    took_s = bench.run_until(bench.all_synced, within_s=10)
    assert 4 < took_s < 8
    assert len(bench.asked("QUIETUSDT")) == asked + 1
    assert bench.seen("QUIETUSDT")[-1] is Status.SYNCED


def test_a_book_whose_diffs_flow_costs_no_request() -> None:
    bench = synced("BTCUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.5)
    bench.run(10)
    asked = len(bench.asked("BTCUSDT"))
    bench.router.set_clock_offset(1, None)  # the event times of this exchange are counts
    pause(bench, 20)
    assert bench.status("BTCUSDT") is Status.STALE
    assert bench.run_until(bench.all_synced, within_s=5) < 2
    bench.run(10)
    assert len(bench.asked("BTCUSDT")) == asked


def test_a_snapshot_that_was_asked_before_the_pause_is_asked_again() -> None:
    bench = Bench()
    bench.exchange.rest_delay_ns = round(REST_S * SECOND)
    bench.add("BTCUSDT")
    bench.run_until(lambda: bool(bench.asked("BTCUSDT")), within_s=5)
    bench.run(REST_S - 1)
    pause(bench, 20)
    bench.run(3)
    assert bench.status("BTCUSDT") is Status.BUFFERING
    assert "requested before the machine or this process was paused" in bench.book("BTCUSDT").reason
    bench.run_until(bench.all_synced, within_s=REST_S + 5)
    assert len(bench.asked("BTCUSDT")) == 2


def test_an_answer_that_a_held_loop_reads_far_too_late_is_asked_again() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.run_until(lambda: bool(bench.asked("BTCUSDT")), within_s=5)
    body = bench.exchange.market("BTCUSDT").body()
    request = next(iter(bench.core.schedulers()[0]._in_flight))
    bench.now_ns += 80 * SECOND
    bench.report(lambda: bench.core.on_response(request, 200, {}, body, bench.now_ns))
    assert bench.status("BTCUSDT") is not Status.SYNCED
    assert "80 s after the request" in bench.book("BTCUSDT").reason
    bench.run_until(bench.all_synced, within_s=10)


def test_a_comparison_on_its_way_when_the_book_is_doubted_is_given_up_and_made_again() -> None:
    bench = synced("QUIETUSDT")
    bench.exchange.mute("QUIETUSDT")
    bench.exchange.rest_delay_ns = round(REST_S * SECOND)
    asked = len(bench.asked("QUIETUSDT"))
    bench.run_until(lambda: len(bench.asked("QUIETUSDT")) > asked, within_s=60)
    bench.router.judge_silence(bench.now_ns + 600 * SECOND)  # as if nobody had looked for ten minutes
    bench.settle()
    assert bench.status("QUIETUSDT") is Status.STALE
    bench.exchange.unmute("QUIETUSDT")
    bench.run_until(bench.all_synced, within_s=60)
    assert len(bench.asked("QUIETUSDT")) == asked + 2


def test_restarted_ids_on_a_dead_stream_are_detected_by_comparisons_that_stay_older() -> None:
    bench = synced("BTCUSDT")
    bench.exchange.tick("BTCUSDT")
    bench.run(1)
    market = bench.exchange.market("BTCUSDT")
    bench.exchange.mute("BTCUSDT")
    market.update_id = market.sent_id = 7
    bench.run_until(lambda: bench.status("BTCUSDT") is not Status.SYNCED, within_s=130)
    bench.exchange.unmute("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=60)
    assert bench.book("BTCUSDT").last_update_id == 7


@pytest.mark.parametrize(
    ("policy", "lag_s", "seconds"),
    [
        (Policy(), 0.0, 60),
        (Policy(), 30.0, 180),
        (Policy(silence_s=120), 0.0, 135),
        (Policy(silence_s=5, silence_cap_s=5), 0.0, 20),
    ],
)
def test_the_time_to_detect_follows_the_policy_and_the_venue(
    policy: Policy, lag_s: float, seconds: int
) -> None:
    assert time_to_detect_ns(policy, lag_s) == seconds * SECOND


def test_every_market_gets_its_time_to_detect() -> None:
    bench = synced("QUIETUSDT")
    proven_ns = bench.book("QUIETUSDT").confirmed_ns
    within_ns = time_to_detect_ns(Policy(), SPOT.snapshot_lag_s)
    bench.router.judge_silence(proven_ns + within_ns)
    assert bench.status("QUIETUSDT") is Status.SYNCED
    bench.router.judge_silence(proven_ns + within_ns + 1)
    assert bench.status("QUIETUSDT") is Status.STALE
