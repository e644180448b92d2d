"""Which network a client gets: the native one, or that of aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from os import PathLike
from typing import Literal, Protocol

from depthcache.io.network.interface import ClosableNetwork, ServerAccess

__all__ = ["NetworkSettings", "real_network"]


class NetworkSettings(Protocol):
    """What of `depthcache.Settings` a network is made from."""

    @property
    def transport(self) -> Literal["native", "aiohttp"]:
        """Who reads the sockets."""
        ...

    @property
    def proxies(self) -> bool:
        """Whether the proxies of the environment are used."""
        ...

    @property
    def ca_file(self) -> str | PathLike[str] | None:
        """The certificates to trust; None for the system's."""
        ...


def real_network(settings: NetworkSettings, *, access: ServerAccess | None = None) -> ClosableNetwork:
    """The network that users get; for the running event loop. Raises UsageError on one in virtual time.

    `access`: to the book server, where all connections go to one.
    """
    refuse_real_sockets = getattr(asyncio.get_running_loop(), "refuse_real_sockets", None)
    if refuse_real_sockets is not None:
        refuse_real_sockets()
    # Imported here: programs that only replay bytes do not pay for it.
    if settings.transport == "aiohttp":
        from depthcache.io.network.aiohttp import AiohttpNetwork

        return AiohttpNetwork(
            use_proxies=settings.proxies, ca_file=settings.ca_file, access=access, **_patience(access)
        )
    from depthcache.io.network.native import NativeNetwork

    return NativeNetwork(
        use_proxies=settings.proxies, ca_file=settings.ca_file, access=access, **_patience(access)
    )


def _patience(access: ServerAccess | None) -> Mapping[str, float]:
    """How long a connection may be silent. Leaving a server costs nothing where another one takes over."""
    return {"quiet_s": 0.8, "pong_s": 0.7} if access is not None and access.is_one_of_several else {}
