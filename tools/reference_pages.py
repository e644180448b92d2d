"""Generate the pages of docs/reference that follow from the source: settings, commands, logs and others.

    python tools/reference_pages.py

`tests/test_reference_pages.py` fails if a page differs from what this writes.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import click

from depthcache import logs, venues
from depthcache.cli import cli
from depthcache.core import policy
from depthcache.core import reasons as policy_reasons
from depthcache.errors import MalformedSnapshot, SymbolMismatch
from depthcache.io import runner
from depthcache.reference import reasons as book_reasons

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
WIDTH = 100
SETTINGS = """# Every setting

A `Settings` object has three sources: code, environment variables and a TOML file.
[Settings and environment](../how-to/settings.md) shows them in use. In code:

```python
import depthcache

settings = depthcache.Settings(policy=depthcache.Policy(limit_share=0.25), transport="aiohttp")
```

Without `settings=`, `connect` reads the environment. The variable of a setting is `DEPTHCACHE_` and its name
in capitals.

A TOML file is read by `Settings.from_toml(path)`, or named by the variable `DEPTHCACHE_SETTINGS`; other
variables then override it:

```toml
transport = "aiohttp"

[policy]
limit_share = 0.25
bootstrap_from_depth20 = true

[endpoints."binance.com"]
rest = "http://127.0.0.1:9000/binance.com"
websocket = "ws://127.0.0.1:9000/binance.com"
```

An unknown name or an unusable value raises an error with its source, the value and what is allowed.

## The client

| setting | default | variable | meaning |
|---|---|---|---|
| `endpoints` | Binance's | `DEPTHCACHE_<EXCHANGE>_REST`, `DEPTHCACHE_<EXCHANGE>_WEBSOCKET` \
| Other hosts for an exchange. |
| `server` | none | `DEPTHCACHE_SERVER` \
| Book server to take all books from, or several: [Use the books of a server](../how-to/remote.md). \
Its token is in `DEPTHCACHE_TOKEN`, which is no setting because it is secret. |
| `fingerprint` | none | `DEPTHCACHE_FINGERPRINT` \
| SHA-256 of the server's certificate, the only one to trust. |
| `proxies` | `true` | `DEPTHCACHE_PROXIES` | Whether HTTPS_PROXY and related variables are honoured. |
| `transport` | `"native"` | `DEPTHCACHE_TRANSPORT` \
| `native`: a thread reads the sockets. `aiohttp`: the event loop does. |
| `ca_file` | none | `DEPTHCACHE_CA_FILE` \
| PEM file of the certificate authorities to trust instead of the system's. |
| `record_to` | none | `DEPTHCACHE_RECORD_TO` \
| Folder for recordings of everything that the client receives. |
| `flight_dumps_to` | none | `DEPTHCACHE_FLIGHT_DUMPS_TO` \
| Folder for flight dumps, written on gaps, crossed books and malformed frames. |
| `flight_bytes` | `65536` | `DEPTHCACHE_FLIGHT_BYTES` | Size of each book's flight recorder in bytes. |

## The policy

The policy controls how long the client waits and how much of the exchange's limits it uses. Names that end in
`_s` are in seconds.

| setting | default | variable | meaning |
|---|---|---|---|
"""

COMMANDS = """# Commands

`depthcache` has one command per task. Results go to stdout, everything else to stderr.

| exit code | meaning |
|---|---|
| 0 | success, including Ctrl-C in a command that runs until then |
| 1 | the result is negative: a book was wrong or none ever came, a check failed |
| 2 | the command could not run: wrong arguments, an error, an unwritable stdout; one line on stderr |
| 130 | interrupted before there was a result |
| 141 | the reader of stdout closed the pipe |

`depthcache simulate -- PROGRAM` returns the exit code of the program. `python -m depthcache` is the same as
`depthcache`, for environments whose scripts are not on the path. Every command reads its
[settings from the environment](settings.md).

## Shell completion

The shell can complete commands, options, files and exchange names. Add the line for your shell to its
start-up file:

