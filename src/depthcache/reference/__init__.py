"""How a local order book is kept right, in plain Python: the specification and the oracle.

Read in this order: `messages` (bytes to exact numbers), `sequence` (which update may follow
which), `book` (levels and how far they are known), `market` (from nothing to synced and back),
`router` (many markets on many connections), `reader` (what users read), `follow` (what a
follower receives). The native module does the same faster; every test of books runs on both. Clear before
fast: nothing in the client imports this package.
"""

from depthcache.reference.reader import Book, BookReader, FrozenBook
from depthcache.reference.router import Router

__all__ = ["Book", "BookReader", "FrozenBook", "Router"]


def __dir__() -> list[str]:
    return list(__all__)
