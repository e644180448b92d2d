"""Memory of levels: known to operators, and bounded by what the numbers need."""

from __future__ import annotations

import pytest

import depthcache

NUMBERS = 16
"""Bytes of the two numbers of a level."""
MOST = 1.6
"""What a level may take just after a snapshot, in units of its numbers."""
A_BOOK = 8_192
"""What a book takes, however few levels it has."""


def book_of(levels: int) -> depthcache.Book:
    bids = ",".join(f'["{60_000 - rank}.{rank % 90 + 10}","1.5"]' for rank in range(levels))
    asks = ",".join(f'["{60_001 + rank}.{rank % 90 + 10}","1.5"]' for rank in range(levels))
    book = depthcache.Book("binance.com", "BTCUSDT")
    book.load_snapshot(f'{{"lastUpdateId":1,"bids":[{bids}],"asks":[{asks}]}}', limit=max(1, levels))
    return book


@pytest.mark.parametrize("levels", [0, 1, 100, 1_000, 2_000, 5_000, 30_000])
def test_a_book_takes_little_more_than_its_numbers(levels: int) -> None:
    book = book_of(levels)
    needed = NUMBERS * (len(book.bids) + len(book.asks))
    assert len(book.bids) == len(book.asks) == levels
    assert needed <= book.memory_bytes <= MOST * needed + A_BOOK


def test_levels_that_come_and_go_leave_no_memory_behind() -> None:
    book = book_of(5_000)
    before = book.memory_bytes
    for update_id in range(2, 42):
        quantity = "0" if update_id % 2 else "2.5"
        bids = ",".join(f'["{30_000 - rank}.{update_id // 2}","{quantity}"]' for rank in range(3_000))
        ids = f'"U":{update_id},"u":{update_id}'
        book.apply(f'{{"e":"depthUpdate","E":1,"s":"BTCUSDT",{ids},"b":[{bids}],"a":[]}}')
    assert len(book.bids) == 5_000
    assert book.memory_bytes < MOST * before + A_BOOK


def test_kept_diffs_count_and_a_frozen_copy_tells_its_own() -> None:
    book = book_of(1_000)
    frozen = book.freeze(20)
    assert NUMBERS * 40 <= frozen.memory_bytes < book.memory_bytes
    waiting = depthcache.Book("binance.com", "BTCUSDT")
    empty = waiting.memory_bytes
    waiting.apply('{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":2,"u":2,"b":[["1.1","2"]],"a":[]}')
    assert waiting.memory_bytes >= empty + 60
