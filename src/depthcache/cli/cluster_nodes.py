"""A cluster as its commands see it: when the node that is asked is lost, the next one is asked instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from depthcache.cli.cluster_client import NodeClient
from depthcache.errors import ConnectionFailed, DepthCacheError

__all__ = ["AnyNode"]

_NEXT_TIMEOUT_S = 10.0
_SEEN = ("alive", "draining", "suspect")


class AnyNode:
    """Asks one node until it does not answer, then another one of the cluster.

    A request may be carried out and its answer lost, so send only requests that may be repeated.
    """

    def __init__(
        self, client: NodeClient, *, on_change: Callable[[str, str], None] = lambda _url, _why: None
    ) -> None:
        """`on_change`: another node is asked from now on; gets its URL, and why the one before was left."""
        self.client: NodeClient = client
        self._on_change = on_change
        self._first = client.url
        self._others: list[str] = []
        self._knows = client.authority is not None

    def learn(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """The nodes of the cluster, as `GET /v1/cluster` lists them. Without the authority, the certificates
        of others could not be checked: then there is one node alone."""
        if self._knows:
            seen = [each for each in nodes if each["address"] and each["state"] in _SEEN]
            self._others = [f"https://{each['address']}" for each in seen]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """As `NodeClient.ask`, at the first node that answers. Raises ConnectionFailed if none does."""
        return self.use(lambda client: client.ask(method, path, body))

    def use(self, call: Callable[[NodeClient], Any]) -> Any:
        """The result of a call with the first node for which it does not raise ConnectionFailed."""
        try:
            return call(self.client)
        except ConnectionFailed as error:
            first = error
        for url in dict.fromkeys((*(self._others or self._kept()), self._first)):
            if url == self.client.url:
                continue
            other = replace(self.client, url=url, timeout_s=min(self.client.timeout_s, _NEXT_TIMEOUT_S))
            try:
                found = call(other)
            except ConnectionFailed:
                continue
            self.client = replace(other, timeout_s=self.client.timeout_s)
            self._on_change(url, first.reason)
            return found
        raise first

    def _kept(self) -> list[str]:
        """The nodes that the data folder knows, where the command has one and no node has answered yet."""
        from depthcache.cluster.data_folder import other_servers

        if self.client.folder is None:
            return []
        try:
            return [f"https://{address}" for address in sorted(other_servers(self.client.folder).values())]
        except (DepthCacheError, OSError):
            return []
