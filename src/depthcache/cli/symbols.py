"""`depthcache symbols`: what an exchange lists. One request within the weight budget, then filtering."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

import click

from depthcache.cli.exchange_name import EXCHANGE_NAME
from depthcache.cli.streams import tell
from depthcache.foreign_text import clean

if TYPE_CHECKING:
    from depthcache.rest import Rest
    from depthcache.venues import Venue

__all__ = ["symbols"]

_GLOB = frozenset("*?[")
_TIMEOUT_S = 30.0
"""All of exchangeInfo is several megabytes on spot."""
_KEYS: Mapping[str, Mapping[str, str]] = {
    "spot": {"base": "baseAsset", "quote": "quoteAsset"},
    "linear": {"base": "baseAsset", "quote": "quoteAsset", "contract": "contractType"},
    "inverse": {"base": "baseAsset", "quote": "quoteAsset", "contract": "contractType"},
    "options": {"underlying": "underlying", "side": "side", "strike": "strikePrice"},
}
"""What a family tells of a symbol, beside its name and status: our word and the exchange's."""


@click.command(short_help="The symbols of an exchange.")
@click.argument("exchange", type=EXCHANGE_NAME)
@click.argument("pattern", default="")
@click.option("--json", "as_json", is_flag=True, help="Print a list with one object per symbol.")
def symbols(exchange: str, pattern: str, as_json: bool) -> int:
    """List the symbols of EXCHANGE, all of them or those that match PATTERN.

    PATTERN matches any part of a symbol. With *, ? or [ ] it is a glob for the whole symbol; quote it to keep
    the shell from expanding it. Case does not matter. The columns are symbol, trading status, base and quote
    asset; futures add the contract type, options have underlying, side and strike.

    \b
    depthcache symbols binance.com usdc
    depthcache symbols binance.com-futures '1000*usdt'
    depthcache symbols binance.com-vanilla-options 'BTC-*-C' --json

    Exit code 0: at least one symbol matches. 1: none does. 2: it could not be done.
    """
    from depthcache import rest
    from depthcache.cli.columns import show_columns

    with rest.Rest() as session:
        venue = session.settings.venue(exchange)
        rows = _matching(_listed(session, venue), pattern)
    if as_json:
        _print_json(rows)
    elif rows:
        show_columns([each.upper() for each in rows[0]], [tuple(row.values()) for row in rows])
    if rows:
        return 0
    matching = f" that matches {clean(pattern)!r}" if pattern else ""
    tell(f"depthcache: {venue.name} lists no symbol{matching}")
    return 1


def _listed(session: Rest, venue: Venue) -> Iterator[dict[str, str]]:
    """The rows of exchangeInfo that can be read. Raises ExchangeError where there is no list at all."""
    from depthcache.errors import ExchangeError

    query = {"showPermissionSets": "false"} if venue.takes_symbols else None
    response = session.ask(
        venue.name,
        venue.exchange_info_path,
        weight=venue.exchange_info_weight,
        query=query,
        timeout=_TIMEOUT_S,
    )
    body = response.json()
    listed = cast("Any", body).get(venue.listing_key) if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise ExchangeError(f"{clean(response.url)} lists no {venue.listing_key}")
    keys = {"symbol": "symbol", "status": venue.status_key, **_KEYS[venue.family]}
    for row in cast("list[object]", listed):
        fields = cast("dict[str, object]", row) if isinstance(row, dict) else {}
        if isinstance(fields.get("symbol"), str):
            values = ((word, fields.get(key)) for word, key in keys.items())
            yield {word: "" if value is None else clean(value) for word, value in values}


def _matching(rows: Iterable[dict[str, str]], pattern: str) -> list[dict[str, str]]:
    """Sorted by symbol. A pattern with *, ? or [ must match the whole symbol, any other a part of it."""
    wanted = pattern.casefold()
    if _GLOB & set(wanted):
        found = [row for row in rows if fnmatchcase(row["symbol"].casefold(), wanted)]
    else:
        found = [row for row in rows if wanted in row["symbol"].casefold()]
    return sorted(found, key=lambda row: row["symbol"])


def _print_json(rows: list[dict[str, str]]) -> None:
    import json

    click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
