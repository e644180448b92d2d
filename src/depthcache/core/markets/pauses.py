"""When the next first snapshot of one market may be requested: at once, or after a growing pause.

Failed and refused requests, snapshots that are too old, and repeated losses of sync each have their own rule.
The weight budget is in `requests.scheduler`, the purpose of snapshots in `supervisor`.
"""

from __future__ import annotations

from depthcache.core.context import Context
from depthcache.core.policy import to_ns

__all__ = ["Pauses"]


class Pauses:
    """The pauses of one market. Times are nanoseconds of the caller's clock."""

    __slots__ = ("_context", "_is_wish", "_kept_ns", "_relapses", "_retries", "not_before_ns")

    def __init__(self, context: Context) -> None:
        self._context = context
        self.not_before_ns: int = 0
        """No snapshot is requested before this time."""
        self._retries = self._relapses = 0
        self._is_wish = False
        self._kept_ns: int | None = None

    def clear(self) -> None:
        """Reset everything, with another connection."""
        self.not_before_ns = 0

    def on_answered(self) -> None:
        """A snapshot arrived."""
        self._retries, self._kept_ns = 0, None

    def on_failed(self, now_ns: int) -> None:
        """No snapshot arrived: growing pauses."""
        self.not_before_ns = now_ns + self._context.retry_ns(self._retries)
        self._retries += 1

    def hold(self, seconds: float, now_ns: int) -> None:
        """Wait for a response that nearly always makes the next snapshot unnecessary."""
        self._kept_ns = self.not_before_ns
        self.not_before_ns = max(self.not_before_ns, now_ns + to_ns(seconds))

    def release(self, now_ns: int) -> None:
        """That response arrived and did not."""
        if self._kept_ns is not None:
            self.not_before_ns = min(self.not_before_ns, max(now_ns, self._kept_ns))
            self._kept_ns = None

    def end(self, now_ns: int) -> None:
        """The cause of the failures is over: no pause."""
        self.not_before_ns, self._retries, self._kept_ns = now_ns, 0, None

    def on_too_old(self, tries: int, now_ns: int) -> None:
        """A snapshot was older than the buffered diffs allow, after `tries` others like it."""
        policy = self._context.policy
        patient = tries < policy.too_old_patience
        attempt = tries if patient else tries - policy.too_old_patience
        cap_s = policy.too_old_cap_s if patient else policy.retry_cap_s
        self.not_before_ns = now_ns + self._context.backoff_ns(attempt, policy.too_old_base_s, cap_s)

    def on_wish(self) -> None:
        """A requested rebuild: this loss of sync does not count as a relapse."""
        self._is_wish = True

    def on_relapse(self, synced_ns: int | None, now_ns: int) -> bool:
        """The book, in sync since `synced_ns`, lost sync; True if it may be restored at once."""
        if self._is_wish:
            self._is_wish = False
            return True
        policy = self._context.policy
        if synced_ns is not None and now_ns - synced_ns >= to_ns(policy.stable_s):
            self._relapses = 0
        at_once = not self._relapses
        if not at_once:
            pause_ns = self._context.backoff_ns(
                self._relapses - 1, policy.relapse_base_s, policy.relapse_cap_s
            )
            self.not_before_ns = max(self.not_before_ns, now_ns + pause_ns)
        self._relapses += 1
        return at_once
