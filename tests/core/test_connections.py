"""Connections: assignment of streams, pacing of messages, replacement of broken connections."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest

from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.venues import Venue
from tests.core.harness import FUTURES, SECOND, SPOT, Bench

MANY = [f"S{number}USDT" for number in range(450)]


def flowing_bench(*symbols: str, policy: Policy | None = None) -> Bench:
    bench = Bench(policy=policy)
    bench.add(*symbols)
    for symbol in symbols:
        bench.exchange.ticks(symbol, every_s=0.5)
    bench.run_until(bench.all_synced, within_s=60)
    return bench


def connect_times(bench: Bench) -> list[float]:
    return [(at - bench.start_ns) / SECOND for at in bench.exchange.connects]


# --- subscribing -----------------------------------------------------------------------------


def test_streams_fill_one_connection_after_the_other() -> None:
    bench = Bench()
    bench.add(*MANY)
    bench.run(5)
    assert [len(socket.streams) for socket in bench.exchange.all_sockets] == [200, 200, 50]
    bench.assert_law_kept()


def test_messages_keep_to_half_of_the_pace_and_to_the_names_they_may_carry() -> None:
    bench = Bench(policy=Policy(streams_per_connection=1024))
    bench.add(*(f"LONGERNAME{number}USDT" for number in range(1000)))
    bench.run(7)
    [socket] = bench.exchange.all_sockets
    assert len(socket.streams) == 1000
    assert len(socket.messages) == 5
    assert all(later - earlier >= 0.4 * SECOND for earlier, later in pairwise(socket.messages))
    bench.assert_law_kept()


def test_messages_stay_short_where_names_are_long() -> None:
    bench = Bench()
    bench.add(*(f"币安人生币安人生币安人生{number}USDT" for number in range(200)), venue=FUTURES)
    bench.run(5)
    assert len(bench.exchange.all_sockets[0].streams) == 200
    assert len(bench.exchange.all_sockets[0].messages) == 2
    bench.assert_law_kept()


def test_ids_are_small_positive_integers_in_order() -> None:
    bench = flowing_bench("BTCUSDT")
    for number in range(5):
        bench.add(f"S{number}USDT")
        bench.run(2)
    assert [message["id"] for message in bench.exchange.all_sockets[0].received] == [1, 2, 3, 4, 5, 6]


def test_many_additions_and_removals_are_batched() -> None:
    bench = flowing_bench("BTCUSDT")
    for symbol in MANY[:100]:
        bench.add(symbol)
    bench.run(3)
    for symbol in MANY[:60]:
        bench.remove(symbol)
    bench.run(5)
    socket = bench.exchange.all_sockets[0]
    assert len(socket.streams) == 41
    assert len(socket.messages) <= 5
    bench.assert_law_kept()


@pytest.mark.parametrize("flood", range(3))
def test_any_coming_and_going_ends_with_what_is_wanted_subscribed_once(flood: int) -> None:
    chance = random.Random(flood)
    bench = Bench(random=chance.random)
    for _ in range(400):
        symbol = chance.choice(MANY[:30])
        if symbol in bench.ids:
            bench.remove(symbol)
        else:
            bench.add(symbol)
        bench.run(chance.random() * 0.3)
        if chance.random() < 0.03:
            bench.exchange.close_all()
    if not bench.ids:
        bench.add("BTCUSDT")
    bench.run(40)
    held = [name for socket in bench.exchange.sockets.values() for name in socket.streams]
    assert sorted(held) == sorted(SPOT.stream(symbol) for symbol in bench.ids)
    assert bench.all_synced()
    bench.assert_law_kept()


# --- replies ---------------------------------------------------------------------------------


def test_a_missing_reply_replaces_the_connection() -> None:
    bench = Bench()
    bench.exchange.acks = False
    bench.add("BTCUSDT")
    bench.run(10.2)
    bench.exchange.acks = True
    bench.run_until(bench.all_synced, within_s=10)
    assert len(bench.exchange.all_sockets) == 2


def test_a_missing_reply_is_forgiven_where_data_proves_the_subscription() -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.exchange.ack_delay_ns = 3600 * SECOND
    bench.exchange.ticks("BTCUSDT", every_s=0.2)
    bench.run(60)
    assert bench.all_synced()
    assert len(bench.exchange.all_sockets) == 1


def test_one_refused_stream_does_not_keep_the_others_from_being_subscribed() -> None:
    bench = Bench()
    bench.exchange.refused_streams.add(SPOT.stream("S77USDT"))
    bench.add(*MANY[:200])
    bench.run(30)
    [socket] = bench.exchange.all_sockets
    assert len(socket.streams) == 199
    assert "code 2" in bench.book("S77USDT").reason
    assert bench.status("S77USDT") is Status.BUFFERING
    bench.exchange.refused_streams.clear()
    bench.run(40)
    assert len(socket.streams) == 200
    bench.assert_law_kept()


def test_a_refused_stream_of_an_unknown_symbol_is_closed() -> None:
    bench = Bench()
    bench.exchange.refused_streams.add(SPOT.stream("NOSUCH"))
    bench.exchange.unknown.add("NOSUCH")
    bench.add("BTCUSDT", "NOSUCH")
    bench.run(5)
    assert bench.status("NOSUCH") is Status.CLOSED
    assert bench.status("BTCUSDT") is Status.SYNCED


def test_a_refused_stream_is_tried_again_more_and_more_rarely() -> None:
    bench = Bench()
    bench.exchange.refused_streams.add(SPOT.stream("BADUSDT"))
    bench.add("BADUSDT")
    bench.run(1800)
    times = bench.subscribe_names()
    assert len(bench.exchange.all_sockets) == 1
    assert 1800 / 35 < len(times) < 150


def test_too_many_subscriptions_teach_the_smaller_limit() -> None:
    bench = Bench(policy=Policy(streams_per_connection=300))
    bench.exchange.most_streams = 250
    bench.add(*MANY[:300])
    bench.run(30)
    held = [len(socket.streams) for socket in bench.exchange.sockets.values()]
    assert sum(held) == 300
    assert max(held) <= 250
    bench.assert_law_kept()


def test_too_many_subscriptions_at_the_first_message_halve_it() -> None:
    bench = Bench()
    bench.exchange.most_streams = 60
    bench.add(*MANY[:150])
    bench.run(90)
    held = [len(socket.streams) for socket in bench.exchange.sockets.values()]
    assert sum(held) == 150
    assert max(held) <= 60


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        b'{"result":null,"id":99}',
        b'{"result":null,"id":"1"}',
        b'{"result":null,"id":null}',
        b'{"error":"strange","id":7}',
        b'{"code":-1,"id":true}',
        b'{"id":{}}',
        b"[1,2]",
        b'"text"',
        b"{broken",
        b"\xff",
        b"",
        b'{"data":5,"stream":7}',
        b'{"stream":"nobody@depth","data":{"e":"depthUpdate"}}',
    ],
)
def test_strange_messages_change_nothing(frame: bytes) -> None:
    bench = flowing_bench("BTCUSDT")
    bench.run(4)
    before = len(bench.commands)
    socket = bench.exchange.all_sockets[0]
    bench.exchange.say_bytes(socket, frame)
    bench.exchange.say_bytes(socket, frame if frame.startswith(b"{b") else b'{"id":5}')
    bench.run(5)
    assert bench.all_synced()
    assert len(bench.commands) == before


def test_an_error_without_a_number_answers_the_message_on_its_way() -> None:
    bench = Bench()
    bench.exchange.acks = False
    bench.add("BTCUSDT", "ETHUSDT")
    bench.run(0.2)
    socket = bench.exchange.all_sockets[0]
    bench.exchange.acks = True
    bench.exchange.say(socket, {"code": 3, "msg": "Invalid JSON"})
    bench.run(2)
    assert len(socket.received) >= 2
    assert bench.all_synced()


def test_more_control_messages_than_can_be_kept_replace_the_connection() -> None:
    bench = flowing_bench("BTCUSDT")
    number = bench.exchange.all_sockets[0].number
    for _ in range(1025):
        bench.router.feed(number, b'{"id":5}', bench.now_ns)
    bench.run(0.01)
    assert bench.status("BTCUSDT") is Status.DISCONNECTED
    bench.run_until(bench.all_synced, within_s=3)
    assert len(bench.exchange.all_sockets) == 2


# --- losing and finding connections ----------------------------------------------------------


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1008, 1011])
def test_a_broken_connection_is_replaced_and_each_stream_subscribed_once(code: int | None) -> None:
    bench = flowing_bench("BTCUSDT", "ETHUSDT")
    bench.run(100)
    bench.exchange.close_all(code, "gone")
    bench.run(0.01)
    for symbol in bench.ids:
        assert bench.status(symbol) is Status.DISCONNECTED
        assert "gone" in bench.book(symbol).reason
    bench.run_until(bench.all_synced, within_s=10)
    assert bench.seen("BTCUSDT")[-4:] == [
        Status.SYNCED, Status.DISCONNECTED, Status.BUFFERING, Status.SYNCED
    ]  # fmt: skip
    bench.run(1.03)
    assert bench.follows("BTCUSDT")
    assert sorted(bench.subscribe_names()) == sorted(2 * [SPOT.stream("BTCUSDT"), SPOT.stream("ETHUSDT")])
    bench.assert_law_kept()


def test_a_book_is_never_synced_while_its_connection_is_down() -> None:
    bench = flowing_bench("BTCUSDT")
    bench.run(0.47)
    bench.exchange.rest_delay_ns = 3 * SECOND
    bench.exchange.drop_next_diff("BTCUSDT")
    bench.run_until(lambda: len(bench.asked("BTCUSDT")) == 2, within_s=3)
    bench.exchange.refuses_connects = True
    bench.exchange.close_all()
    bench.run(10)  # the response to the old request came in meanwhile
    assert bench.status("BTCUSDT") is Status.DISCONNECTED
    bench.exchange.refuses_connects = False
    bench.run_until(bench.all_synced, within_s=30)
    bench.run(1.03)
    assert bench.follows("BTCUSDT")


def test_an_exchange_that_is_down_for_an_hour_is_tried_for_an_hour_with_growing_jittered_pauses() -> None:
    chance = random.Random(3)
    bench = Bench(random=chance.random)
    bench.add("BTCUSDT")
    bench.run_until(bench.all_synced, within_s=2)
    bench.exchange.refuses_connects = True
    bench.exchange.close_all()
    bench.run(3600)
    times = connect_times(bench)
    pauses = [later - earlier for earlier, later in pairwise(times[1:])]
    assert 3600 / 31 < len(times) < 300
    assert pauses[0] < 1.6
    assert all(14 < pause < 31 for pause in pauses[7:])
    assert len({round(pause, 3) for pause in pauses[7:]}) > 50
    bench.exchange.refuses_connects = False
    bench.run_until(bench.all_synced, within_s=32)


@pytest.mark.slow
def test_a_flapping_exchange_gets_less_than_half_of_the_connects_it_allows() -> None:
    bench = Bench(random=random.Random(4).random, policy=Policy(streams_per_connection=20))
    bench.exchange.accepts_then_closes = True
    bench.add(*MANY)
    bench.run(1800)
    times = bench.exchange.connects
    worst = max(sum(1 for other in times if at <= other < at + 300 * SECOND) for at in times)
    assert worst <= 150
    bench.exchange.accepts_then_closes = False
    bench.run(320)
    held = [name for socket in bench.exchange.sockets.values() for name in socket.streams]
    assert sorted(held) == sorted(SPOT.stream(symbol) for symbol in MANY)
    bench.assert_law_kept()


def test_a_connection_that_never_opens_is_given_up() -> None:
    bench = Bench()
    bench.exchange.open = lambda number, url: None  # type: ignore[method-assign]
    bench.add("BTCUSDT")
    bench.run(21)
    assert bench.status("BTCUSDT") is Status.DISCONNECTED
    assert "did not open in time" in bench.book("BTCUSDT").reason
    del bench.exchange.open  # type: ignore[method-assign]
    bench.run_until(bench.all_synced, within_s=30)


def test_a_close_for_a_broken_limit_is_answered_more_slowly() -> None:
    bench = flowing_bench("BTCUSDT")
    bench.exchange.close_all(1008, "Too many requests")
    before = bench.now_ns
    bench.run_until(bench.all_synced, within_s=20)
    assert (bench.exchange.connects[-1] - before) / SECOND > 4


def test_an_announced_shutdown_is_followed_by_a_new_connection_without_a_pause() -> None:
    bench = flowing_bench("BTCUSDT")
    bench.run(100)
    bench.exchange.announce_shutdown()
    took_s = bench.run_until(lambda: len(bench.exchange.connects) == 2, within_s=1)
    assert took_s < 0.1
    bench.run_until(bench.all_synced, within_s=2)


def test_announcements_on_every_new_connection_do_not_make_a_storm() -> None:
    bench = flowing_bench("BTCUSDT")
    for _ in range(600):
        bench.exchange.announce_shutdown()
        bench.run(0.5)
    assert len(bench.exchange.connects) < 60


def test_a_connection_is_renewed_before_the_exchange_cuts_it_and_not_all_at_once() -> None:
    bench = Bench(random=random.Random(5).random, policy=Policy(streams_per_connection=1))
    bench.add("BTCUSDT", "ETHUSDT", "BNBUSDT")
    bench.run(24 * 3600)
    times = connect_times(bench)
    assert len(times) == 6
    assert all(0.85 * 86_400 < at < 0.951 * 86_400 for at in times[3:])
    assert min(later - earlier for earlier, later in pairwise(sorted(times[3:]))) > 10
    assert bench.all_synced()


# --- life ------------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=lambda venue: venue.name)
def test_a_half_open_connection_is_noticed_and_replaced(venue: Venue) -> None:
    bench = Bench()
    bench.add("BTCUSDT", venue=venue)
    bench.exchange.ticks("BTCUSDT", venue, every_s=0.1)
    bench.run_until(bench.all_synced, within_s=3)
    bench.run(200)
    bench.exchange.half_open()
    took_s = bench.run_until(lambda: bench.status("BTCUSDT") is not Status.SYNCED, within_s=60)
    assert took_s <= 15
    bench.run_until(bench.all_synced, within_s=5)
    bench.run(1.03)
    assert bench.follows("BTCUSDT", venue)


def test_a_quiet_healthy_connection_is_kept() -> None:
    bench = Bench()
    bench.add("QUIETUSDT", venue=FUTURES)
    bench.run(3600)
    assert len(bench.exchange.all_sockets) == 1
    assert bench.all_synced()
    methods = {message["method"] for message in bench.exchange.all_sockets[0].received}
    assert methods == {"SUBSCRIBE", "LIST_SUBSCRIPTIONS"}


def test_a_connection_that_answers_nothing_is_replaced_within_15_seconds() -> None:
    bench = Bench()
    bench.add("QUIETUSDT")
    bench.run(100)
    bench.exchange.half_open()
    assert bench.run_until(lambda: bench.status("QUIETUSDT") is not Status.SYNCED, within_s=60) <= 15
    bench.run_until(bench.all_synced, within_s=3)


def test_a_connection_with_data_is_asked_nothing() -> None:
    bench = flowing_bench("BTCUSDT")
    bench.exchange.pings = False
    bench.run(600)
    assert [message["method"] for message in bench.exchange.all_sockets[0].received] == ["SUBSCRIBE"]


def test_messages_are_valid_json_with_raw_letters() -> None:
    bench = Bench()
    bench.add("币安人生USDT")
    bench.run(1)
    text = next(command.text for command in bench.commands if hasattr(command, "text"))
    assert "币安人生usdt@depth@100ms" in text
    assert json.loads(text)["method"] == "SUBSCRIBE"
