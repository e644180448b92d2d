"""Which book is meant, and all books at once: the part of a set of books that both APIs share.

Readable from any thread. Names are taken as users write them, in any case; what is ambiguous is refused with
the way to ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from depthcache import venues
from depthcache._native import BookReader, Columns
from depthcache.arguments import Missing, parse_missing
from depthcache.client.config import is_collection, not_started
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
"""How a book of a client is named: by symbol, by exchange and symbol, or by itself."""

B = TypeVar("B", bound=BookReader)
D = TypeVar("D")


class BooksBase(OneProcess, Generic[B]):
    """The books of a client by symbol, or by exchange and symbol."""

    _pickle_instead = "pickle the frozen books of book.freeze()"

    _client: Client[B]

    def __getitem__(self, key: str | tuple[str, str]) -> B:
        """The book of `"BTCUSDT"`, or of `"binance.com-futures", "BTCUSDT"`; any case.

        Raises UnknownSymbol (a LookupError) for a symbol this client does not hold, and for one that
        it holds on several exchanges, unless `connect` named one of them for all symbols: then that one is
        meant. Raises UnknownExchange for an exchange that does not exist.
        """
        return self._client.books[self._find(key)]

    def get(self, key: str | tuple[str, str], default: D | None = None) -> B | D | None:
        """The same, or `default` for a `key` that is not held; a symbol that is held on several exchanges
        raises UnknownSymbol here, too."""
        self._check_started()
        try:
            found = self._look_up(*_parts(key))
        except UnknownExchange:
            found = None
        return default if found is None else self._client.books[found]

    def keys(self) -> KeysView[Any]:
        """The keys of all books, as `books[key]` takes them, in the order in which they were added.

        After `connect("binance.com", …)` the key of a book is its symbol, `"BTCUSDT"`; after
        `connect({"binance.com": …, …})` it is the pair `("binance.com", "BTCUSDT")`, also with a single
        exchange. Books that are added later have the same kind of key; only one of another exchange than
        the one that `connect` named has the pair. The key of a book never changes.

        This and `values` and `items` show the books of this moment.
        """
        return self._by_key().keys()

    def values(self) -> ValuesView[B]:
        """All books, as a loop over the client itself gives them."""
        return self._by_key().values()

    def items(self) -> ItemsView[Any, B]:
        """Every key with its book: `for symbol, book in books.items():`. For the keys see
        `depthcache.Books.keys`."""
        return self._by_key().items()

    def __contains__(self, key: object) -> bool:
        """Whether that symbol, pair of exchange and symbol, or book is held."""
        self._check_started()
        if isinstance(key, BookReader):
            return any(key is book for book in self)
        try:
            return bool(self._matches(*_parts(key)))
        except UsageError:
            return False

    def __iter__(self) -> Iterator[B]:
        """The books (not their names), in the order they were added."""
        self._check_started()
        return iter(tuple(self._client.books.values()))

    def __len__(self) -> int:
        """How many books are held."""
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
        """The best `levels` of each side of all books (all when None), one row a level: see `Columns`.

        Each book is read at one update id, the books one after another. `low`, `high`: only prices in
        between. `exact`: decimal128 instead of float64. `missing`: what books do that cannot be read:
        `raise` BooksNotSynced, which names them all (BookClosed where none will come back), or `skip`:
        they are left out and listed in `.missing`. With `on_stale="serve"` the last known books are there
        and `status` tells what they are. Raises InvalidArgument.
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
        """The same as one array a column; arguments as `depthcache.Books.to_arrow`.

        See `Columns.to_numpy`.
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
        """The same as a DataFrame of pandas; arguments as `depthcache.Books.to_arrow`.

        See `Columns.to_pandas`.
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
        """The same as a DataFrame of polars; arguments as `depthcache.Books.to_arrow`.

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
        """What notebooks show: a table of the books; the `repr` of a client that was not started."""
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
        """What `books["` offers in IPython and notebooks: keys, and symbols that mean one book."""
        if not self._client.started:
            return []
        keys = list(self.keys())
        counts = Counter(symbol for _, symbol in self._client.books)
        return [*keys, *(symbol for symbol, count in counts.items() if count == 1 and symbol not in keys)]

    def _by_key(self) -> dict[Any, B]:
        self._check_started()
        home = self._client.config.home
        return {
            symbol if exchange == home else (exchange, symbol): book
            for (exchange, symbol), book in self._client.books.items()
        }

    def _chosen(self, keys: object, *, missing: Missing) -> list[Key] | None:
        """The keys of some books; None for all. Raises UsageError of the right kind; with `skip` not for
        symbols that are not held."""
        parse_missing(missing)
        self._check_started()
        if keys is None:
            return None
        if not is_collection(keys):
            allowed = "a list of symbols, of (exchange, symbol), or of books; None for all"
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
        """The one key that is meant. Raises UsageError of the right kind."""
        exchange, symbol = _parts(key)
        self._check_started()
        found = self._look_up(exchange, symbol)
        if found is None:
            raise self._unknown(exchange, symbol)
        return found

    def _look_up(self, exchange: str | None, symbol: str) -> Key | None:
        """The one key that is meant, None where it is not held. Raises UnknownExchange, and UnknownSymbol for
        a symbol that may mean several."""
        found = self._matches(exchange, symbol)
        if len(found) > 1:
            found = [each for each in found if each[0] == self._client.config.home] or found
        if len(found) > 1:
            ways = " or ".join(f"books[{name!r}, {held!r}]" for name, held in found)
            raise UnknownSymbol(symbol=symbol, exchange=None, reason=f"held on several exchanges; ask {ways}")
        return found[0] if found else None

    def _unknown(self, exchange: str | None, symbol: str) -> UnknownSymbol:
        held = dict.fromkeys(each[1] for each in self._client.books)
        near = get_close_matches(symbol.upper(), held, n=3)
        return UnknownSymbol(
            symbol=symbol, exchange=exchange, reason="this client does not hold it", near=tuple(near)
        )

    def _check_started(self) -> None:
        if not self._client.started:
            raise not_started(self._client.how_to_start)

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
        case BookReader():
            return key.exchange, key.symbol
        case (str() as exchange, str() as symbol):
            return exchange, symbol
        case _:
            raise InvalidArgument(name="book", value=key, allowed="a symbol, or an exchange and a symbol")


def _spelled(symbol: str, exchange: str) -> str | None:
    """The symbol as that exchange spells it; None for what cannot be one."""
    try:
        return venues.parse_symbol(symbol, venues.venue(exchange))
    except InvalidArgument:
        return None
