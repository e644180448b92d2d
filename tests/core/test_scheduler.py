"""Budgets are never exceeded, stops are honoured, and waiting is fair."""

from __future__ import annotations

import random
from contextlib import nullcontext
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthcache._native import Router
from depthcache.core.commands import Fetch
from depthcache.core.context import Context
from depthcache.core.policy import Policy
from depthcache.core.requests.budget import Allowance, Budget, Budgets
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.core.requests.scheduler import PendingRequest, Purpose, RequestScheduler
from depthcache.model import Status
from tests.core.harness import COIN, FUTURES, MINUTE, SECOND, SPOT, Bench

GOOD = ClassifiedResponse(ResponseAction.INSTALL)


def make_scheduler(**choices: float) -> tuple[RequestScheduler, Context]:
    context = Context(Router(), Policy(**choices), lambda: 0.5, Budgets())  # type: ignore[arg-type]
    budget = Budget(SPOT.weight_per_minute, SPOT.connects_per_5_minutes, nullcontext())
    return RequestScheduler(context, "pool", budget), context


class Nobody:
    """Who asks and does not care."""

    owner = "nobody"

    def server(self) -> int | None: ...
    def on_sent(self, pending: PendingRequest, now_ns: int) -> None: ...
    def on_response(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None: ...
    def on_failure(self, pending: PendingRequest, reason: str, now_ns: int) -> None: ...


def pending(symbol: str = "BTCUSDT", purpose: Purpose = Purpose.FIRST, limit: int = 1000) -> PendingRequest:
    return PendingRequest(Nobody(), SPOT, purpose, 0, symbol=symbol, limit=limit)


def sent(context: Context) -> list[Fetch]:
    commands = [command for command in context.commands if isinstance(command, Fetch)]
    context.commands.clear()
    return commands


# --- the allowance ---------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 40), st.integers(0, 20)), min_size=1, max_size=60)
)
def test_units_counted_anywhere_between_taking_and_release_never_exceed_the_allowance(
    steps: list[tuple[int, int, int]],
) -> None:
    """Whenever the exchange counts a unit between its sending and its response, no window of 60 holds more
    than the allowance."""
    allowance, now, held = Allowance(60), 0, []
    counted: list[tuple[int, int]] = []
    for units, wait, delay in steps:
        now += wait
        for release_at, amount in sorted(held):
            if release_at <= now:
                allowance.release(amount, now)
                held.remove((release_at, amount))
        if allowance.free_at(units, 60, now) == now:
            allowance.hold(units)
            held.append((now + delay, units))
            counted += [(now, units)] if delay % 2 else [(now + delay, units)]
    for start, _ in counted:
        assert sum(units for at, units in counted if start <= at < start + 60) <= 60


# --- the line --------------------------------------------------------------------------------


def test_no_more_requests_are_in_flight_than_chosen() -> None:
    scheduler, context = make_scheduler(requests_in_flight=3)
    for _ in range(10):
        scheduler.ask(pending(), 0)
    first = sent(context)
    assert len(first) == 3
    scheduler.on_response(first[0].request, GOOD, {}, 1)
    scheduler.on_room(1)
    assert len(sent(context)) == 1


@pytest.mark.parametrize(
    ("took_ms", "bucket"), [(0.0, 0), (1.0, 0), (1.5, 1), (2.0, 1), (2.5, 2), (350.0, 9), (10.0**7, 17)]
)
def test_the_time_of_an_answer_counts_in_the_smallest_power_of_two_that_holds_it(
    took_ms: float, bucket: int
) -> None:
    scheduler, context = make_scheduler()
    scheduler.ask(pending(), 0)
    [command] = sent(context)
    scheduler.on_response(command.request, GOOD, {}, round(took_ms * 1e6))
    assert [place for place, count in enumerate(scheduler.times) if count] == [bucket]
    assert scheduler.times_ns == round(took_ms * 1e6)


def test_waiting_is_first_come_first_served() -> None:
    scheduler, context = make_scheduler(requests_in_flight=1)
    for number in range(20):
        scheduler.ask(pending(f"S{number}"), 0)
    order = []
    for now in range(20):
        [command] = sent(context)
        order.append(command.url.split("symbol=")[1].split("&")[0])
        scheduler.on_response(command.request, GOOD, {}, now)
        scheduler.on_room(now)
    assert order == [f"S{number}" for number in range(20)]


def test_books_in_trouble_come_first_and_nothing_starves() -> None:
    scheduler, context = make_scheduler(requests_in_flight=1)
    for number in range(30):
        scheduler.ask(pending(f"FIRST{number}"), 0)
    for number in range(30):
        scheduler.ask(pending(f"RESYNC{number}", Purpose.RESYNC), 0)
    scheduler.ask(pending("CHECK", Purpose.CHECK, 100), 0)
    order = []
    for now in range(20):
        [command] = sent(context)
        order.append(command.url.split("symbol=")[1].rstrip("0123456789").split("&")[0].rstrip("0123456789"))
        scheduler.on_response(command.request, GOOD, {}, now)
        scheduler.on_room(now)
    assert order.count("RESYNC") > order.count("FIRST") > 3
    assert "CHECK" in order[:8]


