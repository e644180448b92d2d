"""The books of a cluster as a file: what to keep, in how many replicas and with which settings.

    {
      "format": "depthcache cluster backup",
      "version": 1,
      "cluster": "amber-fox",
      "made_at": "2026-12-01T00:00:00Z",
      "books": [
        {"exchange": "binance.com", "symbol": "BTCUSDT", "replicas": 2, "settings": {"depth": 500}}
      ],
      "digest": "sha256:…"
    }

It has no secrets, and nothing of nodes: which node holds a book follows from the nodes that there are, a
drain ends with its maintenance, and the identity of a node is in its own data folder. So the file fits any
cluster. `digest` is of all other members, to notice damage; it proves nothing about who wrote the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from depthcache import venues
from depthcache.client.config import parse_config
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import parse_replicas
from depthcache.cluster.errors import BackupUnreadable
from depthcache.errors import DepthCacheError, InvalidArgument
from depthcache.foreign_text import clean
from depthcache.settings import Settings

__all__ = ["Backup", "BookDifference", "KeptBook", "differences", "kept_books"]

_FORMAT, _VERSION = "depthcache cluster backup", 1
_MOST_BYTES = 64 << 20
_MOST_BOOKS = 100_000
_MOST_NAMED = 5
_SETTINGS = ("depth", "speed_ms")
_EDITED = "if you edited it by hand, add --edited"


@dataclass(frozen=True, slots=True)
class KeptBook:
    """How a cluster keeps a book.

    Attributes:
        key: its exchange and symbol.
        replicas: how many nodes hold it.
        settings: `depth` and `speed_ms`, as far as they were given, sorted by name.
    """

    key: BookKey
    replicas: int
    settings: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As in a backup."""
        exchange, symbol = self.key
        settings = dict(self.settings)
        return {"exchange": exchange, "symbol": symbol, "replicas": self.replicas, "settings": settings}

    def words(self) -> str:
        """Replicas and settings, in words."""
        texts = [f"{self.replicas} {'replica' if self.replicas == 1 else 'replicas'}"]
        texts += [f"{name} {value}" for name, value in self.settings]
        return ", ".join(texts)


@dataclass(frozen=True, slots=True)
class BookDifference:
    """What a restore changes.

    Attributes:
        added: books that the cluster does not keep.
        changed: books that it keeps otherwise: as it does, and as the backup has it.
        removed: books that the backup does not have.
        same: how many it keeps as the backup has them.
    """

    added: tuple[KeptBook, ...]
    changed: tuple[tuple[KeptBook, KeptBook], ...]
    removed: tuple[KeptBook, ...]
    same: int


