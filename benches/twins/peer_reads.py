"""Reads of books of several libraries, in one process, on the same messages; prints JSON.

    PYTHONPATH=src python benches/twins/peer_reads.py MESSAGES.json

Run by the interpreter that has the other libraries (`benches.reads_against_peers`); it prints the names of
those that are missing. Every library takes the bytes of each update; the others parse them with
`orjson`, or with `json` if it is missing. "Unchanged": the read is repeated. "First": the first read after an
update. The libraries take turns on the same updates, so their figures can be compared one by one.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    from orjson import loads
except ImportError:
    loads = json.loads

Read = Callable[[], object]
Apply = Callable[[bytes], object]
Peer = tuple[Apply, dict[str, Read]]

ROUNDS, CALLS, BLOCK = 15, 300, 25
NEEDED, TOP = 5, 20


def parsed(frame: bytes) -> Any:
    """The update of a frame."""
    message = loads(frame)
    return message.get("data", message)


def depthcache_book(messages: Any) -> Peer:
    import depthcache
    from depthcache import _native

    book = depthcache.Book(messages["exchange"])
    book.load_snapshot(messages["snapshot"], limit=5_000)

    def through_levels() -> float:
        total = 0.0
        for price, quantity in book.bids[:TOP]:
            total += price * quantity
        for price, quantity in book.asks[:TOP]:
            total += price * quantity
        return total

    def through_pairs() -> float:
        total = 0.0
        for price, quantity in book.bids.pairs(TOP):
            total += price * quantity
        for price, quantity in book.asks.pairs(TOP):
            total += price * quantity
        return total

    return book.apply, {
        "an empty native call": _native._nothing,
        "best bid and ask": lambda: book.best,
        "top 20 of both sides": lambda: (book.bids[:TOP], book.asks[:TOP]),
        "mid": lambda: book.mid,
        "cost of buying 5": lambda: book.fill("buy", base=NEEDED),
        "imbalance of 5 levels": lambda: book.imbalance(5),
        "all of 40 levels used": through_pairs,
        "all of 40 levels used, by attributes or unpacking": through_levels,
        "top 20 of both sides as numpy": lambda: book.to_numpy(TOP),
    }


def _numbers(side: Any) -> list[tuple[float, float]]:
    return [(float(price), float(quantity)) for price, quantity in side]


def _reads_of_lists(bids: Any, asks: Any) -> dict[str, Read]:
    """Of sides that are lists of pairs, best first."""

    def cost() -> float:
        left, total = float(NEEDED), 0.0
        for level in asks:
            taken = min(level[1], left)
            left -= taken
            total += taken * level[0]
            if left <= 0:
                break
        return total

    def imbalance() -> float:
        bought = sum(level[1] for level in bids[:5])
        sold = sum(level[1] for level in asks[:5])
        return (bought - sold) / (bought + sold)

    def used() -> float:
        total = 0.0
        for price, quantity in bids[:TOP]:
            total += price * quantity
        for price, quantity in asks[:TOP]:
            total += price * quantity
        return total

    import numpy as np

    return {
        "best bid and ask": lambda: (bids[0], asks[0]),
        "top 20 of both sides": lambda: (bids[:TOP], asks[:TOP]),
        "mid": lambda: (bids[0][0] + asks[0][0]) / 2,
        "cost of buying 5": cost,
        "imbalance of 5 levels": imbalance,
        "all of 40 levels used": used,
        "all of 40 levels used, by attributes or unpacking": used,
        "top 20 of both sides as numpy": lambda: (np.array(bids[:TOP]), np.array(asks[:TOP])),
    }


def ccxt(messages: Any) -> Peer:
    from ccxt.async_support.base.ws.order_book import OrderBook

    snapshot = loads(messages["snapshot"])
    book = OrderBook({name: [[*level] for level in _numbers(snapshot[name])] for name in ("bids", "asks")})
    bids, asks = book["bids"], book["asks"]

    def apply(frame: bytes) -> None:
        diff = parsed(frame)
        for side, levels in ((bids, diff["b"]), (asks, diff["a"])):
            for price, quantity in levels:
                side.store(float(price), float(quantity))

    return apply, _reads_of_lists(bids, asks)


def order_book(messages: Any) -> Peer:
    """The book of cryptofeed."""
    from order_book import OrderBook

    snapshot = loads(messages["snapshot"])
    book = OrderBook()
    book.bids, book.asks = (dict(_numbers(snapshot[name])) for name in ("bids", "asks"))

    def apply(frame: bytes) -> None:
        diff = parsed(frame)
        for side, levels in ((book.bids, diff["b"]), (book.asks, diff["a"])):
            for price, quantity in _numbers(levels):
                if quantity:
                    side[price] = quantity
                elif price in side:
                    del side[price]

    def top(side: Any, count: int) -> list[Any]:
        return [side.index(place) for place in range(count)]

    def used() -> float:
        return sum(price * quantity for side in (book.bids, book.asks) for price, quantity in top(side, TOP))

    return apply, {
        "best bid and ask": lambda: (book.bids.index(0), book.asks.index(0)),
        "top 20 of both sides": lambda: (top(book.bids, TOP), top(book.asks, TOP)),
        "mid": lambda: (book.bids.index(0)[0] + book.asks.index(0)[0]) / 2,
        "all of 40 levels used": used,
        "all of 40 levels used, by attributes or unpacking": used,
    }


def nautilus_trader(messages: Any) -> Peer:
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.data import BookOrder, OrderBookDelta
    from nautilus_trader.model.enums import BookAction, BookType, OrderSide
    from nautilus_trader.model.identifiers import InstrumentId
    from nautilus_trader.model.objects import Price, Quantity

    name = InstrumentId.from_str(f"{messages['symbol']}.BINANCE")
    book = OrderBook(name, BookType.L2_MBP)

    def apply_side(side: Any, levels: Any, update_id: int) -> None:
        for price, quantity in _numbers(levels):
            action = BookAction.UPDATE if quantity else BookAction.DELETE
            order = BookOrder(side, Price(price, 2), Quantity(quantity, 5), 0)
            book.apply_delta(OrderBookDelta(name, action, order, 0, update_id, 0, 0))

    def apply(frame: bytes) -> None:
        diff = parsed(frame)
        apply_side(OrderSide.BUY, diff["b"], diff["u"])
        apply_side(OrderSide.SELL, diff["a"], diff["u"])

    snapshot = loads(messages["snapshot"])
    apply_side(OrderSide.BUY, snapshot["bids"], 0)
    apply_side(OrderSide.SELL, snapshot["asks"], 0)
    size = Quantity(NEEDED, 5)
    return apply, {
        "best bid and ask": lambda: (book.best_bid_price(), book.best_ask_price()),
        "top 20 of both sides": lambda: (book.bids()[:TOP], book.asks()[:TOP]),
        "mid": lambda: book.midpoint(),
        "cost of buying 5": lambda: book.get_avg_px_for_quantity(size, OrderSide.BUY),
    }


def sortedcontainers(messages: Any) -> Peer:
    """A book as it is often written by hand."""
    from sortedcontainers import SortedDict

    snapshot = loads(messages["snapshot"])
    bids = SortedDict({-price: quantity for price, quantity in _numbers(snapshot["bids"])})
    asks = SortedDict(_numbers(snapshot["asks"]))

    def apply(frame: bytes) -> None:
        diff = parsed(frame)
        for side, sign, levels in ((bids, -1, diff["b"]), (asks, 1, diff["a"])):
            for price, quantity in _numbers(levels):
                if quantity:
                    side[sign * price] = quantity
                else:
                    side.pop(sign * price, None)

    return apply, {
        "best bid and ask": lambda: (bids.peekitem(0), asks.peekitem(0)),
        "top 20 of both sides": lambda: (list(bids.items()[:TOP]), list(asks.items()[:TOP])),
        "mid": lambda: (asks.peekitem(0)[0] - bids.peekitem(0)[0]) / 2,
    }


def python_binance(messages: Any) -> Peer:
    from binance.ws.depthcache import DepthCache

    snapshot = loads(messages["snapshot"])
    cache = DepthCache(messages["symbol"], float)

    def apply(frame: bytes) -> None:
        diff = parsed(frame)
        for level in diff["b"]:
            cache.add_bid(level)
        for level in diff["a"]:
            cache.add_ask(level)

    for level in snapshot["bids"]:
        cache.add_bid(level)
    for level in snapshot["asks"]:
        cache.add_ask(level)
    return apply, {
        "best bid and ask": lambda: (cache.get_bids()[0], cache.get_asks()[0]),
        "top 20 of both sides": lambda: (cache.get_bids()[:TOP], cache.get_asks()[:TOP]),
        "mid": lambda: (cache.get_bids()[0][0] + cache.get_asks()[0][0]) / 2,
    }


PEERS = {
    "depthcache": depthcache_book,
    "ccxt": ccxt,
    "order_book": order_book,
    "nautilus_trader": nautilus_trader,
    "sortedcontainers": sortedcontainers,
    "python-binance": python_binance,
}


def unchanged(peers: dict[str, Peer], row: str) -> dict[str, list[float]]:
    """Nanoseconds of a repeated read in each round, by library that has it."""
    reads = {name: reads[row] for name, (_, reads) in peers.items() if row in reads}
    spent: dict[str, list[float]] = {name: [] for name in reads}
    for _ in range(ROUNDS):
        for name, read in reads.items():
            begin = time.perf_counter_ns()
            read()
            calls = CALLS if time.perf_counter_ns() - begin < 20_000 else CALLS // 30
            begin = time.perf_counter_ns()
            for _call in range(calls):
                read()
            spent[name].append((time.perf_counter_ns() - begin) / calls)
    return spent


def first(
    peers: dict[str, Peer], rows: list[str], updates: list[bytes]
) -> dict[str, dict[str, list[tuple[int, int]]]]:
    """Nanoseconds of each update with the first read after it, and of the read: by row and library.

    The libraries take turns on blocks of updates: within a block each works as in a program of its own.
    """
    spent: dict[str, dict[str, list[tuple[int, int]]]] = {row: {} for row in rows}
    names = list(peers)
    for turn, start in enumerate(range(0, len(updates), BLOCK)):
        row = rows[turn % len(rows)]
        shift = turn // len(rows) % len(names)
        for name in names[shift:] + names[:shift]:
            apply, reads = peers[name]
            times = block(updates[start : start + BLOCK], apply, reads.get(row, str))
            if row in reads:
                spent[row].setdefault(name, []).extend(times)
    return spent


def block(updates: list[bytes], apply: Apply, read: Read) -> list[tuple[int, int]]:
    """Nanoseconds of each update with the read after it, and of the read."""
    clock, times = time.perf_counter_ns, []
    for frame in updates:
        begin = clock()
        apply(frame)
        applied = clock()
        read()
        ended = clock()
        times.append((ended - begin, ended - applied))
    return times


def compare(peers: dict[str, Peer]) -> None:
    """Raise AssertionError if a library does not have the same book."""
    mids = {name: float(reads["mid"]()) for name, (_, reads) in peers.items()}  # type: ignore[arg-type]
    if max(mids.values()) - min(mids.values()) > 1e-9 * max(mids.values()):
        raise AssertionError(f"the books differ: their mids are {mids}")


def main() -> None:
    """Measure and print."""
    messages = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    held = loads(messages["snapshot"])["lastUpdateId"]
    frames = [text.encode() for text in messages["frames"]]
    updates = [frame for frame in frames if parsed(frame)["u"] > held]
    peers, missing = {}, {}
    for name, make in PEERS.items():
        try:
            peers[name] = make(messages)
        except ImportError as why:
            missing[name] = str(why)
    half = len(updates) // 2
    for frame in updates[:half]:
        for apply, _ in peers.values():
            apply(frame)
    compare(peers)
    rows = list(peers["depthcache"][1])
    gc.collect()
    gc.disable()
    repeated = {row: unchanged(peers, row) for row in rows}
    later = first(peers, rows, updates[half:])
    compare(peers)
    print(json.dumps({"unchanged": repeated, "first": later, "missing": missing}))


if __name__ == "__main__":
    main()
