"""How a book server behaves: checked once, from code, a TOML file or the environment."""

from __future__ import annotations

import ipaddress
import os
import re
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from depthcache.arguments import parse_real, parse_whole
from depthcache.errors import InvalidArgument
from depthcache.foreign_text import clean
from depthcache.service_links import without_service_links

__all__ = ["PREFIX", "ServerConfig", "default_data_dir", "from_environment"]

PREFIX = "DEPTHCACHE_SERVER_"
"""Every field of the configuration has a variable: this and its name in capitals."""

NEEDS_BOTH = "certificate and key together"
NEEDS_TLS = (
    "an address of this machine alone (127.0.0.1, ::1) without TLS; for others set tls=True, or certificate "
    "and key"
)
NEEDS_NETWORKS = "an address of this machine alone, unless compat_allow names networks"

_FEWEST_SECRET = 16
_MOST_PORT = 65_535
_MAPPED_BITS = 96
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
"""What a client can send as a host: other scripts come in ASCII (IDNA)."""
_SYMBOL_POLICIES = ("list", "any", "off")
_KEY_CHARACTERS = frozenset(string.ascii_letters + string.digits + "-_.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How a book server behaves. Raises InvalidArgument for what cannot work, or is not safe.

    Attributes:
        listen: the address to listen on, or `localhost`. Any other than one of this machine alone needs TLS.
        port: 0 for any free one.
        workers: native threads that serve; by default one for every two processors, at most 2. More of them
            raise the rate of reads, and what each message costs.
        tls: whether to serve HTTPS with a certificate that the server makes itself, unless one is given.
        certificate: PEM file of a certificate with its chain; with `key` it turns TLS on.
        key: PEM file of its private key. Both are read again when they are replaced.
        hosts: host names by which clients reach the server, beside addresses and `localhost`. Requests for
            other names are refused (DNS rebinding).
        data_dir: where the tokens and the server's own certificate are kept; None for the user's data folder
            (`~/.local/share/depthcache`, or `XDG_DATA_HOME`).
        read_token: the secret of readers, at least 16 characters; None for the file `read.token` in
            `data_dir`, which is made where it is missing.
        admin_token: likewise of those who may begin and end books; None for the file `admin.token`.
        connections: connections at once; fewer where the process may open fewer files (`ulimit -n`), of which
            some are left to the books' own connections.
        connections_per_address: connections at once from one address of another machine, so that none takes
            all of them; of IPv6 from one network of 64 bits. Programs of this machine, and clients of a proxy
            on it, share `connections` alone.
        requests_per_second: requests a second from one address; 0 for any number.
        messages_per_second: messages a second from one client on a WebSocket, pings included.
        subscriptions: subscriptions of one connection.
        view_bytes: memory for the views of all books that are followed: half for the messages that they keep
            for slow readers and for those who come back, half for their newest states. Many views keep fewer
            messages each.
        heartbeat_s: seconds between two heartbeats, which name the followed books that are silent.
        idle_s: seconds after which a connection without a request is closed, and that a client may take to
            send a request or to take a response. A WebSocket is asked for a sign of life then.
        drain_s: seconds that requests in flight have at the end.
        manage_timeout_s: seconds that a request waits for this program; then it gets status 503.
        keep_books: whether a restart begins again the books that requests began; they are kept in a file in
            `data_dir`.
        access_log: file to which one JSON line a request is appended, without secrets; `-` for standard
            error. None: no such log.
        compat_listen: address and port, such as `127.0.0.1:42080`, of a separate listener for clients of the
            old cluster (UBDCC): plain HTTP without a token, for reads. None: no such listener.
        compat_listen_2_8: the same for the old library up to release 2.8, which expects another server name.
        compat_allow: networks such as `10.0.0.0/8` whose hosts may connect to these listeners; this machine
            always may.
        compat_manage: whether old clients may begin and end books; on this machine alone.
        exchange_symbols: of which symbols the exchange's own protocol serves books: `list` (those that are
            held), `any` (others are begun when a client asks for them), or `off`.
        exchange_books: books at once that clients of the exchange's protocol may begin, with `any`.
        exchange_allow: networks whose clients may use the exchange's protocol without the key, such as
            `10.0.0.0/8`. Where only this machine can connect, all its programs may.
        exchange_key: the secret of other clients of the exchange's protocol, in the path:
            `https://host/k/<key>/binance.com/…`; None for a file in `data_dir`, as for the tokens.
    """

    listen: str = "127.0.0.1"
    port: int = 42081
    workers: int = field(default_factory=lambda: default_workers(_processors()))
    tls: bool = False
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    hosts: tuple[str, ...] = ()
    data_dir: str | os.PathLike[str] | None = None
    read_token: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)
    connections: int = 10_000
    connections_per_address: int = 1_000
    requests_per_second: int = 0
    messages_per_second: int = 100
    subscriptions: int = 1_000
    view_bytes: int = 256 << 20
    heartbeat_s: float = 5.0
    idle_s: float = 30.0
    drain_s: float = 10.0
    manage_timeout_s: float = 10.0
    keep_books: bool = False
    access_log: str | os.PathLike[str] | None = None
    compat_listen: str | None = None
    compat_listen_2_8: str | None = None
    compat_allow: tuple[str, ...] = ()
    compat_manage: bool = False
    exchange_symbols: str = "list"
    exchange_books: int = 100
    exchange_allow: tuple[str, ...] = ()
    exchange_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 0, _MOST_PORT),
            ("workers", 1, 64),
            ("connections", 1, 1_000_000),
            ("connections_per_address", 1, 1_000_000),
            ("requests_per_second", 0, 1_000_000),
            ("messages_per_second", 1, 1_000_000),
            ("subscriptions", 1, 1_000_000),
            ("view_bytes", 1 << 20, 1 << 40),
            ("exchange_books", 1, 10_000),
        ):
            value = parse_whole(
                getattr(self, name), name=name, allowed=f"{least:,} to {most:,}", least=least, most=most
            )
            object.__setattr__(self, name, value)
        for name, least_s in (
            ("heartbeat_s", 0.1),
            ("idle_s", 0.1),
            ("drain_s", 0.0),
            ("manage_timeout_s", 0.1),
        ):
            allowed = f"seconds, {least_s:g} to 3,600"
            value_s = parse_real(getattr(self, name), name=name, allowed=allowed, least=least_s, most=3_600)
            object.__setattr__(self, name, value_s)
        for name in ("tls", "keep_books", "compat_manage"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidArgument(name=name, value=getattr(self, name), allowed="True or False")
        self._check_names()
        self._check_paths()
        self._check_networks()
        self._check_exchange()
        self._check_secrets()
        self._check_exposure()
        self._check_compat()

    @property
    def address(self) -> str:
        """The address that is listened on."""
        return "127.0.0.1" if self.listen == "localhost" else self.listen

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can connect."""
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def is_tls(self) -> bool:
        """Whether it serves HTTPS."""
        return self.tls or self.certificate is not None

    @property
    def folder(self) -> Path:
        """Where tokens and the server's own certificate are kept."""
        return default_data_dir() if self.data_dir is None else Path(self.data_dir)

    def compat_listeners(self) -> list[tuple[str, int, str]]:
        """Address, port and the name that its clients look for, of each listener for old clients."""
        return [
            (*_endpoint(field_name, text), app)
            for field_name, app in _COMPAT_NAMES.items()
            if (text := getattr(self, field_name)) is not None
        ]

    def _check_compat(self) -> None:
        networks = self.compat_allow
        listeners = self.compat_listeners()
        if not listeners and (networks or self.compat_manage):
            name = "compat_allow" if networks else "compat_manage"
            raise InvalidArgument(
                name=name, value=getattr(self, name), allowed="nothing without compat_listen"
            )
        for (host, _, _), name in zip(
            listeners, (each for each in _COMPAT_NAMES if getattr(self, each) is not None), strict=True
        ):
            if ipaddress.ip_address(host).is_loopback:
                continue
            if self.compat_manage:
                allowed = "an address of this machine alone with compat_manage"
                raise InvalidArgument(name=name, value=getattr(self, name), allowed=allowed)
            if not networks:
                raise InvalidArgument(name=name, value=getattr(self, name), allowed=NEEDS_NETWORKS)

    def _check_names(self) -> None:
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            allowed = "an address such as 127.0.0.1, ::1 or 0.0.0.0, or localhost"
            raise InvalidArgument(name="listen", value=self.listen, allowed=allowed) from None
        allowed = "host names such as books.example or xn--bcher-kva.example, without scheme and port"
        if isinstance(self.hosts, str):
            raise InvalidArgument(name="hosts", value=self.hosts, allowed=allowed)
        hosts = tuple(self.hosts)
        for host in hosts:
            if not isinstance(host, str) or not _HOST.fullmatch(host):
                raise InvalidArgument(name="hosts", value=host, allowed=allowed)
        object.__setattr__(self, "hosts", hosts)

    def _check_paths(self) -> None:
        for name in ("certificate", "key", "data_dir", "access_log"):
            path = getattr(self, name)
            if path is not None and not _is_path(path):
                raise InvalidArgument(name=name, value=path, allowed="a path, or None")

    def _check_networks(self) -> None:
        allowed = "networks such as 10.0.0.0/8 or fd00::/8, or addresses"
        for name in ("compat_allow", "exchange_allow"):
            given = getattr(self, name)
            if isinstance(given, str):
                raise InvalidArgument(name=name, value=given, allowed=allowed)
            networks: list[str] = []
            for network in given:
                try:
                    networks.append(_network(network))
                except ValueError:
                    raise InvalidArgument(name=name, value=network, allowed=allowed) from None
            object.__setattr__(self, name, tuple(networks))

    def _check_exchange(self) -> None:
        if self.exchange_symbols not in _SYMBOL_POLICIES:
            allowed = "list, any or off"
            raise InvalidArgument(name="exchange_symbols", value=self.exchange_symbols, allowed=allowed)
        key = self.exchange_key
        if key is not None and not (is_secret(key) and set(key) <= _KEY_CHARACTERS):
            allowed = f"at least {_FEWEST_SECRET} letters, digits, '-', '_' and '.'"
            raise InvalidArgument(name="exchange_key", value="(not shown)", allowed=allowed)

    def _check_secrets(self) -> None:
        for name in ("read_token", "admin_token"):
            secret = getattr(self, name)
            if secret is not None and not is_secret(secret):
                allowed = f"at least {_FEWEST_SECRET} characters of ASCII, without blanks"
                raise InvalidArgument(name=name, value="(not shown)", allowed=allowed)
        if self.read_token is not None and self.read_token == self.admin_token:
            allowed = "another secret than read_token"
            raise InvalidArgument(name="admin_token", value="(not shown)", allowed=allowed)
        if self.exchange_key is not None and self.exchange_key in (self.read_token, self.admin_token):
            allowed = "another secret than the tokens: it is in the addresses that clients use"
            raise InvalidArgument(name="exchange_key", value="(not shown)", allowed=allowed)

    def _check_exposure(self) -> None:
        if (self.certificate is None) != (self.key is None):
            name = "key" if self.key is None else "certificate"
            raise InvalidArgument(name=name, value=None, allowed=NEEDS_BOTH)
        if not self.is_loopback and not self.is_tls:
            raise InvalidArgument(name="listen", value=self.listen, allowed=NEEDS_TLS)


