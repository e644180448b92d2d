"""Exchange names on the command line: one type for every option and argument that takes one.

An unknown name raises UnknownExchange, with the names most like it; shells complete names and aliases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from depthcache.venues import Venue

    ParamType = click.ParamType[str]
else:
    ParamType = click.ParamType  # generic since click 8.5

__all__ = ["EXCHANGE_NAME", "description", "exchange_option"]

Command = TypeVar("Command", bound=Callable[..., Any])

_FAMILIES = {
    "spot": "spot",
    "linear": "USD-M futures",
    "inverse": "COIN-M futures",
    "options": "options",
}
_PLACES = {"binance.us": "Binance.US ", "trbinance.com": "Binance TR "}
_ENVIRONMENTS = {"production": "", "testnet": ", testnet", "demo": ", demo trading"}


class _ExchangeName(ParamType):
    """The name of an exchange, or an alias of one, as it was written."""

    name = "name"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str:
        """The name itself. Raises UnknownExchange."""
        from depthcache import venues

        venues.venue(value)
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names that begin so, and aliases."""
        from click.shell_completion import CompletionItem

        from depthcache import venues

        found = map(venues.venue, venues.names())
        return [
            CompletionItem(name, help=description(venue))
            for venue in found
            for name in (venue.name, *venue.aliases)
            if name.startswith(incomplete.lower())
        ]


EXCHANGE_NAME = _ExchangeName()


def exchange_option(help: str = "`depthcache exchanges` lists them.") -> Callable[[Command], Command]:  # noqa: A002
    """The option `--exchange NAME` of commands on live books, binance.com by default."""
    return click.option(
        "--exchange", metavar="NAME", type=EXCHANGE_NAME, default="binance.com", show_default=True, help=help
    )


def description(venue: Venue) -> str:
    """What a venue is, in a few words."""
    from depthcache import venues

    words = _PLACES.get(venue.name, "") + _FAMILIES[venue.family] + _ENVIRONMENTS[venue.environment]
    every = list(map(venues.venue, venues.names()))
    first = next(each for each in every if (each.family, each.endpoints) == (venue.family, venue.endpoints))
    if first.name != venue.name:
        return f"{words}; the same books as {first.name}"
    if mirrored := [each.name for each in every if each.data_mirror == venue.name]:
        return f"{words}; market data of {mirrored[0]} on separate hosts"
    return words
