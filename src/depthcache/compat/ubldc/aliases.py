"""Register the module names of the old library, and of those used with it, for unmodified programs.

After `install`, `import unicorn_binance_local_depth_cache` imports this drop-in, whether the old library is
installed or not; `unicorn_binance_rest_api` does so only if it is not installed. `what_is_missing` explains
in one line which other library a program needs.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from traceback import extract_tb
from types import ModuleType

from depthcache.compat import ubldc
from depthcache.compat.ubldc import (
    cluster,
    cluster_endpoints,
    exceptions,
    licensing_manager,
    manager,
    rest_api,
)

__all__ = ["install", "what_is_missing"]

_OLD = "unicorn_binance_local_depth_cache"
_REST = "unicorn_binance_rest_api"
_LICENCES = "lucit_licensing_python"
"""Releases 2.0 to 2.8 needed it. Its exceptions are never raised here."""
_OTHERS = {
    _REST: "unicorn-binance-rest-api",
    "unicorn_binance_websocket_api": "unicorn-binance-websocket-api",
    "unicorn_fy": "unicorn-fy",
    "unicorn_binance_trailing_stop_loss": "unicorn-binance-trailing-stop-loss",
}
"""Module to distribution name of libraries that are used with the old one."""


def install() -> None:
    """Register the names in this process. Safe to call more than once."""
    sys.modules[_OLD] = ubldc
    for name, module in {
        "cluster": cluster,
        "cluster_endpoints": cluster_endpoints,
        "exceptions": exceptions,
        "licensing_manager": licensing_manager,
        "manager": manager,
    }.items():
        sys.modules[f"{_OLD}.{name}"] = module
    _install_package(_LICENCES, licensing_manager, ("exceptions",))
    if _REST not in sys.modules and find_spec(_REST) is None:
        _install_package(_REST, rest_api, ("manager", "exceptions"))


def _install_package(name: str, source: ModuleType, modules: tuple[str, ...]) -> None:
    """Register a package, and modules in it, with the public names of a module of the drop-in."""
    if isinstance(sys.modules.get(name), _Package):
        return
    package = _Package(name, source.__doc__)
    package.__path__ = []
    public = {each: getattr(source, each) for each in source.__all__}
    package.__dict__.update(public)
    sys.modules[name] = package
    for each in modules:
        module = ModuleType(f"{name}.{each}", source.__doc__)
        module.__dict__.update(public)
        sys.modules[module.__name__] = module
        setattr(package, each, module)


class _Package(ModuleType):
    """A package that the drop-in created."""


def what_is_missing(error: ImportError) -> str | None:
    """One line about an import that failed because a library is not installed; None for other imports."""
    package = (error.name or "").partition(".")[0]
    distribution = _OTHERS.get(package)
    is_missing = package not in sys.modules or isinstance(sys.modules[package], _Package)
    if distribution is None or not is_missing:
        return None
    part = "only what depth caches need of it" if package in sys.modules else "nothing of it"
    return (
        f"{_place(error)}{error}: {package} is not installed, and the drop-in for {_OLD} provides {part}: "
        f"pip install {distribution}"
    )


def _place(error: ImportError) -> str:
    """File and line of the import, if known."""
    frames = [each for each in extract_tb(error.__traceback__) if not each.filename.startswith("<frozen")]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
