"""What a user may set for a client as a whole: other hosts, patience and greed, proxies.

A constant, checked when it is made. Hosts have a variable each in the environment,
DEPTHCACHE_<NAME>_REST and DEPTHCACHE_<NAME>_WEBSOCKET, where NAME is the exchange name in capitals
with '.' and '-' as '_' (DEPTHCACHE_BINANCE_COM_FUTURES_REST). Not here: how environment and files are read
(`settings_sources`), and what each client asks for itself (symbols, depth): arguments of `connect`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, Literal, cast

from depthcache import venues
from depthcache.arguments import parse_whole
from depthcache.core.policy import Policy
from depthcache.errors import InvalidArgument
from depthcache.naming import publish
from depthcache.pickling import FixedMapping
from depthcache.settings_sources import FILE_VARIABLE, from_file, from_variables
from depthcache.venues import Endpoints, Venue

__all__ = ["Settings"]

_MOST_FLIGHT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a client. Raises UnknownExchange or InvalidArgument for what cannot work.

    They pickle, for workers and task queues. No secret is among them: the password of a proxy stays in the
    environment variable that names the proxy, which each process reads for itself. Paths arrive as given and
    are not looked at again.

    Attributes:
        endpoints: other hosts by exchange name: a gateway, a mirror, the embedded exchange.
            Exchanges that are not named are reached at Binance.
        policy: how patient and how greedy the client is, e.g. `Policy(limit_share=0.25)` for a quarter
            of the exchange's request weight (default: half).
        proxies: whether HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are honoured.
        transport: `native` (WebSockets on a thread that never waits for Python, so that books stay
            fresh whatever the program does) or `aiohttp` (on the event loop).
        ca_file: PEM file with the certificates of the authorities to trust, for a gateway with its
            own; None takes the system's (or SSL_CERT_FILE and SSL_CERT_DIR).
        record_to: folder for a file with everything the client hears, raw; None records nothing.
        flight_dumps_to: folder for what led to trouble: the newest frames of a book and its snapshot, written
            when it has a gap, crosses, or gets a malformed frame; None writes nothing by itself.
        flight_bytes: how much of its newest frames, and 16 bytes with each, a book remembers for that
            (default 64 KiB; 0 remembers nothing).
    """

    endpoints: Mapping[str, Endpoints] = field(default_factory=dict[str, Endpoints])
    policy: Policy = field(default_factory=Policy)
    proxies: bool = True
    transport: Literal["native", "aiohttp"] = "native"
    ca_file: str | PathLike[str] | None = None
    record_to: str | PathLike[str] | None = None
    flight_dumps_to: str | PathLike[str] | None = None
    flight_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        if not isinstance(self.endpoints, Mapping):
            allowed = "a mapping of exchange names to Endpoints(rest=…, websocket=…)"
            raise InvalidArgument(name="endpoints", value=self.endpoints, allowed=allowed)
        if not isinstance(self.policy, Policy):
            raise InvalidArgument(name="policy", value=self.policy, allowed="a Policy(…)")
        if not isinstance(self.proxies, bool):
            raise InvalidArgument(name="proxies", value=self.proxies, allowed="True or False")
        if self.transport not in ("native", "aiohttp"):
            raise InvalidArgument(name="transport", value=self.transport, allowed="'native' or 'aiohttp'")
        object.__setattr__(self, "ca_file", _authorities(self.ca_file))
        for name in ("record_to", "flight_dumps_to"):
            folder = getattr(self, name)
            if folder is not None and not _is_path(folder):
                raise InvalidArgument(name=name, value=folder, allowed="the path of a folder, or None")
        allowed, most = f"bytes, 0 to {_MOST_FLIGHT_BYTES:,}", _MOST_FLIGHT_BYTES
        size = parse_whole(self.flight_bytes, name="flight_bytes", allowed=allowed, least=0, most=most)
        object.__setattr__(self, "flight_bytes", size)
        checked = {venues.venue(name).name: _checked(name, value) for name, value in self.endpoints.items()}
        object.__setattr__(self, "endpoints", FixedMapping(checked))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **others: Any) -> Settings:
        """The settings that environment variables make (`os.environ` when None), and `others` as given.

        Every setting has a variable: DEPTHCACHE_ and its name in capitals. DEPTHCACHE_SETTINGS names a TOML
        file that is read first; variables win over it. Raises InvalidArgument, naming the variable and
        what is allowed, for a value that cannot work and for every DEPTHCACHE_ variable that does not
        exist: a misspelled one would otherwise send a test to the real exchange.
        """
        given = os.environ if environment is None else environment
        path = given.get(FILE_VARIABLE)
        file = {} if path is None else from_file(path)
        own = from_variables(given)
        policy = file.pop("policy", {}) | own.pop("policy")
        endpoints = file.pop("endpoints", {}) | own.pop("endpoints")
        given_all: dict[str, Any] = {"policy": Policy(**policy), "endpoints": endpoints, **file, **own}
        return cls(**given_all | others)

    @classmethod
    def from_toml(cls, path: str | PathLike[str], **others: Any) -> Settings:
        """The settings of the TOML file at `path`, and `others` as given.

        Keys are the names of the settings, those of the policy in the table `[policy]`, hosts in
        `[endpoints."binance.com"]`.

        Raises InvalidArgument, naming file, key, value and what is allowed.
        """
        file = from_file(path)
        file["policy"] = Policy(**file["policy"])
        return cls(**file | others)

    def venue(self, exchange: str) -> Venue:
        """The venue of an exchange name or alias, at the hosts of these settings.

        Raises UnknownExchange with the names most like it.
        """
        found = venues.venue(exchange)
        elsewhere = self.endpoints.get(found.name)
        return found if elsewhere is None else venues.with_endpoints(found, elsewhere)


def _checked(name: str, value: object) -> Endpoints:
    if not isinstance(value, Endpoints):
        raise InvalidArgument(
            name=f"endpoints of {name!r}", value=value, allowed="Endpoints(rest=…, websocket=…)"
        )
    return venues.parse_endpoints(value)


def _is_path(value: object) -> bool:
    """Whether it is a path that a system takes: without NUL, and of characters that can be encoded."""
    if not isinstance(value, str | PathLike):
        return False
    try:
        return b"\0" not in os.fsencode(cast("str | PathLike[str]", value))
    except UnicodeEncodeError:
        return False


def _authorities(file: object) -> str | None:
    """The path of a PEM file of certificates, checked now: no connection could be made later."""
    if file is None:
        return None
    allowed = "the path of a PEM file with certificates, or None"
    if not _is_path(file):
        raise InvalidArgument(name="ca_file", value=file, allowed=allowed)
    path = str(fspath(cast("str | PathLike[str]", file)))
    import ssl  # most programs that only read settings need it for nothing else

    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise InvalidArgument(name="ca_file", value=path, allowed=f"{allowed} ({error})") from None
    return path


publish("depthcache", Settings)
