"""nautilus_trader: a live node that follows the books of spot and USD-M in its own cache."""

# /// script
# requires-python = ">=3.12"
# dependencies = ["nautilus_trader==1.231.0"]
#
# [tool.judge]
# client = "nautilus_trader"
# faults = false
# trusts = false
#
# [tool.judge.books]
# "binance.com" = ["BTCUSDT"]
# "binance.com-futures" = ["BTCUSDT"]
# ///

from __future__ import annotations

import asyncio
import os
from collections import Counter

from nautilus_trader.adapters.binance import BinanceAccountType, BinanceLiveDataClientFactory
from nautilus_trader.adapters.binance.config import BinanceDataClientConfig
from nautilus_trader.config import InstrumentProviderConfig, LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import OrderBookDeltas
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.trading.strategy import Strategy
from report import DEPTH, Task, task, tell

KINDS = {
    "binance.com": (BinanceAccountType.SPOT, "BINANCE", "{}.BINANCE"),
    "binance.com-futures": (BinanceAccountType.USDT_FUTURES, "BINANCE_UM", "{}-PERP.BINANCE_UM"),
}


class Follower(Strategy):
    """Keeps books of what it is asked, and looks at them."""

    def __init__(self, work: Task, done: asyncio.Event) -> None:
        super().__init__()
        self._work, self._done = work, done
        self._names: dict[InstrumentId, tuple[str, str]] = {}
        self._updates: Counter[InstrumentId] = Counter()
        for exchange, symbol in work.books:
            self._names[InstrumentId.from_str(KINDS[exchange][2].format(symbol))] = (exchange, symbol)

    def on_start(self) -> None:
        for instrument in self._names:
            self.subscribe_order_book_deltas(instrument, book_type=BookType.L2_MBP, depth=DEPTH)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        if deltas.deltas[0].is_clear:
            return  # the snapshot
        instrument = deltas.instrument_id
        self._updates[instrument] += 1
        updates = self._updates[instrument]
        if self._work.is_time(updates):
            book = self.cache.order_book(instrument)
            bids, asks = (
                [(level.price, level.size()) for level in side] for side in (book.bids(), book.asks())
            )
            exchange, symbol = self._names[instrument]
            held = deltas.sequence
            tell(exchange, symbol, update_id=held, updates=updates, bids=bids, asks=asks)
        if all(self._work.is_done(self._updates[each]) for each in self._names):
            self._done.set()


async def main() -> None:
    work, done, clients = task(), asyncio.Event(), {}
    for exchange in dict(work.books):
        account, venue, _ = KINDS[exchange]
        clients[venue] = BinanceDataClientConfig(
            venue=Venue(venue),
            account_type=account,
            base_url_http=work.rest[exchange],
            base_url_ws=work.websocket[exchange],
            instrument_provider=InstrumentProviderConfig(load_all=True),
        )
    node = TradingNode(
        config=TradingNodeConfig(data_clients=clients, logging=LoggingConfig(log_level="ERROR"))
    )
    node.trader.add_strategy(Follower(work, done))
    for venue in clients:
        node.add_data_client_factory(venue, BinanceLiveDataClientFactory)
    node.build()
    running = asyncio.create_task(node.run_async())
    await asyncio.wait({running, asyncio.create_task(done.wait())}, return_when=asyncio.FIRST_COMPLETED)
    os._exit(0 if done.is_set() else 1)  # its own end takes ten seconds


asyncio.run(main())
