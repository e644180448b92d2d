"""The secrets that equal nodes of one cluster start with: a folder, which an orchestrator mounts on each.

| file | content |
|---|---|
| `cluster` | the name of the cluster |
| `authority.pem`, `authority.key` | the authority that signs the certificates of nodes, and its private key |
| `read.token`, `admin.token`, `exchange.token` | the access tokens |

`make` writes a new one, `export` one of a cluster that runs, `read` checks one. Other files are ignored:
Kubernetes mounts a secret as links into a hidden folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from depthcache.cluster.authority import Authority, authority_ends, belongs, cluster_of, pem_blocks
from depthcache.cluster.cluster_names import check_cluster, make_cluster_name
from depthcache.cluster.errors import DataFolderUnusable, JoinRefused, SecretsUnusable
from depthcache.cluster.secret_files import read_secret, write_secret
from depthcache.cluster.token_files import TOKEN_FILES, is_secret, make_secret
from depthcache.errors import InvalidArgument

__all__ = ["SECRET_FILES", "SharedSecrets", "export", "make", "read"]

SECRET_FILES = ("cluster", "authority.pem", "authority.key", "read.token", "admin.token", "exchange.token")
_MOST_BYTES = 64 << 10
_CLUSTER, _CERTIFICATE, _KEY = SECRET_FILES[:3]
_MODES = "mode 0600 or 0400; or 0440 if root owns it, as Kubernetes mounts secrets with defaultMode 0440"
_ONE_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class SharedSecrets:
    """The secrets of one cluster.

    Attributes:
        path: their folder.
        cluster: the name of the cluster.
        authority: what signs the certificates of its nodes.
        tokens: the access tokens by the names of their files: read, admin, exchange.
    """

    path: Path
    cluster: str
    authority: Authority
    tokens: Mapping[str, str] = field(repr=False)


def make(path: Path, *, cluster: str | None = None, now: datetime | None = None) -> SharedSecrets:
    """The secrets of a new cluster, in a new or empty folder. `cluster`: None for a random name.

    Raises InvalidArgument, SecretsUnusable."""
    name = check_cluster(cluster or make_cluster_name())
    authority = Authority.create(name, now=now or datetime.now(UTC))
    found = SharedSecrets(path, name, authority, {each: make_secret(each) for each in TOKEN_FILES})
    _write(found)
    return found


def export(path: Path, folder: Path, *, cluster: str) -> SharedSecrets:
    """The present secrets of a cluster, from the data folder of a node, which may run, in a new or empty
    folder. Raises SecretsUnusable, DataFolderUnusable."""
    key_file = folder / _KEY
    if not key_file.exists():
        reason = "this node does not have the authority's key: use the folder of a node that has it"
        raise DataFolderUnusable(path=str(key_file), reason=reason)
    certificates, keys = (
        pem_blocks(read_secret(folder / name).decode("ascii", "replace")) for name in (_CERTIFICATE, _KEY)
    )
    if len(certificates) != 1 or len(keys) != 1:
        reason = "the authority is being replaced: wait until all nodes have new certificates"
        raise DataFolderUnusable(path=str(folder / _CERTIFICATE), reason=reason)
    tokens = {
        name: read_secret(folder / f"{name}.token").decode("ascii", "replace").strip() for name in TOKEN_FILES
    }
    found = SharedSecrets(path, cluster, Authority(certificates[0], keys[0]), tokens)
    _write(found)
    return found


def read(path: Path, *, now: datetime | None = None) -> SharedSecrets:
    """The secrets in a folder, checked. Raises SecretsUnusable, which names the file."""
    if not path.is_dir():
        reason = "there is no such folder: `depthcache cluster secrets DIR` makes one"
        raise SecretsUnusable(path=str(path), reason=reason)
    if missing := [name for name in SECRET_FILES if not (path / name).exists()]:
        reason = f"lacks {', '.join(missing)}: the folder has to have {', '.join(SECRET_FILES)}"
        raise SecretsUnusable(path=str(path), reason=reason)
    text = {name: _read(path / name) for name in SECRET_FILES}
    try:
        name = check_cluster(text[_CLUSTER].strip())
    except InvalidArgument as error:
        reason = f"holds no name of a cluster: allowed are {error.allowed}"
        raise SecretsUnusable(path=str(path / _CLUSTER), reason=reason) from None
    authority = _authority(path, text[_CERTIFICATE], text[_KEY], name, now or datetime.now(UTC))
    tokens = {each: text[f"{each}.token"].strip() for each in TOKEN_FILES}
    for each, secret in tokens.items():
        if not is_secret(each, secret):
            allowed = f"{TOKEN_FILES[each]} and 32 to 128 letters, digits, - and _"
            reason = f"holds no token of this kind: allowed is one line with {allowed}"
            raise SecretsUnusable(path=str(path / f"{each}.token"), reason=reason)
    return SharedSecrets(path, name, authority, tokens)


def _authority(path: Path, certificate: str, key: str, cluster: str, now: datetime) -> Authority:
    """Raises SecretsUnusable unless this is the authority of the cluster and its key."""
    file = str(path / _CERTIFICATE)
    blocks = pem_blocks(certificate)
    if len(blocks) != 1 or not _ONE_CERTIFICATE.match(blocks[0]):
        reason = f"holds {len(blocks)} certificates: exactly one in PEM is allowed"
        raise SecretsUnusable(path=file, reason=reason)
    try:
        owner, until = cluster_of(blocks[0]), authority_ends(blocks[0])
    except (JoinRefused, ValueError):
        reason = "holds no certificate of the authority of a cluster: `depthcache cluster secrets` makes one"
        raise SecretsUnusable(path=file, reason=reason) from None
    if owner != cluster:
        reason = f"is the authority of cluster {owner}, and the file `cluster` names {cluster}"
        raise SecretsUnusable(path=file, reason=reason)
    if now > until:
        raise SecretsUnusable(path=file, reason=f"ended on {until:%Y-%m-%d}: make new secrets")
    try:
        is_right = belongs(blocks[0], key)
    except (ValueError, TypeError):
        raise SecretsUnusable(
            path=str(path / _KEY), reason="holds no private key in PEM that can be read"
        ) from None
    if not is_right:
        raise SecretsUnusable(path=str(path / _KEY), reason="is not the key of authority.pem beside it")
    return Authority(blocks[0], key)


def _read(path: Path) -> str:
    """The text of a file that no stranger may read."""
    try:
        with path.open("rb") as file:
            _check_access(path, os.fstat(file.fileno()))
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        reason = f"cannot be read ({error.strerror}): allowed is {_MODES}"
        raise SecretsUnusable(path=str(path), reason=reason) from None
    if len(content) > _MOST_BYTES:
        raise SecretsUnusable(path=str(path), reason=f"is larger than {_MOST_BYTES >> 10} KiB")
    try:
        return content.decode("ascii")
    except ValueError:
        raise SecretsUnusable(path=str(path), reason="is no text") from None


def _check_access(path: Path, found: os.stat_result) -> None:
    if os.name != "posix":
        return
    mode = stat.S_IMODE(found.st_mode)
    is_of_group = found.st_uid == 0 and not mode & (stat.S_IWGRP | stat.S_IXGRP)
    if mode & stat.S_IRWXO or (mode & stat.S_IRWXG and not is_of_group):
        who = "all users" if mode & stat.S_IRWXO else "its group"
        raise SecretsUnusable(
            path=str(path), reason=f"{who} may use it (mode {mode:04o}): allowed is {_MODES}"
        )
    if found.st_uid not in (os.geteuid(), 0):
        reason = f"another user owns it (uid {found.st_uid}), and knows it: allowed are this user and root"
        raise SecretsUnusable(path=str(path), reason=reason)


def _write(given: SharedSecrets) -> None:
    """Write the files into a new or empty folder; all, or none."""
    path, authority = given.path, given.authority
    content = {
        _CERTIFICATE: authority.certificate,
        _KEY: authority.key,
        # No line end: the Prometheus operator puts a token of a Secret into a header as it is
        # (prometheus-operator#3277).
        **{f"{name}.token": secret for name, secret in given.tokens.items()},
        _CLUSTER: f"{given.cluster}\n",
    }
    is_new = not path.exists()
    try:
        if not is_new and (not path.is_dir() or any(path.iterdir())):
            what = "is not empty" if path.is_dir() else "is no folder"
            raise SecretsUnusable(path=str(path), reason=f"{what}: choose a new or an empty folder")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(PermissionError):  # a volume may belong to another user
            path.chmod(0o700)
        for name, text in content.items():
            write_secret(path / name, text.encode())
    except OSError as error:
        with suppress(OSError):
            for name in content:
                (path / name).unlink(missing_ok=True)
            if is_new:
                path.rmdir()
        raise SecretsUnusable(path=str(path), reason=f"cannot be made: {error.strerror or error}") from None
