"""A refused response is evidence about that response only: it closes no book whose diffs are in sequence."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from depthcache import reference, venues
from depthcache._native import Router
from depthcache.core.notices import AuditDone, Ending, LimitRefused, StatusChanged
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.venues import Venue
from tests.core.harness import COIN, FUTURES, SECOND, SPOT, Bench

OPTIONS, TR = venues.venue("binance.com-vanilla-options"), venues.venue("trbinance.com")
EVERY = pytest.mark.parametrize("venue", [SPOT, FUTURES, COIN, OPTIONS, TR], ids=lambda venue: venue.name)
BOTH = pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=lambda venue: venue.name)
ENGINES = pytest.mark.parametrize("router", [Router, reference.Router], ids=["native", "reference"])

WORDS = {
    -1121: "Invalid symbol.",
    -1122: "Invalid symbol status.",
    -4108: "Symbol is on delivering or delivered or settling or closed or pre-trading.",
    -4021: "1000 is not valid depth limit",
    -1130: "Data sent for parameter 'limit' is not valid.",
    -1102: "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
    -1000: "An unknown error occurred while processing the request.",
}
ClassifiedResponse = tuple[int, dict[str, str], bytes]


def refusal(code: int, status: int = 400) -> ClassifiedResponse:
    return status, {}, f'{{"code":{code},"msg":"{WORDS[code]}"}}'.encode()


def refuse(bench: Bench, symbol: str, code: int, times: float = float("inf"), status: int = 400) -> None:
    """The next snapshots of a symbol are refused."""
    left = [times]

    def response() -> ClassifiedResponse | None:
        left[0] -= 1
        return refusal(code, status) if left[0] >= 0 else None

    bench.exchange.scripted_for[symbol] = response


def flowing(
    venue: Venue, *symbols: str, router: Callable[[], Any] = Router, every_s: float = 0.1, **options: Any
) -> Bench:
    """A bench whose books are synced and flow."""
    bench = Bench(venues=(venue,), router=router(), **options)
    for symbol in symbols or ("BTCUSDT",):
        bench.add(symbol, venue=venue)
        bench.exchange.ticks(symbol, venue, every_s=every_s)
    bench.run_until(bench.all_synced, within_s=60 if venue.snapshot_lag_s else 5)
    return bench


def audit(bench: Bench, symbol: str = "BTCUSDT", limit: int | None = None) -> None:
    bench.core.audit(bench.ids[symbol], 1, limit, bench.now_ns)
    bench.settle()


def audits(bench: Bench) -> list[AuditDone]:
    return [each for each in bench.told if isinstance(each, AuditDone)]


def last(bench: Bench, symbol: str = "BTCUSDT") -> StatusChanged:
    return [each for each in bench.notices if each.market == bench.ids[symbol]][-1]


def lists(bench: Bench) -> list[float]:
    """When the list of symbols was asked, in seconds since the bench began."""
    paths = tuple(venue.endpoints.rest + venue.exchange_info_path for venue in bench.venues)
    return [(at - bench.start_ns) / SECOND for at, url in bench.exchange.stats if url.startswith(paths)]


# --- a live book ---------------------------------------------------------------------------------------


@ENGINES
@EVERY
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("code", sorted(WORDS))
def test_one_refused_comparison_leaves_a_right_book_as_it_is(
    router: Callable[[], Any], venue: Venue, code: int, status: int
) -> None:
    bench = flowing(venue, router=router)
    refuse(bench, "BTCUSDT", code, times=1, status=status)
    before = len(bench.notices)
    audit(bench)
    bench.run(40.03)
    assert bench.notices[before:] == []
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert bench.follows("BTCUSDT", venue)
    bench.assert_law_kept()


@BOTH
@pytest.mark.parametrize("purpose", ["refresh", "deepening", "look"])
@pytest.mark.parametrize("code", sorted(WORDS))
def test_refusals_for_ever_leave_a_right_book_that_is_listed_as_it_is(
    venue: Venue, code: int, purpose: str
) -> None:
    policy = Policy(refresh_s=30.0) if purpose == "refresh" else Policy()
    bench = flowing(venue, policy=policy, every_s=33.0 if purpose == "look" else 0.5)
    refuse(bench, "BTCUSDT", code)
    before, asked = len(bench.notices), len(bench.asked("BTCUSDT"))
    if purpose == "deepening":
        bench.book("BTCUSDT").freeze(900)
    bench.run(300)
    assert bench.notices[before:] == []
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert len(bench.asked("BTCUSDT")) - asked < 40
    assert len(lists(bench)) < 40
    bench.assert_law_kept()


def test_a_refresh_that_is_refused_is_asked_again_after_growing_pauses() -> None:
    bench = flowing(SPOT, policy=Policy(refresh_s=10.0))
    refuse(bench, "BTCUSDT", -1121)
    bench.run(300)
    gaps = [after - before for before, after in pairwise(bench.asked("BTCUSDT")[1:])]
    assert gaps[0] < 3
    assert gaps[-1] > 20
    assert bench.status("BTCUSDT") is Status.SYNCED


@pytest.mark.parametrize("hidden", [1, 2, 4])
@EVERY
def test_a_node_that_does_not_know_a_fresh_listing_ends_no_book_whose_diffs_chain(
    venue: Venue, hidden: int
) -> None:
    bench = flowing(venue)
    refuse(bench, "BTCUSDT", -1121, times=3)
    bench.exchange.hide("BTCUSDT", hidden)
    audit(bench)
    bench.run(200.03)
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert bench.follows("BTCUSDT", venue)


@BOTH
def test_one_diff_in_fifteen_seconds_is_enough_to_speak_for_a_symbol(venue: Venue) -> None:
    bench = flowing(venue, "SLOWUSDT", every_s=15.0)
    bench.exchange.market("OTHERUSDT", venue)
    bench.run(16)
    refuse(bench, "SLOWUSDT", -1121, times=3)
    bench.exchange.hide("SLOWUSDT", 4)
    audit(bench, "SLOWUSDT")
    bench.run(300)
    assert bench.status("SLOWUSDT") is Status.SYNCED


@BOTH
def test_a_quiet_book_ends_by_no_single_list(venue: Venue) -> None:
    bench = Bench(venues=(venue,))
    bench.add("QUIETUSDT", venue=venue)
    bench.exchange.market("OTHERUSDT", venue)
    bench.run_until(bench.all_synced, within_s=5)
    bench.exchange.hide("QUIETUSDT", 1)
    bench.run(1_300)
    assert bench.seen("QUIETUSDT") == [Status.SYNCED]


def test_a_list_of_some_symbols_that_is_refused_is_no_word_about_each_of_them() -> None:
    bench = Bench()
    bench.add("QUIETUSDT", "BTCUSDT")
    bench.run_until(bench.all_synced, within_s=5)
    bench.exchange.answer_list(*refusal(-1121)[::2])
    bench.run(120)
    assert bench.seen("QUIETUSDT") == [Status.SYNCED]
    asked = [url for _, url in bench.exchange.stats if "exchangeInfo" in url]
    assert "symbols=" in asked[0]
    assert "symbols=" not in asked[1]


@EVERY
def test_a_delisting_ends_a_book_soon_after_its_diffs(venue: Venue) -> None:
    bench = flowing(venue, "BTCUSDT", "OLDUSDT")
    bench.exchange.unknown.add("OLDUSDT")
    audit(bench, "OLDUSDT")
    bench.run(5)
    assert bench.status("OLDUSDT") is Status.SYNCED
    bench.exchange.mute("OLDUSDT", venue)
    bench.run(30)
    assert last(bench, "OLDUSDT").ending is Ending.DELISTED
    assert "-1121" in last(bench, "OLDUSDT").reason
    assert bench.status("BTCUSDT") is Status.SYNCED


@EVERY
def test_a_delisting_that_everything_but_the_stream_tells_for_long_ends_the_book(venue: Venue) -> None:
    bench = flowing(venue, "BTCUSDT", "OLDUSDT")
    bench.exchange.unknown.add("OLDUSDT")
    audit(bench, "OLDUSDT")
    bench.run(45)
    assert bench.status("OLDUSDT") is Status.SYNCED
    bench.run(45)
    assert last(bench, "OLDUSDT").ending is Ending.DELISTED
    assert bench.status("BTCUSDT") is Status.SYNCED


@pytest.mark.parametrize("status", ["SETTLING", "DELIVERED", "CLOSE"])
@pytest.mark.parametrize("lists_that_say_so", [1, 2])
def test_the_end_that_the_list_tells_is_asked_for_twice(status: str, lists_that_say_so: int) -> None:
    bench = flowing(FUTURES)
    body = f'{{"symbols":[{{"symbol":"BTCUSDT","status":"{status}"}}]}}'.encode()
    bench.exchange.answer_list(200, body, lists_that_say_so)
    refuse(bench, "BTCUSDT", -4108, times=1)
    audit(bench)
    bench.run(30)
    assert (bench.status("BTCUSDT") is Status.CLOSED) == (lists_that_say_so == 2)


# --- audits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-1121, -1122, -4108, -1102])
def test_an_audit_that_is_refused_ends_with_the_words_of_the_exchange(code: int) -> None:
    bench = flowing(SPOT)
    refuse(bench, "BTCUSDT", code, times=1)
    audit(bench)
    bench.run(1)
    [told] = audits(bench)
    assert told.found is None
    assert f"{code}: {WORDS[code]}" in told.reason
    assert told.refusal is not None
    assert (told.refusal.status, told.refusal.code, told.refusal.text) == (400, code, WORDS[code])
    assert "/api/v3/depth?symbol=BTCUSDT" in told.refusal.url
    audit(bench)
    bench.run(1)
    assert audits(bench)[1].found is not None


@pytest.mark.parametrize("code", [-1121, -4108, -1102])
def test_an_audit_of_a_book_that_does_not_begin_ends_with_the_next_refusal(code: int) -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    refuse(bench, "BTCUSDT", code)
    bench.exchange.ticks("BTCUSDT", every_s=0.5)
    audit(bench)
    bench.run(40)
    [told] = audits(bench)
    assert told.refusal is not None
    assert told.refusal.code == code


def test_an_audit_of_a_limit_that_is_refused_is_made_with_the_next_smaller_one() -> None:
    bench = flowing(FUTURES)
    bench.exchange.scripted_for["BTCUSDT"] = lambda: None if asked_limit(bench) <= 100 else refusal(-4021)
    audit(bench, limit=1000)
    bench.run(5)
    [told] = audits(bench)
    assert told.found is not None


# --- a book that begins ----------------------------------------------------------------------------------


@ENGINES
@EVERY
@pytest.mark.parametrize("code", sorted(WORDS))
@pytest.mark.parametrize("flows", [True, False])
def test_a_first_snapshot_that_is_refused_is_asked_again(
    router: Callable[[], Any], venue: Venue, code: int, flows: bool
) -> None:
    bench = Bench(venues=(venue,), router=router())
    if flows:
        bench.exchange.ticks("BTCUSDT", venue, every_s=0.1)
    refuse(bench, "BTCUSDT", code, times=2)
    bench.add("BTCUSDT", venue=venue)
    bench.run_until(bench.all_synced, within_s=60 if venue.snapshot_lag_s else 6)
    assert all(notice.ending is None for notice in bench.notices)
    bench.assert_law_kept()


@EVERY
def test_a_fresh_listing_begins_though_neither_node_knows_it_because_its_diffs_come(venue: Venue) -> None:
    bench = Bench(venues=(venue,))
    bench.exchange.ticks("NEWUSDT", venue, every_s=0.1)
    bench.exchange.market("OTHERUSDT", venue)
    refuse(bench, "NEWUSDT", -1121, times=4)
    bench.exchange.hide("NEWUSDT", 3)
    bench.add("NEWUSDT", venue=venue)
    bench.run_until(bench.all_synced, within_s=90)


@EVERY
def test_an_unknown_symbol_ends_within_two_seconds_with_names_like_it(venue: Venue) -> None:
    bench = Bench(venues=(venue,))
    bench.exchange.market("BTCUSDT", venue)
    bench.exchange.unknown.add("BTCUSD")
    bench.add("BTCUSD", venue=venue)
    bench.run(2)
    told = last(bench, "BTCUSD")
    assert told.ending is Ending.UNKNOWN_SYMBOL
    assert told.near == ("BTCUSDT",)
    assert "-1121: Invalid symbol." in told.reason
    assert len(bench.asked("BTCUSD")) == 1


def test_many_unknown_symbols_do_not_ask_for_one_list_each() -> None:
    bench = Bench(policy=Policy(requests_in_flight=1))
    names = [f"NO{number}USDT" for number in range(40)]
    bench.exchange.unknown.update(names)
    bench.exchange.market("BTCUSDT")
    bench.add(*names)
    bench.run(30)
    assert {bench.status(name) for name in names} == {Status.CLOSED}
    assert len(lists(bench)) < 15
    bench.assert_law_kept()


@pytest.mark.parametrize(
    "response",
    [(503, b""), (200, b"<html>"), (200, b'{"symbols":[]}'), (400, refusal(-1121)[2])],
    ids=["outage", "html", "empty", "refused"],
)
def test_without_a_list_that_agrees_an_unknown_symbol_is_asked_for_on_and_on(
    response: tuple[int, bytes],
) -> None:
    bench = Bench()
    bench.exchange.unknown.add("NOUSDT")
    bench.exchange.answer_list(*response, count=1_000)
    bench.add("NOUSDT")
    bench.run(600)
    assert bench.status("NOUSDT") is Status.BUFFERING
    assert "-1121: Invalid symbol." in bench.book("NOUSDT").reason
    assert len(bench.asked("NOUSDT")) < 40
    assert len(lists(bench)) < 80
    bench.exchange.scripted_lists.clear()
    bench.exchange.market("OTHERUSDT")
    bench.run(31)
    assert last(bench, "NOUSDT").ending is Ending.UNKNOWN_SYMBOL


def test_a_list_that_does_not_come_is_asked_again_as_often_as_every_other_request() -> None:
    bench = Bench(policy=Policy(retry_base_s=8.0, retry_cap_s=8.0))
    bench.exchange.unknown.add("NOUSDT")
    bench.exchange.answer_list(503, count=100)
    bench.add("NOUSDT")
    bench.run(100)
    apart_s = [after - before for before, after in pairwise(lists(bench))]
    assert len(apart_s) > 5
    assert all(4.0 <= each <= 8.5 for each in apart_s), apart_s


def test_a_list_that_was_asked_before_the_refusal_agrees_with_nothing() -> None:
    bench = Bench()
    bench.exchange.market("OTHERUSDT")
    bench.exchange.rest_delay_ns = 3 * SECOND
    bench.exchange.unknown.add("FIRSTUSDT")
    bench.add("FIRSTUSDT")  # asks for the list while the next one is refused
    bench.run(1)
    bench.exchange.hide("NEWUSDT", 1)
    refuse(bench, "NEWUSDT", -1121, times=1)
    bench.add("NEWUSDT")
    bench.run_until(lambda: bench.status("NEWUSDT") is Status.SYNCED, within_s=25)
    assert bench.status("FIRSTUSDT") is Status.CLOSED


def test_a_list_alone_ends_no_book_whose_snapshot_is_still_awaited() -> None:
    bench = Bench()
    bench.exchange.market("OTHERUSDT")
    bench.exchange.unknown.add("NOUSDT")
    bench.add("NOUSDT", "NEWUSDT")
    bench.exchange.hide("NEWUSDT", 1)
    bench.exchange.scripted_for["NEWUSDT"] = lambda: "timed out" if len(bench.asked("NEWUSDT")) == 1 else None
    bench.run(4)
    assert bench.status("NOUSDT") is Status.CLOSED
    bench.run_until(lambda: bench.status("NEWUSDT") is Status.SYNCED, within_s=8)


def test_while_the_list_is_awaited_an_unknown_symbol_is_not_asked_for_again() -> None:
    bench = Bench()
    bench.exchange.rest_delay_ns = 4 * SECOND
    bench.exchange.market("OTHERUSDT")
    bench.exchange.unknown.add("NOUSDT")
    bench.add("NOUSDT")
    bench.run(9)
    assert bench.status("NOUSDT") is Status.CLOSED
    assert len(bench.asked("NOUSDT")) == 1


def bring_best_levels(bench: Bench) -> None:
    """The stream of the best levels tells what the exchange has, ten times a second."""

    def top() -> None:
        market = bench.exchange.market("BTCUSDT")
        for socket in list(bench.exchange.sockets.values()):
            if "btcusdt@depth20@100ms" in socket.streams:
                data = market.body().decode()
                frame = f'{{"stream":"btcusdt@depth20@100ms","data":{data}}}'
                bench.exchange.say_bytes(socket, frame.encode())
        bench.after(SECOND // 10, top)

    bench.after(SECOND, top)


def test_a_book_that_the_stream_of_best_levels_began_stays_when_requests_are_refused() -> None:
    bench = Bench(policy=Policy(bootstrap_from_depth20=True))
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    refuse(bench, "BTCUSDT", -1121, times=6)
    bring_best_levels(bench)
    bench.add("BTCUSDT")
    bench.run(120.03)
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert bench.follows("BTCUSDT")
    assert bench.seen("BTCUSDT")[-1] is Status.SYNCED


def test_the_stream_of_best_levels_is_left_at_once_by_a_book_that_begins_with_more() -> None:
    bench = Bench(policy=Policy(bootstrap_from_depth20=True))
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    bench.add("BTCUSDT")
    bench.run(5.03)
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert bench.subscribe_names("UNSUBSCRIBE") == ["btcusdt@depth20@100ms"]


def test_the_stream_of_best_levels_is_left_when_a_snapshot_has_brought_more_and_not_before() -> None:
    bench = Bench(policy=Policy(bootstrap_from_depth20=True))
    bench.exchange.ticks("BTCUSDT", every_s=0.1)
    bench.exchange.refuses_all = lambda: (503, {}, b"")
    bring_best_levels(bench)
    bench.add("BTCUSDT")
    bench.run(60.03)
    assert bench.status("BTCUSDT") is Status.SYNCED
    assert bench.subscribe_names("UNSUBSCRIBE") == []
    bench.exchange.refuses_all = lambda: None
    audit(bench)
    bench.run(40.03)
    assert bench.subscribe_names("UNSUBSCRIBE") == ["btcusdt@depth20@100ms"]
    assert bench.follows("BTCUSDT")


@EVERY
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"code":-1000,"msg":"An unknown error occurred."}', "code -1000: An unknown error occurred."),
        (b'{"msg":"System maintenance."}', "System maintenance."),
        (b'{"error":{"code":-1001,"msg":"Internal error."}}', "code -1001: Internal error."),
    ],
    ids=["code", "words alone", "nested"],
)
def test_an_error_under_http_200_is_said_in_the_words_of_the_exchange(
    venue: Venue, body: bytes, words: str
) -> None:
    bench = Bench(venues=(venue,))
    bench.exchange.answer_next(200, body)
    bench.add("BTCUSDT", venue=venue)
    bench.run(0.3)
    assert bench.book("BTCUSDT").reason.endswith(f"HTTP 200{' ' if 'code' in words else ': '}{words}")
    bench.run_until(bench.all_synced, within_s=60 if venue.snapshot_lag_s else 4)


# --- streams that are refused ----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("code", sorted(WORDS))
def test_a_refused_stream_and_a_refused_snapshot_end_no_symbol_that_is_listed(
    venue: Venue, code: int
) -> None:
    bench = Bench(venues=(venue,))
    bench.exchange.refused_streams.add(venue.stream("BTCUSDT"))
    refuse(bench, "BTCUSDT", code)
    bench.add("BTCUSDT", venue=venue)
    bench.run(120)
    assert all(notice.ending is None for notice in bench.notices)
    bench.exchange.refused_streams.clear()
    bench.exchange.scripted_for.clear()
    bench.exchange.ticks("BTCUSDT", venue, every_s=0.1)
    bench.run_until(bench.all_synced, within_s=40)


@BOTH
def test_a_refused_stream_of_an_unknown_symbol_ends_it(venue: Venue) -> None:
    bench = Bench(venues=(venue,))
    bench.exchange.market("BTCUSDT", venue)
    bench.exchange.refused_streams.add(venue.stream("NOUSDT"))
    bench.exchange.unknown.add("NOUSDT")
    bench.add("NOUSDT", venue=venue)
    bench.run(3)
    assert last(bench, "NOUSDT").ending is Ending.UNKNOWN_SYMBOL


# --- before trading, and halts ---------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("code", [-4108, -1122, -1121])
@pytest.mark.parametrize("status", ["PENDING_TRADING", "PRE_TRADING", "BREAK"])
@pytest.mark.parametrize("flows", [True, False])
def test_a_symbol_that_does_not_trade_yet_comes_alive_by_itself(
    venue: Venue, code: int, status: str, flows: bool
) -> None:
    bench = Bench(venues=(venue,))
    refuse(bench, "SOONUSDT", code)
    bench.exchange.listed["SOONUSDT"] = status
    bench.add("SOONUSDT", venue=venue)
    bench.run(300)
    assert bench.status("SOONUSDT") is Status.HALTED
    assert status in bench.book("SOONUSDT").reason
    assert len(bench.asked("SOONUSDT")) < 30
    bench.exchange.scripted_for.clear()
    del bench.exchange.listed["SOONUSDT"]
    if flows:
        bench.exchange.ticks("SOONUSDT", venue, every_s=0.5)
    bench.run_until(bench.all_synced, within_s=(2 if flows else 32) + (32 if venue.snapshot_lag_s else 0))
    bench.assert_law_kept()


def test_not_trading_by_the_word_of_snapshots_alone_is_halted_until_one_comes() -> None:
    bench = Bench()
    refuse(bench, "SOONUSDT", -4108)
    bench.add("SOONUSDT", venue=FUTURES)
    bench.run(120)
    assert bench.status("SOONUSDT") is Status.HALTED
    assert "-4108" in bench.book("SOONUSDT").reason
    assert len(bench.seen("SOONUSDT")) <= 2
    bench.exchange.scripted_for.clear()
    bench.run_until(bench.all_synced, within_s=32)


@EVERY
def test_a_halted_symbol_that_trades_again_is_read_again_with_its_first_diffs(venue: Venue) -> None:
    bench = flowing(venue)
    bench.run(60)
    market = bench.exchange.market("BTCUSDT", venue)
    market.mute = True
    bench.exchange.listed["BTCUSDT"] = "BREAK"
    held = (market.update_id, market.sent_id, dict(market.bids))

    def still() -> None:  # the ticks go on; the market does not
        market.update_id, market.sent_id = held[:2]
        market.bids.clear()
        market.bids.update(held[2])

    change, market.change = market.change, lambda **_: {}
    bench.run_until(lambda: bench.status("BTCUSDT") is Status.HALTED, within_s=70)
    bench.run(20)
    still()
    market.change, market.mute = change, False
    del bench.exchange.listed["BTCUSDT"]
    took_s = bench.run_until(lambda: bench.status("BTCUSDT") is Status.SYNCED, within_s=2)
    assert took_s < 1
    bench.run(1.03)
    assert bench.follows("BTCUSDT", venue)


def test_a_halt_in_which_diffs_come_asks_for_the_list_every_few_seconds_and_no_more() -> None:
    bench = flowing(SPOT, "BTCUSDT", "ETHUSDT")
    bench.run(60)
    bench.exchange.listed["BTCUSDT"] = "HALT"
    refuse(bench, "BTCUSDT", -1122, times=1)
    audit(bench)
    bench.run_until(lambda: bench.status("BTCUSDT") is Status.HALTED, within_s=15)
    before = len(lists(bench))
    bench.run(300)
    assert bench.status("BTCUSDT") is Status.HALTED
    assert bench.status("ETHUSDT") is Status.SYNCED
    assert 60 <= len(lists(bench)) - before <= 111
    del bench.exchange.listed["BTCUSDT"]
    bench.run_until(bench.all_synced, within_s=4)


# --- limits --------------------------------------------------------------------------------------------


def asked_limit(bench: Bench) -> int:
    return bench.exchange.requests[-1][2]


@EVERY
@pytest.mark.parametrize("code", [-4021, -1130])
def test_a_refused_limit_gives_way_to_the_next_smaller_one_and_that_is_said_once(
    venue: Venue, code: int
) -> None:
    bench = Bench(venues=(venue,))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        bench.exchange.scripted_for[symbol] = lambda: refusal(code) if asked_limit(bench) >= 1000 else None
        bench.exchange.ticks(symbol, venue, every_s=0.1)
    bench.add("BTCUSDT", "ETHUSDT", venue=venue, depth=1000)
    bench.run(120)
    assert bench.all_synced()
    told = [notice for notice in bench.told if isinstance(notice, LimitRefused)]
    assert [(each.exchange, each.limit, each.instead) for each in told] == [(venue.name, 1000, 500)]
    assert str(code) in told[0].reason
    limits = [limit for _, symbol, limit in bench.exchange.requests if symbol == "BTCUSDT"]
    assert limits.count(1000) == 1
    assert 500 in limits
    assert len(limits) < 80  # 3 levels a side: it is thin for ever, and looked after as that
    bench.assert_law_kept()


@EVERY
def test_a_market_whose_limits_are_all_refused_waits_and_harms_no_other(venue: Venue) -> None:
    bench = Bench(venues=(venue,))
    refuse(bench, "BADUSDT", -4021)
    bench.exchange.ticks("BTCUSDT", venue, every_s=0.1)
    bench.add("BADUSDT", "BTCUSDT", venue=venue, depth=100)
    bench.run(120)
    assert bench.status("BADUSDT") is Status.BUFFERING
    assert "-4021" in bench.book("BADUSDT").reason
    assert bench.status("BTCUSDT") is Status.SYNCED
    asked = bench.exchange.requests
    assert max(limit for _, symbol, limit in asked if symbol == "BTCUSDT") == venue.snapshot_limit(100)
    assert len(bench.asked("BADUSDT")) < 25
    bench.exchange.scripted_for.clear()
    bench.run_until(bench.all_synced, within_s=31)


def test_a_refused_limit_is_asked_again_after_an_hour() -> None:
    bench = flowing(FUTURES, every_s=5.0)
    refuse(bench, "BTCUSDT", -4021, times=1)
    audit(bench)
    bench.run(5)
    before = len(bench.exchange.requests)
    bench.run(2 * 3_600 + 300)
    assert 500 in {limit for _, _, limit in bench.exchange.requests[before:]}
