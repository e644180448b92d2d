"""Settings of a whole client: hosts, policy, proxies, transport, recording.

Symbols and depth are arguments of `connect`. `settings_sources` reads environment variables and TOML files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from string import hexdigits
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
_FINGERPRINT_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a client; immutable, and checked on construction.

    Raises UnknownExchange for an unknown name in `endpoints` and InvalidArgument for a value out of range.

    Settings can be pickled for workers and task queues. They hold no secrets: the password of a proxy stays
    in the environment variable that names the proxy, and each process reads that variable itself. Unpickling
    does not check paths again.

    Attributes:
        endpoints: exchange name to `Endpoints(rest=…, websocket=…)`, for a gateway, a mirror or the embedded
            exchange. All other exchanges use the hosts of Binance.
        server: URL of a book server (`depthcache serve`) to take all books from instead of the exchange,
            such as `https://books.example:42081`; several in a sequence, or with commas, of which the next
            takes over when one is lost. It takes precedence over `endpoints`. Its token is not a setting but
            an argument of `connect`, or the variable DEPTHCACHE_TOKEN.
        fingerprint: SHA-256 of the server's certificate in hexadecimal, as `depthcache serve` prints it.
            Only this certificate is then trusted, whatever its name and issuer; not together with `ca_file`.
        policy: limits and timeouts, such as `Policy(limit_share=0.25)` to use a quarter of the exchange's
            request weight instead of half.
        proxies: whether to honour HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
        transport: `native` reads WebSockets on a thread that never waits for Python, so books stay current
            while the program is busy; `aiohttp` reads them on the event loop.
        ca_file: PEM file with the certificate authorities to trust, for a gateway with a private one; None
            uses those of the system, or of SSL_CERT_FILE and SSL_CERT_DIR.
        record_to: folder for a recording of everything the client receives, unmodified; None records
            nothing.
        flight_dumps_to: folder for flight dumps. A dump holds the newest frames of a book and the snapshot
            they follow, and is written when the book has a sequence gap, crosses, or receives a malformed
            frame. None writes none automatically.
        flight_bytes: memory per book for these frames in bytes, including 16 bytes of overhead per frame
            (default 64 KiB; 0 keeps none).
    """

    endpoints: Mapping[str, Endpoints] = field(default_factory=dict[str, Endpoints])
    server: str | Sequence[str] | None = None
    fingerprint: str | None = None
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
        object.__setattr__(self, "server", venues.parse_servers(self.server) or None)
        object.__setattr__(self, "fingerprint", _fingerprint(self.fingerprint))
        if self.fingerprint is not None and self.ca_file is not None:
            allowed = "None beside a ca_file: a certificate is trusted for one reason"
            raise InvalidArgument(name="fingerprint", value=self.fingerprint, allowed=allowed)
        for name in ("record_to", "flight_dumps_to"):
            folder = getattr(self, name)
            if folder is not None and not _is_path(folder):
                raise InvalidArgument(name=name, value=folder, allowed="the path of a folder, or None")
        allowed, most = f"bytes, 0 to {_MOST_FLIGHT_BYTES:,}", _MOST_FLIGHT_BYTES
        size = parse_whole(self.flight_bytes, name="flight_bytes", allowed=allowed, least=0, most=most)
        object.__setattr__(self, "flight_bytes", size)
        checked: dict[str, Endpoints] = {}
        for name, value in self.endpoints.items():
            exchange = venues.venue(name).name
            if exchange in checked:
                allowed = f"{exchange} once, in any spelling"
                raise InvalidArgument(name="endpoints", value=name, allowed=allowed)
            checked[exchange] = _checked(name, value)
        object.__setattr__(self, "endpoints", FixedMapping(checked))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **others: Any) -> Settings:
        """Settings from environment variables.

        Every setting has a variable: DEPTHCACHE_ followed by its name in capitals. Hosts have two per
        exchange, such as DEPTHCACHE_BINANCE_COM_FUTURES_REST and DEPTHCACHE_BINANCE_COM_FUTURES_WEBSOCKET:
        the exchange name in capitals, with `.` and `-` as `_`. DEPTHCACHE_SETTINGS names a TOML file to read
        first; variables take precedence over it.

        `environment`: the variables; None takes `os.environ`. `others`: settings as keyword arguments, which
        take precedence over both.

        Raises InvalidArgument with the variable, its value and what is allowed, both for a wrong value and
        for an unknown DEPTHCACHE_ variable: a misspelled host would send a test to the real exchange.
        """
        given = os.environ if environment is None else environment
        path = given.get(FILE_VARIABLE)
        file = {} if path is None else from_file(path, cls)
        own = from_variables(given, cls, hosts=file.pop("endpoints", {}))
        policy = file.pop("policy", {}) | own.pop("policy")
        given_all: dict[str, Any] = {"policy": Policy(**policy), **file, **own}
        return cls(**given_all | others)

    @classmethod
    def from_toml(cls, path: str | PathLike[str], **others: Any) -> Settings:
        """Settings from the TOML file at `path`.

        Keys are the names of the settings. Those of the policy belong in the table `[policy]`, the hosts of
        an exchange in a table such as `[endpoints."binance.com"]`.

        `others`: settings as keyword arguments, which take precedence over the file.

        Raises InvalidArgument with the file, the key, its value and what is allowed.
        """
        file = from_file(path, cls)
        file["policy"] = Policy(**file["policy"])
        return cls(**file | others)

    def venue(self, exchange: str) -> Venue:
        """The venue of an exchange name or alias, with the hosts of these settings.

        Raises UnknownExchange, which suggests the closest names.
        """
        found = venues.venue(exchange)
        if self.server is not None:
            return venues.with_servers(found, tuple(self.server))
        elsewhere = self.endpoints.get(found.name)
        return found if elsewhere is None else venues.with_endpoints(found, elsewhere)


def _checked(name: str, value: object) -> Endpoints:
    if not isinstance(value, Endpoints):
        raise InvalidArgument(
            name=f"endpoints of {name!r}", value=value, allowed="Endpoints(rest=…, websocket=…)"
        )
    return venues.parse_endpoints(value)


def _fingerprint(text: object) -> str | None:
    """A SHA-256 as the server prints it: pairs of hexadecimal digits with colons."""
    if text is None:
        return None
    digits = text.replace(":", "").strip() if isinstance(text, str) else ""
    if len(digits) != _FINGERPRINT_DIGITS or not all(digit in hexdigits for digit in digits):
        allowed = "the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons"
        raise InvalidArgument(name="fingerprint", value=text, allowed=allowed)
    upper = digits.upper()
    return ":".join(upper[at : at + 2] for at in range(0, _FINGERPRINT_DIGITS, 2))


def _is_path(value: object) -> bool:
    """Whether the operating system accepts it as a path: encodable, and without NUL."""
    if not isinstance(value, str | PathLike):
        return False
    try:
        return b"\0" not in os.fsencode(cast("str | PathLike[str]", value))
    except UnicodeEncodeError:
        return False


def _authorities(file: object) -> str | None:
    """The path of a PEM file, loaded once to check it, so that a bad file fails here and not at connect."""
    if file is None:
        return None
    allowed = "the path of a PEM file with certificates, or None"
    if not _is_path(file):
        raise InvalidArgument(name="ca_file", value=file, allowed=allowed)
    path = str(fspath(cast("str | PathLike[str]", file)))
    import ssl  # deferred: slow to import, and only needed with a ca_file

    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise InvalidArgument(name="ca_file", value=path, allowed=f"{allowed} ({error})") from None
    return path


publish("depthcache", Settings)
