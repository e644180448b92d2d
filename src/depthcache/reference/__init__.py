"""A local order book in plain Python: the specification, and the oracle of the tests.

Reading order: `messages` (bytes to exact numbers), `sequence` (which update may follow which), `book` (levels
and the complete range), `market` (the state machine), `router` (markets and connections), `reader` (what
users read), `follow` (what a follower receives). The native module implements the same, faster; every book
test runs on both. Clarity comes before speed: the client never imports this package.
"""

from depthcache.reference.reader import Book, BookReader, FrozenBook
from depthcache.reference.router import Router

__all__ = ["Book", "BookReader", "FrozenBook", "Router"]


def __dir__() -> list[str]:
    return list(__all__)