@dataclass(frozen=True, slots=True)
class Backup:
    """The books of a cluster at one moment.

    Attributes:
        cluster: the name of the cluster.
        made_at: when the backup was made, in UTC.
        books: in the order of exchange and symbol.
    """

    cluster: str
    made_at: datetime
    books: tuple[KeptBook, ...]

    def encode(self) -> str:
        """The file, one line for each book."""
        head = {
            "format": _FORMAT,
            "version": _VERSION,
            "cluster": self.cluster,
            "made_at": f"{self.made_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        books = [each.to_dict() for each in self.books]
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
        rows = ",\n".join(f"    {json.dumps(each)}" for each in books)
        lines += [f'  "books": [\n{rows}\n  ],' if rows else '  "books": [],']
        lines.append(f'  "digest": {json.dumps(_digest({**head, "books": books}))}')
        return "\n".join(["{", *lines, "}", ""])

    @classmethod
    def parse(cls, content: bytes, *, name: str, is_edited: bool = False) -> Backup:
        """The backup in a file. `name`: of the file, for errors; `is_edited`: do not check its digest.

        Raises BackupUnreadable: damaged, of a newer release, or with a book that no cluster can keep.
        """
        found = _document(content, name)
        version = found.get("version")
        if found.get("format") != _FORMAT or isinstance(version, bool) or not isinstance(version, int):
            reason = "this is no backup that `depthcache cluster backup` wrote"
            raise BackupUnreadable(path=name, reason=reason)
        if version > _VERSION:
            reason = (
                f"a newer release wrote it (version {version}; this one reads {_VERSION}): upgrade depthcache"
            )
            raise BackupUnreadable(path=name, reason=reason)
        given = found.pop("digest", None)
        if not is_edited and given != _digest(found):
            reason = f"its content does not fit its digest: it is damaged; {_EDITED}"
            raise BackupUnreadable(path=name, reason=reason)
        given = found.get("books")
        books: list[Any] = cast("list[Any]", given)
        if not isinstance(given, list) or len(books) > _MOST_BOOKS:
            raise BackupUnreadable(path=name, reason=f"books is no list of at most {_MOST_BOOKS:,}")
        cluster, made_at = found.get("cluster"), _time(found.get("made_at"), name)
        if not isinstance(cluster, str):
            raise BackupUnreadable(path=name, reason="cluster is no name")
        return cls(cluster, made_at, _books(books, name))


def kept_books(status: Mapping[str, Any]) -> tuple[KeptBook, ...]:
    """The books in the answer of `GET /v1/cluster`."""
    found = [
        KeptBook(
            BookKey(str(each["exchange"]), str(each["symbol"])),
            int(each["replicas"]),
            tuple(sorted(each["settings"].items())),
        )
        for each in status["books"]
    ]
    return tuple(sorted(found, key=lambda book: book.key))


def differences(kept: Iterable[KeptBook], wanted: Iterable[KeptBook]) -> BookDifference:
    """What to do so that a cluster keeps what is wanted."""
    before, after = {each.key: each for each in kept}, {each.key: each for each in wanted}
    common = sorted(before.keys() & after.keys())
    return BookDifference(
        added=tuple(after[key] for key in sorted(after.keys() - before.keys())),
        changed=tuple((before[key], after[key]) for key in common if before[key] != after[key]),
        removed=tuple(before[key] for key in sorted(before.keys() - after.keys())),
        same=sum(before[key] == after[key] for key in common),
    )


# --- helpers -----------------------------------------------------------------------------------


def _document(content: bytes, name: str) -> dict[str, Any]:
    if len(content) > _MOST_BYTES:
        raise BackupUnreadable(path=name, reason=f"larger than {_MOST_BYTES >> 20} MiB")
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        reason = "it is empty" if not content.strip() else f"it is no JSON{where}: damaged or cut off"
        raise BackupUnreadable(path=name, reason=reason) from None
    if not isinstance(found, dict):
        raise BackupUnreadable(path=name, reason="this is no backup: it is no JSON object")
    return cast("dict[str, Any]", found)


def _digest(found: Mapping[str, Any]) -> str:
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _time(text: object, name: str) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        raise BackupUnreadable(path=name, reason=f"made_at is no time: {clean(text)!r}") from None


def _books(rows: Sequence[Any], name: str) -> tuple[KeptBook, ...]:
    found: dict[BookKey, KeptBook] = {}
    faults: list[str] = []
    check = _Checker()
    for number, row in enumerate(rows, 1):
        try:
            book = check.book(row)
        except (DepthCacheError, ValueError) as error:
            symbol = cast("dict[str, Any]", row).get("symbol") if isinstance(row, dict) else None
            faults.append(
                f"book {number} ({clean(symbol)}): {error}" if symbol else f"book {number}: {error}"
            )
            continue
        if book.key in found:
            faults.append(f"book {number}: {book.key.symbol} on {book.key.exchange} is in it twice")
        found[book.key] = book
    if faults:
        more = f"; and {len(faults) - _MOST_NAMED:,} more" if len(faults) > _MOST_NAMED else ""
        raise BackupUnreadable(path=name, reason=f"{'; '.join(faults[:_MOST_NAMED])}{more}")
    return tuple(sorted(found.values(), key=lambda each: each.key))


class _Checker:
    """Whether a node would take a book: by the same rules."""

    def __init__(self) -> None:
        self._config = parse_config({}, None, depth=100, on_stale="raise", speed_ms=None, settings=Settings())

    def book(self, row: object) -> KeptBook:
        """The book of a row. Raises DepthCacheError, ValueError."""
        if not isinstance(row, dict):
            raise ValueError("it is no object")
        given = cast("dict[str, Any]", row)
        for name in given.keys() - {"exchange", "symbol", "replicas", "settings"}:
            raise ValueError(f"unknown member {clean(name)!r}")
        venue = venues.venue(given.get("exchange", ""))
        symbol = venues.parse_symbol(given.get("symbol", ""), venue)
        settings = given.get("settings", {})
        if not isinstance(settings, dict):
            raise InvalidArgument(name="settings", value=settings, allowed='an object such as {"depth": 500}')
        named = cast("dict[str, Any]", settings)
        for name, value in named.items():
            if name not in _SETTINGS:
                raise InvalidArgument(name="setting", value=name, allowed=" or ".join(_SETTINGS))
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidArgument(name=name, value=value, allowed="a whole number")
        replace(self._config, **named).book(venue.name, symbol)
        key = BookKey(venue.name, symbol)
        return KeptBook(key, parse_replicas(given.get("replicas")), tuple(sorted(named.items())))