```text
# bash 4.4 or newer: ~/.bashrc
eval "$(_DEPTHCACHE_COMPLETE=bash_source depthcache)"

# zsh: ~/.zshrc, after compinit
eval "$(_DEPTHCACHE_COMPLETE=zsh_source depthcache)"

# fish: ~/.config/fish/completions/depthcache.fish
_DEPTHCACHE_COMPLETE=fish_source depthcache | source
```

Each line starts the program once per shell. To save that time, write its output to a file and load that.

## depthcache

This is the output of `--help`:
"""

LOGS = """# Log lines

All lines come from the logger `depthcache`. They are for people; programs should react to exceptions and
statuses instead. Loss of sync and network failures are logged at WARNING with host and reason, recovery at
INFO. A program that configures no logging sees no lines about books and connections. To see everything:

```python
import logging

logging.basicConfig(level=logging.INFO)
```

At most 100 lines of each kind are written within 10 s. A later line gives the number of suppressed ones.

The event and the values of a line are also attributes of its `LogRecord`, for formatters that write JSON:
`record.event`, `record.exchange`, `record.symbol`, `record.status`, `record.reason`, `record.host`,
`record.connection`, `record.request`, `record.code` and so on, under the names in the table. A failed
request also has `record.resource` (`depth`, `time`, `exchangeInfo`) and `record.http_status`. Names of
events stay the same; the words of a line may change with any release.

## Lines as JSON

`depthcache cluster start`, `cluster join`, `serve` and `record` write one JSON object per line to stderr with
`--log-format json`, or `DEPTHCACHE_LOG_FORMAT=json`:

```text
{"time": "2026-11-30T17:46:39.204Z", "level": "warning", "logger": "depthcache.cluster", \
"event": "node_away", "message": "node e034ae709b1c22d4 is away, other nodes own its books: \
nothing was heard of it", "node": "a758f3ac01d2e3f4", "cluster": "amber-fox", "peer": "e034ae709b1c22d4", \
"reason": "nothing was heard of it"}
```

| field | content |
|---|---|
| `time` | RFC 3339 with milliseconds, UTC |
| `level` | `debug`, `info`, `warning`, `error`, `critical` |
| `logger` | `depthcache`, `depthcache.cluster`, or `depthcache.cli` for what the command itself says |
| `event` | the name in the table below; absent for lines of other libraries |
| `message` | the line, for people |
| `node`, `cluster` | the node that writes, and its cluster; of nodes alone |
| `exchange`, `symbol` and others | the values of the line, under the names in the table |
| `exception` | of lines with a traceback: `type`, `message` and `traceback`, one string |

Every line is ASCII, whatever symbols and messages contain. The event `lines_suppressed` has the number of
similar lines that were left out (`suppressed`). Of the command itself, `said` is what it would otherwise tell
on stderr, and `failed` is why it ends with exit code 2. Lines about single books and connections are left out
by a node; set the logger `depthcache` in a program of your own to see them. Access logs (`--access-log -`)
have a format of their own.

## Events

| event | level | line | meaning |
|---|---|---|---|
"""


EXCHANGES = """# Exchanges

`connect` takes one of these names. Margin names serve the books of spot. Portfolio margin has no books of its
own; its names raise an error that says what to use instead. An unknown name raises an error that lists
similar ones.

- *family*: what is traded: spot, linear futures (USD-M, quantities in the base asset), inverse futures
  (COIN-M, quantities in contracts of a fixed USD value), or options.
- *weight*: what the exchange allows one address per minute. The client uses half of it by default
  ([Weight budgets](../concepts/weight.md)).
- *deepest snapshot*: levels on each side. One snapshot never proves more, whatever `depth` requests.
- *speeds*: update intervals of the stream in milliseconds, the default first: `connect(…, speed_ms=1000)`.
- *ids*: how one update follows another ([How a book stays correct](../concepts/kept-right.md)).
- *range*: whether the exchange documents that the stream carries every change at every depth. If it does not,
  an audit can check it ([The complete range](../concepts/complete-range.md)).

