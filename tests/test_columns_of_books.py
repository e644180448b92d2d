"""All books of a client as one table, in both APIs: which books it has, which are missing, what is served."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import depthcache
from depthcache import BookClosed, BooksNotSynced, UsageError, blocking, simulator
from tests.support.by_hand import ByHand

DEADLINE_S = 20.0


def connect(*arguments: Any, **options: Any) -> depthcache.Books:
    return depthcache.connect(*arguments, settings=depthcache.Settings(), **options)


def levels(columns: depthcache.Columns) -> list[tuple[Any, ...]]:
    rows = pa.table(columns).to_pylist()
    return [(row["symbol"], row["side"], row["price"], row["status"]) for row in rows]


async def test_all_books_are_one_table(exchange: list[ByHand]) -> None:
    async with connect("binance.com", ["BTCUSDT", "ETHUSDT"]) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("ETHUSDT", 11, 12, bids=[["1.15", "2"]])
        assert levels(books.to_arrow(1)) == [
            ("BTCUSDT", "bid", 1.1, "synced"), ("BTCUSDT", "ask", 1.2, "synced"),
            ("ETHUSDT", "bid", 1.15, "synced"), ("ETHUSDT", "ask", 1.2, "synced"),
        ]  # fmt: skip
        assert books.to_pandas(1)["update_id"].tolist() == [10, 10, 12, 12]
        assert books.to_polars(low=1.25).rows() == books.to_polars(low=1.25, missing="skip").rows()
        assert books.to_numpy(2, high=1.05)["price"].tolist() == [1.0, 1.0]
        assert books.to_polars(1, exact=True)["price"].dtype.is_decimal()
    with pytest.raises(BookClosed):
        books.to_arrow()


async def test_lost_books_are_raised_skipped_or_served(exchange: list[ByHand]) -> None:
    for on_stale in ("raise", "serve"):
        async with connect("binance.com", ["BTCUSDT", "ETHUSDT"], on_stale=on_stale) as books:
            await books.wait_synced(timeout=DEADLINE_S)
            network = exchange[-1]
            network.default = None
            network.diff("BTCUSDT", 15, 16)
            if on_stale == "serve":
                table = books.to_arrow(1, missing="raise")
                assert {row[0]: row[3] for row in levels(table)} == {
                    "BTCUSDT": "buffering",
                    "ETHUSDT": "synced",
                }
                continue
            with pytest.raises(BooksNotSynced, match="1 of 2 books cannot be read: BTCUSDT"):
                books.to_arrow(1)
            table = books.to_arrow(1, missing="skip")
            assert {row[0] for row in levels(table)} == {"ETHUSDT"}
            (missing,) = table.missing
            assert (missing.symbol, missing.status) == ("BTCUSDT", depthcache.Status.BUFFERING)
            assert missing.reason


def test_before_the_client_runs_there_are_no_columns() -> None:
    with pytest.raises(UsageError, match="is not running yet"):
        connect("binance.com", ["BTCUSDT"]).to_arrow()


@pytest.mark.slow
def test_the_blocking_face_has_the_same() -> None:
    with (
        simulator.serve(seed=3) as server,
        blocking.connect("binance.com", ["BTCUSDT", "ETHUSDT"], settings=server.settings) as books,
    ):
        books.wait_synced(timeout=60)
        frame = books.to_polars(5)
        assert frame.height == 20
        assert set(frame["symbol"].to_list()) == {"BTCUSDT", "ETHUSDT"}
        assert frame["proven"].all()
        assert books["BTCUSDT"].to_numpy(3).bids.shape == (3, 2)
