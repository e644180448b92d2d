"""Control messages on a stream socket: targets, subscriptions, replies and errors like at Binance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from depthcache import venues
from depthcache.simulator.commands import Commands, Done, RequestIds, Target, parse_target, request_ids
from depthcache.simulator.interface import Close

SPOT = venues.venue("binance.com")


def commands(
    *streams: str, combined: bool = True, most: int = 5, ids: RequestIds = RequestIds.SPOT
) -> Commands:
    return Commands(combined=combined, streams=streams, most_streams=most, ids=ids)


def say(to: Commands, **message: Any) -> Done:
    return to.on_text(json.dumps(message))


# --- the URL ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "meaning"),
    [
        ("/ws", Target("", False, (), None)),
        ("/ws/", Target("", False, (), None)),
        ("/ws/a@depth/b@depth@100ms/a@depth", Target("", False, ("a@depth", "b@depth@100ms"), None)),
        ("/stream", Target("", True, (), None)),
        ("/stream?streams=a@depth/b@depth", Target("", True, ("a@depth", "b@depth"), None)),
        ("/public/stream?streams=a%40depth", Target("public", True, ("a@depth",), None)),
        ("/market/ws/a@depth", Target("market", False, ("a@depth",), None)),
        ("/ws/%E5%B8%81usdt@depth", Target("", False, ("币usdt@depth",), None)),
        ("/stream?timeUnit=microsecond", Target("", True, (), "MICROSECOND")),
    ],
)
def test_a_url_names_its_streams(target: str, meaning: Target) -> None:
    assert parse_target(target, SPOT) == meaning


@pytest.mark.parametrize("target", ["", "/", "/api/v3/ping", "/streams", "/public", "/public/api", "/wss"])
def test_other_paths_are_no_stream_sockets(target: str) -> None:
    assert parse_target(target, SPOT) is None


# --- subscriptions ----------------------------------------------------------------------------


def test_subscribing_and_leaving_is_acknowledged_and_tells_what_is_new() -> None:
    held = commands("a@depth")
    done = say(held, method="SUBSCRIBE", params=["a@depth", "b@depth", "b@depth"], id=7)
    assert done == Done('{"result":null,"id":7}', subscribed=("b@depth",), repeated=True)
    assert held.streams == ("a@depth", "b@depth")
    done = say(held, method="UNSUBSCRIBE", params=["a@depth", "never@depth"], id=8)
    assert done == Done('{"result":null,"id":8}', unsubscribed=("a@depth",))
    assert "a@depth" not in held
    assert say(held, method="LIST_SUBSCRIPTIONS", id=9).reply == '{"result":["b@depth"],"id":9}'


def test_one_stream_too_many_is_an_error_and_the_end() -> None:
    held = commands("a", "b", "c", "d")
    assert say(held, method="SUBSCRIBE", params=["e"], id=1).close is None
    done = say(held, method="SUBSCRIBE", params=["f"], id=2)
    assert json.loads(done.reply) == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 2}
    assert done.close == Close(1008, "Invalid request")
    assert "f" not in held


def test_frames_are_wrapped_where_the_connection_is_combined() -> None:
    held = commands(combined=False)
    assert held.wrap("币usdt@depth", "{}") == "{}"
    assert say(held, method="SET_PROPERTY", params=["combined", True], id=1).reply == '{"result":null,"id":1}'
    assert held.wrap("币usdt@depth", "{}") == '{"stream":"币usdt@depth","data":{}}'
    assert say(held, method="GET_PROPERTY", params=["combined"], id=2).reply == '{"result":true,"id":2}'


@pytest.mark.parametrize("number", [0, 7, -7, "abc-1", None, 2**63 - 1])
def test_spot_takes_numbers_short_texts_and_null_as_ids(number: object) -> None:
    done = say(commands(), method="LIST_SUBSCRIPTIONS", id=number)
    assert json.loads(done.reply) == {"result": [], "id": number}


UUID = "9b2cdb05-3f5d-4a4e-9b0e-5a1b5e8f3c11"


@pytest.mark.parametrize("number", [0, 7, 2**64 - 1, "1", UUID, "x_1", "币"])
def test_futures_take_unsigned_numbers_and_texts_as_ids(number: object) -> None:
    done = say(commands(ids=RequestIds.FUTURES), method="LIST_SUBSCRIPTIONS", id=number)
    assert json.loads(done.reply) == {"result": [], "id": number}
    refused = say(commands(ids=RequestIds.FUTURES), method="SUBSCRIBE", params=[7], id=number)
    assert json.loads(refused.reply) == {
        "error": {"code": 2, "msg": "Invalid request: invalid stream"},
        "id": number,
    }


@pytest.mark.parametrize("number", [-1, None, 1.5, True, [], {}, 2**64, "", "x" * 37])
def test_other_ids_are_refused_by_futures(number: object) -> None:
    said = json.loads(say(commands(ids=RequestIds.FUTURES), method="LIST_SUBSCRIPTIONS", id=number).reply)
    words = "Invalid request: request ID must be an unsigned integer or a text"
    assert said == {"error": {"code": 2, "msg": words}, "id": None}


@pytest.mark.parametrize("number", [-1, "abc", UUID, None, 1.5, True])
def test_options_take_unsigned_numbers_alone(number: object) -> None:
    said = json.loads(say(commands(ids=RequestIds.OPTIONS), method="LIST_SUBSCRIPTIONS", id=number).reply)
    assert said["error"] == {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}


@pytest.mark.parametrize(
    ("exchange", "ids"),
    [
        ("binance.com", RequestIds.SPOT),
        ("binance.us", RequestIds.SPOT),
        ("binance.com-futures", RequestIds.FUTURES),
        ("binance.com-coin_futures", RequestIds.FUTURES),
        ("binance.com-vanilla-options", RequestIds.OPTIONS),
    ],
)
def test_every_venue_has_its_ids(exchange: str, ids: RequestIds) -> None:
    assert request_ids(venues.venue(exchange)) is ids


def test_a_subscription_that_a_fault_refuses_is_refused_with_its_id() -> None:
    held = commands(ids=RequestIds.FUTURES)
    text = json.dumps({"method": "SUBSCRIBE", "params": ["a"], "id": UUID})
    done = held.refusal(text, "planted")
    assert done is not None
    assert json.loads(done.reply) == {"error": {"code": 2, "msg": "planted"}, "id": UUID}
    assert held.streams == ()
    assert held.refusal('{"method":"UNSUBSCRIBE","params":["a"],"id":1}', "planted") is None
    assert held.refusal("[" * 100_000, "planted") is None


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("nonsense", 3, "Invalid JSON: expected value at line 1 column 1"),
        ("[" * 100_000, 3, "Invalid JSON"),
        ("[]", 2, "Invalid request"),
        ('{"method":"LIST_SUBSCRIPTIONS","id":NaN}', 3, "Invalid JSON"),
        ('{"method":"LIST_SUBSCRIPTIONS","id":"\\ud800"}', 3, "Invalid JSON"),
        ('{"method":"SUBSCRIBE","params":["\\udfff@depth"],"id":1}', 3, "Invalid JSON"),
        ('{"id":1,"method":' + "[" * 100_000, 3, "Invalid JSON"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"SUBSCRIBE","id":1}', 2, "missing field `params`"),
        ('{"method":"X","id":1}', 2, "unknown variant `X`, expected one of `SUBSCRIBE`"),
        ('{"method":["X"],"id":1}', 2, "unknown variant"),
        ('{"method":"SUBSCRIBE","params":"a@depth","id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":[""],"id":1}', 2, "invalid stream"),
        ('{"method":"GET_PROPERTY","params":[1],"id":1}', 2, "property name must be a string"),
        ('{"method":"GET_PROPERTY","params":["other"],"id":1}', 0, "Unknown property"),
        ('{"method":"GET_PROPERTY","params":["combined",1],"id":1}', 2, "too many parameters"),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1, "expected Boolean"),
        ('{"method":"SET_PROPERTY","params":["combined"],"id":1}', 1, "expected Boolean"),
    ],
)
def test_wrong_arguments_raise_and_change_nothing(text: str, code: int, words: str) -> None:
    held = commands("a@depth")
    done = held.on_text(text)
    error = json.loads(done.reply)["error"]
    assert error["code"] == code
    assert words in error["msg"]
    assert (held.streams, held.combined, done.close) == (("a@depth",), True, None)
