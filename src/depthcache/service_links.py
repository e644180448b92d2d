"""Environment variables that Kubernetes sets in each container for every service of its namespace.

A service called `depthcache` makes DEPTHCACHE_SERVICE_HOST, DEPTHCACHE_PORT=tcp://… and others in the
containers of all programs beside it. They are no settings, and must not be refused as unknown ones.
(https://kubernetes.io/docs/concepts/services-networking/service, "Environment variables", 2026-12-01)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["without_service_links"]

_HOST = "_SERVICE_HOST"
_OTHERS = re.compile(
    r"SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_[A-Z]+(_(PROTO|PORT|ADDR))?", re.ASCII
)


def without_service_links(given: Mapping[str, str]) -> dict[str, str]:
    """The variables without those of services. A port that is a plain number stays: it was set on purpose."""
    services = [name.removesuffix(_HOST) for name in given if name.endswith(_HOST)]

    def is_link(name: str) -> bool:
        for service in services:
            rest = name.removeprefix(f"{service}_")
            if rest != name and _OTHERS.fullmatch(rest):
                return rest != "PORT" or "://" in given[name]
        return False

    return {name: value for name, value in given.items() if not is_link(name)}
