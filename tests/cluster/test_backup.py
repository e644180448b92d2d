"""The file of a backup: it is read as it was written, or refused with what is wrong in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from depthcache.cluster.backup import Backup, KeptBook, differences, kept_books
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.errors import BackupUnreadable

MADE_AT = datetime(2026, 12, 1, 0, 12, 3, tzinfo=UTC)
BTC = KeptBook(BookKey("binance.com", "BTCUSDT"), 2, (("depth", 500), ("speed_ms", 100)))
ETH = KeptBook(BookKey("binance.com", "ETHUSDT"), 1)
COIN = KeptBook(BookKey("binance.com-futures", "币安人生USDT"), 3)


def text(*books: KeptBook) -> str:
    return Backup("amber-fox", MADE_AT, books).encode()


def changed(**changes: Any) -> bytes:
    """A backup whose members are others."""
    return json.dumps({**json.loads(text(BTC)), **changes}).encode()


def with_book(**changes: Any) -> bytes:
    return changed(books=[{**BTC.to_dict(), **changes}])


def refused(content: bytes, *, is_edited: bool = False) -> str:
    with pytest.raises(BackupUnreadable) as error:
        Backup.parse(content, name="books.json", is_edited=is_edited)
    assert str(error.value).startswith("books.json: ")
    assert str(error.value).endswith("; nothing was changed")
    return error.value.reason


@pytest.mark.parametrize("books", [(), (BTC,), (BTC, ETH, COIN)], ids=len)
def test_a_backup_is_read_as_it_was_written(books: tuple[KeptBook, ...]) -> None:
    made = Backup("amber-fox", MADE_AT, books)
    assert Backup.parse(made.encode().encode(), name="x") == made


def test_people_can_read_it_and_compare_two() -> None:
    lines = text(BTC, ETH).splitlines()
    assert lines[:6] == [
        "{",
        '  "format": "depthcache cluster backup",',
        '  "version": 1,',
        '  "cluster": "amber-fox",',
        '  "made_at": "2026-12-01T00:12:03Z",',
        '  "books": [',
    ]
    assert json.loads(lines[6].rstrip(",")) == BTC.to_dict()
    assert lines[-2].startswith('  "digest": "sha256:')


def test_every_changed_or_missing_byte_is_noticed() -> None:
    content = text(BTC, ETH).encode()
    for at in range(0, len(content), 7):
        damaged = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        refused(damaged)
        refused(content[:at])


def test_a_file_that_was_edited_by_hand_is_taken_if_the_user_says_so() -> None:
    content = text(BTC).replace('"replicas": 2', '"replicas": 3').encode()
    assert "if you edited it by hand, add --edited" in refused(content)
    [book] = Backup.parse(content, name="x", is_edited=True).books
    assert book.replicas == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[]", "it is no JSON object"),
        (b"[" * 100_000, "it is no JSON"),
        (b'{"version": 1}', "no backup that `depthcache cluster backup` wrote"),
        (changed(format="other"), "no backup that"),
        (changed(version=True), "no backup that"),
        (changed(version=2), "a newer release wrote it (version 2; this one reads 1): upgrade"),
        (changed(books={}), "books is no list"),
        (changed(cluster=7), "cluster is no name"),
        (changed(made_at="soon"), "made_at is no time: 'soon'"),
        (changed(books=[7]), "book 1: it is no object"),
        (changed(books=[BTC.to_dict(), BTC.to_dict()]), "book 2: BTCUSDT on binance.com is in it twice"),
        (with_book(exchange="binance.moon"), "book 1 (BTCUSDT): unknown exchange 'binance.moon'"),
        (with_book(symbol="BTC USDT"), "book 1 (BTC USDT): invalid symbol"),
        (with_book(symbol=7), "book 1 (7): invalid symbol"),
        (with_book(replicas=0), "invalid replicas 0: expected 1 to 64"),
        (with_book(replicas=None), "invalid replicas None"),
        (with_book(settings={"depht": 5}), "invalid setting 'depht': expected depth or speed_ms"),
        (with_book(settings={"depth": "5"}), "invalid depth '5'"),
        (with_book(settings={"depth": 10**9}), "invalid depth 1000000000"),
        (with_book(settings={"speed_ms": 7}), "invalid speed_ms 7"),
        (with_book(settings=[]), "invalid settings []"),
        (with_book(pinned=True), "unknown member 'pinned'"),
    ],
)
def test_what_cannot_be_restored_is_named(content: bytes, words: str) -> None:
    assert words in refused(content, is_edited=b'"digest"' in content)


def test_of_many_faults_the_first_are_named_and_all_are_counted() -> None:
    rows = [{**BTC.to_dict(), "symbol": f"SYM {number}"} for number in range(9)]
    reason = refused(changed(books=rows), is_edited=True)
    assert reason.count("invalid symbol") == 5
    assert reason.endswith("and 4 more")


def test_differences_are_what_is_added_changed_and_removed() -> None:
    other = KeptBook(BTC.key, 2)
    found = differences([BTC, ETH], [COIN, other])
    assert (found.added, found.changed, found.removed, found.same) == ((COIN,), ((BTC, other),), (ETH,), 0)
    assert differences([BTC], [BTC]).same == 1


def test_the_books_of_a_status_are_sorted() -> None:
    rows = [each.to_dict() | {"synced": 1} for each in (COIN, ETH, BTC)]
    assert kept_books({"books": rows}) == (BTC, ETH, COIN)
