"""Which scripts of the live page a browser loads for each view: for tests and the benchmark of its weight."""

from __future__ import annotations

import re
from posixpath import dirname, join, normpath

from depthcache.server.documents import page_files

__all__ = ["VIEWS", "imports_of", "scripts_of"]

_CHARTS = ("ladder", "heatmap", "depth", "lines", "latency")
VIEWS = {
    "sign in": ("signin",),
    "books": ("table",),
    "book": ("bookview", *(f"charts/{name}" for name in _CHARTS)),
    "cluster": ("cluster",),
    "snippets": ("snippets",),
    "about": ("about",),
}
"""The modules that are loaded when a view is first shown; what readers do in the charts comes after that."""


def imports_of(path: str, *, lazy: bool) -> set[str]:
    """The modules that a module loads, itself among them, as the browser does."""
    files, waiting = page_files(), [path]
    found: set[str] = set()
    pattern = r'(?:from|import)\s+"(\./[^"]+|\.\./[^"]+)"' + (r'|import\("(\./[^"]+)"\)' if lazy else "")
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        names = (match[1] or match[2] for match in re.finditer(pattern, files[current][1].decode()))
        waiting.extend(normpath(join(dirname(current), name)) for name in names)
    return found


def scripts_of(view: str) -> set[str]:
    """The shell, the view, and what both need."""
    return set().union(*(imports_of(f"/page/{name}.js", lazy=False) for name in ("app", *VIEWS[view])))
