"""What this build is for other nodes: its version, and the versions of the protocol that it speaks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version

from depthcache.cluster.core.members import Node
from depthcache.cluster.core.protocol import SPOKEN, ProtocolRange
from depthcache.errors import InvalidArgument

__all__ = ["FORCED", "own_version", "spoken", "with_build"]

FORCED = "DEPTHCACHE_CLUSTER_PROTOCOL"
"""For tests alone: a version such as `1`, or a range such as `2-3`, in place of what this build speaks."""
_RANGE = re.compile(r"([1-9][0-9]{0,3})(?:-([1-9][0-9]{0,3}))?")


def own_version() -> str:
    """The version of the package."""
    return version("depthcache")


def spoken(environment: Mapping[str, str] | None = None) -> ProtocolRange:
    """The versions of the protocol between nodes that this process speaks. Raises InvalidArgument."""
    text = (os.environ if environment is None else environment).get(FORCED, "")
    if not text:
        return SPOKEN
    found = _RANGE.fullmatch(text)
    oldest, newest = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if oldest > newest:
        raise InvalidArgument(
            name=FORCED, value=text[:40], allowed="a version such as 1, or a range such as 1-2"
        )
    return ProtocolRange(oldest, newest)


def with_build(node: Node) -> Node:
    """The facts of a node of this process, with what the build is. Raises InvalidArgument."""
    return replace(node, protocol=spoken(), version=own_version())
