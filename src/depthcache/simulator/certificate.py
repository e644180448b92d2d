"""Create a certificate for loopback, signed by a new certificate authority.

It needs trustme, an optional package (`pip install "depthcache[tls]"`). The private key stays in memory
(trustme passes it to OpenSSL in a file that it deletes at once). The authority's certificate is in a
temporary file for clients to trust, until `remove` or the end of the program.
"""

from __future__ import annotations

import os
import shutil
import ssl
import tempfile
import weakref
from pathlib import Path
from typing import Any, Final

from depthcache.errors import PackageMissing

__all__ = ["OwnCertificate"]

_NAMES = ("localhost", "127.0.0.1", "::1")


class OwnCertificate:
    """A certificate for localhost, 127.0.0.1 and ::1. Raises PackageMissing without trustme."""

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError:
            raise PackageMissing(package="trustme", wanted_for="tls=True") from None
        authority = trustme.CA(organization_name="depthcache simulator")
        self.context: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """Certificate and key for a server."""
        certificate: Any = authority.issue_cert(*_NAMES)
        certificate.configure_cert(self.context)
        folder = tempfile.mkdtemp(prefix="depthcache-")
        self._remover = weakref.finalize(self, _remove, folder, os.getpid())
        self.ca_file: Final = Path(folder) / "authority.pem"
        """PEM file of the certificate authority that clients must trust."""
        authority.cert_pem.write_to_path(self.ca_file)

    def remove(self) -> None:
        """Delete the file. Safe to call more than once; also happens at the end of the program."""
        self._remover()


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # a forked child must not delete the file of its parent
        shutil.rmtree(folder, ignore_errors=True)
