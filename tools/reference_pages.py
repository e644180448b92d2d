"""Write the pages of docs/reference that programs tell best themselves: settings, commands, logs, exchanges.

    python tools/reference_pages.py      writes what changed

`tests/test_reference_pages.py` fails where a page differs from what this would write.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

from depthcache import logs, venues
from depthcache.cli import cli
from depthcache.core import policy

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
WIDTH = 100
SETTINGS = """# Every setting

One object, three sources; [Settings and environment](../how-to/settings.md) shows them in use. In code:

```python
import depthcache

settings = depthcache.Settings(policy=depthcache.Policy(limit_share=0.25), transport="aiohttp")
```

From the environment, as every `connect` without `settings=` does: each setting has a variable, `DEPTHCACHE_`
and its name in capitals. From a TOML file, with `Settings.from_toml(path)`, or named by
`DEPTHCACHE_SETTINGS`, where variables win over it:

```toml
transport = "aiohttp"

[policy]
limit_share = 0.25
bootstrap_from_depth20 = true

[endpoints."binance.com"]
rest = "http://127.0.0.1:9000/binance.com"
websocket = "ws://127.0.0.1:9000/binance.com"
```

A value that cannot work, or a name that does not exist, is refused with its place, the value and what is
allowed.

## The client

| setting | default | variable | meaning |
|---|---|---|---|
| `endpoints` | Binance's | `DEPTHCACHE_<EXCHANGE>_REST`, `DEPTHCACHE_<EXCHANGE>_WEBSOCKET` | Other hosts. |
| `proxies` | `true` | `DEPTHCACHE_PROXIES` | Whether HTTPS_PROXY and its relatives are honoured. |
| `transport` | `"native"` | `DEPTHCACHE_TRANSPORT` | `native`, or `aiohttp` on the event loop. |
| `ca_file` | none | `DEPTHCACHE_CA_FILE` | PEM file of the authorities to trust instead of the system's. |
| `record_to` | none | `DEPTHCACHE_RECORD_TO` | Folder for a file with everything the client hears. |
| `flight_dumps_to` | none | `DEPTHCACHE_FLIGHT_DUMPS_TO` | Folder for what led to trouble. |
| `flight_bytes` | `65536` | `DEPTHCACHE_FLIGHT_BYTES` | How much of its newest frames a book remembers. |

## The policy: how patient and how greedy the client is

Names that end in `_s` are seconds.

| setting | default | variable | meaning |
|---|---|---|---|
"""

COMMANDS = """# Commands

`depthcache` is one program with a command for each task. Results go to stdout, everything else to stderr.

| exit code | meaning |
|---|---|
| 0 | done, also after Ctrl-C where a command runs until then |
| 1 | the answer is "no": a book came out wrong, a check failed |
| 2 | it could not be done: wrong arguments, or an error, in one line on stderr |
| 130 | interrupted before there was an answer |
| 141 | the reader of the output closed the pipe |

Every command takes the [settings of the environment](settings.md). What each prints for `--help`:
"""

LOGS = """# Log lines

Every line comes from the logger `depthcache`. What a program must react to is an exception or a status,
never a line. Loss of sync and failures of the network are WARNING, with the host and the reason; recovery
is INFO. A program that sets up no logging hears nothing of books and connections. To see everything:

```python
import logging

logging.basicConfig(level=logging.INFO)
```

At most a hundred lines of each kind are written in ten seconds; a later line counts those suppressed.

| level | line | meaning |
|---|---|---|
"""


EXCHANGES = """# Exchanges

Every market of Binance is reached by an exchange name. Margin shows the books of spot; portfolio
margin has accounts only, and its names say what to use instead. A name that does not exist is refused with
the names most like it.

- *family*: what is traded: spot; futures whose quantities are in the base asset (linear, USD-M) or in
  contracts of a fixed value in USD (inverse, COIN-M); options.
- *weight*: what the exchange allows an address in a minute; the client uses half of it by default
  ([Weight budgets](../concepts/weight.md)).
- *deepest snapshot*: levels a side. More is never proven at once, whatever `depth` asks for.
- *speeds*: of the diff stream, in milliseconds, the default first: `connect(…, speed_ms=1000)`.
- *ids*: how one update follows another ([How a book is kept right](../concepts/kept-right.md)).
- *range*: whether the exchange documents that the stream carries every change at every depth. Where it does
  not, audits show it ([The complete range](../concepts/complete-range.md)).

| name, also | family | weight a minute | deepest snapshot | speeds | ids | range | hosts |
|---|---|---|---|---|---|---|---|
"""


def meanings() -> dict[str, str]:
    """Setting to its docstring; several settings may share the docstring below them."""
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
    """All settings with their defaults, variables and meanings."""
    words = meanings()
    rows: list[str] = []
    for field in fields(policy.Policy):
        default = str(field.default).lower() if isinstance(field.default, bool) else repr(field.default)
        variable = f"DEPTHCACHE_{field.name.upper()}"
        rows.append(f"| `{field.name}` | `{default}` | `{variable}` | {words.get(field.name, '')} |")
    return SETTINGS + "\n".join(rows) + "\n"


def help_text(name: str | None) -> str:
    """What a command, or the whole program, prints for `--help`."""
    context = cli.make_context("depthcache", [], resilient_parsing=True, terminal_width=WIDTH)
    if name is None:
        return cli.get_help(context)
    command = cli.commands[name]
    below = command.make_context(name, [], parent=context, resilient_parsing=True, terminal_width=WIDTH)
    return command.get_help(below)


def commands_page() -> str:
    """The help of the program and of each command."""
    parts = [COMMANDS, f"```text\n{help_text(None)}\n```\n"]
    parts += [f"## depthcache {name}\n\n```text\n{help_text(name)}\n```\n" for name in cli.commands]
    return "\n".join(parts)


def log_lines() -> list[tuple[str, str, str]]:
    """Level, text and meaning of every log line, from the functions that write them."""
    found: list[tuple[str, str, str]] = []
    for node in ast.parse(inspect.getsource(logs)).body:
        if not isinstance(node, ast.FunctionDef) or node.name not in logs.__all__:
            continue
        [call] = [each for each in ast.walk(node) if isinstance(each, ast.Call) and _is_log_call(each)]
        level, arguments = ast.unparse(call.func).rpartition(".")[2].upper(), call.args
        if level == "WRITE":
            level, arguments = ast.unparse(arguments[0]).rpartition(".")[2], arguments[1:]
        found.append((level, _text(arguments), " ".join((ast.get_docstring(node) or "").split())))
    return found


def _text(arguments: list[ast.expr]) -> str:
    """The text of a line with the names of its values in their places."""
    text = ast.literal_eval(arguments[0])
    names = [each.id if isinstance(each, ast.Name) else "…" for each in arguments[1:]]
    return re.sub(r"%[.\d]*[a-z]", lambda _: f"<{names.pop(0)}>", text)


def _is_log_call(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("write", "info", "warning", "error")


def logs_page() -> str:
    """All log lines."""
    return LOGS + "".join(f"| {level} | `{text}` | {words} |\n" for level, text, words in log_lines())


def exchanges_page() -> str:
    """All exchange names with what is different about them."""
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


PAGES = {
    "exchanges.md": exchanges_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "logs.md": logs_page,
}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
