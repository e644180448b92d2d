"""A depth chart that redraws itself from the newest book, with the complete range marked."""

import matplotlib.pyplot as plt

from depthcache import Status, blocking

FRAMES = 3  # your chart: no end

figure, axes = plt.subplots(figsize=(8, 4))
(bids,) = axes.step([], [], where="post", color="tab:green", label="bids")
(asks,) = axes.step([], [], where="post", color="tab:red", label="asks")
edges = [axes.axvline(0, color="gray", linestyle=":") for _ in range(2)]
axes.set(xlabel="price", ylabel="cumulative quantity")
axes.legend()

with blocking.connect("binance.com", ["BTCUSDT"], depth=100) as books:
    drawn = 0
    for update in books["BTCUSDT"].updates("interval", 100, interval_ms=250):
        axes.set_title(f"{update.symbol}: {update.status}")
        if update.status is Status.SYNCED and update.best.bid and update.best.ask:
            for line, side in ((bids, update.bids.to_numpy()), (asks, update.asks.to_numpy())):
                line.set_data(side[:, 0], side[:, 1].cumsum())
            for edge, price in zip(edges, update.complete_to, strict=True):
                if price is not None:
                    edge.set_xdata([price, price])
            axes.relim(visible_only=True)
            axes.set_xlim(update.bids[-1].price, update.asks[-1].price)
            axes.autoscale_view(scalex=False)
            drawn += 1
        plt.pause(0.01)  # lets the window draw; updates that come meanwhile are conflated
        if drawn == FRAMES:
            break

figure.savefig("depth.png")
plt.close(figure)
print(f"{drawn} frames drawn")
