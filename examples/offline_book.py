"""A book from your own data, without any network: the same rules as the live client."""

import json

import depthcache


def diff(first: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> str:
    """A depth update as Binance sends it."""
    return json.dumps(
        {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    )


book = depthcache.Book("binance.com", "BTCUSDT")
print(book.apply(diff(9, 11, [], [])), "- kept until a snapshot comes")
snapshot = {"lastUpdateId": 10, "bids": [["1.10", "5.0"]], "asks": [["1.20", "7.0"]]}
print(book.load_snapshot(json.dumps(snapshot), limit=1000))
print(book.apply(diff(12, 13, [["1.15", "2.0"]], [["1.20", "0.0"]])), book.best)
print(book.apply(diff(8, 9, [], [])), "- older than the book: nothing changes")
print(book.apply(diff(20, 21, [], [])), "- updates are missing")
print(f"{book!r}: a newer snapshot is needed")
