"""Commands of the core of a node to its runner: effects as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from depthcache.cluster.core.members import Node
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedBook

__all__ = [
    "Ask",
    "ChangeDone",
    "Command",
    "FromExchange",
    "FromSibling",
    "Persist",
    "Refuse",
    "Respond",
    "SetBudgetShare",
    "SetDenied",
    "SetHolders",
    "Source",
    "StartReplica",
    "StopNode",
    "StopReplica",
    "Tell",
    "UpdateReplica",
]


@dataclass(frozen=True, slots=True)
class FromSibling:
    """Copy the book from another node at its update id, and bridge it with the own stream's diffs."""

    node: str
    address: str


@dataclass(frozen=True, slots=True)
class FromExchange:
    """Request a snapshot from the exchange: no other node has the book."""


Source: TypeAlias = FromSibling | FromExchange


@dataclass(frozen=True, slots=True)
class StartReplica:
    """Hold a book. For one that is starting: give up its source for this one.

    Reported by `on_replica` for every state, and `on_copy_failed` if a sibling does not give the book.
    """

    book: WantedBook
    source: Source


@dataclass(frozen=True, slots=True)
class UpdateReplica:
    """The settings of a held book changed."""

    book: WantedBook


@dataclass(frozen=True, slots=True)
class StopReplica:
    """Hold a book no longer."""

    key: BookKey


@dataclass(frozen=True, slots=True)
class SetBudgetShare:
    """The share of the exchange's request weight and of new connections that this node may use, above 0."""

    share: float


@dataclass(frozen=True, slots=True)
class SetHolders:
    """Which other nodes answer for a book, first choice first.

    Where no node has it synced, the owners that are alive; none for a book that only this node is to hold, or
    that is not wanted any more. `is_synced`: whether any node has it synced, this one included.
    """

    key: BookKey
    nodes: tuple[Node, ...]
    is_synced: bool


@dataclass(frozen=True, slots=True)
class SetDenied:
    """The nodes that were removed and are refused."""

    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a message to a node; None for all that are alive."""

    node: str | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a node; reported by `on_response` or `on_ask_failed`."""

    request: int
    node: str
    payload: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer a request of another node."""

    request: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse a request of another node."""

    request: int
    reason: str


@dataclass(frozen=True, slots=True)
class Persist:
    """Write cells of the wanted set to disk; reported by `on_persisted` or `on_persist_failed`."""

    number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class ChangeDone:
    """A change of the wanted set is stored if `stored` is at least `needed`, and failed otherwise.

    Attributes:
        change: its number.
        stored: disks that have it.
        needed: disks that must have it.
        reason: why there are not more; empty if it is stored.
    """

    change: int
    stored: int
    needed: int
    reason: str


@dataclass(frozen=True, slots=True)
class StopNode:
    """This node was removed from the cluster, or runs twice: it must end."""

    reason: str


Command: TypeAlias = (
    StartReplica
    | UpdateReplica
    | StopReplica
    | SetBudgetShare
    | SetHolders
    | SetDenied
    | Tell
    | Ask
    | Respond
    | Refuse
    | Persist
    | ChangeDone
    | StopNode
)
