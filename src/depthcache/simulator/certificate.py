"""A certificate for loopback that the embedded exchange makes itself, signed by an authority of its own.

trustme makes it, an optional package (`pip install depthcache[tls]`): nothing but a simulator needs one. The
private key lives in memory (trustme hands it to OpenSSL in a file that it deletes at once); the authority's
certificate is in a temporary file, for clients to trust, until it is removed or the program ends.
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
    """For localhost, 127.0.0.1 and ::1. Raises PackageMissing without trustme."""

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError:
            raise PackageMissing(package="trustme", wanted_for="tls=True") from None
        authority = trustme.CA(organization_name="depthcache simulator")
        self.context: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """Certificate and key, for a server."""
        certificate: Any = authority.issue_cert(*_NAMES)
        certificate.configure_cert(self.context)
        folder = tempfile.mkdtemp(prefix="depthcache-")
        self._remover = weakref.finalize(self, _remove, folder, os.getpid())
        self.ca_file: Final = Path(folder) / "authority.pem"
        """The authority, in PEM: whom clients must trust."""
        authority.cert_pem.write_to_path(self.ca_file)

    def remove(self) -> None:
        """Delete the file. May be called more than once; the end of the program does it, too."""
        self._remover()


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # a forked child ends without taking its parent's file away
        shutil.rmtree(folder, ignore_errors=True)
