"""Retry-After in seconds, or as a date by the exchange's clock, never by the local one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcache.core.requests.responses import ResponseAction, classify_handshake, classify_response
from depthcache.core.requests.retry_after import stop_seconds

NOW = "Sun, 06 Nov 1994 08:49:37 GMT"
NOW_S = 784_111_777.0
LATER = ["Sun, 06 Nov 1994 08:51:37 GMT", "Sunday, 06-Nov-94 08:51:37 GMT", "Sun Nov  6 08:51:37 1994"]
LONGEST_S = 3 * 86_400


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("now", [NOW, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
def test_a_date_is_measured_against_the_date_of_its_answer(later: str, now: str) -> None:
    assert stop_seconds(later, now, None) == 120
    assert stop_seconds(later, now, NOW_S + 1e9) == 120


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 06 Foo 1994 08:49:37 GMT"])
def test_else_against_the_clock_of_the_exchange_as_far_as_it_is_known(later: str, date: str | None) -> None:
    assert stop_seconds(later, date, NOW_S) == 120
    assert stop_seconds(later, date, None) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 1),
        ("0000000000000120", 120),
        ("9" * 5_000, LONGEST_S),
        ("999999999", LONGEST_S),
        ("Sun, 06 Nov 2094 08:49:37 GMT", LONGEST_S),
        (NOW, 1),
        ("Sun, 06 Nov 1993 08:49:37 GMT", 1),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 86_400),
        ("Thu, 29 Feb 1996 00:00:00 GMT", LONGEST_S),
        ("Sun, 06 Nov 1994 08:49:60 GMT", 23),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("1e3", None),
        ("\u0667", None),
        ("soon", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ("Sun, 06 Nov \u0664\u0664\u0664\u0664 08:49:37 GMT", None),
        ("x" * 100_000, None),
    ],
)
def test_what_is_said_is_bounded_and_what_is_no_time_is_missing(text: str, seconds: float | None) -> None:
    assert stop_seconds(text, NOW, None) == seconds


@given(st.text(), st.none() | st.text(), st.none() | st.floats(allow_nan=False))
def test_whatever_is_sent_never_raises(text: str, date: str | None, exchange_s: float | None) -> None:
    """For any text there are seconds in bounds, or None."""
    seconds = stop_seconds(text, date, exchange_s)
    assert seconds is None or 1 <= seconds <= LONGEST_S


def test_answers_to_requests_and_to_handshakes_read_it_alike() -> None:
    headers = {"retry-after": LATER[0], "date": NOW}
    for status in (418, 429, 503):
        response = classify_response(status, headers, b"")
        assert (response.action, response.stop_s, response.told) == (ResponseAction.STOP, 120, True)
        refused = classify_handshake(status, LATER[0], NOW)
        assert refused is not None
        assert (refused.action, refused.stop_s, refused.told) == (ResponseAction.STOP, 120, True)
    assert classify_response(418, {"retry-after": LATER[0]}, b"", exchange_s=NOW_S).stop_s == 120
    assert (
        classify_response(418, {"retry-after": LATER[0]}, b"").stop_s == 120
    )  # the shortest ban: no time was readable


def test_handshakes_that_name_no_time_are_stopped_by_status() -> None:
    stops = {
        status: classify_handshake(status, None, None)
        for status in (200, 302, 400, 403, 404, 418, 429, 451, 503)
    }
    assert {status: response.stop_s for status, response in stops.items() if response is not None} == {
        403: 60, 418: 120, 429: 60, 451: 60
    }  # fmt: skip
    assert {
        status for status, response in stops.items() if response is not None and response.bans_address
    } == {
        418,
        429,
    }
