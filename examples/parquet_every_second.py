"""The best 20 levels of many books to Parquet, once a second: one file an hour, complete or not there."""

import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from depthcache import blocking

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
SECONDS = 3  # your recorder: no end
folder = Path("levels")


def write(tables: list[pl.DataFrame], hour: str) -> None:
    """Rename at the end: a reader never sees half a file."""
    path = folder / f"{hour}.parquet"
    pl.concat(tables).write_parquet(path.with_suffix(".part"), compression="zstd")
    path.with_suffix(".part").rename(path)
    print(f"{path}: {sum(map(len, tables))} rows of {len(tables)} seconds")


folder.mkdir(exist_ok=True)
with blocking.connect("binance.com", SYMBOLS, depth=20) as books:
    books.wait_synced(timeout=60)
    tables: list[pl.DataFrame] = []
    hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
    for _ in range(SECONDS):
        time.sleep(1 - time.time() % 1)  # at each full second
        now = datetime.now(UTC)
        if tables and f"{now:%Y-%m-%dT%H}" != hour:
            write(tables, hour)
            tables, hour = [], f"{now:%Y-%m-%dT%H}"
        table = books.to_polars(20, missing="skip")  # a book out of sync has no rows
        tables.append(table.with_columns(pl.lit(now).alias("sampled_at")))
    write(tables, hour)
