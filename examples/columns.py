"""Levels as columns: one table of many books for numpy, pandas, polars and DuckDB."""

import duckdb

from depthcache import blocking

WANTED = {"binance.com": ["BTCUSDT", "ETHUSDT"], "binance.com-futures": ["BTCUSDT"]}

with blocking.connect(WANTED) as books:
    books.wait_synced(timeout=60)
    bids, asks, complete, update_id = books["binance.com", "BTCUSDT"].to_numpy(100)
    table = books.to_arrow(20)  # 20 levels a side of each book, one row per level

print(f"numpy: {bids.shape} bids at id {update_id}, worth {(bids[:, 0] * bids[:, 1]).sum():,.0f}")
print("pandas:", table.to_pandas().groupby(["exchange", "symbol"], observed=True)["quantity"].sum().shape)
print("polars:", table.to_polars().filter(side="bid").height, "bids")
levels = duckdb.from_arrow(table)
rows = levels.filter("level = 0").project("exchange, symbol, side, price").order("exchange, symbol, side")
for row in rows.fetchall():
    print("duckdb:", *row)
