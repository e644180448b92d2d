"""The common part of Binance's three SDKs for Python: subscribe, ask for the snapshot, keep the book.

The SDK connects, subscribes (by request ids that are texts), asks over REST and makes objects of its models;
it keeps no book.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from plain_book import PlainBook
from report import DEPTH, Task, tell


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
    waiting = [await diffs.get()]
    shown = await asyncio.to_thread(partial(snapshot, symbol=symbol, limit=DEPTH))
    held, book = shown.data(), PlainBook()
    book.load(held.last_update_id, held.bids, held.asks)
    while not work.is_done(book.updates):
        diff = waiting.pop() if waiting else await diffs.get()
        is_new = book.apply(diff.U, diff.u, getattr(diff, "pu", None), diff.b, diff.a)
        if is_new and work.is_time(book.updates):
            sides = {"bids": book.bids(), "asks": book.asks()}
            tell(exchange, symbol, update_id=book.update_id, updates=book.updates, **sides)
