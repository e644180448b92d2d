"""The certificate authority of a cluster, and the certificates of its nodes. It writes no files.

It needs cryptography, an optional package (`pip install "depthcache[cluster]"`). A node makes its own key
and requests a certificate for it; private keys never travel. The authority's key is only on the node that
started the cluster, unless the user copies it. Certificates last a week and are renewed daily. So the node
with the key may be down for six days, and after seven days every node refuses a removed one, even a node that
missed the removal.

Times are timezone-aware datetimes; randomness is the operating system's.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from depthcache.cluster.errors import JoinRefused
from depthcache.errors import PackageMissing

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "Authority",
    "NodeKey",
    "authority_ends",
    "authority_hash",
    "authority_hashes",
    "began_at",
    "belongs",
    "cluster_of",
    "first_end",
    "hosts_of",
    "is_signed",
    "issuer_of",
    "make_node_key",
    "node_of",
    "node_of_der",
    "pem_blocks",
    "sign",
    "trusts",
]

_CLUSTER = "depthcache "
"""What stands before the name of the cluster in the name of its authority."""
_BLOCK = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_LATE = timedelta(hours=1)
"""Certificates begin earlier by this, for clocks that are late."""
_AUTHORITY_LIFE = timedelta(days=3_650)
_NODE_LIFE = timedelta(days=7)
_MOST_BYTES = 16_384
"""Longer requests are refused."""


@dataclass(frozen=True, slots=True)
class NodeKey:
    """A node's private key, which it keeps, and its request for a certificate; both in PEM."""

    key: str = field(repr=False)
    request: str


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority with its key. Both are PEM.

    Attributes:
        certificate: what all nodes trust.
        key: the private key.
    """

    certificate: str
    key: str = field(repr=False)

    @classmethod
    def create(cls, cluster: str, *, now: datetime) -> Authority:
        """A new authority for a cluster of that name. Raises PackageMissing without cryptography."""
        lib = _library()
        key = lib.ec.generate_private_key(lib.ec.SECP256R1())
        name = lib.x509.Name([lib.x509.NameAttribute(lib.x509.NameOID.COMMON_NAME, f"{_CLUSTER}{cluster}")])
        certificate = (
            lib.x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(lib.x509.random_serial_number())
            .not_valid_before(now - _LATE)
            .not_valid_after(now + _AUTHORITY_LIFE)
            .add_extension(lib.x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .add_extension(lib.x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, lib.hashes.SHA256())
        )
        return cls(_pem(certificate), _key_pem(key))

    @property
    def hash(self) -> str:
        """SHA-256 of the certificate, in hexadecimal: what a join token carries."""
        return authority_hash(self.certificate)

    def issue(self, request: str, *, node: str, hosts: Sequence[str], now: datetime) -> str:
        """A certificate in PEM for a node, from the request that it made with `make_node_key`.

        Args:
            request: the request in PEM. What it says besides its key is ignored.
            node: the id that the certificate names.
            hosts: names and addresses at which the node is reached.
            now: the time.

        Raises JoinRefused for a request that is no request or is not signed with its own key, and for host
        names that are none.
        """
        lib = _library()
        public_key = _key_of(request)
        key = lib.serialization.load_pem_private_key(self.key.encode(), None)
        authority = lib.x509.load_pem_x509_certificate(self.certificate.encode())
        name = lib.x509.Name([lib.x509.NameAttribute(lib.x509.NameOID.COMMON_NAME, node)])
        usages = [lib.x509.ExtendedKeyUsageOID.SERVER_AUTH, lib.x509.ExtendedKeyUsageOID.CLIENT_AUTH]
        names = lib.x509.SubjectAlternativeName([_host(each) for each in hosts])
        certificate = (
            lib.x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority.subject)
            .public_key(public_key)
            .serial_number(lib.x509.random_serial_number())
            .not_valid_before(now - _LATE)
            .not_valid_after(min(now + _NODE_LIFE, authority.not_valid_after_utc))
            .add_extension(lib.x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(lib.x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(names, critical=False)
            .add_extension(
                lib.x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
            )
            .sign(key, lib.hashes.SHA256())
        )
        return _pem(certificate)


def make_node_key(node: str, *, key: str | None = None) -> NodeKey:
    """A new key for a node and its request for a certificate; or one for `key`, in PEM.

    Raises PackageMissing without cryptography, ValueError for text that is no key."""
    lib = _library()
    if key is None:
        own = lib.ec.generate_private_key(lib.ec.SECP256R1())
    else:
        own = lib.serialization.load_pem_private_key(key.encode(), None)
    name = lib.x509.Name([lib.x509.NameAttribute(lib.x509.NameOID.COMMON_NAME, node)])
    request = lib.x509.CertificateSigningRequestBuilder().subject_name(name).sign(own, lib.hashes.SHA256())
    return NodeKey(_key_pem(own), _pem(request))


def authority_hash(certificate: str) -> str:
    """SHA-256 of a certificate in PEM, in hexadecimal. Raises JoinRefused for anything else."""
    lib = _library()
    try:
        found = lib.x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise JoinRefused(reason="the cluster sent no certificate that can be read") from None
    return hashlib.sha256(found.public_bytes(lib.serialization.Encoding.DER)).hexdigest()


def trusts(authorities: str, certificate: str, *, now: datetime) -> bool:
    """Whether one of some authorities signed a certificate that is valid now; all in PEM.

    Several authorities are trusted while one takes over from another: first all nodes learn to trust the new
    one, then they get certificates from it, then the old one is dropped.
    """
    lib = _library()
    found = lib.x509.load_pem_x509_certificate(certificate.encode())
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        return False
    return any(
        _is_signed_by(found, each) for each in lib.x509.load_pem_x509_certificates(authorities.encode())
    )


def node_of(certificate: str) -> tuple[str, datetime]:
    """The id of the node that a certificate in PEM names, and when it ends: for the list of removed nodes."""
    lib = _library()
    found = lib.x509.load_pem_x509_certificate(certificate.encode())
    (name,) = found.subject.get_attributes_for_oid(lib.x509.NameOID.COMMON_NAME)
    return str(name.value), found.not_valid_after_utc


def node_of_der(certificate: bytes) -> str:
    """The id of the node that a certificate in DER names; empty for one that names none."""
    lib = _library()
    found = lib.x509.load_der_x509_certificate(certificate)
    names = found.subject.get_attributes_for_oid(lib.x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def authority_hashes(authorities: str) -> tuple[str, ...]:
    """The hashes of several certificates in PEM, in their order. Raises JoinRefused for anything else."""
    lib = _library()
    try:
        found = lib.x509.load_pem_x509_certificates(authorities.encode())
    except ValueError:
        raise JoinRefused(reason="the cluster sent no certificate that can be read") from None
    return tuple(
        hashlib.sha256(each.public_bytes(lib.serialization.Encoding.DER)).hexdigest() for each in found
    )


def pem_blocks(text: str) -> list[str]:
    """The blocks of a text in PEM, each with its last line."""
    return [f"{each}\n" for each in _BLOCK.findall(text)]


def cluster_of(authority: str) -> str:
    """The name of the cluster whose authority this is, in PEM. Raises JoinRefused for another certificate."""
    lib = _library()
    found = lib.x509.load_pem_x509_certificate(authority.encode())
    names = found.subject.get_attributes_for_oid(lib.x509.NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    if not name.startswith(_CLUSTER):
        raise JoinRefused(reason="the certificate is not that of the authority of a cluster")
    return name.removeprefix(_CLUSTER)


def authority_ends(authority: str) -> datetime:
    """When the certificate of an authority ends, in PEM. Raises ValueError for anything else."""
    found: x509.Certificate = _library().x509.load_pem_x509_certificate(authority.encode())
    return found.not_valid_after_utc


def issuer_of(authorities: str, certificate: str) -> str | None:
    """The hash of the authority that signed a certificate; None if none of these did. All in PEM."""
    lib = _library()
    found = lib.x509.load_pem_x509_certificate(certificate.encode())
    for each in lib.x509.load_pem_x509_certificates(authorities.encode()):
        if _is_signed_by(found, each):
            return hashlib.sha256(each.public_bytes(lib.serialization.Encoding.DER)).hexdigest()
    return None


def began_at(certificate: str) -> datetime:
    """When a certificate of a node in PEM was issued."""
    found: x509.Certificate = _library().x509.load_pem_x509_certificate(certificate.encode())
    return found.not_valid_before_utc + _LATE


def first_end(certificates: str) -> datetime:
    """When the first of one or several certificates in PEM ends."""
    found: list[x509.Certificate] = _library().x509.load_pem_x509_certificates(certificates.encode())
    return min(each.not_valid_after_utc for each in found)


def hosts_of(certificate: str) -> frozenset[str]:
    """The names and addresses in a certificate in PEM."""
    lib = _library()
    found = lib.x509.load_pem_x509_certificate(certificate.encode())
    names = found.extensions.get_extension_for_class(lib.x509.SubjectAlternativeName).value
    return frozenset(str(each.value) for each in names)


def belongs(certificate: str, key: str) -> bool:
    """Whether a key is that of a certificate; both in PEM. Raises ValueError for text that is neither."""
    lib = _library()
    found = lib.x509.load_pem_x509_certificate(certificate.encode())
    own = lib.serialization.load_pem_private_key(key.encode(), None)
    is_same: bool = found.public_key() == own.public_key()
    return is_same


def sign(key: str, content: bytes) -> str:
    """The signature of some bytes with a key in PEM, in hexadecimal."""
    lib = _library()
    own = lib.serialization.load_pem_private_key(key.encode(), None)
    signature: bytes = own.sign(content, lib.ec.ECDSA(lib.hashes.SHA256()))
    return signature.hex()


def is_signed(certificate: str, content: bytes, signature: str) -> bool:
    """Whether the key of a certificate in PEM made a signature of `sign`."""
    from cryptography.exceptions import InvalidSignature

    lib = _library()
    try:
        key = lib.x509.load_pem_x509_certificate(certificate.encode()).public_key()
        key.verify(bytes.fromhex(signature), content, lib.ec.ECDSA(lib.hashes.SHA256()))
    except (ValueError, TypeError, AttributeError, InvalidSignature):
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Library:
    x509: Any
    ec: Any
    hashes: Any
    serialization: Any


def _library() -> _Library:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ModuleNotFoundError:
        raise PackageMissing(package="cryptography", wanted_for="a cluster of several hosts") from None
    return _Library(x509, ec, hashes, serialization)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    usage: x509.KeyUsage = _library().x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    return usage


def _key_of(request: str) -> ec.EllipticCurvePublicKey:
    lib = _library()
    refused = JoinRefused(reason="the request for a certificate is malformed")
    try:
        found = lib.x509.load_pem_x509_csr(request[:_MOST_BYTES].encode())
        key: ec.EllipticCurvePublicKey = found.public_key()
    except ValueError:
        raise refused from None
    is_right: bool = found.is_signature_valid and isinstance(key, lib.ec.EllipticCurvePublicKey)
    if not is_right:
        raise refused
    return key


def _is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _host(name: str) -> x509.GeneralName:
    lib = _library()
    try:
        address: x509.GeneralName = lib.x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return _dns_name(name)
    return address


def _dns_name(name: str) -> x509.GeneralName:
    lib = _library()
    try:
        found: x509.GeneralName = lib.x509.DNSName(name)
    except ValueError:
        raise JoinRefused(reason="a host name of the node is malformed") from None
    return found


def _pem(what: Any) -> str:
    text: bytes = what.public_bytes(_library().serialization.Encoding.PEM)
    return text.decode("ascii")


def _key_pem(key: Any) -> str:
    lib = _library()
    text: bytes = key.private_bytes(
        lib.serialization.Encoding.PEM,
        lib.serialization.PrivateFormat.PKCS8,
        lib.serialization.NoEncryption(),
    )
    return text.decode("ascii")
