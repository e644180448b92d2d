"""How a client proves itself to its book server: the token, from an argument or the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Protocol

from depthcache import venues
from depthcache.errors import InvalidArgument
from depthcache.io.network.interface import ServerAccess

__all__ = ["ServerSettings", "parse_access"]

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)
"""A bearer token (RFC 6750, 2.1)."""
_TOKEN_VARIABLE = "DEPTHCACHE_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with the token of a book server, which is no setting because it is secret."""


class ServerSettings(Protocol):
    """What of `depthcache.Settings` the access to a book server is made from."""

    @property
    def server(self) -> str | Sequence[str] | None:
        """The book servers; None for the exchanges themselves."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the only certificate to trust, in hexadecimal."""
        ...


def parse_access(settings: ServerSettings, token: str | None) -> ServerAccess | None:
    """The access to the book server of the settings; None without one. No error shows the token."""
    if settings.server is None:
        if token is not None:
            raise InvalidArgument(name="token", value="…", allowed="None without a server")
        return None
    token = os.environ.get(_TOKEN_VARIABLE) if token is None else token
    if token is not None and not (isinstance(token, str) and _TOKEN.fullmatch(token.strip())):
        allowed = "the token of a book server: letters, digits and - . _ ~ + / ="
        raise InvalidArgument(name="token", value="…", allowed=allowed)
    pinned = settings.fingerprint
    return ServerAccess(
        None if token is None else token.strip(),
        None if pinned is None else bytes.fromhex(pinned.replace(":", "")),
        is_one_of_several=len(venues.parse_servers(settings.server)) > 1,
    )
