"""The module names of the old library, and of what its programs import beside it, for unmodified programs.

`install` makes `import unicorn_binance_local_depth_cache` mean this drop-in, whether the old library is
installed or not; `unicorn_binance_rest_api` only where it is not. Not here: running a program (`script`).
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType

from depthcache.compat import ubldc
from depthcache.compat.ubldc import (
    cluster,
    cluster_endpoints,
    exceptions,
    licensing_manager,
    manager,
    rest_face,
)

__all__ = ["install"]

_OLD = "unicorn_binance_local_depth_cache"
_REST = "unicorn_binance_rest_api"


def install() -> None:
    """Register the names for the rest of this process. May be called more than once."""
    sys.modules[_OLD] = ubldc
    for name, module in {
        "cluster": cluster,
        "cluster_endpoints": cluster_endpoints,
        "exceptions": exceptions,
        "licensing_manager": licensing_manager,
        "manager": manager,
    }.items():
        sys.modules[f"{_OLD}.{name}"] = module
    if _REST not in sys.modules and find_spec(_REST) is None:
        _install_rest()


def _install_rest() -> None:
    package = ModuleType(_REST, rest_face.__doc__)
    package.__path__ = []
    for name in rest_face.__all__:
        setattr(package, name, getattr(rest_face, name))
    sys.modules[_REST] = package
    for name in ("manager", "exceptions"):
        module = ModuleType(f"{_REST}.{name}", rest_face.__doc__)
        module.__dict__.update({key: value for key, value in vars(package).items() if key[0] != "_"})
        sys.modules[module.__name__] = module
        setattr(package, name, module)
