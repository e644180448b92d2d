"""A refused handshake with Retry-After: no request or connect of that pool and address before its time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from depthcache import venues
from depthcache.core.policy import Policy
from depthcache.core.requests.budget import Budgets
from depthcache.model import Status
from depthcache.venues import Endpoints, Venue
from tests.core.harness import FUTURES, SECOND, SPOT, Bench

BOTH = pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=lambda venue: venue.name)
BANS = pytest.mark.parametrize("status", [418, 429])
NOW, IN_120_S = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:51:37 GMT"


def refuse_once(bench: Bench, status: int, retry_after: str | None = None, date: str | None = None) -> None:
    """The next handshake is answered with that."""
    left = [1]

    def response(_: Venue) -> dict[str, Any] | None:
        left[0] -= 1
        told = {"status": status, "retry_after": retry_after, "date": date}
        return told if left[0] >= 0 else None

    bench.exchange.answers_handshakes = response


def always(status: int, retry_after: str | None = None) -> Any:
    return lambda _: {"status": status, "retry_after": retry_after, "date": None}


def flowing(venue: Venue, *symbols: str, **options: Any) -> Bench:
    bench = Bench(**options)
    bench.add(*symbols, venue=venue)
    for symbol in symbols:
        bench.exchange.ticks(symbol, venue, every_s=0.5)
    bench.run_until(bench.all_synced, within_s=5)
    return bench


def after(bench: Bench, since_ns: int) -> tuple[list[float], list[float]]:
    """When connections and requests of any kind were made since then, in seconds."""
    asked = [at for at, *_ in bench.exchange.requests] + [at for at, _ in bench.exchange.stats]
    connects, requests = (
        sorted((at - since_ns) / SECOND for at in times if at > since_ns)
        for times in (bench.exchange.connects, asked)
    )
    return connects, requests


@BOTH
@BANS
@pytest.mark.parametrize(("retry_after", "date"), [("120", None), (IN_120_S, NOW)], ids=["seconds", "date"])
def test_nothing_connects_or_asks_before_the_time_is_over(
    venue: Venue, status: int, retry_after: str, date: str | None
) -> None:
    bench = flowing(venue, "BTCUSDT", "ETHUSDT")
    refuse_once(bench, status, retry_after, date)
    bench.exchange.close_all()
    bench.run_until(lambda: len(bench.exchange.connects) == 2, within_s=2)
    refused_ns = bench.exchange.connects[-1] + 50_000_000
    bench.run_until(bench.all_synced, within_s=125)
    connects, requests = after(bench, refused_ns)
    assert min(connects) == pytest.approx(120, abs=0.1)
    assert min(requests) >= 120
    assert bench.seen("BTCUSDT")[-3:] == [Status.DISCONNECTED, Status.BUFFERING, Status.SYNCED]


def test_a_date_without_one_to_measure_it_is_measured_by_the_clock_of_the_exchange() -> None:
    bench = flowing(SPOT, "BTCUSDT")
    bench.run(10)
    clock = bench.core.clock(bench.ids["BTCUSDT"])
    assert clock is not None
    left_s = 60 - (bench.now_ns + clock.offset_ns) / 1e9 % 60
    # 1_770_000_000 s after 1970, where the clock of the bench's exchange began, is 2026-02-02 02:40:00 UTC.
    minutes = 40 + int(((bench.now_ns + clock.offset_ns) / 1e9 - 1_770_000_000) // 60) + 2
    hours, minutes = 2 + minutes // 60, minutes % 60
    days, hours = 2 + hours // 24, hours % 24
    refuse_once(bench, 429, f"Mon, {days:02} Feb 2026 {hours:02}:{minutes:02}:00 GMT")
    since_ns = bench.now_ns
    bench.exchange.close_all()
    bench.run(200)
    connects, _ = after(bench, since_ns)
    assert connects[1] == pytest.approx(left_s + 60, abs=0.5)


@BANS
def test_the_reason_says_how_long(status: int) -> None:
    bench = flowing(SPOT, "BTCUSDT")
    refuse_once(bench, status, "120")
    bench.exchange.close_all()
    bench.run(5)
    assert bench.status("BTCUSDT") is Status.DISCONNECTED
    assert bench.book("BTCUSDT").reason.endswith("no new attempt for 120 s")


@BANS
def test_other_clients_of_the_process_are_held_as_well(status: int) -> None:
    budgets = Budgets()
    one, other = (flowing(SPOT, "BTCUSDT", budgets=budgets) for _ in range(2))
    other.add("MADEUPUSDT", venue=FUTURES)
    refuse_once(one, status, "120")
    one.exchange.close_all()
    one.run(3)
    other.run(2.5)  # both clocks are nearly the same
    since_ns = other.now_ns
    other.exchange.close_all()
    other.core.audit(other.ids["BTCUSDT"], 1, None, other.now_ns)
    other.run(100)
    connects, requests = after(other, since_ns)
    assert other.status("MADEUPUSDT") is Status.SYNCED  # another pool
    assert [at for at, name, _ in other.exchange.requests if name == "BTCUSDT" and at > since_ns] == []
    assert len(connects) == 1
    other.run_until(other.all_synced, within_s=25)
    assert requests


@BOTH
@BANS
@pytest.mark.parametrize("kind", ["snapshot", "time"])
def test_a_request_that_is_refused_for_a_time_holds_handshakes_as_well(
    venue: Venue, status: int, kind: str
) -> None:
    bench = flowing(venue, "BTCUSDT")
    bench.exchange.refuses_all = lambda: (status, {"retry-after": "120"}, b"")
    if kind == "snapshot":
        bench.core.audit(bench.ids["BTCUSDT"], 1, None, bench.now_ns)
        bench.settle()
    bench.run(0.5 if kind == "snapshot" else 4)
    bench.exchange.refuses_all = lambda: None
    since_ns = bench.now_ns
    bench.exchange.close_all()
    bench.run_until(bench.all_synced, within_s=125)
    connects, requests = after(bench, since_ns)
    assert min(connects) > 115
    assert min(requests) > 115


@pytest.mark.parametrize("status", [403, 451, 503])
def test_other_refusals_of_handshakes_that_name_a_time_hold_handshakes_alone(status: int) -> None:
    bench = flowing(SPOT, "BTCUSDT")
    bench.exchange.answers_handshakes = always(status, "40")
    bench.add(*(f"S{number}USDT" for number in range(5)))
    bench.core.audit(bench.ids["BTCUSDT"], 1, None, bench.now_ns)
    since_ns = bench.now_ns
    bench.exchange.close_all()
    bench.run(300)
    connects, _ = after(bench, since_ns)
    assert len(connects) <= 300 / 40 + 1
    assert all(later - earlier >= 40 for earlier, later in pairwise(connects))
    assert bench.core.schedulers()[0].budget.stopped_until_ns == 0


@pytest.mark.parametrize("status", [403, 451])
def test_a_firewall_that_names_no_time_is_tried_every_few_minutes_and_no_request_is_held(status: int) -> None:
    bench = flowing(SPOT, "BTCUSDT")
    bench.exchange.answers_handshakes = always(status)
    since_ns = bench.now_ns
    bench.exchange.close_all()
    bench.run(3_600)
    connects, requests = after(bench, since_ns)
    assert 3_600 / 310 < len(connects) < 3_600 / 200
    assert len(requests) >= 12  # the time is asked all the while
    bench.exchange.answers_handshakes = lambda _: None
    bench.run_until(bench.all_synced, within_s=301)


@BANS
def test_bans_that_name_no_time_are_longer_each_time(status: int) -> None:
    bench = flowing(SPOT, "BTCUSDT")
    bench.exchange.answers_handshakes = always(status)
    since_ns = bench.now_ns
    bench.exchange.close_all()
    bench.run(4 * 3_600)
    connects, _ = after(bench, since_ns)
    assert 5 < len(connects) < 12


def test_an_outage_is_tried_again_as_ever() -> None:
    bench = flowing(SPOT, "BTCUSDT")
    bench.exchange.answers_handshakes = always(503)
    bench.exchange.close_all()
    bench.run(120)
    assert len(bench.exchange.connects) > 6


@pytest.mark.parametrize("retry_after", ["9" * 40, "Sun, 06 Nov 2094 08:49:37 GMT"])
def test_absurd_times_are_three_days(retry_after: str) -> None:
    bench = flowing(SPOT, "BTCUSDT")
    refuse_once(bench, 429, retry_after, NOW)
    bench.exchange.close_all()
    bench.run(5)
    [scheduler] = bench.core.schedulers()
    assert scheduler.budget.stopped_until_ns - bench.now_ns == pytest.approx(3 * 86_400 * SECOND, rel=1e-3)


@BANS
def test_after_a_stop_connections_are_tried_one_by_one_until_one_is_open(status: int) -> None:
    bench = Bench(policy=Policy(streams_per_connection=1))
    bench.exchange.answers_handshakes = always(status, "30")
    bench.add(*(f"S{number}USDT" for number in range(8)))
    bench.run(29)
    bench.exchange.connects.clear()
    bench.run(35)
    first = bench.exchange.connects[0]
    assert len([at for at in bench.exchange.connects if at < first + 0.9 * SECOND]) == 1
    bench.exchange.answers_handshakes = lambda _: None
    bench.run_until(bench.all_synced, within_s=45)
    assert len(bench.exchange.sockets) == 8


@BANS
def test_a_gateway_that_refuses_holds_nothing_of_the_exchange_itself(status: int) -> None:
    ends = Endpoints(rest="https://gateway.example/spot", websocket="wss://gateway.example/spot")
    gateway = venues.with_endpoints(venues.venue("binance.us"), ends)
    bench = Bench(venues=(SPOT, gateway))
    bench.exchange.answers_handshakes = lambda venue: (
        always(status, "120")(venue) if venue == gateway else None
    )
    bench.add("BTCUSDT", venue=gateway)
    bench.run(1)
    bench.add("ETHUSDT", venue=SPOT)
    bench.run(5)
    assert bench.status("ETHUSDT") is Status.SYNCED
    assert len(bench.exchange.connects) == 2
