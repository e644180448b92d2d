"""Write docs/settings.md from the settings themselves: names, defaults and meanings stand in one place."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from pathlib import Path

from depthcache.core import policy

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings

One object, three sources. In code:

```python
import depthcache

settings = depthcache.Settings(policy=depthcache.Policy(share=0.25), transport="aiohttp")
```

From the environment, as every `connect` without `settings=` does: each setting has a variable, `DEPTHCACHE_`
and its name in capitals. From a TOML file, with `Settings.from_toml(path)`, or named by
`DEPTHCACHE_SETTINGS`, where variables win over it:

```toml
transport = "aiohttp"

[policy]
share = 0.25
seed = true

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
| `flight_to` | none | `DEPTHCACHE_FLIGHT_TO` | Folder for what led to trouble. |
| `flight_bytes` | `65536` | `DEPTHCACHE_FLIGHT_BYTES` | How much of its newest frames a book remembers. |

## The policy: how patient and how greedy the client is

Names that end in `_s` are seconds.

| setting | default | variable | meaning |
|---|---|---|---|
"""


def meanings() -> dict[str, str]:
    """Setting to its docstring; one docstring may stand below several settings."""
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


def main() -> None:
    """Write the page."""
    words = meanings()
    rows = []
    for field in fields(policy.Policy):
        default = str(field.default).lower() if isinstance(field.default, bool) else repr(field.default)
        variable = f"DEPTHCACHE_{field.name.upper()}"
        rows.append(f"| `{field.name}` | `{default}` | `{variable}` | {words.get(field.name, '')} |")
    PAGE.write_text(HEAD + "\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
