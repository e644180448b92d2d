"""Errors of a cluster: a node that does not answer, a change that is not on disk, a refused join.

DepthCacheError
├── NetworkError
│   └── AskFailed                one node could not get an answer of another
│       ├── NodeUnreachable      the other is not a member, or suspect: it did not get the request
│       ├── AskTimeout           no answer in time: the other may have carried the request out
│       └── AskRefused           the other got the request and refused it
├── UsageError
│   ├── BackupUnreadable         a backup is damaged, of a newer release, or no backup
│   ├── ChangeNotStored          a change is not on as many disks as it needs
│   ├── DataFolderUnusable       the files of a node are in use, damaged, or another node's
│   ├── SecretsUnusable          shared secrets are incomplete, open to others, or of another cluster
│   └── JoinRefused              a join token, or the node that redeems it, is not accepted
└── MalformedClusterMessage      bytes of a node that are no message of this version
"""

from __future__ import annotations

from typing import ClassVar

from depthcache.errors import DepthCacheError, NetworkError, UsageError
from depthcache.foreign_text import clean

__all__ = [
    "AskFailed",
    "AskRefused",
    "AskTimeout",
    "BackupUnreadable",
    "BookNotWanted",
    "ChangeNotStored",
    "DataFolderUnusable",
    "JoinRefused",
    "MalformedClusterMessage",
    "NodeUnreachable",
    "SecretsUnusable",
]


class AskFailed(NetworkError):
    """One node could not get an answer of another.

    Attributes:
        node: the id of the node that was asked.
    """

    kind: ClassVar[str] = "failed"
    """In metrics."""
    node: str

    def __init__(self, text: str, *, node: str) -> None:
        self.node = node
        super().__init__(text)


class NodeUnreachable(AskFailed):
    """The node is not a member, or suspect. It did not get the request."""

    kind: ClassVar[str] = "unreachable"

    def __init__(self, *, node: str) -> None:
        super().__init__(f"node {clean(node)} is not reachable: it did not get the request", node=node)


class AskTimeout(AskFailed):
    """The node did not answer in time. It may have carried the request out, once.

    Attributes:
        node: the id of the node that was asked.
        timeout_s: the seconds waited.
    """

    kind: ClassVar[str] = "timeout"

    timeout_s: float

    def __init__(self, *, node: str, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        text = f"node {clean(node)} did not answer within {timeout_s:g} s: it may have acted on the request"
        super().__init__(text, node=node)


class AskRefused(AskFailed):
    """The node got the request and refused it.

    Attributes:
        node: the id of the node that was asked.
        reason: its reason.
    """

    kind: ClassVar[str] = "refused"

    reason: str

    def __init__(self, *, node: str, reason: str) -> None:
        self.reason = clean(reason)
        super().__init__(f"node {clean(node)} refused the request: {self.reason}", node=node)


class BackupUnreadable(UsageError):
    """A file cannot be restored; nothing was changed.

    Attributes:
        path: the file.
        reason: what is wrong with it, and what to do.
    """

    path: str
    reason: str

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = clean(path), clean(reason, most=1_000)
        super().__init__(f"{self.path}: {self.reason}; nothing was changed")


class BookNotWanted(UsageError, LookupError):
    """A change of a book that the cluster does not keep.

    Attributes:
        exchange, symbol: the book.
    """

    exchange: str
    symbol: str

    def __init__(self, *, exchange: str, symbol: str) -> None:
        self.exchange, self.symbol = exchange, symbol
        super().__init__(
            f"the cluster does not keep {clean(symbol)} on {clean(exchange)}: add the book first"
        )


class ChangeNotStored(UsageError):
    """A change of the wanted set is not on as many disks as it needs. It may still take effect.

    Attributes:
        stored: disks that have it.
        needed: disks that should have it: two, or one where the node is alone.
        reason: why there are not more.
    """

    stored: int
    needed: int
    reason: str

    def __init__(self, *, stored: int, needed: int, reason: str) -> None:
        self.stored, self.needed, self.reason = stored, needed, clean(reason)
        super().__init__(
            f"the change is on {stored} of {needed} disks ({self.reason}): it may take effect; repeat it"
        )


class DataFolderUnusable(UsageError):
    """A node cannot run on the files of its data folder.

    Attributes:
        path: the folder, or the file in it.
        reason: what is wrong, and what to do.
    """

    path: str
    reason: str

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, clean(reason)
        super().__init__(f"{clean(path)}: {self.reason}")


class SecretsUnusable(UsageError):
    """A node cannot start with the shared secrets in a folder.

    Attributes:
        path: the folder, or the file in it.
        reason: what is wrong, and what is allowed.
    """

    path: str
    reason: str

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, clean(reason)
        super().__init__(f"{clean(path)}: {self.reason}")


class JoinRefused(UsageError):
    """A join token, or the node that redeems it, is not accepted.

    Attributes:
        reason: why.
    """

    reason: str

    def __init__(self, *, reason: str) -> None:
        self.reason = clean(reason)
        super().__init__(f"the node cannot join: {self.reason}")


class MalformedClusterMessage(DepthCacheError):
    """Bytes of a node that are no message of this version.

    Attributes:
        reason: what is wrong.
    """

    reason: str

    def __init__(self, *, reason: str) -> None:
        self.reason = clean(reason)
        super().__init__(f"malformed message of a node: {self.reason}")