def test_withdrawn_wishes_are_never_sent() -> None:
    scheduler, context = make_scheduler(requests_in_flight=1)
    pending_requests = [pending(f"S{number}") for number in range(3)]
    for each in pending_requests:
        scheduler.ask(each, 0)
    scheduler.withdraw(pending_requests[1])
    [command] = sent(context)
    scheduler.withdraw(pending_requests[0])
    assert scheduler.on_response(command.request, GOOD, {}, 1) is None
    scheduler.on_room(1)
    assert "symbol=S2" in sent(context)[0].url
    assert scheduler.waiting == 0


def test_the_weight_in_any_minute_stays_under_the_share_however_fast_the_answers_come() -> None:
    bench = Bench(policy=Policy(limit_share=0.2))
    bench.exchange.rest_delay_ns = 2_000_000
    bench.add(*(f"S{number}USDT" for number in range(300)))
    bench.run_until(bench.all_synced, within_s=301)
    bench.assert_law_kept(share=0.2)
    assert bench.exchange.most_weight_in_any_minute(SPOT.weight_pool) == 1200


def test_the_rolling_minute_lets_the_next_request_go_as_soon_as_it_may() -> None:
    bench = Bench(policy=Policy(limit_share=0.01))  # 60 in a minute: 12 snapshots of 5
    bench.add(*(f"S{number}USDT" for number in range(13)), depth=50)
    bench.run(3)
    assert len(bench.exchange.requests) == 12
    bench.run_until(bench.all_synced, within_s=59)
    assert 60 < (bench.exchange.requests[12][0] - bench.exchange.requests[0][0]) / SECOND < 60.5


def test_usd_m_and_coin_m_spend_one_budget() -> None:
    bench = Bench()
    bench.add(*(f"U{number}USDT" for number in range(350)), venue=FUTURES)
    bench.add(*(f"C{number}USD_PERP" for number in range(350)), venue=COIN)
    bench.run(30)
    assert 590 <= bench.synced() <= 600  # 1,200 of weight, 2 each
    bench.run_until(bench.all_synced, within_s=60)
    bench.assert_law_kept()


def test_a_venue_that_waits_does_not_hold_up_another() -> None:
    bench = Bench()
    bench.add(*(f"U{number}USDT" for number in range(80)), venue=FUTURES)
    bench.run(5)
    bench.add("BTCUSDT")
    bench.run(1)
    assert bench.status("BTCUSDT") is Status.SYNCED


# --- what the exchange counts ----------------------------------------------------------------


