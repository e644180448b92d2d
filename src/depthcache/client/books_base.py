"""The mapping of names to books, and exports of all books: shared by both APIs.

Any thread may read it. Names are matched as users write them, in any case; an ambiguous name raises an error
that lists the unambiguous forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, cast

from depthcache import venues
from depthcache._native import BookReader, Columns
from depthcache.arguments import Missing, parse_missing
from depthcache.client.config import ClientConfig, is_collection, not_started
from depthcache.client.follow import AnyMode, parse_follow_spec
from depthcache.client.waiters import all_unknown
from depthcache.errors import InvalidArgument, UnknownExchange, UnknownSymbol, UsageError
from depthcache.model import Status
from depthcache.pickling import OneProcess

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd  # type: ignore[import-untyped, unused-ignore]
    import polars as pl
    from numpy.typing import NDArray

    from depthcache._native import Price
    from depthcache.client.client import Client, Key
    from depthcache.io.followers import FollowSpec
    from depthcache.model import OnStale

__all__ = ["AnyBook", "BooksBase"]

AnyBook: TypeAlias = str | tuple[str, str] | BookReader
"""How to name a book of a client: a symbol, a pair of exchange and symbol, or the book itself."""

B = TypeVar("B", bound=BookReader)

_SPELLINGS = 4
"""So many ways to write its name are remembered for each book."""
D = TypeVar("D")


class BooksBase(OneProcess, Generic[B]):
    """The books of a client, by symbol or by exchange and symbol."""

    _pickle_instead = "pickle frozen books, from book.freeze(), instead"

    _client: Client[B]

    def __getitem__(self, key: str | tuple[str, str]) -> B:
        """Return the book for `"BTCUSDT"` or for `"binance.com-futures", "BTCUSDT"`, in any case.

        Raises UnknownSymbol (a LookupError) for a symbol that this client does not have, and for one that it
        has on several exchanges unless `connect("binance.com", …)` named one of them, which then is
        preferred. Raises UnknownExchange for an exchange that does not exist.
        """
        try:
            return self._client.named[key]
        except (KeyError, TypeError):  # not looked up yet; or no key at all
            return self._named(key)

    def get(self, key: str | tuple[str, str], default: D | None = None) -> B | D | None:
        """Return the book for `key`, or `default` if this client does not have it.

        A symbol that is ambiguous between exchanges raises UnknownSymbol, as `books[key]` does.
        """
        self._check_started()
        try:
            found = self._look_up(*_parts(key))
        except UnknownExchange:
            found = None
        return default if found is None else self._client.books[found]

    def keys(self) -> KeysView[Any]:
        """Return a view of the keys of all books, as `books[key]` takes them, in the order they were added.

        After `connect("binance.com", …)` the key of a book is its symbol, `"BTCUSDT"`. After
        `connect({"binance.com": …, …})` it is the pair `("binance.com", "BTCUSDT")`, even with a single
        exchange. Books added later use the same kind of key, except that a book of another exchange than the
        one passed to `connect` has a pair. The key of a book never changes.

        The views returned by `keys`, `values` and `items` do not follow later additions and removals.
        """
        return self._by_key().keys()

    def values(self) -> ValuesView[B]:
        """Return a view of all books, in the order of `depthcache.Books.keys`."""
        return self._by_key().values()

    def items(self) -> ItemsView[Any, B]:
        """Return a view of (key, book) pairs; for the keys see `depthcache.Books.keys`."""
        return self._by_key().items()

    def __contains__(self, key: object) -> bool:
        """Whether this client has that symbol, pair of exchange and symbol, or book."""
        self._check_started()
        if isinstance(key, BookReader):
            return any(key is book for book in self)
        try:
            return bool(self._matches(*_parts(key)))
        except UsageError:
            return False

    def __iter__(self) -> Iterator[B]:
        """Iterate over the books (not their names), in the order they were added."""
        self._check_started()
        return iter(tuple(self._client.books.values()))

    def __len__(self) -> int:
        """The number of books."""
        self._check_started()
        return len(self._client.books)

    def to_arrow(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
        missing: Literal["raise", "skip"] = "raise",
    ) -> Columns:
        """Return the best `levels` per side of all books as columns, one row per level: see `Columns`.

        `levels`: None for all. Each book is read at one update id, one book after another. `low`, `high`:
        only prices in this range, both inclusive. `exact`: decimal128 instead of float64. `missing`: for
        books that cannot be read: `raise` raises BooksNotSynced, which names them all (BookClosed if they are
        all closed for good); `skip` leaves them out and lists them in `.missing`. With `on_stale="serve"` the
        last known books are included, and the column `status` shows their status. Raises InvalidArgument.
        """
        self._check_started()
        return Columns(self, levels, low=low, high=high, exact=exact, missing=missing)

    def to_numpy(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        missing: Literal["raise", "skip"] = "raise",
    ) -> dict[str, NDArray[np.generic]]:
        """Return the same columns as a dict of arrays; arguments as for `depthcache.Books.to_arrow`.

        For dtypes and missing values see `Columns.to_numpy`.
        """
        return self.to_arrow(levels, low=low, high=high, missing=missing).to_numpy()

    def to_pandas(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
        missing: Literal["raise", "skip"] = "raise",
    ) -> pd.DataFrame:
        """Return the same columns as a pandas DataFrame; arguments as for `depthcache.Books.to_arrow`.

        For dtypes see `Columns.to_pandas`.
        """
        return self.to_arrow(levels, low=low, high=high, exact=exact, missing=missing).to_pandas()

    def to_polars(
        self,
        levels: int | None = None,
        *,
        low: Price | None = None,
        high: Price | None = None,
        exact: bool = False,
        missing: Literal["raise", "skip"] = "raise",
    ) -> pl.DataFrame:
        """Return the same columns as a polars DataFrame; arguments as for `depthcache.Books.to_arrow`.

        See `Columns.to_polars`.
        """
        return self.to_arrow(levels, low=low, high=high, exact=exact, missing=missing).to_polars()

    def __repr__(self) -> str:
        name = f"{type(self).__module__}.{type(self).__name__}"
        if not self._client.started:
            return f"<{name}: not started yet>"
        synced = sum(book.status is Status.SYNCED for book in self)
        return f"<{name}: {synced} of {len(self)} synced>"

    def _repr_html_(self) -> str | None:
        """The HTML for notebooks: a table of the books, or the `repr` of a client that was not started."""
        if not self._client.started:
            return None
        from depthcache.pictures.html import books_html  # where it is needed: few programs show books

        return books_html(type(self).__name__, self)

    def _follow_spec(
        self,
        mode: AnyMode,
        levels: int | None,
        *,
        interval_ms: float | None,
        on_stale: OnStale | None,
        buffer: int,
        buffer_bytes: int,
    ) -> FollowSpec:
        return parse_follow_spec(
            mode,
            levels,
            interval_ms=interval_ms,
            on_stale=on_stale,
            default=self._client.config.on_stale,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )

    def _ipython_key_completions_(self) -> list[Any]:
        """Completions for `books["` in IPython and notebooks: keys, and unambiguous symbols."""
        if not self._client.started:
            return []
        keys = list(self.keys())
        counts = Counter(symbol for _, symbol in self._client.books)
        return [*keys, *(symbol for symbol, count in counts.items() if count == 1 and symbol not in keys)]

    @property
    def _config(self) -> ClientConfig:
        return self._client.config

    def _watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call a function after books were added or removed, on the client's event loop, until what is
        returned is called. Raises UsageError before the client runs."""
        self._check_started()
        client = self._client
        client.on_books += (changed,)

        def unwatch() -> None:
            client.on_books = tuple(each for each in client.on_books if each is not changed)

        return unwatch

    def _by_key(self) -> dict[Any, B]:
        self._check_started()
        home = self._client.config.home
        return {
            symbol if exchange == home else (exchange, symbol): book
            for (exchange, symbol), book in self._client.books.items()
        }

    def _chosen(self, keys: object, *, missing: Missing) -> list[Key] | None:
        """Resolve names to keys; None for all books.

        Raises the matching UsageError. With `skip`, symbols that are not held are left out.
        """
        parse_missing(missing)
        self._check_started()
        if keys is None:
            return None
        if not is_collection(keys):
            allowed = "a list of symbols, (exchange, symbol) pairs or books, or None for all"
            raise InvalidArgument(name="books", value=keys, allowed=allowed)
        found: list[Key] = []
        unknown: list[UnknownSymbol] = []
        for each in keys:
            exchange, symbol = _parts(each)
            key = self._look_up(exchange, symbol)
            if key is None:
                unknown.append(self._unknown(exchange, symbol))
            else:
                found.append(key)
        if unknown and missing == "raise":
            raise all_unknown(unknown)
        return found

    def _find(self, key: object) -> Key:
        """Resolve a name to its key. Raises the matching UsageError."""
        exchange, symbol = _parts(key)
        self._check_started()
        found = self._look_up(exchange, symbol)
        if found is None:
            raise self._unknown(exchange, symbol)
        return found

    def _look_up(self, exchange: str | None, symbol: str) -> Key | None:
        """Resolve a name to its key, or None if it is not held.

        Raises UnknownExchange, and UnknownSymbol for an ambiguous symbol.
        """
        found = self._matches(exchange, symbol)
        if len(found) > 1:
            found = [each for each in found if each[0] == self._client.config.home] or found
        if len(found) > 1:
            ways = " or ".join(f"books[{name!r}, {held!r}]" for name, held in found)
            raise UnknownSymbol(
                symbol=symbol,
                exchange=None,
                reason=f"it is on several exchanges; use {ways}",
                ambiguous=True,
            )
        return found[0] if found else None

    def _unknown(self, exchange: str | None, symbol: str) -> UnknownSymbol:
        held = dict.fromkeys(each[1] for each in self._client.books)
        near = get_close_matches(symbol.upper(), held, n=3)
        return UnknownSymbol(
            symbol=symbol, exchange=exchange, reason="this client has no such book", near=tuple(near)
        )

    def _named(self, key: object) -> B:
        """The book of a key, which is found faster the next time. Raises as `_find`."""
        client = self._client
        named = client.named  # before the books: what is found among older ones is not remembered
        book = client.books[self._find(key)]
        parts: tuple[object, ...] = cast("tuple[object, ...]", key) if type(key) is tuple else (key,)
        is_plain = all(type(part) is str for part in parts)
        if is_plain and len(named) < _SPELLINGS * (1 + len(client.books)):
            named[key] = book
        return book

    def _check_started(self) -> None:
        if not self._client.started:
            raise not_started(self._client.how_to_start)

    def _matches(self, exchange: str | None, symbol: str) -> list[Key]:
        """All keys that a name could mean. Raises UnknownExchange."""
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
        case BookReader():
            return key.exchange, key.symbol
        case (str() as exchange, str() as symbol):
            return exchange, symbol
        case _:
            raise InvalidArgument(name="book", value=key, allowed="a symbol, or an exchange and a symbol")


def _spelled(symbol: str, exchange: str) -> str | None:
    """The symbol in the spelling of that exchange; None if it cannot be a symbol."""
    try:
        return venues.parse_symbol(symbol, venues.venue(exchange))
    except InvalidArgument:
        return None
