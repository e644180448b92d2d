"""Format sizes and times like the old library."""

from __future__ import annotations

__all__ = ["human_bytes", "human_seconds"]


def human_seconds(seconds: float) -> str:
    """A duration as text, such as `2d:3h:4m:5s`."""
    whole = max(0, int(seconds))
    minutes, left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d:{hours}h:{minutes}m:{left}s"
    if hours:
        return f"{hours}h:{minutes}m:{left}s"
    return f"{minutes}m:{left}s" if minutes else f"{left} seconds"


def human_bytes(size: float) -> str:
    """A size as text, in units of powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1_000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:.1f} TB"
