"""The files of one node: its identity, certificate and secrets, and a lock for one process at a time.

| file | content |
|---|---|
| `node.json` | cluster, id, number of starts, addresses, zone, capacity, egress, known peers |
| `authority.pem` | the certificates of the trusted authorities: one, or two while one replaces the other |
| `authority.key` | the authority's private key; only on the node that issues certificates |
| `node.pem`, `node.key` | this node's certificate and its private key |
| `wanted.journal` | the wanted set |
| read.token, admin.token, exchange.token (`token_files`) | the access tokens of the cluster |
| `credentials`, `credentials.key` | encrypted credentials of exchanges, and the key they are encrypted with |
| moves.jsonl | the history of moves (`moves`) |
| `lock` | the process that uses the folder |

Only the owner can read them (0600, in a folder of 0700). Files are replaced as a whole. `create` makes a new
folder under another name and renames it at the end, so that a failure leaves nothing behind. A folder that is
there already, such as a volume, cannot always be replaced: its files are made inside and moved to their place
at the end.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from depthcache import logs
from depthcache.cluster.authority import (
    Authority,
    NodeKey,
    authority_hashes,
    belongs,
    hosts_of,
    issuer_of,
    make_node_key,
    node_of,
    pem_blocks,
    trusts,
)
from depthcache.cluster.cluster_names import check_cluster, make_cluster_name
from depthcache.cluster.core.access_tokens import digest_of
from depthcache.cluster.core.members import Node
from depthcache.cluster.core.node import NodeCore, load
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.credentials import CredentialStore, exported
from depthcache.cluster.errors import (
    DataFolderUnusable,
    JoinRefused,
    MalformedClusterMessage,
    SecretsUnusable,
)
from depthcache.cluster.joining import JoinGrant
from depthcache.cluster.secret_files import FolderLock, read_secret, remove_file, sync_folder, write_secret
from depthcache.cluster.shared_secrets import SharedSecrets
from depthcache.cluster.token_files import TOKEN_FILES, TOKEN_ROLES, make_secret, token_name
from depthcache.cluster.wanted_file import WantedFile, payloads_in
from depthcache.errors import InvalidArgument, UsageError

__all__ = [
    "DEFAULT_NODE_PORT",
    "DEFAULT_PORT",
    "MOVES_FILE",
    "DataFolder",
    "Identity",
    "NodeOptions",
    "authority_name",
    "check_empty",
    "cluster_of_folder",
    "clusters_root",
    "find_folder",
    "hosts_and_listen",
    "is_host",
    "make_node_id",
    "node_address",
    "other_servers",
]

DEFAULT_NODE_PORT, DEFAULT_PORT = 42080, 42081
MOVES_FILE = "moves.jsonl"

_VERSION = 1
_MOST_PORT, _MOST_LABEL, _MOST_HOST = 65_535, 64, 253
_MOST_HOSTS = 12
"""Beside the addresses that a node adds itself; a request to join has at most 16."""
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104
_OF_VOLUMES = {"lost+found"}
_PROBE_BYTES = 64 << 10
_DRAFT = ".new"
_AUTHORITY = "authority "
"""How the names of the keys of authorities begin in `credentials`."""
_MOST_AUTHORITIES = 32
_REJOIN = "restore it from a copy, or remove the folder and let the node join again"


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a node, and the proof of it.

    Attributes:
        cluster: the name of the cluster.
        node: the facts that other nodes see; `address` is that of its server.
        authority: the certificates of the authorities that it trusts, in PEM.
        certificate: its certificate in PEM.
        key: its private key in PEM.
        peers: hosts and ports at which the other known nodes talk to each other.
        is_issuer: whether it has the authority's key: it lets nodes join and renews certificates.
        listen: host and port at which it talks to other nodes.
        bind: the address that it listens on, of the node port and of the server.
        hosts: names and addresses at which it is reached; its certificate names them.
    """

    cluster: str
    node: Node
    authority: str
    certificate: str
    key: str = field(repr=False)
    peers: tuple[str, ...]
    is_issuer: bool
    listen: str = ""
    bind: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """How a node is reached and placed. None leaves what the folder has, or the default.

    Attributes:
        listen: the address that both ports listen on; 127.0.0.1 by default. 0.0.0.0 and :: need `hosts`.
        port: of the server; 42081 by default, 0 for any free one, which is kept.
        node_port: for other nodes; 42080 by default, 0 for any free one, which is kept.
        hosts: names or addresses at which others reach the node, the best first; `listen` by default.
        zone: nodes of one zone fail together, such as those of a rack.
        egress: nodes with the same name share one address, and so the request weight, at the exchange.
        capacity: how many books it holds in proportion to other nodes; 1 by default.

    Raises InvalidArgument.
    """

    listen: str | None = None
    port: int | None = None
    node_port: int | None = None
    hosts: tuple[str, ...] | None = None
    zone: str | None = None
    egress: str | None = None
    capacity: float | None = None

    def __post_init__(self) -> None:
        for name in ("port", "node_port"):
            port = getattr(self, name)
            if port is not None and not 0 <= port <= _MOST_PORT:
                raise InvalidArgument(name=name, value=port, allowed="0 to 65,535")
        if self.capacity is not None and not 0 < self.capacity <= 1_000_000:
            raise InvalidArgument(name="capacity", value=self.capacity, allowed="above 0, at most 1,000,000")
        if self.listen is not None and not _is_address(self.listen):
            allowed = "an address such as 10.0.0.1, ::1 or 0.0.0.0, and no name"
            raise InvalidArgument(name="listen", value=self.listen, allowed=allowed)
        if len(self.hosts or ()) > _MOST_HOSTS:
            raise InvalidArgument(name="hosts", value=len(self.hosts or ()), allowed=f"at most {_MOST_HOSTS}")
        for host in self.hosts or ():
            if not is_host(host):
                allowed = "names such as node1.example, or addresses such as 10.0.0.1 and ::1, without a port"
                raise InvalidArgument(name="hosts", value=host, allowed=allowed)
        for name in ("zone", "egress"):
            label = getattr(self, name)
            if label is not None and (len(label) > _MOST_LABEL or not label.isprintable()):
                allowed = f"at most {_MOST_LABEL} printable characters"
                raise InvalidArgument(name=name, value=label[:_MOST_LABEL], allowed=allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What `node.json` has."""

    version: int
    cluster: str
    id: str
    run: int
    listen: str
    port: int
    node_port: int
    hosts: tuple[str, ...]
    zone: str
    egress: str
    capacity: float
    peers: tuple[str, ...]
    authorities: tuple[str, ...] = ()
    """The hashes of the authorities that this node has trusted, the newest last."""
    unknown: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What a newer release wrote beside that; kept."""

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """Everything that the node's certificate names."""
        is_wild = self.listen in _WILDCARDS
        own = () if is_wild else (self.listen,)
        is_local = is_wild or ipaddress.ip_address(self.listen).is_loopback
        return tuple(
            dict.fromkeys((*self.hosts, *own, *(("127.0.0.1", "localhost", "::1") if is_local else ())))
        )

    def at(self, port: int) -> str:
        """Where others reach a port of this node."""
        host = self.all_hosts[0]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class DataFolder:
    """An open data folder: locked until `close`. Made by `create`, `begin`, `join` and `open`."""

    def __init__(self, path: Path, lock: FolderLock, facts: _Facts) -> None:
        self.path: Path = path
        self.was_away: bool = False
        """Whether the node's certificate had ended when the folder was opened."""
        self._lock, self._facts = lock, facts
        self.credentials: CredentialStore = CredentialStore(path, facts.id)
        self._peers = tuple(self.load_wanted().listens().values()) or facts.peers
        self.identity: Identity = self._read_identity()
        self.write_tokens()

    # --- making and opening --------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: Path | None,
        options: NodeOptions,
        *,
        cluster: str | None = None,
        now: datetime | None = None,
    ) -> DataFolder:
        """The folder of the first node of a new cluster, with the cluster's authority.

        `path`: None for the user's folder of clusters; `cluster`: None for a random name. Raises
        InvalidArgument, DataFolderUnusable if there is something already, OSError.
        """
        now = now or datetime.now(UTC)
        name = _free_name(cluster) if path is None else cluster or make_cluster_name()
        check_cluster(name)
        path = path or clusters_root() / name
        facts = _resolved(_new_facts(name, make_node_id()), options)
        authority, key = Authority.create(name, now=now), make_node_key(facts.id)
        tokens = {each: make_secret(each) for each in TOKEN_FILES}
        certificate = authority.issue(key.request, node=facts.id, hosts=facts.all_hosts, now=now)
        files = {
            "authority.pem": authority.certificate,
            "authority.key": authority.key,
            "node.pem": certificate,
            "node.key": key.key,
        }
        shared = {token_name(each): {"secret": secret} for each, secret in tokens.items()}
        given = exported(shared, node=facts.id, wall_ms=time.time_ns() // 1_000_000)
        _install(path, facts, files, _first_content(facts, tokens), given)
        return cls.open(path, now=now)

    @classmethod
    def begin(
        cls, path: Path | None, options: NodeOptions, given: SharedSecrets, *, now: datetime | None = None
    ) -> DataFolder:
        """The folder of a new node that has the secrets of its cluster. Raises as `create`."""
        now = now or datetime.now(UTC)
        path = path or clusters_root() / given.cluster
        facts = _resolved(_new_facts(given.cluster, make_node_id()), options)
        authority, key = given.authority, make_node_key(facts.id)
        files = {
            "authority.pem": authority.certificate,
            "authority.key": authority.key,
            "node.pem": authority.issue(key.request, node=facts.id, hosts=facts.all_hosts, now=now),
            "node.key": key.key,
        }
        wanted = WantedSet(facts.id)
        wanted.give_tokens({digest_of(given.tokens[each]): role for each, role in TOKEN_ROLES.items()})
        wanted.register(facts.id, listen=facts.at(facts.node_port), wall_ms=int(now.timestamp() * 1_000))
        content = NodeCore(Node(id=facts.id, run=0, address=""), wanted).snapshot()
        _install(path, facts, files, content, _shared(given))
        return cls.open(path, secrets=given, now=now)

    @classmethod
    def join(
        cls,
        path: Path,
        options: NodeOptions,
        *,
        node: str,
        key: NodeKey,
        grant: JoinGrant,
        now: datetime | None = None,
    ) -> DataFolder:
        """The folder of a node that was let join. Raises as `create`."""
        check_cluster(grant.cluster)
        facts = replace(_resolved(_new_facts(grant.cluster, node), options), peers=grant.peers)
        files = {
            "authority.pem": grant.authority,
            "node.pem": grant.certificate,
            "node.key": key.key,
        }
        _install(path, facts, files, grant.wanted, grant.secrets)
        return cls.open(path, now=now)

    @classmethod
    def open(
        cls,
        path: Path,
        options: NodeOptions | None = None,
        *,
        secrets: SharedSecrets | None = None,
        now: datetime | None = None,
    ) -> DataFolder:
        """Use the folder of a node that was made before, for one more start of its process.

        `secrets`: those that the node is started with. What the folder has wins: it may be newer.

        Raises DataFolderUnusable: no such folder, in use, damaged, of another cluster or user, on a disk that
        is full or cannot be written, or with a certificate that has ended. Raises SecretsUnusable for the
        secrets of another cluster.
        """
        if not path.is_dir():
            raise DataFolderUnusable(path=str(path), reason="there is no such folder")
        lock = FolderLock(path)
        try:
            facts = _read_facts(path / "node.json")
            # Also larger after a start from an older copy: others ignore messages of earlier runs.
            run = max(facts.run + 1, int((now or datetime.now(UTC)).timestamp()))
            facts = _resolved(replace(facts, run=run), options or NodeOptions())
            _write_facts(path, facts)
            folder = cls(path, lock, facts)
            if secrets is not None:
                folder._take(secrets)
            folder._note_authorities()
            folder._check(now or datetime.now(UTC))
        except BaseException as error:
            lock.release()
            if isinstance(error, OSError):
                reason = f"cannot be written: {error.strerror or error}"
                raise DataFolderUnusable(path=str(path), reason=reason) from None
            raise
        return folder

    def close(self) -> None:
        """Let another process use the folder. Further calls do nothing."""
        self._lock.release()

    # --- files -----------------------------------------------------------------------------------

    @property
    def authority_file(self) -> Path:
        """The certificates of the authorities that this node trusts."""
        return self.path / "authority.pem"

    @property
    def certificate_file(self) -> Path:
        """This node's certificate."""
        return self.path / "node.pem"

    @property
    def key_file(self) -> Path:
        """This node's private key."""
        return self.path / "node.key"

    @property
    def wanted_file(self) -> WantedFile:
        """The journal of the wanted set: one for the process."""
        return WantedFile(self.path / "wanted.journal")

    def token(self, name: str) -> str | None:
        """The secret of a token file, such as `read`; None if there is none."""
        path = self.path / f"{name}.token"
        return read_secret(path).decode("ascii", "replace").strip() if path.exists() else None

    def authorities(self) -> tuple[Authority, ...]:
        """The authorities whose keys this node has, the newest first; empty on most nodes."""
        path = self.path / "authority.key"
        if not path.exists():
            return ()
        keys = pem_blocks(read_secret(path).decode("ascii", "replace"))
        certificates = pem_blocks(self.identity.authority)
        try:
            return tuple(Authority(each, key) for key in keys for each in certificates if belongs(each, key))
        except ValueError:
            raise DataFolderUnusable(
                path=str(path), reason=f"holds no key that can be read: {_REJOIN}"
            ) from None

    def write_authorities(self, authorities: tuple[Authority, ...], *, trusted: str) -> None:
        """Replace the authorities whose keys this node has, and those that it trusts. Raises OSError."""
        if authorities:
            write_secret(self.path / "authority.key", "".join(each.key for each in authorities).encode())
        else:
            remove_file(self.path / "authority.key")
        self.write_trusted(trusted)

    def write_trusted(self, authorities: str) -> None:
        """Replace the certificates of the authorities that this node trusts, in PEM. Raises OSError."""
        write_secret(self.authority_file, authorities.encode())
        self.identity = self._read_identity()
        self._note_authorities()

    def take_authority_keys(self) -> bool:
        """Write the keys of trusted authorities that nodes share with each other. Returns whether one is
        new. Raises OSError."""
        own = {each.hash: each for each in self.authorities()}
        found: list[Authority] = []
        for certificate in pem_blocks(self.identity.authority):
            [digest] = authority_hashes(certificate)
            key = self.credentials.get(authority_name(digest)).get("key")
            if digest in own:
                found.append(own[digest])
            elif key is not None and _is_key(certificate, key):
                found.append(Authority(certificate, key))
        if len(found) == len(own):
            return False
        write_secret(self.path / "authority.key", "".join(each.key for each in found).encode())
        self.identity = self._read_identity()
        return True

    @property
    def shares_authority(self) -> bool:
        """Whether all nodes have the key of the authority: the cluster has nodes with shared secrets."""
        return any(name.startswith(_AUTHORITY) for name in self.credentials.names())

    def write_certificate(self, certificate: str, *, now: datetime | None = None) -> None:
        """Replace this node's certificate. Raises JoinRefused for one that is not for this node, OSError."""
        given = self.identity
        try:
            is_right = trusts(given.authority, certificate, now=now or datetime.now(UTC)) and belongs(
                certificate, given.key
            )
            is_right = is_right and node_of(certificate)[0] == given.node.id
        except ValueError:
            is_right = False
        if not is_right:
            raise JoinRefused(reason="the cluster sent a certificate that is not for this node")
        write_secret(self.certificate_file, certificate.encode())
        self.identity = self._read_identity()

    def load_wanted(self) -> WantedSet:
        """The wanted set on the disk. Raises DataFolderUnusable."""
        file = self.wanted_file
        wanted = WantedSet(self._facts.id)
        try:
            load(wanted, file.load())
        except MalformedClusterMessage as error:  # its checksum is right
            reason = (
                f"has a record that this release cannot read ({error.reason}): a newer one wrote it. Run "
                f"that one, or {_REJOIN}"
            )
            raise DataFolderUnusable(path=str(file.path), reason=reason) from None
        except OSError as error:
            raise DataFolderUnusable(
                path=str(file.path), reason=f"cannot be read ({error}): {_REJOIN}"
            ) from None
        return wanted

    def write_tokens(self) -> None:
        """Write those secrets of `credentials` into the token files that differ from them. Raises OSError."""
        for name in TOKEN_FILES:
            secret = self.credentials.get(token_name(name)).get("secret")
            if secret is not None and secret != self.token(name):
                write_secret(self.path / f"{name}.token", f"{secret}\n".encode())

    # --- helpers ---------------------------------------------------------------------------------

    def _take(self, given: SharedSecrets) -> None:
        """Use the secrets that the node is started with, as far as they are those of its cluster now.

        Raises SecretsUnusable for those of another cluster."""
        cluster = self._facts.cluster
        if given.cluster != cluster:
            reason = (
                f"has the secrets of cluster {given.cluster}, and {self.path} is the folder of a node of "
                f"cluster {cluster}: give the secrets of {cluster}, or another data folder"
            )
            raise SecretsUnusable(path=str(given.path), reason=reason)
        digest, trusted = given.authority.hash, authority_hashes(self.identity.authority)
        if digest in trusted:
            if not self.credentials.has(authority_name(digest)):
                self.credentials.merge(_shared(given))
            self.take_authority_keys()
        elif digest in self._facts.authorities:
            logs.shared_secrets_outdated(path=str(given.path))
        else:
            reason = (
                f"its authority is none that the node of {self.path} has trusted: these are the secrets of "
                f"another cluster {cluster}, or of another time. `depthcache cluster secrets DIR --from "
                "FOLDER` writes the present ones, from the data folder of a node of the cluster"
            )
            raise SecretsUnusable(path=str(given.path), reason=reason)

    def _note_authorities(self) -> None:
        """Remember the trusted authorities: secrets that are older than the present one name them."""
        trusted, known = authority_hashes(self.identity.authority), self._facts.authorities
        if news := tuple(each for each in reversed(trusted) if each not in known):
            self._facts = replace(self._facts, authorities=(*known, *news)[-_MOST_AUTHORITIES:])
            _write_facts(self.path, self._facts)

    def _read_identity(self) -> Identity:
        facts = self._facts
        text = {name: self._text(name) for name in ("authority.pem", "node.pem", "node.key")}
        listen = facts.at(facts.node_port)
        node = Node(
            id=facts.id,
            run=facts.run,
            address=facts.at(facts.port),
            zone=facts.zone,
            capacity=facts.capacity,
            egress=facts.egress,
        )
        return Identity(
            facts.cluster,
            node,
            text["authority.pem"],
            text["node.pem"],
            text["node.key"],
            tuple(each for each in self._peers if each != listen),
            (self.path / "authority.key").exists(),
            listen,
            facts.listen,
            facts.all_hosts,
        )

    def _text(self, name: str) -> str:
        return read_secret(self.path / name).decode("utf-8", "replace")

    def _check(self, now: datetime) -> None:
        """Whether the files belong together. A node that issues renews its own certificate where needed."""
        given, authorities = self.identity, self.authorities()
        for file, find in ((self.certificate_file, _node_fault), (self.key_file, _key_fault)):
            try:
                fault = find(given)
            except ValueError:
                fault = "is damaged"
            if fault:
                raise DataFolderUnusable(path=str(file), reason=f"{fault}: {_REJOIN}")
        if given.is_issuer and not authorities:
            path = self.path / "authority.key"
            raise DataFolderUnusable(path=str(path), reason=f"is not the key of authority.pem: {_REJOIN}")
        until = node_of(given.certificate)[1]
        self.was_away = now > until
        if authorities and (now > until or hosts_of(given.certificate) != frozenset(given.hosts)):
            request = make_node_key(given.node.id, key=given.key).request
            own = authorities[-1]  # the oldest: all nodes trust it
            renewed = own.issue(request, node=given.node.id, hosts=given.hosts, now=now)
            self.write_certificate(renewed, now=now)
        elif now > until:
            reason = f"ended on {until:%Y-%m-%d}: remove the folder and let the node join again"
            raise DataFolderUnusable(path=str(self.certificate_file), reason=reason)


def _node_fault(given: Identity) -> str:
    """What is wrong with a node's certificate. Raises ValueError for text that is none."""
    if issuer_of(given.authority, given.certificate) is None:
        return f"is not of the authority of cluster {given.cluster}"
    if node_of(given.certificate)[0] != given.node.id:
        return f"is the certificate of another node than {given.node.id}"
    return ""


def _key_fault(given: Identity) -> str:
    return "" if belongs(given.certificate, given.key) else "is not the key of node.pem"


def clusters_root() -> Path:
    """Where the folders of clusters are: `$XDG_DATA_HOME/depthcache`, by default in `~/.local/share`."""
    given = os.environ.get("XDG_DATA_HOME", "")
    root = Path(given) if given and Path(given).is_absolute() else Path.home() / ".local" / "share"
    return root / "depthcache"


def find_folder(*, cluster: str | None, data_dir: Path | None) -> Path | None:
    """The folder that a command means: the one that is named, else the only one; None if there is none yet.

    Raises UsageError if there are several, or if the named folder belongs to another cluster."""
    if data_dir is not None:
        if not (data_dir / "node.json").exists():
            return None
        if cluster is not None and cluster != (owner := _read_facts(data_dir / "node.json").cluster):
            raise UsageError(f"{data_dir} is the folder of a node of cluster {owner}, not of {cluster}")
        return data_dir
    root = clusters_root()
    found = sorted(each.parent for each in root.glob("*/node.json") if not each.parent.name.startswith("."))
    if cluster is not None:
        found = [each for each in found if each.name == cluster]
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise UsageError(f"there are several clusters in {root}: name one of {names} with --cluster")
    return found[0] if found else None


def cluster_of_folder(path: Path) -> str:
    """The name of the cluster of the node with this folder. Raises DataFolderUnusable."""
    return _read_facts(path / "node.json").cluster


def authority_name(digest: str) -> str:
    """How `credentials` names the key of an authority, by the hash of its certificate."""
    return f"{_AUTHORITY}{digest}"


def node_address(path: Path) -> str:
    """Host and port of the server of the node with this folder. Raises DataFolderUnusable, OSError."""
    facts = _read_facts(path / "node.json")
    return facts.at(facts.port)


def other_servers(path: Path) -> dict[str, str]:
    """Host and port of the servers of the other nodes, by id, as this folder knows them. It may be in use.

    Raises DataFolderUnusable, MalformedClusterMessage, OSError.
    """
    facts = _read_facts(path / "node.json")
    wanted = WantedSet(facts.id)
    load(wanted, payloads_in(path / "wanted.journal"))
    return {peer: at for peer, at in wanted.servers().items() if peer != facts.id}


def make_node_id() -> str:
    """A random id: Zenoh wants hexadecimal digits without a leading zero."""
    return secrets.choice("123456789abcdef") + secrets.token_hex(16)[:15]


def check_empty(path: Path) -> None:
    """Raises DataFolderUnusable unless a new folder can be made here: also before a token is used up."""
    try:
        if path.exists() and not path.is_dir():
            raise DataFolderUnusable(path=str(path), reason="is no folder: choose another one")
        if (path / "node.json").exists():
            reason = "has a node: `depthcache cluster start` runs it; another node needs another folder"
            raise DataFolderUnusable(path=str(path), reason=reason)
        if path.exists() and {each.name for each in path.iterdir() if not _is_draft(each)} - _OF_VOLUMES:
            raise DataFolderUnusable(path=str(path), reason="is not empty: choose another folder")
        with _draft_of(path) as draft:
            write_secret(draft / "probe", bytes(_PROBE_BYTES))
    except OSError as error:
        raise _not_made(path, error) from None


def hosts_and_listen(options: NodeOptions) -> tuple[NodeOptions, tuple[str, ...], str]:
    """The options of a new node with its ports; its names and addresses; and where other nodes reach it."""
    facts = _resolved(_new_facts("new", "1"), options)
    found = replace(options, listen=facts.listen, port=facts.port, node_port=facts.node_port)
    return found, facts.all_hosts, facts.at(facts.node_port)


def _new_facts(cluster: str, node: str) -> _Facts:
    return _Facts(
        version=_VERSION,
        cluster=cluster,
        id=node,
        run=0,
        listen="127.0.0.1",
        port=DEFAULT_PORT,
        node_port=DEFAULT_NODE_PORT,
        hosts=(),
        zone="",
        egress="",
        capacity=1.0,
        peers=(),
    )


def _resolved(facts: _Facts, options: NodeOptions) -> _Facts:
    """With what is given, and free ports instead of 0. Raises InvalidArgument."""
    given = {name: value for name, value in asdict(options).items() if value is not None}
    facts = replace(facts, **given)
    if facts.listen in _WILDCARDS and not facts.hosts:
        allowed = f"names or addresses at which other hosts reach this node, with listen={facts.listen}"
        raise InvalidArgument(name="hosts", value=None, allowed=allowed)
    port = facts.port or _free_port(facts.listen)
    node_port = facts.node_port or _free_port(facts.listen, other=port)
    if port == node_port:
        raise InvalidArgument(
            name="node_port", value=node_port, allowed="another port than that of the server"
        )
    return replace(facts, port=port, node_port=node_port)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _free_port(address: str, *, other: int = 0) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
            port: int = probe.getsockname()[1]
        if port != other:
            return port


def _free_name(cluster: str | None) -> str:
    if cluster is not None:
        return cluster
    while (clusters_root() / (name := make_cluster_name())).exists():
        pass
    return name


def _first_content(facts: _Facts, tokens: Mapping[str, str]) -> bytes:
    """A wanted set that has the first node and its tokens."""
    wall_ms = time.time_ns() // 1_000_000
    wanted = WantedSet(facts.id)
    wanted.register(facts.id, listen=facts.at(facts.node_port), wall_ms=wall_ms)
    for name, role in TOKEN_ROLES.items():
        wanted.rotate_token(digest_of(tokens[name]), role=role, old_until_ms=0, wall_ms=wall_ms)
    return NodeCore(Node(id=facts.id, run=0, address=""), wanted).snapshot()


def _shared(given: SharedSecrets) -> bytes:
    """The secrets that nodes share, for a store that is to have them: older than every other edit."""
    names = {token_name(each): {"secret": secret} for each, secret in given.tokens.items()}
    names[authority_name(given.authority.hash)] = {"key": given.authority.key}
    return exported(names, node="", wall_ms=1)


def _is_key(certificate: str, key: str) -> bool:
    try:
        return belongs(certificate, key)
    except ValueError:
        return False


def _install(path: Path, facts: _Facts, files: Mapping[str, str], wanted: bytes, given: bytes) -> None:
    """Make the folder, whole or not at all; with a wanted set and secrets."""
    check_empty(path)
    try:
        _make(path, facts, files, wanted, given)
    except OSError as error:
        raise _not_made(path, error) from None


def _not_made(path: Path, error: OSError) -> DataFolderUnusable:
    return DataFolderUnusable(path=str(path), reason=f"cannot be made: {error.strerror or error}")


def _make(path: Path, facts: _Facts, files: Mapping[str, str], wanted: bytes, given: bytes) -> None:
    with _draft_of(path) as draft:
        for name, content in files.items():
            write_secret(draft / name, content.encode())
        WantedFile(draft / "wanted.journal").rewrite(wanted)
        CredentialStore(draft, facts.id).merge(given)
        _write_facts(draft, facts)
        if draft.parent == path:
            for each in sorted(draft.iterdir(), key=lambda file: file.name == "node.json"):
                each.rename(path / each.name)  # last the file that makes it the folder of a node
            with suppress(OSError):  # a volume may belong to another user
                path.chmod(0o700)
            for each in filter(_is_draft, path.iterdir()):
                shutil.rmtree(each, ignore_errors=True)
        else:
            draft.rename(path)
    sync_folder(draft.parent)


def _is_draft(path: Path) -> bool:
    """Whether this is a draft inside its folder: one that a killed process left, or one in use."""
    return path.name.startswith(f".{path.parent.name}.") and path.name.endswith(_DRAFT)


@contextmanager
def _draft_of(path: Path) -> Generator[Path]:
    """A folder for what becomes `path`, beside it, or inside if that is there already; gone at the end."""
    parent = path if path.is_dir() else path.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = parent / f".{path.name}.{secrets.token_hex(4)}{_DRAFT}"
    draft.mkdir(mode=0o700)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_facts(path: Path, facts: _Facts) -> None:
    known = asdict(facts)
    content = known.pop("unknown") | known
    write_secret(path / "node.json", (json.dumps(content, indent=2) + "\n").encode())


def _read_facts(path: Path) -> _Facts:
    content = read_secret(path)
    try:
        found = cast("dict[str, Any]", json.loads(content))
        version = int(found["version"])
        found.setdefault("authorities", [])  # a folder of an earlier release
        names = _Facts.__dataclass_fields__.keys() - {"unknown"}
        facts = _Facts(
            **{name: found[name] for name in names},
            unknown={name: value for name, value in found.items() if name not in names},
        )
        facts = replace(
            facts,
            hosts=_texts(facts.hosts),
            peers=_texts(facts.peers),
            capacity=float(facts.capacity),
            authorities=_texts(facts.authorities),
        )
        check_cluster(facts.cluster)
        numbers, texts = (
            (facts.run, facts.port, facts.node_port),
            (facts.id, facts.listen, facts.zone, facts.egress),
        )
        is_right = all(type(each) is int for each in numbers) and all(isinstance(each, str) for each in texts)
        ipaddress.ip_address(facts.listen)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        is_right, facts, version = False, None, 0
    if version > _VERSION:
        reason = f"was written by a newer release (version {version}): upgrade depthcache"
        raise DataFolderUnusable(path=str(path), reason=reason)
    if facts is None or not is_right:
        raise DataFolderUnusable(path=str(path), reason=f"is damaged: {_REJOIN}")
    return facts


def is_host(text: str) -> bool:
    """Whether this can be in a certificate, and in the address of a node."""
    if _is_address(text):
        return "%" not in text
    # Of digits alone it would be a wrong address.
    last = text.rpartition(".")[2]
    return len(text) <= _MOST_HOST and _HOST.fullmatch(text) is not None and not last.isdigit()


def _texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(each, str) for each in cast("list[object]", found)):
        raise TypeError
    return tuple(cast("list[str]", found))
