"""Secrets that all nodes of a cluster share, encrypted on disk: credentials of exchanges, access tokens.

The file is encrypted with AES-256-GCM under a key of this node, `credentials.key` beside it. A copy of one of
the two files reveals nothing, a copy of the folder everything. Nodes send each other the content only over
mutual TLS (`secret_sharing`). The newest edit of a name wins, by the clock of the node that made it. Removed
names are kept without their content, so that they stay removed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from depthcache.cluster.errors import DataFolderUnusable, MalformedClusterMessage
from depthcache.cluster.secret_files import read_secret, write_secret
from depthcache.errors import InvalidArgument, PackageMissing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["CredentialStore", "exported"]

_ANY_MAGIC = b"depthcache credentials "
_MAGIC = _ANY_MAGIC + b"1\n"
_NONCE_BYTES, _KEY_BYTES = 12, 32
_MOST_NAMES, _MOST_BYTES = 1_000, 256 << 10


@dataclass(frozen=True, slots=True)
class _Entry:
    """When a name was edited: milliseconds since 1970 and the node; and its fields, None once removed."""

    stamp: tuple[int, str]
    fields: dict[str, str] | None = field(repr=False)


_Entries = dict[str, _Entry]
_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(_Entries)


class CredentialStore:
    """The secrets on one node. All calls are made on one thread."""

    def __init__(self, folder: Path, node: str) -> None:
        """Reads the files, and makes the key where it is missing. Raises DataFolderUnusable, OSError,
        PackageMissing without cryptography."""
        self._file, self._key_file, self._node = folder / "credentials", folder / "credentials.key", node
        self._entries: _Entries = self._read()

    def __repr__(self) -> str:
        return f"<CredentialStore of {len(self.names())} names>"

    # --- getters -------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """The names that have fields, sorted."""
        return tuple(sorted(name for name, each in self._entries.items() if each.fields is not None))

    def get(self, name: str) -> Mapping[str, str]:
        """The fields of a name, such as `api_key`; empty if there is none."""
        entry = self._entries.get(name)
        return {} if entry is None or entry.fields is None else dict(entry.fields)

    def has(self, name: str) -> bool:
        """Whether a name is known, also as a removed one."""
        return name in self._entries

    def export(self) -> bytes:
        """Everything in the clear, for another node over mutual TLS."""
        return _ENCODER.encode(self._entries)

    def digest(self) -> str:
        """What tells two contents apart, and tells nothing else."""
        return hashlib.sha256(b"depthcache " + self.export()).hexdigest()

    # --- edits: on disk at the return ------------------------------------------------------------

    def put(self, name: str, fields: Mapping[str, str], *, wall_ms: int) -> None:
        """Set the fields of a name. Raises InvalidArgument for too many or too long ones, OSError."""
        self._edit(name, dict(fields), wall_ms)

    def remove(self, name: str, *, wall_ms: int) -> None:
        """Remove a name; without effect if there is none. Raises OSError."""
        if self.get(name):
            self._edit(name, None, wall_ms)

    def merge(self, content: bytes) -> bool:
        """Take what another node exported. Returns whether anything is new.

        Raises MalformedClusterMessage, OSError."""
        if len(content) > _MOST_BYTES:
            raise MalformedClusterMessage(reason="too many credentials")
        try:
            found = _DECODER.decode(content)
        except (msgspec.MsgspecError, RecursionError):  # its words could quote a secret
            raise MalformedClusterMessage(reason="no credentials that can be read") from None
        news = {
            name: each
            for name, each in found.items()
            if name not in self._entries or self._entries[name].stamp < each.stamp
        }
        if news:
            self._replace({**self._entries, **news})
        return bool(news)

    # --- helpers ---------------------------------------------------------------------------------

    def _edit(self, name: str, fields: dict[str, str] | None, wall_ms: int) -> None:
        before = self._entries.get(name)
        at_ms = wall_ms if before is None else max(wall_ms, before.stamp[0] + 1)
        entries = {**self._entries, name: _Entry((at_ms, self._node), fields)}
        if len(entries) > _MOST_NAMES or len(_ENCODER.encode(entries)) > _MOST_BYTES:
            allowed = f"at most {_MOST_NAMES:,} names and {_MOST_BYTES >> 10} KiB in all"
            raise InvalidArgument(name="credentials", value="(not shown)", allowed=allowed)
        self._replace(entries)

    def _replace(self, entries: _Entries) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        encrypted = _cipher(self._key()).encrypt(nonce, _ENCODER.encode(entries), _MAGIC)
        write_secret(self._file, _MAGIC + nonce + encrypted)
        self._entries = entries

    def _read(self) -> _Entries:
        if not self._file.exists():
            return {}
        content = read_secret(self._file)
        start = len(_MAGIC) + _NONCE_BYTES
        nonce, encrypted = content[len(_MAGIC) : start], content[start:]
        if content.startswith(_ANY_MAGIC) and not content.startswith(_MAGIC):
            reason = "was written by a newer release: run that one, or restore the folder from a copy"
            raise DataFolderUnusable(path=str(self._file), reason=reason)
        from cryptography.exceptions import InvalidTag

        key = self._key()
        try:
            if not content.startswith(_MAGIC):
                raise ValueError
            return _DECODER.decode(_cipher(key).decrypt(nonce, encrypted, _MAGIC))
        except (InvalidTag, ValueError, msgspec.MsgspecError):
            reason = "is damaged, or credentials.key is not its key: remove both; other nodes send them again"
            raise DataFolderUnusable(path=str(self._file), reason=reason) from None

    def _key(self) -> bytes:
        if not self._key_file.exists():
            write_secret(self._key_file, f"{secrets.token_hex(_KEY_BYTES)}\n".encode())
        try:
            key = bytes.fromhex(read_secret(self._key_file).decode("ascii", "replace").strip())
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise DataFolderUnusable(
                path=str(self._key_file), reason="holds no key of 32 bytes in hexadecimal"
            )
        return key


def exported(names: Mapping[str, Mapping[str, str]], *, node: str, wall_ms: int) -> bytes:
    """Secrets as `CredentialStore.export` gives them, for a store that is to have them."""
    return _ENCODER.encode({name: _Entry((wall_ms, node), dict(each)) for name, each in names.items()})


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ModuleNotFoundError:
        raise PackageMissing(package="cryptography", wanted_for="a cluster") from None
    return AESGCM(key)
