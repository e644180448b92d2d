"""Every log line of the drop-in, one named function each, on the logger of the old library.

Programs that configure the logger `unicorn_binance_local_depth_cache` keep receiving its lines. The client
itself logs to `depthcache`.
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
    """A method was called by a deprecated name."""
    _LOGGER.warning("%s is deprecated, use %s", old, new)


def no_effect(*, names: Sequence[str]) -> None:
    """Arguments of the constructor no longer have an effect."""
    _LOGGER.warning("%s: accepted but without effect, the client does not need it", ", ".join(names))


def nothing_given(*, method: str) -> None:
    """A method that needs markets was called with None."""
    _LOGGER.critical("%s was called without markets; nothing was done", method)


def left_with_exception(*, error: BaseException) -> None:
    """The `with` block of a manager ended with an exception, which propagates."""
    _LOGGER.critical("the with block of the manager ended with an exception", exc_info=error)


def unknown_market(*, market: str, reason: str) -> None:
    """The exchange does not list a market, or no longer does: its cache is closed for good."""
    _LOGGER.error("the cache of %s is closed for good: %s", market, reason)


def callback_failed(*, market: str, error: BaseException) -> None:
    """The `on_restart` callback of the program raised an exception."""
    _LOGGER.error("on_restart raised an exception for %s; caches are unaffected", market, exc_info=error)


def shallow(*, market: str, side: str, levels: int) -> None:
    """A read of all levels returned fewer than 1,000 proven ones."""
    _LOGGER.warning(
        "only %d %s of %s are proven; levels beyond them may lack changes from before the snapshot",
        levels,
        side,
        market,
    )


def cluster_failed(*, url: str, reason: str) -> None:
    """A cluster did not return a usable response."""
    _LOGGER.error("no response from the cluster at %s: %s", url, reason)


def update_available(*, installed: str, latest: str) -> None:
    """A newer release of this package is available."""
    _LOGGER.warning(
        "depthcache %s is installed, %s is available: pip install -U depthcache", installed, latest
    )