def test_weight_used_by_other_programs_stops_requests_before_the_limit() -> None:
    bench = Bench()
    bench.exchange.foreign_weight = 5_360
    bench.add("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=2)
    bench.add("ETHUSDT", "BNBUSDT")  # 5,385 are used, 5,400 is the ceiling: none of 25 may go
    bench.run(20)
    assert bench.synced() == 1
    assert sum(weight for _, _, weight in bench.exchange.spent) <= 40
    bench.exchange.foreign_weight = 0
    bench.run_until(bench.all_synced, within_s=61)


def test_while_others_use_everything_one_request_a_minute_looks_whether_there_is_room() -> None:
    bench = Bench()
    bench.exchange.foreign_weight = 5_990
    bench.add(*(f"S{number}USDT" for number in range(20)))
    bench.run(30)
    assert 1 <= len(bench.exchange.requests) <= 24
    before = len(bench.exchange.requests)
    bench.run(300)
    assert len(bench.exchange.requests) - before <= 6
    bench.exchange.foreign_weight = 0
    bench.run_until(bench.all_synced, within_s=61)


@pytest.mark.parametrize("text", ["", "many", "-5", "1e9", "99999999999999999999", "٣"])
def test_a_count_that_is_no_number_is_ignored(text: str) -> None:
    scheduler, context = make_scheduler()
    scheduler.ask(pending(), 0)
    [command] = sent(context)
    scheduler.on_response(command.request, GOOD, {"x-mbx-used-weight-1m": text}, 1)
    scheduler.ask(pending(), 2)
    assert len(sent(context)) == 1


# --- stops -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "stop_s"),
    [
        (429, {"retry_after": "17"}, 17),
        (418, {"retry_after": "300"}, 300),
        (403, {"retry_after": "5"}, 5),
        (503, {"retry_after": "9"}, 9),
        (429, {"retry_after": "0"}, 1),
        (429, {}, 60),
        (418, {}, 120),
        (403, {}, 60),
        (451, {}, 60),
        (429, {"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 60),
        (418, {"retry_after": "-3"}, 120),
    ],
)
def test_a_stop_holds_the_whole_budget_for_as_long_as_told(
    status: int, headers: dict[str, str], stop_s: float
) -> None:
    bench = Bench(policy=Policy(requests_in_flight=1))
    bench.exchange.answer_next(status, b'{"code":-1003,"msg":"Too much request weight used"}', **headers)
    bench.add("BTCUSDT", "ETHUSDT", "BNBUSDT")
    bench.run_until(lambda: bool(bench.exchange.requests), within_s=1)
    bench.run(0.15)
    assert f"requests are stopped for {stop_s:,.0f} s: HTTP " in bench.book("BTCUSDT").reason
    bench.run(stop_s - 0.2)
    assert len(bench.exchange.requests) == 1
    bench.run_until(bench.all_synced, within_s=2)
    first, second = bench.exchange.requests[:2]
    assert stop_s <= (second[0] - first[0]) / SECOND < stop_s + 0.5


def test_the_reason_names_the_longer_stop_when_the_exchange_refuses_again_without_a_time() -> None:
    bench = Bench(policy=Policy(requests_in_flight=1))
    for _ in range(2):
        bench.exchange.answer_next(429)
    bench.add("BTCUSDT")
    bench.run_until(lambda: len(bench.exchange.requests) == 2, within_s=61)
    bench.run(0.15)
    assert "requests are stopped for 120 s: HTTP 429" in bench.book("BTCUSDT").reason
    bench.run(119)
    assert len(bench.exchange.requests) == 2
    bench.run_until(bench.all_synced, within_s=2)


def test_after_a_stop_one_request_goes_alone_and_its_answer_opens_the_rest() -> None:
    bench = Bench()
    bench.add(*(f"S{number}USDT" for number in range(6)))
    for _ in range(6):
        bench.exchange.answer_next(429, retry_after="10")
    bench.run(10)
    assert len(bench.exchange.requests) == 6
    bench.run(0.25)
    assert len(bench.exchange.requests) == 7
    bench.run(1)
    assert bench.all_synced()


def test_bans_without_a_told_time_are_waited_out_longer_and_longer() -> None:
    bench = Bench()
    banned_until = bench.now_ns + 20 * MINUTE
    bench.exchange.refuses_all = lambda: (418, {}, b"banned") if bench.now_ns < banned_until else None
    bench.add("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=40 * 60)
    times = sorted(at for at, *_ in [*bench.exchange.requests, *bench.exchange.stats])
    gaps = [round((after - before) / SECOND) for before, after in pairwise(times)][:4]
    assert gaps == [120, 240, 480, 960]


def test_several_requests_refused_together_are_one_stop() -> None:
    bench = Bench()
    for _ in range(8):
        bench.exchange.answer_next(429)
    bench.add(*(f"S{number}USDT" for number in range(8)))
    assert bench.run_until(bench.all_synced, within_s=63) > 60


# --- many ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_1500_symbols_start_cold_within_the_budget_and_as_fast_as_it_allows() -> None:
    bench = Bench(random=random.Random(1).random)
    symbols = [f"S{number}USDT" for number in range(1500)]
    bench.add(*symbols)
    for number, symbol in enumerate(symbols[:300]):
        bench.exchange.ticks(symbol, every_s=7.0, start_s=number / 100)
    took_s = bench.run_until(lambda: bench.synced() == 1500, within_s=30 * 60, step_s=5.0)
    assert took_s < 1.1 * 1500 * 5 / 3000 * 60
    bench.assert_law_kept()
    assert len(bench.exchange.all_sockets) == 8
    assert sorted(bench.subscribe_names()) == sorted(SPOT.stream(symbol) for symbol in symbols)


@pytest.mark.slow
def test_a_mass_reconnect_of_1500_symbols_keeps_every_limit() -> None:
    bench = Bench(random=random.Random(2).random, policy=Policy(limit_share=0.9))
    bench.exchange.rest_delay_ns = 20_000_000
    symbols = [f"S{number}USDT" for number in range(1500)]
    bench.add(*symbols)
    bench.run_until(lambda: bench.synced() == 1500, within_s=16 * 60, step_s=5.0)
    for _ in range(5):
        bench.exchange.close_all(1006)
        bench.run(20)
    bench.run_until(lambda: bench.synced() == 1500, within_s=16 * 60, step_s=5.0)
    bench.assert_law_kept(share=0.9)


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(10, 60))
def test_whatever_fails_the_weight_of_any_minute_stays_under_the_share(
    chance: random.Random, markets: int
) -> None:
    """For any mix of responses, failures and broken connections, no 60 s hold more than the share."""
    bench = Bench(random=chance.random, policy=Policy(limit_share=0.25))

    def trouble() -> tuple[int, dict[str, str], bytes] | str | None:
        dice = chance.random()
        if dice < 0.1:
            return 500, {}, b""
        if dice < 0.2:
            return "timed out"
        if dice < 0.3:
            return 200, {}, b"<html>"
        if dice < 0.32:
            return 429, {"retry-after": "3"}, b""
        return None

    symbols = [f"S{number}USDT" for number in range(markets)]
    bench.add(*symbols)
    for symbol in symbols:
        bench.exchange.scripted_for[symbol] = trouble
        bench.exchange.ticks(symbol, every_s=1.0 + chance.random())
    for _ in range(6):
        bench.run(chance.random() * 40)
        for symbol in symbols[::3]:
            bench.exchange.drop_next_diff(symbol)
        if chance.random() < 0.3:
            bench.exchange.close_all()
    bench.assert_law_kept(share=0.25)