| name, also | family | weight a minute | deepest snapshot | speeds | ids | range | hosts |
|---|---|---|---|---|---|---|---|
"""

REASONS = """## Reasons

The texts of `book.reason`, of errors, updates and log lines, with `…` for a value. Compare statuses in your
program, not these texts: they may change with any release.
"""

REASON_GROUPS = {
    "the book": "Whether you can trust the book. It heals, unless you removed it or closed the client.",
    "snapshots": "Why no snapshot has been installed yet. The client requests another one.",
    "the symbol": "What the exchange says about it. A symbol that ended does not come back.",
    "connections": "Why a connection or a stream was replaced. The client opens another one.",
    "a book that a server relays": (
        "Of books from a [book server](../how-to/remote.md), which the reason names. It heals by itself."
    ),
    "levels of a read": "Not of a book: why the levels that you read are fewer, or not all proven.",
    "this process": "What happened to your program or its machine.",
}

THIS_PROCESS = ("the machine slept for …", "this process was paused for …", vars(runner)["_LOOP_ENDED"])


def meanings() -> dict[str, str]:
    """Each setting with its docstring; several settings may share the docstring below them."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    tree = ast.parse(inspect.getsource(policy))
    [body] = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Policy"]
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            waiting.append(node.target.id)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found |= dict.fromkeys(waiting, " ".join(str(node.value.value).split()))
            waiting.clear()
    return found


def settings_page() -> str:
    """Every setting with its default, variable and meaning."""
    words = meanings()
    rows: list[str] = []
    for field in fields(policy.Policy):
        default = str(field.default).lower() if isinstance(field.default, bool) else repr(field.default)
        variable = f"DEPTHCACHE_{field.name.upper()}"
        rows.append(f"| `{field.name}` | `{default}` | `{variable}` | {words.get(field.name, '')} |")
    return SETTINGS + "\n".join(rows) + "\n"


def command_names() -> list[str]:
    """Every command as it is typed after `depthcache`; those of a group after the group."""
    names: list[str] = []
    for name, command in cli.commands.items():
        below = command.commands if isinstance(command, click.Group) else {}
        names += [name, *(f"{name} {each}" for each in below)]
    return names


def help_text(name: str) -> str:
    """The output of `--help` for a command; for the program where the name is empty."""
    command: click.Command = cli
    context = cli.make_context("depthcache", [], resilient_parsing=True, terminal_width=WIDTH)
    for word in name.split():
        command = cast("click.Group", command).commands[word]
        context = command.make_context(word, [], parent=context, resilient_parsing=True, terminal_width=WIDTH)
    return command.get_help(context)


def commands_page() -> str:
    """The help of the program and of each command."""
    parts = [COMMANDS, f"```text\n{help_text('')}\n```\n"]
    parts += [f"## depthcache {name}\n\n```text\n{help_text(name)}\n```\n" for name in command_names()]
    return "\n".join(parts)


def log_lines() -> list[tuple[str, str, str, str]]:
    """Event, level, text and meaning of every log line, from the functions that write them."""
    found: list[tuple[str, str, str, str]] = []
    for node in ast.parse(inspect.getsource(logs)).body:
        if not isinstance(node, ast.FunctionDef) or node.name not in logs.__all__:
            continue
        [call] = [each for each in ast.walk(node) if isinstance(each, ast.Call) and _is_log_call(each)]
        event, level, arguments = call.args[0], ast.unparse(call.args[1]).rpartition(".")[2], call.args[2:]
        words = " ".join((ast.get_docstring(node) or "").split())
        found.append((ast.literal_eval(event), level, _text(arguments), words))
    return found


def _text(arguments: list[ast.expr]) -> str:
    """The text of a line with placeholders for its values."""
    text = ast.literal_eval(arguments[0])
    names = [each.id if isinstance(each, ast.Name) else "…" for each in arguments[1:]]
    return re.sub(r"%[.\d]*[a-z]", lambda _: f"<{names.pop(0)}>", text)


