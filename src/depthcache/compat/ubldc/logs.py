"""Every log line of the drop-in: one named function each, on the logger of the old library.

Programs that set up `unicorn_binance_local_depth_cache` go on to hear it. What happens inside the client
is said on the logger `depthcache`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

__all__ = [
    "callback_failed",
    "cluster_failed",
    "deprecated_name",
    "left_with_exception",
    "no_effect",
    "nothing_given",
    "shallow",
    "unknown_market",
    "update_available",
]

_LOGGER = logging.getLogger("unicorn_binance_local_depth_cache")


def deprecated_name(*, old: str, new: str) -> None:
    """A method was called by a name that the old library had given up."""
    _LOGGER.warning("%s is deprecated, use %s", old, new)


def no_effect(*, names: Sequence[str]) -> None:
    """Arguments of the constructor have nothing left to do."""
    _LOGGER.warning("%s: accepted, and without effect: the client needs no such setting", ", ".join(names))


def nothing_given(*, method: str) -> None:
    """A method that needs markets was called with None."""
    _LOGGER.critical("%s was called without markets; nothing was done", method)


def left_with_exception(*, error: BaseException) -> None:
    """The `with` block of a manager ended with an exception, which goes on."""
    _LOGGER.critical("the manager was left with an exception", exc_info=error)


def unknown_market(*, market: str, reason: str) -> None:
    """The exchange ended a cache for good."""
    _LOGGER.error("the cache of %s has ended: %s", market, reason)


def callback_failed(*, market: str, error: BaseException) -> None:
    """The program's on_restart raised."""
    _LOGGER.error("on_restart raised for %s; the caches go on", market, exc_info=error)


def shallow(*, market: str, side: str, levels: int) -> None:
    """A read of everything could not prove the 1,000 levels that the old library meant to hold."""
    _LOGGER.warning(
        "only %d %s of %s are proven; levels beyond may miss updates from before the snapshot",
        levels,
        side,
        market,
    )


def cluster_failed(*, url: str, reason: str) -> None:
    """A cluster gave no usable answer."""
    _LOGGER.error("no response from the cluster at %s: %s", url, reason)


def update_available(*, installed: str, latest: str) -> None:
    """There is a newer release of this package."""
    _LOGGER.warning("depthcache %s is installed and %s is out: pip install -U depthcache", installed, latest)
