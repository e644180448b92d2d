"""Files that only their owner may read: tokens, and the certificate that the server makes itself."""

from __future__ import annotations

import hashlib
import os
import secrets
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path

from depthcache._native import _make_certificate
from depthcache.errors import InvalidArgument
from depthcache.server.config import ServerConfig, is_secret

__all__ = ["OwnTls", "Renewals", "Tokens", "load_tls", "load_tokens"]

_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The secrets of a server, and the files they come from (None where they were given)."""

    read: str = field(repr=False)
    admin: str = field(repr=False)
    exchange: str = field(repr=False)
    """The key of clients that speak the exchange's own protocol."""
    read_file: Path | None
    admin_file: Path | None
    exchange_file: Path | None


def load_tokens(config: ServerConfig) -> Tokens:
    """The tokens of a server; those that are not given come from files, made where they are missing. Raises
    InvalidArgument for a file that others may read, OSError."""
    read_file = None if config.read_token else config.folder / "read.token"
    admin_file = None if config.admin_token else config.folder / "admin.token"
    exchange_file = None if config.exchange_key else config.folder / "exchange.token"
    return Tokens(
        read=config.read_token or _secret_of(read_file, "dcr_"),
        admin=config.admin_token or _secret_of(admin_file, "dca_"),
        exchange=config.exchange_key or _secret_of(exchange_file, "dcx_"),
        read_file=read_file,
        admin_file=admin_file,
        exchange_file=exchange_file,
    )


def _secret_of(path: Path | None, prefix: str) -> str:
    assert path is not None  # noqa: S101 - without a token there is a file
    _write_new(path, (prefix + secrets.token_urlsafe(24) + "\n").encode())
    secret = _read_own(path).decode("ascii", "replace").strip()
    if not is_secret(secret):
        allowed = "one line with a token of at least 16 characters; delete the file for a new one"
        raise InvalidArgument(name="token file", value=str(path), allowed=allowed)
    return secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTls:
    """Certificate and key in PEM."""

    certificate: str
    key: str = field(repr=False)
    certificate_file: Path
    fingerprint: str
    """SHA-256 of the certificate, in hexadecimal with colons."""


def load_tls(config: ServerConfig) -> OwnTls | None:
    """The certificate that is given, or the server's own, made where it is missing; None without TLS. Raises
    OSError, InvalidArgument."""
    if not config.is_tls:
        return None
    if config.certificate is not None and config.key is not None:
        certificate_file, key_file = Path(config.certificate), Path(config.key)
        certificate, key = certificate_file.read_text("utf-8"), key_file.read_text("utf-8")
    else:
        certificate_file, certificate, key = _own(config)
    try:
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(_first(certificate))).hexdigest().upper()
    except ValueError:
        allowed = "a PEM file with a certificate"
        raise InvalidArgument(name="certificate", value=str(certificate_file), allowed=allowed) from None
    return OwnTls(
        certificate=certificate,
        key=key,
        certificate_file=certificate_file,
        fingerprint=":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)),
    )


class Renewals:
    """Notices that the files of a given certificate were replaced, such as by an ACME client."""

    def __init__(self, config: ServerConfig) -> None:
        given = (config.certificate, config.key)
        self._config = config
        self._files = tuple(Path(each) for each in given if each is not None)
        self._loaded = self._seen = self._marks()

    def take(self) -> OwnTls | None:
        """The new certificate, once; None without one, and until its files are the same in two calls: they
        are not written at once. Raises OSError, InvalidArgument."""
        marks = self._marks()
        is_settled, self._seen = marks == self._seen, marks
        if marks == self._loaded or not is_settled:
            return None
        self._loaded = marks
        return load_tls(self._config)

    def _marks(self) -> list[tuple[int, int, int] | None]:
        return [_mark(path) for path in self._files]


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from its successor; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _own(config: ServerConfig) -> tuple[Path, str, str]:
    """One for the names of this server; other names get another one."""
    # Not the name of this host: it is refused unless `hosts` has it, and each new container has another.
    names = ["localhost", "127.0.0.1", "::1", config.address, *config.hosts]
    names = [name for name in dict.fromkeys(names) if name.isascii() and name not in ("0.0.0.0", "::")]  # noqa: S104
    mark = hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
    certificate_file = config.folder / f"certificate-{mark}.pem"
    key_file = config.folder / f"certificate-{mark}.key"
    if not (certificate_file.exists() and key_file.exists()):
        certificate, key = _make_certificate(names)
        certificate_file.unlink(missing_ok=True)
        key_file.unlink(missing_ok=True)
        _write_new(key_file, key.encode())
        _write_new(certificate_file, certificate.encode())
    return certificate_file, _read_own(certificate_file).decode(), _read_own(key_file).decode()


def _first(certificate: str) -> str:
    end = "-----END CERTIFICATE-----"
    return certificate.partition(end)[0] + end


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, unless it is there; others never see a part of it."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        try:
            os.link(draft, path)  # fails where another process was first: its file counts
        except FileExistsError:
            pass
        except OSError:  # no hard links here
            if not path.exists():
                draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _read_own(path: Path) -> bytes:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if os.name == "posix" and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            allowed = f"a file that only its owner may read: chmod 600 {path}"
            raise InvalidArgument(name="mode", value=oct(stat.S_IMODE(found.st_mode)), allowed=allowed)
        if os.name == "posix" and found.st_uid not in (os.geteuid(), 0):  # root may read files of all
            allowed = f"a file of the user who runs the server, not of another who knows it: chown {path}"
            raise InvalidArgument(name="owner", value=found.st_uid, allowed=allowed)
        return file.read()
