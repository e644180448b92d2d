"""Who sent a message: a signature with the key of the sender's certificate, beside each message.

The messaging engine does not say with which certificate a message came. Without a signature a node could
speak in the name of another one, for example a removed node until its connections end. A signature covers
the kind of the message, its sender and its receiver, so a node that received a message cannot pass it on.
Signing and checking are done on other threads than the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from depthcache.cluster.authority import trusts
from depthcache.errors import PackageMissing

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["MessageProofs"]

_SIGNED = b"depthcache message\n"
_LENGTH_BYTES = 2
_MOST_KNOWN = 256


@dataclass(frozen=True, slots=True)
class _Signer:
    """A certificate that was checked."""

    node: str
    key: ec.EllipticCurvePublicKey
    from_: datetime
    until: datetime


class MessageProofs:
    """Signs messages of one node, and tells who signed those of others. Any thread may call it."""

    def __init__(self, *, authority: str, certificate: str, key: str) -> None:
        """All in PEM: the authorities that are trusted, and the node's certificate and key.

        Raises PackageMissing without cryptography, ValueError for text that is no certificate or key."""
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives import hashes, serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        except ModuleNotFoundError:
            raise PackageMissing(package="cryptography", wanted_for="a cluster") from None
        self._x509, self._serialization = x509, serialization
        self._scheme = ec.ECDSA(hashes.SHA256())
        self._authority = authority
        own = x509.load_pem_x509_certificate(certificate.encode())
        self._certificate = own.public_bytes(serialization.Encoding.DER)
        self._key: Any = serialization.load_pem_private_key(key.encode(), None)
        self._known: dict[bytes, _Signer] = {}

    def sign(self, what: str, payload: bytes) -> bytes:
        """The proof of a message. `what`: its kind, receiver and sender, on one line."""
        signature: bytes = self._key.sign(_content(what, payload), self._scheme)
        length = len(self._certificate).to_bytes(_LENGTH_BYTES, "big")
        return length + self._certificate + signature

    def signer(self, proof: bytes, what: str, payload: bytes, *, keeps: bool = True) -> str | None:
        """The id of the node that signed this very message; None if none of the cluster did.

        `keeps`: whether to keep its certificate until `forget`: the next message is checked sooner."""
        from cryptography.exceptions import InvalidSignature

        end = _LENGTH_BYTES + int.from_bytes(proof[:_LENGTH_BYTES], "big")
        certificate, signature = proof[_LENGTH_BYTES:end], proof[end:]
        try:
            signer = self._known.get(certificate) or self._check(certificate, keeps=keeps)
            if signer is None or not signer.from_ <= datetime.now(UTC) <= signer.until:
                return None
            signer.key.verify(signature, _content(what, payload), self._scheme)
        except (ValueError, TypeError, AttributeError, InvalidSignature):
            return None
        return signer.node

    def forget(self, node: str) -> None:
        """Keep no certificate of a node any longer."""
        for der in [der for der, signer in tuple(self._known.items()) if signer.node == node]:
            self._known.pop(der, None)

    def _check(self, der: bytes, *, keeps: bool) -> _Signer | None:
        found: x509.Certificate = self._x509.load_der_x509_certificate(der)
        pem = found.public_bytes(self._serialization.Encoding.PEM).decode("ascii")
        if not trusts(self._authority, pem, now=datetime.now(UTC)):
            return None
        (name,) = found.subject.get_attributes_for_oid(self._x509.NameOID.COMMON_NAME)
        key: Any = found.public_key()
        signer = _Signer(str(name.value), key, found.not_valid_before_utc, found.not_valid_after_utc)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        if keeps:
            self._known[der] = signer
        return signer


def _content(what: str, payload: bytes) -> bytes:
    return _SIGNED + what.encode() + b"\n" + payload
