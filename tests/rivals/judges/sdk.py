"""The common part of Binance's three SDKs for Python: subscribe, ask for the snapshot, keep the book.

The SDK connects, subscribes (by request ids that are texts), asks over REST and makes objects of its models;
it keeps no book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from binance_common.errors import ServerError
from plain_book import PlainBook
from report import DEPTH, RETRY_S, Task, tell


async def judge(
    client: Any,
    work: Task,
    exchange: str,
    subscribe: Callable[..., Awaitable[Any]],
    snapshot: Callable[..., Any],
) -> None:
    """`subscribe`: of one symbol's diffs; `snapshot`: of its depth. Ends when every book was looked at."""
    symbols = [symbol for name, symbol in work.books if name == exchange]
    await asyncio.gather(*(one_book(work, exchange, each, subscribe, snapshot) for each in symbols))
    await client.close_connection(close_session=True)


async def one_book(
    work: Task,
    exchange: str,
    symbol: str,
    subscribe: Callable[..., Awaitable[Any]],
    snapshot: Callable[..., Any],
) -> None:
    diffs: asyncio.Queue[Any] = asyncio.Queue()
    stream = await subscribe(symbol=symbol.lower())
    stream.on("message", diffs.put_nowait)
    updates = 0
    while not work.is_done(updates):
        waiting = [await diffs.get()]
        book = PlainBook()
        try:
            shown = await asyncio.to_thread(partial(snapshot, symbol=symbol, limit=DEPTH))
        except ServerError:  # status 503: there is no book at the moment
            await asyncio.sleep(RETRY_S)
            continue
        held = shown.data()
        book.load(held.last_update_id, held.bids, held.asks)
        while not work.is_done(updates):
            diff = waiting.pop() if waiting else await diffs.get()
            try:
                is_new = book.apply(diff.U, diff.u, getattr(diff, "pu", None), diff.b, diff.a)
            except ValueError:  # updates are missing: begin with another snapshot
                break
            updates += is_new
            if is_new and work.is_time(updates):
                sides = {"bids": book.bids(), "asks": book.asks()}
                tell(exchange, symbol, update_id=book.update_id, updates=updates, **sides)
