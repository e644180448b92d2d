"""The addresses of a cluster's commands."""

from __future__ import annotations

__all__ = ["ClusterEndpoints"]


class ClusterEndpoints:
    """Where a cluster is asked what."""
