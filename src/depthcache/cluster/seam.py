"""What the cluster needs of a messaging engine: six calls, so that the engine can be replaced.

`memory_network` implements them on a virtual clock with faults, `zenoh_network` over sockets with TLS. The
tests of the seam (`tests/cluster/test_seam.py`) run on both.

What every engine guarantees:

* **Threads.** All calls are made on one event loop, and all handlers and watchers are called on it, never
  from inside a call.
* **Members.** `members` and `watch` report all other nodes of the cluster, never this one. A member is
  suspect at once if its connection breaks, and after a lease of 1 s if it falls silent. The engine only
  suspects: `core.members` decides whether a suspect is dead. A suspect that is heard again is alive again;
  a node that said goodbye has left. A restarted node has a larger run number. Two nodes may see a third one
  differently, and one node may see another that does not see it.
* **tell.** At most once, and in the order of the calls while the connection of the two nodes holds. A message
  may be lost silently. It may arrive before its sender is a member, and after the sender is suspect.
* **ask.** At most once as well. It raises NodeUnreachable at once if the node is not a member or is suspect;
  then the node did not get the request. It raises AskTimeout if no response came in time or the connection
  broke; then the node may have acted on the request. It raises AskRefused if the handler raised. Requests are
  not ordered, neither among each other nor with messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from depthcache.cluster.core.members import Member, Node

__all__ = ["ClusterNetwork", "Handler"]


class Handler(Protocol):
    """Handles the messages of other nodes."""

    def on_tell(self, sender: str, payload: bytes) -> None:
        """A node told something."""

    async def on_ask(self, sender: str, payload: bytes) -> bytes:
        """The answer to a request. Whatever this raises reaches the asker as AskRefused."""
        ...


class ClusterNetwork(Protocol):
    """The messaging engine as one node sees it."""

    async def join(self, me: Node, handler: Handler) -> None:
        """Become a member. Call it once, after `watch`. Raises ConnectionFailed if this node cannot listen.

        It does not wait for other nodes: they appear as members.
        """

    def members(self) -> tuple[Member, ...]:
        """The other nodes that are alive or suspect; a suspect is forgotten after 60 s."""
        ...

    def watch(self, on_member: Callable[[Member], None]) -> None:
        """Call this for every change of a member from now on."""

    async def ask(self, node: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Ask a node. Raises NodeUnreachable, AskTimeout, AskRefused."""
        ...

    def tell(self, node: str | None, payload: bytes) -> None:
        """Tell a node; None for all that are alive. Does not wait."""

    async def leave(self) -> None:
        """Say goodbye and end. Further calls of this do nothing."""
