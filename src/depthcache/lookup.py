"""Which book is meant: the part of a set of books that both faces share, readable from any thread.

Names are taken as users write them, in any case; what is ambiguous is refused with the way to ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Generic, TypeVar

from depthcache import venues
from depthcache._native import BookReader
from depthcache.errors import InvalidArgument, UnknownSymbol, UsageError
from depthcache.model import Status

if TYPE_CHECKING:
    from depthcache.client import Client, Key

__all__ = ["Lookup"]

B = TypeVar("B", bound=BookReader)


class Lookup(Generic[B]):
    """The books of a client by symbol, or by exchange and symbol."""

    _client: Client[B]

    def __getitem__(self, key: str | tuple[str, str]) -> B:
        """The book of `"BTCUSDT"`, or of `"binance.com-futures", "BTCUSDT"`; any case.

        Raises UnknownSymbol (a LookupError) for a symbol this client does not hold, and for one that
        it holds on several exchanges; UnknownExchange for an exchange that does not exist.
        """
        return self._client.books[self._find(key)]

    def __contains__(self, key: object) -> bool:
        """Whether that symbol, pair of exchange and symbol, or book is held."""
        if isinstance(key, BookReader):
            return any(key is book for book in self)
        try:
            return bool(self._matches(*_parts(key)))
        except UsageError:
            return False

    def __iter__(self) -> Iterator[B]:
        """The books (not their names), in the order they were added."""
        return iter(tuple(self._client.books.values()))

    def __len__(self) -> int:
        """How many books are held."""
        return len(self._client.books)

    def __repr__(self) -> str:
        synced = sum(book.status is Status.SYNCED for book in self)
        return f"<{type(self).__module__}.{type(self).__name__}: {synced} of {len(self)} synced>"

    def _find(self, key: object) -> Key:
        """The one key that is meant. Raises UsageError of the right kind."""
        exchange, symbol = _parts(key)
        if not self._client.started:
            raise UsageError("there are no books yet: enter the client first, with `async with` or `with`")
        found = self._matches(exchange, symbol)
        if len(found) == 1:
            return found[0]
        if found:
            ways = " or ".join(f"books[{name!r}, {held!r}]" for name, held in found)
            raise UnknownSymbol(symbol=symbol, exchange=None, reason=f"held on several exchanges; ask {ways}")
        held = dict.fromkeys(each[1] for each in self._client.books)
        near = get_close_matches(symbol.upper(), held, n=3)
        raise UnknownSymbol(
            symbol=symbol, exchange=exchange, reason="this client does not hold it", near=tuple(near)
        )

    def _matches(self, exchange: str | None, symbol: str) -> list[Key]:
        """All keys that may be meant. Raises UnknownExchange."""
        named = None if exchange is None else venues.venue(exchange).name
        return [
            each
            for each in self._client.books
            if named in (None, each[0]) and _spelled(symbol, each[0]) == each[1]
        ]


def _parts(key: object) -> tuple[str | None, str]:
    match key:
        case str():
            return None, key
        case (str() as exchange, str() as symbol):
            return exchange, symbol
    raise InvalidArgument(name="book", value=key, allowed="a symbol, or an exchange and a symbol")


def _spelled(symbol: str, exchange: str) -> str | None:
    """The symbol as that exchange spells it; None for what cannot be one."""
    try:
        return venues.parse_symbol(symbol, venues.venue(exchange))
    except InvalidArgument:
        return None
