"""What the commands of `depthcache cluster` share: the options that name a node, and how they print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from depthcache.cli.cluster_client import NodeClient

__all__ = [
    "CLUSTER",
    "DATA_DIR",
    "SECONDS",
    "asking",
    "complete_node",
    "node_of",
    "parts",
    "print_json",
    "until",
    "write_file",
]

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
_AT_ONCE = 1_000
"""Symbols of one request: its body is bounded."""
_LOOK_S = 0.5


class _Seconds(click.FloatRange):
    """A time to wait. A wait for "nan" would never end."""

    name = "float range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value} is no number of seconds", param, ctx)
        return found


SECONDS = _Seconds(0)


def _complete_cluster(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The clusters that have a folder on this machine."""
    from click.shell_completion import CompletionItem

    from depthcache.cluster.data_folder import clusters_root

    found = sorted(each.parent.name for each in clusters_root().glob("*/node.json"))
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def complete_node(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The nodes of the cluster, if one answers."""
    from click.shell_completion import CompletionItem

    from depthcache.errors import DepthCacheError

    given = {name: ctx.params.get(name) for name in ("cluster", "data_dir", "server", "token_file", "ca")}
    try:
        nodes = node_of(given, manages=False).ask("GET", "/nodes")["nodes"]
    except (DepthCacheError, OSError):
        return []
    return [
        CompletionItem(each["id"], help=each["state"]) for each in nodes if each["id"].startswith(incomplete)
    ]


CLUSTER = click.option(
    "--cluster",
    metavar="NAME",
    shell_complete=_complete_cluster,
    help="Name of the cluster, if this machine has nodes of several.",
)
DATA_DIR = click.option(
    "--data-dir",
    metavar="DIR",
    type=_FILE,
    help="The data folder of the node.  [default: ~/.local/share/depthcache/NAME]",
)


def asking(command: Command) -> Command:
    """The options of commands that ask a running node."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--ca", metavar="FILE", type=_FILE, help="The cluster's authority.pem; with --server."),
        click.option(
            "--token-file", metavar="FILE", type=_FILE, help="read.token or admin.token; with --server."
        ),
        click.option(
            "--server", metavar="URL", help="A node on another machine, such as https://10.0.0.1:42081."
        ),
        DATA_DIR,
        CLUSTER,
    ):
        command = option(command)
    return command


def node_of(where: Mapping[str, Any], *, manages: bool) -> NodeClient:
    """The node that these options name. `manages`: whether the command needs the admin token."""
    from depthcache.cli.cluster_client import find_node

    return find_node(**where, manages=manages)


def parts(symbols: Sequence[str]) -> Iterator[list[str]]:
    """As many symbols as one request may have."""
    for start in range(0, len(symbols), _AT_ONCE):
        yield list(symbols[start : start + _AT_ONCE])


def print_json(found: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    import json

    from depthcache.foreign_text import json_line

    click.echo(json_line(json.dumps(found, ensure_ascii=False)))


def write_file(path: Path, text: str) -> None:
    """Replace a file as a whole, with the permissions that it had; it is on disk at the return.

    Raises OSError; then it is as before."""
    import os
    from contextlib import suppress
    from secrets import token_hex

    draft = path.with_name(f".{path.name}.{token_hex(4)}.new")
    mode = path.stat().st_mode & 0o777 if path.is_file() else None
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(
            os.open(draft, flags, 0o666 if mode is None else 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            draft.chmod(mode)
        draft.replace(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def until(timeout_s: float, is_so: Callable[[], bool]) -> bool:
    """Whether something becomes so in time."""
    from time import sleep

    until_s = monotonic() + timeout_s
    while not is_so():
        if monotonic() >= until_s:
            return False
        sleep(min(_LOOK_S, max(until_s - monotonic(), 0)))
    return True
