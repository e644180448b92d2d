"""Which book servers refused which streams, and when each may be asked again."""

from __future__ import annotations

from dataclasses import dataclass

from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.servers import in_turn_after

__all__ = ["NotServed"]


@dataclass(slots=True, eq=False)
class _Refusal:
    times: int = 0
    until_ns: int = 0


class NotServed:
    """The refusals of one pool of connections, by stream and by the number of the server."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._refusals: dict[str, dict[int, _Refusal]] = {}

    def may_serve(self, name: str, server: int, now_ns: int) -> bool:
        """Whether that server may be asked for a stream."""
        refusal = self._refusals.get(name, {}).get(server)
        return refusal is None or refusal.until_ns <= now_ns

    def other(self, name: str, server: int, now_ns: int) -> int | None:
        """The next server after this one that may be asked for a stream; None if there is none now."""
        servers = self._context.servers
        numbers = [each for each in servers.numbers() if servers.is_proven(each)]
        in_turn = (each for each in in_turn_after(numbers, server) if each != server)
        return next((each for each in in_turn if self.may_serve(name, each, now_ns)), None)

    def on_refused(self, name: str, server: int, now_ns: int) -> None:
        """A server refused a stream: ask it again after a pause, longer each time."""
        policy = self._context.policy
        refusal = self._refusals.setdefault(name, {}).setdefault(server, _Refusal())
        if now_ns - refusal.until_ns >= to_ns(policy.stable_s):
            refusal.times = 0
        pause_ns = self._context.backoff_ns(refusal.times, 2 * policy.retry_base_s, policy.retry_cap_s)
        refusal.times, refusal.until_ns = refusal.times + 1, now_ns + pause_ns

    def forget(self, name: str) -> None:
        """A stream is no longer wanted."""
        self._refusals.pop(name, None)
