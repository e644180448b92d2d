"""Other clients, running their own code on the same bytes, without their network.

Each takes the raw frame, as its socket loop does: it parses (with orjson, which both use when it is
installed), then calls its own handler. The report names their versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib import metadata
from types import SimpleNamespace
from typing import Any

from benches.captures import Capture
from benches.measure import Piece
from depthcache import venues


class Unsuited(Exception):
    """A client cannot keep such a book."""


def versions() -> str:
    """Names and versions of the other clients."""
    names = ("orjson", "python-binance", "ccxt", "cryptofeed")
    return ", ".join(f"{name} {_version(name)}" for name in names)


_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "USD")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def orjson_loads(_: Capture) -> Callable[[], Piece]:
    """Parsing alone, nothing applied."""
    import orjson

    def make() -> Piece:
        loads = orjson.loads

        def piece(frames: Sequence[bytes]) -> None:
            for frame in frames:
                loads(frame)

        return piece

    return make


def python_binance(capture: Capture) -> Callable[[], Piece]:
    """DepthCacheManager (spot), or its base without the spot id check (futures), fed by hand.

    Its FuturesDepthCacheManager keeps no book: it replaces both sides by those of each message.
    """
    import orjson
    from binance.ws.depthcache import BaseDepthCacheManager, DepthCache, DepthCacheManager

    _refuse_inverse(capture)
    futures = venues.venue(capture.exchange).family != "spot"
    snapshot = orjson.loads(capture.snapshot)

    def make() -> Piece:
        kind = BaseDepthCacheManager if futures else DepthCacheManager
        manager: Any = kind.__new__(kind)
        manager._symbol, manager._conv_type, manager._refresh_interval = capture.symbol, float, None
        manager._depth_cache = DepthCache(capture.symbol)
        manager._log = SimpleNamespace(debug=lambda *_: None, error=lambda *_: None)
        manager._apply_orders(snapshot)
        manager._last_update_id = snapshot["lastUpdateId"]
        loads = orjson.loads
        for message in kept_diffs(capture):  # it cannot bridge by itself: it wants U == id + 1
            manager._apply_orders(message)
            manager._last_update_id = message["u"]

        def piece(frames: Sequence[bytes]) -> None:
            for frame in frames:
                message = loads(frame)
                step = manager._process_depth_message(message["data"])
                try:
                    step.send(None)
                except StopIteration:
                    continue
                raise AssertionError("python-binance wanted a new snapshot")

        return piece

    return make


def ccxt(capture: Capture) -> Callable[[], Piece]:
    """ccxt.pro.binance.handle_order_book, fed by hand."""
    import ccxt.pro
    import orjson

    _refuse_inverse(capture)
    futures = venues.venue(capture.exchange).family != "spot"
    base, quote = _currencies(capture.symbol)
    loop = asyncio.new_event_loop()

    def make() -> Piece:
        exchange = ccxt.pro.binance({"asyncio_loop": loop})
        symbol = f"{base}/{quote}" + (":USDT" if futures else "")
        market = {"id": capture.symbol, "symbol": symbol, "base": base, "quote": quote, "active": True}
        market |= {
            "baseId": base,
            "quoteId": quote,
            "type": "swap" if futures else "spot",
            "spot": not futures,
        }
        market |= {"swap": futures, "contract": futures, "linear": futures or None}
        market |= {"settle": quote if futures else None}
        exchange.set_markets([exchange.safe_market_structure(market)])
        exchange.newUpdates = True
        book = exchange.order_book({})
        snapshot = exchange.parse_order_book(orjson.loads(capture.snapshot), symbol)
        snapshot["nonce"] = orjson.loads(capture.snapshot)["lastUpdateId"]
        book.reset(snapshot)
        for message in kept_diffs(capture):
            exchange.handle_order_book_message(None, message, book)
        exchange.orderbooks[symbol] = book
        url = exchange.urls["api"]["ws"]["linear" if futures else "spot"]
        client = SimpleNamespace(url=url, resolve=lambda *_: None, reject=_refuse, subscriptions={})
        handle, loads = exchange.handle_order_book, orjson.loads

        def piece(frames: Sequence[bytes]) -> None:
            for frame in frames:
                handle(client, loads(frame)["data"])

        piece.book = book  # type: ignore[attr-defined]
        return piece

    return make


def kept_diffs(capture: Capture) -> list[dict[str, Any]]:
    """The parsed diffs that came before the snapshot and are newer than it."""
    import orjson

    held = orjson.loads(capture.snapshot)["lastUpdateId"]
    return [data for data in (orjson.loads(frame)["data"] for frame in capture.before) if data["u"] > held]


def _refuse_inverse(capture: Capture) -> None:
    family = venues.venue(capture.exchange).family
    if family not in ("spot", "linear"):
        raise Unsuited(f"only spot and USD-M books are compared, not {family}")


def _currencies(symbol: str) -> tuple[str, str]:
    quote = next((each for each in _QUOTES if symbol.endswith(each) and symbol != each), None)
    if quote is None:
        raise Unsuited(f"the quote currency of {symbol} is not known here")
    return symbol.removesuffix(quote), quote


def _refuse(error: object, *_: object) -> None:
    raise AssertionError(f"ccxt refused a frame: {error}")
