"""`depthcache exchanges`: the exchange names and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from depthcache.cli.exchange_name import description

if TYPE_CHECKING:
    from depthcache.venues import Venue

__all__ = ["exchanges"]


@click.command(short_help="Exchange names and what they are.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a list with one object per exchange, with hosts."
)
def exchanges(as_json: bool) -> int:
    """List every exchange name, its aliases, and what is traded there.

    These are the names that `--exchange` and `depthcache.connect` take. No request is sent.

    \b
    depthcache exchanges
    depthcache exchanges --json
    """
    from depthcache import venues
    from depthcache.cli.columns import show_columns

    every = [venues.venue(name) for name in venues.names()]
    if as_json:
        _print_json(every)
        return 0
    rows = [(each.name, ", ".join(each.aliases), each.family, description(each)) for each in every]
    show_columns(("NAME", "ALIASES", "FAMILY", "WHAT IT IS"), rows)
    return 0


def _print_json(every: list[Venue]) -> None:
    import json

    rows = [
        {
            "name": each.name,
            "aliases": list(each.aliases),
            "family": each.family,
            "environment": each.environment,
            "description": description(each),
            "rest": each.endpoints.rest,
            "websocket": each.endpoints.websocket,
        }
        for each in every
    ]
    click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
