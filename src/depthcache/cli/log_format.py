"""The option `--log-format` of commands that run as services. `log_lines` writes the lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["log_format_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


def log_format_option(command: Command) -> Command:
    """Add the option to a command that calls `log_lines.written`."""
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        envvar="DEPTHCACHE_LOG_FORMAT",
        show_envvar=True,
        expose_value=False,
        is_eager=True,
        callback=_choose,
        help="Log lines on stderr: text, or one JSON object per line.",
    )(command)


def _choose(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if not context.resilient_parsing:
        from depthcache.cli.log_lines import choose

        choose(value)
