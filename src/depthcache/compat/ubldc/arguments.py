"""Check the arguments of the old constructor.

Arguments that no longer have an effect are accepted, with one warning per manager.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

from depthcache import InvalidArgument, venues
from depthcache.arguments import parse_real
from depthcache.compat.ubldc import logs

__all__ = ["parse_callback", "parse_interval", "say_without_effect", "speed_of", "warn_of_licences"]

_DEFAULTS = {
    "high_performance": False,
    "auto_data_cleanup_stopped_streams": False,
    "init_interval": 4.0,
    "init_time_window": 5,
    "websocket_close_timeout": 2,
    "websocket_ping_interval": 10,
    "websocket_ping_timeout": 20,
    "disable_colorama": False,
}
"""Arguments without effect: the weight budget paces snapshots, the client paces connections, and output has
no colours."""


def say_without_effect(given: Mapping[str, object]) -> None:
    """Warn about arguments without effect that differ from their defaults."""
    names = [name for name, default in _DEFAULTS.items() if given[name] != default]
    if names:
        logs.no_effect(names=names)


def warn_of_licences(given: Mapping[str, str | None]) -> None:
    """Warn about licence arguments: licences ended with release 2.8.1."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        warnings.warn(
            f"{', '.join(names)}: licences ended with release 2.8.1; remove these arguments",
            DeprecationWarning,
            stacklevel=3,
        )


def parse_callback(on_restart: object) -> Callable[[str, float], object] | None:
    """The callback, or None. Raises InvalidArgument, mainly for positional arguments in the order of 2.8."""
    if on_restart is None or callable(on_restart):
        return on_restart
    allowed = (
        "a callable that takes a market and a time, or None; since 2.11 it comes before "
        "websocket_close_timeout: use keyword arguments after init_time_window"
    )
    raise InvalidArgument(name="on_restart", value=on_restart, allowed=allowed)


def parse_interval(name: str, seconds: float | None) -> float | None:
    """Seconds between refreshes; None and 0 take the default. Raises InvalidArgument."""
    if seconds is None:
        return None
    return parse_real(seconds, name=name, allowed="seconds above 0, or None", least=0, most=1e9) or None


def speed_of(exchange: str, interval_ms: int | None) -> int | None:
    """The update speed of the streams in milliseconds. Raises UnknownExchange.

    None meant the bare `depth` stream: 1000 ms on spot, 250 ms on futures. Options have none and used 500 ms.
    """
    if interval_ms is not None:
        return interval_ms
    speeds = venues.venue(exchange).stream_speeds
    bare = [ms for ms, suffix in speeds if suffix == "@depth"]
    return bare[0] if bare else max(ms for ms, _ in speeds)
