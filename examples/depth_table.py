"""A table of both sides of a book at one update id, with how far it is proven to be complete."""

from depthcache import blocking

LEVELS = 10

with blocking.connect("binance.com", ["BTCUSDT"], depth=LEVELS) as books:
    book = books["BTCUSDT"]
    book.wait_synced(timeout=30)
    frozen = book.freeze(LEVELS).exact  # Decimals with the digits that the exchange sends

print(f"{frozen.symbol} at update id {frozen.last_update_id}")
print(f"{'quantity':>18} {'bid':>14}   {'ask':<14} {'quantity':<18}")
for bid, ask in zip(frozen.bids, frozen.asks, strict=False):
    print(f"{bid.quantity:>18} {bid.price:>14}   {ask.price:<14} {ask.quantity:<18}")
words = "proven to be complete" if frozen.complete else f"complete only to {frozen.complete_to}"
print(f"the {LEVELS} levels are {words}")
