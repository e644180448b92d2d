"""Absurd bodies on the virtual clock: each is a failed response that is retried, and misleads nothing."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from depthcache.core.bodies import UnreadableBody, listed_in, read_json, time_in
from depthcache.core.connections.control_messages import read_reply
from depthcache.core.notices import FaultCaught
from depthcache.core.requests.responses import classify_response, error_in
from depthcache.model import Status
from tests.core.harness import FUTURES, SPOT, Bench
from tests.hostile.http_peer import ENDING, NASTY

NESTED = b"[" * 200_000
BODIES = {
    "nested": NESTED,
    "nested objects": b'{"a":' * 200_000,
    "nested inside": b'{"symbols":' + NESTED,
    "nothing": b"",
    "null": b"null",
    "number": b"7",
    "html": b"<html>" + NASTY.encode(),
    "not utf-8": b'{"symbols":[{"symbol":"\xff"}]}',
    "digits": b'{"symbols":' + b"9" * 100_000 + b',"serverTime":' + b"9" * 100_000 + b"}",
    "list": b"[]",
    "rows null": b'{"symbols":null,"serverTime":null}',
    "rows object": b'{"symbols":{"symbol":"BTCUSDT"},"serverTime":{}}',
    "rows absurd": b'{"symbols":[null,1,"x",[],{},{"symbol":null},{"symbol":7}],"serverTime":"x"}',
    "names of a megabyte": b'{"symbols":[{"symbol":"' + b"A" * 1_000_000 + b'"}],"serverTime":true}',
    "cut": b'{"symbols":[{"symbol":"BTCUSDT","status":"TRA',
    "negative": b'{"serverTime":-1}',
    "zero": b'{"serverTime":0}',
    "float": b'{"serverTime":1770000000000.5}',
    "huge": b'{"serverTime":1' + b"0" * 30 + b"}",
    "infinite": b'{"serverTime":1e400}',
    "nan": b'{"serverTime":NaN}',
    "int64": b'{"serverTime":9223372036854775807}',
    "later than uint64": b'{"serverTime":18446744073709551616}',
}


def answering(bench: Bench, path: str, body: bytes, *, times: int) -> list[int]:
    """The next so many questions at a path get this body; when each was asked, the true ones included."""
    real, asked = bench.exchange._get_fact, list[int]()

    def get_fact(request: int, url: str) -> None:
        if urlsplit(url).path != path:
            real(request, url)
            return
        asked.append(bench.now_ns)
        if len(asked) > times:
            real(request, url)
            return
        bench.after(50_000_000, lambda: bench.core.on_response(request, 200, {}, body, bench.now_ns))

    bench.exchange._get_fact = get_fact  # type: ignore[method-assign]
    return asked


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_list_that_cannot_be_read_is_asked_again_and_a_halt_is_heard(body: bytes) -> None:
    bench = Bench()
    bench.add("BTCUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.5)
    bench.run_until(bench.all_synced, within_s=5)
    asked = answering(bench, SPOT.exchange_info_path, body, times=2)
    bench.exchange.listed["BTCUSDT"] = "BREAK"
    bench.core._listings[SPOT.name].look(bench.now_ns)
    bench.run(60)
    assert len(asked) >= 3
    assert bench.status("BTCUSDT") is Status.HALTED
    assert not any(isinstance(notice, FaultCaught) for notice in bench.told)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_time_that_cannot_be_is_none_and_is_asked_again(body: bytes) -> None:
    bench = Bench()
    asked = answering(bench, SPOT.time_path, body, times=1)
    bench.add("BTCUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.5)
    bench.run(30)
    assert (len(asked), bench.core.clock(1)) == (1, None)
    bench.run(300)
    assert len(asked) == 2
    assert bench.core.clock(1) is not None
    assert bench.all_synced()
    assert not any(isinstance(notice, FaultCaught) for notice in bench.told)


@pytest.mark.parametrize("venue", [SPOT, FUTURES], ids=lambda venue: venue.name)
def test_absurd_rows_are_left_out_and_the_others_count(venue: object) -> None:
    rows = [
        None,
        1,
        {"symbol": "A" * 10**6},
        {"symbol": NASTY},
        {"symbol": ""},
        {"symbol": "AUSDT", "status": [[]]},
    ]
    rows += [{"symbol": "BTCUSDT", "status": "TRADING"}, {"symbol": "XUSDT", "status": NASTY}]
    found = listed_in(json.dumps({"symbols": rows}).encode(), venue)  # type: ignore[arg-type]
    assert set(found) == {"AUSDT", "BTCUSDT", "XUSDT"}
    assert found["BTCUSDT"] == "TRADING"
    assert all(status.isprintable() and len(status) <= 40 for status in found.values())


@pytest.mark.parametrize("case", ENDING)
def test_every_body_is_read_or_refused_with_one_error_and_its_words_can_be_shown(case: str) -> None:
    body = ENDING[case]().partition(b"\r\n\r\n")[2]
    said = []
    for read in (read_json, time_in, lambda each: listed_in(each, SPOT)):
        try:
            read(body)
        except UnreadableBody as error:
            said.append(str(error))
    assert all(each.isprintable() and len(each) <= 400 for each in said)
    code, text = error_in(body)
    assert code is None or abs(code) < 10**9
    assert text.isprintable()
    assert len(text) <= 200
    for status in (200, 400, 418, 500):
        reason = classify_response(status, {"retry-after": NASTY}, body).reason
        assert reason.isprintable()
        assert len(reason) < 300
    read_reply(body)


@pytest.mark.parametrize("weight", ["999999999", "60001", "-1", "1e9", NASTY, "9" * 5_000, "٣"])
def test_an_absurd_weight_count_stops_nothing(weight: str) -> None:
    bench = Bench()
    real = bench.exchange._response
    bench.exchange.counts_weight = False
    bench.exchange._response = lambda *given: (  # type: ignore[method-assign]
        200, {"x-mbx-used-weight-1m": weight}, real(*given)[2]
    )  # fmt: skip
    bench.add("BTCUSDT", "ETHUSDT")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        bench.exchange.ticks(symbol, every_s=0.5)
    bench.run_until(bench.all_synced, within_s=5)


@pytest.mark.parametrize("case", [case for case in ENDING if ENDING[case]().startswith(b"HTTP/1.1 200")])
def test_a_snapshot_of_any_shape_is_installed_or_asked_again(case: str) -> None:
    bench = Bench()
    bench.exchange.answer_next(200, ENDING[case]().partition(b"\r\n\r\n")[2])
    bench.add("BTCUSDT")
    bench.exchange.ticks("BTCUSDT", every_s=0.5)
    bench.run_until(bench.all_synced, within_s=10)
    bench.run(1.03)
    assert bench.follows("BTCUSDT")
    for notice in bench.notices:
        assert notice.reason.isprintable()
        assert len(notice.reason) <= 400