def _is_log_call(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] in ("write", "_write")


def logs_page() -> str:
    """All log lines."""
    rows = (f"| `{event}` | {level} | `{text}` | {words} |\n" for event, level, text, words in log_lines())
    return LOGS + "".join(rows)


def exchanges_page() -> str:
    """Every exchange name with its properties."""
    rows: list[str] = []
    for name in venues.names():
        venue = venues.venue(name)
        rule = "`U == previous u + 1`" if venue.continuity == "contiguous" else "`pu == previous u`"
        speeds = ", ".join(str(speed) for speed, _ in venue.stream_speeds)
        also = "".join(f", `{alias}`" for alias in venue.aliases)
        hosts = f"{venue.endpoints.rest}, {venue.endpoints.websocket}"
        rows.append(
            f"| `{name}`{also} | {venue.family} | {venue.weight_per_minute:,} | {venue.depth_limits[-1]:,} "
            f"| {speeds} | {rule} | {venue.range_basis} | {hosts} |\n"
        )
    return EXCHANGES + "".join(rows)


class _Anything(float):
    """A value of any kind that shows as `…`."""

    def __str__(self) -> str:
        return "…"

    def __format__(self, _: str) -> str:
        return "…"

    def __floordiv__(self, _: object) -> _Anything:
        return self


def reason_templates(module: ModuleType) -> dict[str, dict[str, list[str]]]:
    """Section of a module of reasons to its names, each with the texts that it gives, values as `…`."""
    found: dict[str, dict[str, list[str]]] = {}
    names: dict[str, list[str]] = {}
    for line in inspect.getsource(module).splitlines():
        if section := re.match(r"# --- ([\w ]+) -", line):
            names = found.setdefault(section[1], {})
        elif (reason := re.match(r"(?:def )?(\w+)(?: = |\()", line)) and reason[1] in module.__all__:
            names[reason[1]] = list(dict.fromkeys(_texts(getattr(module, reason[1]))))
    return found


def _texts(reason: Any) -> Iterator[str]:
    if isinstance(reason, str):
        yield reason
        return
    chosen: list[dict[str, Any]] = [{}]
    for name, parameter in inspect.signature(reason).parameters.items():
        chosen = [each | {name: value} for each in chosen for value in _samples(str(parameter.annotation))]
    for arguments in chosen:
        yield reason(**arguments)


def _samples(annotation: str) -> tuple[Any, ...]:
    some = _Anything(1)
    match annotation:
        case "bool":
            return True, False
        case "Comparison":
            return (SimpleNamespace(wrong=some, checked=some, update_id=some),)
        case "MalformedSnapshot | SymbolMismatch":
            other = SymbolMismatch(expected="…", received="…")
            return MalformedSnapshot(what="…", position=0, excerpt=b""), other
        case "str | None":
            return some, None
        case _:
            return (some,)


def statuses_page() -> str:
    """The page as it is, with the list of all reasons at its end."""
    written = (FOLDER / "statuses.md").read_text("utf-8").partition("## Reasons\n")[0]
    groups: dict[str, list[str]] = {}
    for module in (book_reasons, policy_reasons):
        for section, names in reason_templates(module).items():
            groups.setdefault(section, []).extend(text for texts in names.values() for text in texts)
    groups["this process"] = list(THIS_PROCESS)
    parts = [
        f"\n### {title[0].upper()}{title[1:]}\n\n{words}\n\n"
        + "".join(f"- `{text}`\n" for text in dict.fromkeys(groups.pop(title)))
        for title, words in REASON_GROUPS.items()
    ]
    if groups:
        raise LookupError(f"REASON_GROUPS does not say what these are: {', '.join(groups)}")
    return written + REASONS + "".join(parts)


PAGES = {
    "exchanges.md": exchanges_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "logs.md": logs_page,
    "statuses.md": statuses_page,
}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
