"""Readers on any thread see both sides at one update id; two reads may see two."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from depthcache import Outcome
from tests.engine import Engine, diff

LOOKS = 300
READERS = 3


def level_of(update_id: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Both best quantities tell the id they belong to."""
    return [("99", str(update_id))], [("101", str(update_id))]


def test_two_separate_reads_are_not_atomic(engine: Engine) -> None:
    book = engine.loaded()
    book.apply(diff(11, 11, *level_of(11)))
    bid = book.bids[0]
    book.apply(diff(12, 12, *level_of(12)))
    ask = book.asks[0]
    assert (bid.quantity, ask.quantity) == (11.0, 12.0)
    best = book.best
    assert best.bid.quantity == best.ask.quantity == best.update_id == 12


@pytest.mark.slow
def test_one_read_never_mixes_two_updates(engine: Engine) -> None:
    if engine.name == "reference":
        pytest.skip("the reference is for one thread")
    book = engine.loaded(limit=100)
    book.apply(diff(11, 11, *level_of(11)))
    begin, end = threading.Barrier(READERS + 1), threading.Event()
    wrong: list[Any] = []
    looks = [0] * READERS

    def read(who: int) -> None:
        begin.wait()
        while not end.is_set():
            best, frozen = book.best, book.freeze(1)
            looks[who] += 1
            if not best.bid.quantity == best.ask.quantity == best.update_id:
                wrong.append(best)
            if not frozen.bids[0].quantity == frozen.asks[0].quantity == frozen.last_update_id:
                wrong.append(frozen)
            if len(book.bids.to_numpy()) != 1:
                wrong.append("numpy")

    readers = [threading.Thread(target=read, args=(who,)) for who in range(READERS)]
    for reader in readers:
        reader.start()
    begin.wait()
    outcomes, number = set(), 11
    while min(looks) < LOOKS and not wrong:
        number += 1
        outcomes.add(book.apply(diff(number, number, *level_of(number))))
    end.set()
    for reader in readers:
        reader.join()
    assert (outcomes, wrong) == ({Outcome.APPLIED}, [])
