"""`on_stale=wait`: a read waits for its book, is woken by what feeds it, and for no longer than asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from tests.engine import load
from tests.markets.test_router import Rig
from tests.server.asking import DEADLINE_S, PATH, READ, Answer, ask, serving

WAIT = f"on_stale=wait&wait_s={DEADLINE_S}"


class Waited:
    """A server of one live book that is not synced, and requests that wait for it."""

    def __init__(self, native: Any, pool: ThreadPoolExecutor) -> None:
        self.native, self.port, self._pool = native, native.port, pool
        self.rig = Rig(load("native"))
        native.add("binance.com", "BTCUSDT", self.rig.book)

    def begin(self, path: str) -> Future[Answer]:
        """A request, once it waits."""
        before = self.waiting()
        future = self._pool.submit(ask, self.port, path)
        while self.waiting() == before and not future.done():
            pass
        return future

    def waiting(self) -> int:
        return int(ask(self.port, "/v1/stats").json["waiting"])


@pytest.fixture
def waited() -> Iterator[Waited]:
    with ThreadPoolExecutor() as pool, serving() as native:
        yield Waited(native, pool)
        native.drain(0)


@pytest.mark.parametrize(
    "rest", ["?levels=1", "/best?", "/fill?side=buy&base=1", "/depth?bps=1", "/imbalance?levels=1"]
)
def test_a_read_waits_until_its_book_is_synced(waited: Waited, rest: str) -> None:
    future = waited.begin(f"{PATH}{rest}&{WAIT}")
    waited.rig.feed(11, 11)
    assert not future.done()
    assert "\ndepthcache_server_waiting 1\n" in ask(waited.port, "/metrics").body.decode()
    waited.rig.install()
    assert future.result(DEADLINE_S).status == 200
    assert waited.waiting() == 0


def test_many_books_wait_together(waited: Waited) -> None:
    future = waited.begin(f"/v1/books?symbols=BTCUSDT,NOUSDT&{WAIT}")
    waited.rig.synced()
    answer = future.result(DEADLINE_S).json
    assert [held["symbol"] for held in answer["books"]] == ["BTCUSDT"]
    assert [each["book"] for each in answer["missing"]] == ["NOUSDT"]


def test_a_book_that_is_too_old_waits_for_its_next_update(waited: Waited) -> None:
    waited.rig.synced()
    waited.rig.router.set_virtual_time(10**12, 10**18)
    future = waited.begin(f"{PATH}?levels=1&max_age=5&{WAIT}")
    waited.rig.now_ns = 10**12
    waited.rig.feed(12, 12, [("98.5", "7")])
    assert future.result(DEADLINE_S).json["last_update_id"] == 12


def test_an_update_that_changes_no_level_makes_a_book_young_enough(waited: Waited) -> None:
    waited.rig.synced()
    waited.rig.router.set_virtual_time(10**12, 10**18)
    future = waited.begin(f"{PATH}?levels=1&max_age=5&{WAIT}")
    waited.rig.now_ns = 10**12
    waited.rig.feed(12, 12)
    assert future.result(DEADLINE_S).json["last_update_id"] == 12


def test_a_book_that_never_is_young_enough_is_refused_in_time(waited: Waited) -> None:
    waited.rig.synced()
    waited.rig.router.set_virtual_time(10**12, 10**18)
    future = waited.begin(f"{PATH}?max_age=5&on_stale=wait&wait_s=0.1")
    for number in range(12, 20):
        waited.rig.feed(number, number, [("98.5", str(number))])  # long ago
    answer = future.result(DEADLINE_S)
    assert (answer.status, answer.error["code"]) == (425, "too_old")


def test_a_book_that_does_not_come_in_time_is_refused_as_ever(waited: Waited) -> None:
    answer = ask(waited.port, f"{PATH}?on_stale=wait&wait_s=0.01")
    assert (answer.status, answer.error["code"]) == (425, "not_synced")
    assert answer.headers["retry-after"] == "1"
    assert waited.waiting() == 0


def test_a_book_that_can_be_read_or_never_will_be_is_not_waited_for(waited: Waited) -> None:
    waited.rig.synced()
    assert ask(waited.port, f"{PATH}?{WAIT}").status == 200
    waited.rig.router.remove_market(1, "removed by a test", 5)
    answer = ask(waited.port, f"{PATH}?{WAIT}")
    assert (answer.status, answer.error["code"]) == (410, "book_closed")


def test_a_book_that_is_closed_meanwhile_ends_the_wait(waited: Waited) -> None:
    future = waited.begin(f"{PATH}?{WAIT}")
    waited.rig.router.remove_market(1, "removed by a test", 5)
    assert future.result(DEADLINE_S).status == 410


def test_the_end_of_the_server_ends_the_wait(waited: Waited) -> None:
    future = waited.begin(f"{PATH}?{WAIT}")
    assert waited.native.drain(DEADLINE_S / 2), "else it would be cut"
    assert future.result(DEADLINE_S).status == 425


def test_a_reader_that_hangs_up_does_not_wait_any_more(waited: Waited) -> None:
    head = f"GET {PATH}?{WAIT} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {READ}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", waited.port), timeout=DEADLINE_S) as connection:
        connection.sendall(head.encode())
        while not waited.waiting():
            pass
    deadline_s = monotonic() + DEADLINE_S / 2
    while waited.waiting():
        assert monotonic() < deadline_s
