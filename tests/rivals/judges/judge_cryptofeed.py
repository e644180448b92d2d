"""cryptofeed: its L2 books of spot and USD-M. It takes no other addresses than wss."""

# /// script
# requires-python = ">=3.10"
# dependencies = ["cryptofeed==2.4.1"]
#
# [tool.judge]
# client = "cryptofeed"
# tls = true
#
# [tool.judge.books]
# "binance.com" = ["BTCUSDT", "ETHUSDT"]
# "binance.com-futures" = ["BTCUSDT"]
# ///

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK
from cryptofeed.exchanges import Binance, BinanceFutures
from report import task, tell

FEEDS = {"binance.com": (Binance, "{}-USDT"), "binance.com-futures": (BinanceFutures, "{}-USDT-PERP")}


def main() -> None:
    work = task()
    handler = FeedHandler(config={"log": {"filename": os.devnull, "level": "ERROR"}})
    updates: Counter[tuple[str, str]] = Counter()

    def follow(exchange: str) -> Any:
        async def on_book(book: Any, _: float) -> None:
            symbol = book.raw.get("s")
            if symbol is None:
                return  # the snapshot
            updates[exchange, symbol] += 1
            count = updates[exchange, symbol]
            if work.is_time(count):
                sides = book.to_dict()["book"]
                bids = sorted(sides["bid"].items(), reverse=True)
                asks = sorted(sides["ask"].items())
                held = book.sequence_number
                tell(exchange, symbol, update_id=held, updates=count, bids=bids, asks=asks)
            if all(work.is_done(updates[each]) for each in work.books):
                os.kill(os.getpid(), signal.SIGTERM)  # the handler ends in order

        return on_book

    for exchange in dict(work.books):
        feed, pattern = FEEDS[exchange]
        rest = RestEndpoint(work.rest[exchange], routes=feed.rest_endpoints[0].routes)
        feed.rest_endpoints = [rest]
        feed.websocket_endpoints = [WebsocketEndpoint(work.websocket[exchange])]
        names = [
            pattern.format(symbol.removesuffix("USDT")) for name, symbol in work.books if name == exchange
        ]
        handler.add_feed(feed(symbols=names, channels=[L2_BOOK], callbacks={L2_BOOK: follow(exchange)}))
    handler.run()


main()
