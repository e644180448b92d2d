"""Compare books repeatedly with the true books of an embedded exchange.

Differences are counted in levels, and only inside the complete range: beyond it, a book guarantees nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from depthcache import now_ns as clock_ns
from depthcache.cli.state import counted
from depthcache.errors import BookError
from depthcache.simulator import differences

if TYPE_CHECKING:
    from depthcache import Books
    from depthcache.simulator import Server

__all__ = ["TruthChecker"]

_EVERY_NS = 500_000_000


class TruthChecker:
    """Counts the levels that differ. Call `look` at any rate, `compare` once at the end, then `summary`."""

    def __init__(self, server: Server, books: Books) -> None:
        self._server = server
        self._books = tuple(books)
        self._next_ns = 0
        self._compared: set[int] = set()
        self.differences: int = 0
        """Levels that differed, summed over all comparisons."""
        self.comparisons: int = 0
        """Number of compared books, summed over all comparisons."""

    @property
    def all_compared(self) -> bool:
        """Whether every book was compared at least once."""
        return len(self._compared) == len(self._books)

    def look(self) -> None:
        """Compare, unless the last comparison was less than half a second ago."""
        now_ns = clock_ns()
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + _EVERY_NS
            self.compare()

    def compare(self) -> None:
        """Compare every synced book with the truth at its update id."""
        for number, book in enumerate(self._books):
            truth = self._server.truth(book.exchange, book.symbol)
            try:
                self.differences += differences(book, truth)
            except BookError:
                continue  # not synced: it makes no claim that could be wrong
            self._compared.add(number)
            self.comparisons += 1

    def progress(self) -> str:
        """The outcome so far as short text."""
        compared = counted(self.comparisons, "comparison")
        return f"{compared} with the truth, differences: {self.differences}"

    def summary(self) -> str:
        """The outcome in one line."""
        counts = [book.counters for book in self._books]
        updates = sum(each["applied"] for each in counts)
        gaps = sum(each["gaps"] for each in counts)
        resyncs = sum(max(0, each["snapshots"] - 1) for each in counts)
        return (
            f"{counted(len(self._books), 'book')}, {counted(updates, 'update')}, {counted(gaps, 'gap')}, "
            f"{counted(resyncs, 'resync')}, differences: {self.differences}"
        )
