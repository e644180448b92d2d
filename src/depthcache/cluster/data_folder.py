"""The identity of a node: what its data folder says of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from depthcache.cluster.core.members import Node

__all__ = ["Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a node is, with its certificates in PEM.

    Attributes:
        cluster: the name of the cluster.
        node: its facts.
        authority: the certificates that the cluster trusts.
        certificate, key: its own.
        peers: hosts and node ports of the other nodes that are known.
        is_issuer: whether it holds the authority's key.
    """

    cluster: str
    node: Node
    authority: str
    certificate: str
    key: str = field(repr=False)
    peers: tuple[str, ...]
    is_issuer: bool
