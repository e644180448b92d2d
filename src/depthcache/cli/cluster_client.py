"""A node of a cluster as its commands see it: requests over HTTPS, with the token of its data folder."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from depthcache.errors import ConnectionFailed, InvalidArgument, UsageError
from depthcache.foreign_text import clean, without_credentials

__all__ = ["NodeClient", "NodeRefused", "find_node"]

_TIMEOUT_S = 30.0
_CONNECT_S = 5.0
"""Native threads of a node accept connections, however busy it is."""
_OK = 300
_MOST_SHOWN = 500


_UNAUTHORIZED = 401


class NodeRefused(UsageError):
    """A node refused what a command asked.

    Attributes:
        status: of the response.
        code: the node's name for the error.
    """

    status: int
    code: str

    def __init__(self, *, status: int, code: str, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClient:
    """How to ask a node.

    Attributes:
        url: of its server.
        token: the access token.
        authority: PEM file of the certificate authorities to trust; None for those of the system.
        folder: the node's data folder; None if the node was named by its URL.
        timeout_s: how long to wait for a response.
        connect_s: how long connecting may take, TLS included.
    """

    url: str
    token: str = field(repr=False)
    authority: Path | None = None
    folder: Path | None = None
    timeout_s: float = _TIMEOUT_S
    connect_s: float = _CONNECT_S

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of a response. Raises ConnectionFailed, NodeRefused."""
        status, answer = self._request(method, path, body)
        found = _parsed(answer)
        if status < _OK and found is not None:
            return found
        raise self._refusal(status, found)

    def read_text(self, path: str) -> str:
        """The text of a response. Raises ConnectionFailed, NodeRefused."""
        status, answer = self._request("GET", path, None)
        if status < _OK:
            return answer.decode("utf-8", "replace")
        raise self._refusal(status, _parsed(answer))

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            try:
                connection.connect()
            except TimeoutError:
                reason = f"no connection within {self.connect_s:g} s: does another program use this port?"
                raise ConnectionFailed(url=self.url, reason=reason) from None
            connection.sock.settimeout(self.timeout_s)
            connection.request(method, f"/v1/cluster{path}", content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise ConnectionFailed(url=self.url, reason=self._reason(error)) from None
        finally:
            connection.close()

    def _refusal(self, status: int, found: Any) -> NodeRefused:
        said: Any = cast("dict[str, Any]", found).get("error") if isinstance(found, dict) else None
        facts: dict[str, Any] = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        usual = f"{self.url} answers with status {status}, and is no book server"
        message = clean(str(facts.get("message", usual)))
        if status == _UNAUTHORIZED:
            message = f"{self.url} does not know this token: is it of this cluster, and the newest one?"
        elif facts.get("code") == "role_too_low":
            message = "this needs the admin token: --token-file admin.token"
        return NodeRefused(
            status=status, code=clean(str(facts.get("code", ""))), message=message[:_MOST_SHOWN]
        )

    def _reason(self, error: Exception) -> str:
        if isinstance(error, ConnectionRefusedError):
            folder = f" --data-dir {self.folder}" if self.folder is not None else ""
            run = f": `depthcache cluster start{folder}` runs it" if folder else ": does it run?"
            return f"no node answers there{run}"
        if isinstance(error, ssl.SSLCertVerificationError):
            missing = "" if self.authority is not None else ": --ca FILE names authority.pem of the cluster"
            return f"its certificate is not of this cluster ({error.verify_message}){missing}"
        if isinstance(error, ssl.SSLError):
            return "it does not speak TLS: this is not the port of a node for readers"
        if isinstance(error, TimeoutError):
            return f"no answer within {self.timeout_s:g} s"
        return clean(str(error)) or type(error).__name__

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        host, port = str(parts.hostname), parts.port
        if parts.scheme == "http":
            return HTTPConnection(host, port, timeout=self.connect_s)
        try:
            context = ssl.create_default_context(cafile=self.authority)
        except OSError as error:  # ssl.SSLError is one
            allowed = f"the authority.pem of a node ({error.strerror or 'no certificate'})"
            raise InvalidArgument(name="--ca", value=str(self.authority), allowed=allowed) from None
        return HTTPSConnection(host, port, timeout=self.connect_s, context=context)


def find_node(
    *,
    cluster: str | None,
    data_dir: Path | None,
    server: str | None,
    token_file: Path | None,
    ca: Path | None,
    manages: bool,
) -> NodeClient:
    """The node that a command means: by its URL, or by its data folder.

    `manages`: whether the command needs the admin token. Raises UsageError, OSError.
    """
    from depthcache.cluster.data_folder import find_folder, node_address

    if server is not None:
        if cluster is not None or data_dir is not None:
            raise UsageError("name a node by --server, or by --data-dir or --cluster, not by both")
        return _named(server, token_file, ca)
    if token_file is not None or ca is not None:
        given = "--token-file" if token_file is not None else "--ca"
        raise UsageError(f"{given} needs --server URL")
    folder = find_folder(cluster=cluster, data_dir=data_dir)
    if folder is None:
        where = f"in {data_dir}" if data_dir else f"of {cluster or 'a cluster'} on this machine"
        raise UsageError(
            f"there is no node {where}: `depthcache cluster start` begins one; "
            "--data-dir DIR, or --server URL --token-file FILE --ca FILE, names one elsewhere"
        )
    return NodeClient(
        url=f"https://{node_address(folder)}",
        token=_secret(folder / ("admin.token" if manages else "read.token")),
        authority=folder / "authority.pem",
        folder=folder,
    )


def _named(server: str, token_file: Path | None, ca: Path | None) -> NodeClient:
    from depthcache.venues.servers import parse_servers

    allowed = "https://HOST:PORT, or http:// on this machine"
    try:
        urls = parse_servers(server)
    except InvalidArgument:
        urls = ()
    if len(urls) != 1 or urlsplit(urls[0]).path:
        raise InvalidArgument(name="--server", value=without_credentials(server), allowed=allowed)
    if token_file is None:
        raise UsageError("--server needs --token-file FILE: read.token or admin.token of a node")
    return NodeClient(url=urls[0], token=_secret(token_file), authority=ca)


def _secret(path: Path) -> str:
    secret = path.read_bytes().strip()
    try:
        found = secret.decode("ascii")
    except ValueError:
        found = ""
    if not found or not found.isprintable() or " " in found:
        raise InvalidArgument(name="token file", value=str(path), allowed="one line with a token")
    return found


def _parsed(answer: bytes) -> Any:
    try:
        return json.loads(answer or b"{}")
    except (ValueError, RecursionError):
        return None
