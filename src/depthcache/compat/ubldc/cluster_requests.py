"""Requests to a cluster: one kept-alive session, responses as dictionaries, and no network exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, cast
from urllib.parse import urlsplit

from depthcache import DepthCacheError, InvalidArgument, MalformedMessage, RequestRejected, Settings
from depthcache.arguments import parse_whole
from depthcache.compat.ubldc import logs
from depthcache.rest import Rest, RestResponse

__all__ = ["Question", "Requests", "cluster_url"]

_TIMEOUT_S = 10.0
_METHOD_NOT_ALLOWED = 405
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Question:
    """One call of a cluster.

    Attributes:
        endpoint: the path.
        given: the parameters; those with the value None are left out.
        posted: whether to send them as JSON in the body of a POST.
        may_be_got: whether they may go into the URL if the server does not accept a POST; not for secrets.
        debug: whether to add the times of the request to the response.
    """

    endpoint: str
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    posted: bool = False
    may_be_got: bool = False
    debug: bool = False


class Requests:
    """The session with one cluster."""

    def __init__(self, url: str, settings: Settings | None) -> None:
        self._url, self._settings = url, Settings.from_environment() if settings is None else settings
        self._lock = Lock()
        self._rest: Rest | None = None
        self._only_got: set[str] = set()
        """Endpoints of this server that do not accept a POST, such as `create_depthcache` until 0.9.1."""

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            rest, self._rest = self._rest, None
        if rest is not None:
            rest.close()

    def send(self, question: Question) -> dict[str, Any]:
        """The response, or `{"error": exception}`."""
        try:
            response = self._session().fetch(**self._request(question))
            if self._refuses_post(question, response):
                response = self._session().fetch(**self._request(question))
            return _read(response, question)
        except DepthCacheError as error:
            logs.cluster_failed(url=self._url + question.endpoint, reason=str(error))
            return {"error": error}

    async def send_async(self, question: Question) -> dict[str, Any]:
        """The response, or `{"error": text}`."""
        try:
            response = await self._session().fetch_async(**self._request(question))
            if self._refuses_post(question, response):
                response = await self._session().fetch_async(**self._request(question))
            return _read(response, question)
        except DepthCacheError as error:
            logs.cluster_failed(url=self._url + question.endpoint, reason=str(error))
            return {"error": str(error)}

    def _session(self) -> Rest:
        with self._lock:
            if self._rest is None:
                self._rest = Rest(self._settings)
            return self._rest

    def _request(self, question: Question) -> dict[str, Any]:
        """The arguments of `Rest.fetch`. Servers expect `debug` in the query, even of a POST."""
        url, query = self._url + question.endpoint, {"debug": "true"} if question.debug else {}
        given = {name: value for name, value in question.given.items() if value is not None}
        if question.posted and question.endpoint not in self._only_got:
            return {"url": url, "query": query, "posted": given, "timeout": _TIMEOUT_S}
        flat = {
            name: ",".join(cast("list[str]", each)) if isinstance(each, list) else each
            for name, each in given.items()
        }
        return {"url": url, "query": flat | query, "timeout": _TIMEOUT_S}

    def _refuses_post(self, question: Question, response: RestResponse) -> bool:
        if response.status != _METHOD_NOT_ALLOWED or not question.may_be_got:
            return False
        refused = question.endpoint not in self._only_got
        self._only_got.add(question.endpoint)
        return refused


def cluster_url(address: str | None, port: int | None) -> str:
    """The URL of a cluster with a trailing slash. Raises InvalidArgument."""
    if not isinstance(address, str) or not address.strip():
        allowed = "a host name, an IP address or a URL"
        raise InvalidArgument(name="ubdcc_address", value=address, allowed=allowed)
    if port is not None:
        port = parse_whole(port, name="ubdcc_port", allowed="1 to 65535, or None", least=1, most=65_535)
    text = address.strip().rstrip("/")
    if text.count(":") > 1 and not text.startswith("[") and "://" not in text:
        text = f"[{text}]"
    parts = urlsplit(text if "://" in text else f"http://{text}")
    allowed = "a host name, an IP address or a URL that begins with http:// or https://"
    refused = InvalidArgument(name="ubdcc_address", value=address, allowed=allowed)
    try:
        named = parts.port
    except ValueError:
        raise refused from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment:
        raise refused
    behind = "" if named is not None or port in (None, 80, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{parts.netloc}{behind}{parts.path}/"


def _read(response: RestResponse, question: Question) -> dict[str, Any]:
    """The dictionary of a response, with the times if requested. Raises DepthCacheError."""
    if response.status != 200:
        text = " ".join(response.body[:200].decode("utf-8", "replace").split())
        raise RequestRejected(
            url=response.url.partition("?")[0], status=response.status, code=None, text=text
        )
    value = response.json()
    if not isinstance(value, dict):
        raise MalformedMessage(what="not a JSON object", position=0, excerpt=response.body)
    found = cast("dict[str, Any]", value)
    if question.debug and isinstance(found.get("debug"), dict):
        debug: dict[str, Any] = found["debug"]
        debug["request_time"] = response.took_s
        inside = debug.get("cluster_execution_time")
        if isinstance(inside, int | float):
            debug["transmission_time"] = response.took_s - inside
    return found