_COMPAT_NAMES = {"compat_listen": "ubdcc-restapi", "compat_listen_2_8": "lucit-ubdcc-restapi"}
"""The name of the server that old clients look for, by the field of their listener."""


def _endpoint(name: str, text: object) -> tuple[str, int]:
    """Address and port. Raises InvalidArgument."""
    allowed = "an address and a port such as 127.0.0.1:42080 or [::1]:42080"
    refused = InvalidArgument(name=name, value=text, allowed=allowed)
    host, separator, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise refused from None
    if not separator or not port.isascii() or not port.isdigit() or int(port) > _MOST_PORT:
        raise refused
    return host, int(port)


def default_workers(processors: int) -> int:
    """Native threads on a machine of that many processors.

    A message that is for one subscriber alone wakes every idle worker: on two processors it took 33 us of CPU
    with two workers and 23 us with one, and reads were a tenth slower (2026-11-30).
    """
    return min(2, max(1, processors // 2))


def _processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_path(value: object) -> bool:
    try:
        text: object = os.fspath(cast("str", value))
    except TypeError:
        return False
    return isinstance(text, str) and text != "" and "\0" not in text


def _network(text: object) -> str:
    """A network in its one notation; of IPv4 also where it was written as IPv6. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError(text)
    network = ipaddress.ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return str(network)
    return f"{mapped}/{network.prefixlen - _MAPPED_BITS}"


def is_secret(text: object) -> bool:
    """Whether a text can be a token."""
    return (
        isinstance(text, str)
        and len(text) >= _FEWEST_SECRET
        and text.isascii()
        and text.isprintable()
        and (" " not in text)
    )


def default_data_dir() -> Path:
    """The user's data folder of this package. Raises InvalidArgument for a user without a home."""
    variable, below = "XDG_DATA_HOME", (".local", "share")
    if sys.platform == "win32":
        variable, below = "LOCALAPPDATA", ("AppData", "Local")
    try:
        base = os.environ.get(variable) or Path.home().joinpath(*below)
    except RuntimeError:
        allowed = "a folder, because this user has no home"
        raise InvalidArgument(name="data_dir", value=None, allowed=allowed) from None
    return Path(base) / "depthcache"


def from_environment(given: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of ServerConfig that environment variables make. Raises InvalidArgument, also for a
    variable of this prefix that does not exist."""
    kinds = {each.name: each for each in fields(ServerConfig)}
    found: dict[str, Any] = {}
    given = without_service_links(given)
    for variable in sorted(name for name in given if name.startswith(PREFIX)):
        name = variable.removeprefix(PREFIX).lower()
        if name not in kinds:
            raise unknown_name(variable, [PREFIX + each.upper() for each in kinds], kind="variable")
        kind = kinds[name]
        default = kind.default if kind.default_factory is MISSING else kind.default_factory()
        found[name] = _value(variable, given[variable], default)
    return found


def unknown_name(
    name: str, names: Sequence[str], *, kind: str, place: str = "", within: str = ""
) -> InvalidArgument:
    """The error for a name that is none of these; with one that is near, else with all. Shows no value.

    `kind`: what it names, such as `key`. `place`: the file, for the beginning of the message. `within`: the
    part of the file, after the name.
    """
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    text = f"{place}{': ' if place else ''}unknown {kind} {clean(name)}{within}; {hint}"
    return InvalidArgument(name=name, value="(not shown)", allowed=", ".join(names), text=text)


def _value(variable: str, text: str, default: object) -> Any:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false", "1", "0"):
            raise InvalidArgument(name=variable, value=text, allowed="true or false")
        return text.lower() in ("true", "1")
    if isinstance(default, tuple):
        return tuple(each.strip() for each in text.split(",") if each.strip())
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            raise InvalidArgument(name=variable, value=text, allowed="a number") from None
    return text
