"""Interpretation of HTTP responses and control messages: pure functions that never raise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcache.core.connections.control_messages import ErrorReply, Nodes, Reply, Shutdown, read_reply
from depthcache.core.requests.responses import ResponseAction, classify_response, used_weight

SYMBOL = b'{"code":-1121,"msg":"Invalid symbol."}'


@pytest.mark.parametrize(
    ("status", "body", "action"),
    [
        (200, b"anything", ResponseAction.INSTALL),
        (400, SYMBOL, ResponseAction.UNKNOWN),
        (400, b'{"error":{"code":-1121,"msg":"Invalid symbol."},"id":1}', ResponseAction.UNKNOWN),
        (400, b'{"code":-1102,"msg":"Mandatory parameter"}', ResponseAction.REFUSED),
        (404, b'{"code":-1102,"msg":"Mandatory parameter"}', ResponseAction.REFUSED),
        (400, b'{"code":-4021,"msg":"7 is not valid depth limit"}', ResponseAction.LIMIT),
        (
            400,
            b'{"code":-1130,"msg":"Data sent for parameter \'limit\' is not valid."}',
            ResponseAction.LIMIT,
        ),
        (
            400,
            b'{"code":-1100,"msg":"Illegal characters found in parameter \'limit\'."}',
            ResponseAction.LIMIT,
        ),
        (
            400,
            b'{"code":-1100,"msg":"Illegal characters found in parameter \'symbol\'."}',
            ResponseAction.REFUSED,
        ),
        (400, b'{"code":-1122,"msg":"Invalid symbol status."}', ResponseAction.IDLE),
        (400, b'{"code":-4108,"msg":"Symbol is on delivering or pre-trading."}', ResponseAction.IDLE),
        (200, SYMBOL, ResponseAction.UNKNOWN),
        (200, b'{"code":-4021,"msg":"7 is not valid depth limit"}', ResponseAction.LIMIT),
        (200, b'{"code":-1003,"msg":"Too many requests"}', ResponseAction.STOP),
        (200, b'{"code":-1000,"msg":"UNKNOWN"}', ResponseAction.RETRY),
        (200, b'{"msg":"Service maintenance"}', ResponseAction.RETRY),
        (200, b'{"lastUpdateId":1,"bids":[],"asks":[],"code":-1121,"msg":""}', ResponseAction.INSTALL),
        (200, b'{"symbols":[{"symbol":"A","code":1}]}', ResponseAction.INSTALL),
        (400, b'{"code":-1220,"msg":"The symbol has another status"}', ResponseAction.RETRY),
        (400, b'{"code":-1000,"msg":"UNKNOWN"}', ResponseAction.RETRY),
        (400, b'{"code":true,"msg":"x"}', ResponseAction.RETRY),
        (400, b"<html>Bad Request</html>", ResponseAction.RETRY),
        (400, b"", ResponseAction.RETRY),
        (500, SYMBOL, ResponseAction.RETRY),
        (404, b"", ResponseAction.RETRY),
        (408, b"", ResponseAction.RETRY),
        (503, b"", ResponseAction.RETRY),
        (403, b"<html>", ResponseAction.STOP),
        (418, b"", ResponseAction.STOP),
        (429, SYMBOL, ResponseAction.STOP),
        (451, b"", ResponseAction.STOP),
    ],
)
def test_each_answer_has_its_verdict(status: int, body: bytes, action: ResponseAction) -> None:
    assert classify_response(status, {}, body).action is action


def test_the_reason_says_status_code_and_words() -> None:
    assert classify_response(400, {}, SYMBOL).reason == "HTTP 400 code -1121: Invalid symbol."
    assert classify_response(502, {}, b"<html>\n <b>Bad\x00 Gateway").reason.startswith(
        "HTTP 502: <html> <b>Bad"
    )
    assert len(classify_response(500, {}, b"x" * 100_000).reason) < 300


def test_header_names_in_any_case_are_read() -> None:
    assert classify_response(429, {"Retry-After": " 7 "}, b"").stop_s == 7
    assert used_weight({"X-MBX-USED-WEIGHT-1M": "42"}) == 42


def test_the_longest_stop_is_the_longest_ban() -> None:
    assert classify_response(418, {"retry-after": "999999999"}, b"").stop_s == 3 * 86_400


@given(st.integers(100, 999), st.dictionaries(st.sampled_from(["retry-after", "x"]), st.text()), st.binary())
def test_judging_never_raises(status: int, headers: dict[str, str], body: bytes) -> None:
    """For any status, headers and body there is a verdict."""
    assert isinstance(classify_response(status, headers, body).action, ResponseAction)


@pytest.mark.parametrize(
    ("payload", "meaning"),
    [
        (b'{"result":null,"id":1}', Reply(1, None)),
        (b'{"result":["a@depth"],"id":3}', Reply(3, None)),
        (b'{"id":2,"result":null,"more":1}', Reply(2, None)),
        (
            b'{"error":{"code":4,"msg":"Too many subscriptions"},"id":2}',
            Reply(2, ErrorReply(4, "Too many subscriptions", ())),
        ),
        (b'{"code":2,"msg":"Invalid request","id":3}', Reply(3, ErrorReply(2, "Invalid request", ()))),
        (b'{"code":3,"msg":"Invalid JSON"}', Reply(None, ErrorReply(3, "Invalid JSON", ()))),
        (b'{"error":"odd","id":5}', Reply(5, ErrorReply(None, "odd", ()))),
        (b'{"error":{"code":"4"},"id":"5"}', Reply(None, ErrorReply(None, "", ()))),
        (
            b'{"error":{"code":100,"msg":"no","streams":["a@depth",1]},"id":6}',
            Reply(6, ErrorReply(100, "no", ("a@depth",))),
        ),
        (
            b'{"error":{"code":100,"msg":"no","streams":"a@depth"},"id":7}',
            Reply(7, ErrorReply(100, "no", ())),
        ),
        (
            b'{"error":{"code":101,"msg":"","streams":["a"],"holders":{"a":["h:1",2],"b":3}},"id":8}',
            Reply(8, ErrorReply(101, "", ("a",), (("a", ("h:1",)), ("b", ())))),
        ),
        (b'{"e":"nodes","nodes":["h:1",2,"i:1"]}', Nodes(("h:1", "i:1"))),
        (b'{"e":"nodes","nodes":7}', Nodes(())),
        (b'{"e":"serverShutdown","E":1}', Shutdown()),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}', Shutdown()),
        (b'{"stream":"x@trade","data":{"e":"trade"}}', None),
        (b'{"id":1}', None),
        (b"[]", None),
        (b"null", None),
        (b"", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_each_control_message_has_its_meaning(payload: bytes, meaning: object) -> None:
    assert read_reply(payload) == meaning


@given(st.binary())
def test_reading_control_messages_never_raises(payload: bytes) -> None:
    """For any bytes there is a meaning, or None."""
    read_reply(payload)
