"""A smoothed signal from the imbalance of the best levels; none while the book cannot be trusted."""

from depthcache import Status, blocking

LEVELS, WEIGHT, ALARM = 5, 0.2, 0.3

with blocking.connect("binance.com", ["BTCUSDT"]) as books:
    signal, seen = 0.0, 0
    for update in books["BTCUSDT"].updates("levels", LEVELS):
        if update.status is not Status.SYNCED:
            signal = 0.0  # a book that lost sync starts over
            continue
        ratio = update.imbalance(LEVELS).ratio
        if ratio is None:  # both sides are empty
            continue
        signal += WEIGHT * (ratio - signal)
        word = "up" if signal > ALARM else "down" if signal < -ALARM else "-"
        print(f"{update.last_update_id}: imbalance {ratio:+.2f}, signal {signal:+.2f} {word}")
        seen += 1
        if seen == 10:
            break
