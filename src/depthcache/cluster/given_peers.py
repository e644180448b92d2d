"""The nodes that a node was told to look for with `--peer`: whether they answer, and whether it has met them.

The nodes of an orchestrator start in any order: the name of one may not be known yet, its port not open. A
name may have the addresses of several nodes, and the list may have this node itself. The messaging engine
tries an address only when its session opens. So each address is tried here, over TLS, which also says which
node answers there; the session is opened again for nodes that answer and are not seen.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from depthcache import logs
from depthcache.cluster.authority import node_of_der
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.data_folder import DEFAULT_NODE_PORT, DataFolder, Identity, is_host
from depthcache.errors import InvalidArgument

__all__ = ["Found", "GivenPeers", "Kind", "parse_peer", "probe_with", "without_own"]

_TRY_S = 3.0
_MOST_ADDRESSES = 64
"""Of one name."""
_FIRST_NS, _MOST_NS = 1_000_000_000, 30_000_000_000
"""How long after a try a name is tried again, at first and at most."""
_GROWTH = 1.5
_ALONE_NS = 15_000_000_000
"""How long after the start a node waits for others, where no address answers, before it works alone."""
_MEET_NS = 3_000_000_000
"""How long a node that answers may take until it is seen, before the session is opened again."""
_OPEN_AGAIN_NS, _MOST_OPEN_NS = 10_000_000_000, 600_000_000_000
_TELL_NS = 10_000_000_000
"""What is not reached before that is usual while several nodes start."""


class Kind(Enum):
    """What is at an address."""

    NODE = "node"
    """A node of this cluster."""
    NOTHING = "nothing"
    """Nothing: no such name, or no program at the port."""
    SILENT = "silent"
    """No answer that tells."""
    STRANGER = "stranger"
    """A program whose certificate is not of an authority that this node trusts."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one try found.

    Attributes:
        kind: what is there.
        address: host and port; of a name, one of its addresses.
        node: the id of the node that answers; empty if none does.
        reason: why none does.
    """

    kind: Kind
    address: str
    node: str = ""
    reason: str = ""


Probe = Callable[[str], Awaitable[tuple[Found, ...]]]
"""Tries a host and port: one result for each address of a name."""


@dataclass(slots=True)
class _Peer:
    name: str
    found: tuple[Found, ...] = ()
    next_ns: int = 0
    pause_ns: int = _FIRST_NS
    is_seen: bool = False
    """Whether all nodes that answered are alive."""
    answers_ns: int | None = None
    """Since when a node that answers is not seen."""
    told: str = ""
    """The reason that was written last."""


class GivenPeers:
    """The given addresses of one node. Call `try_all` before its session opens, `attach` once it runs, then
    `look` once a second."""

    def __init__(self, names: Sequence[str], *, now_ns: Callable[[], int], probe: Probe) -> None:
        """`names`: hosts and ports for nodes. `probe`: that of `probe_with`, as a rule."""
        self._peers = [_Peer(each) for each in dict.fromkeys(names)]
        self._now_ns, self._probe = now_ns, probe
        self._core: NodeCore | None = None
        self._began_ns = now_ns()
        self._open_ns, self._open_pause_ns = 0, _OPEN_AGAIN_NS

    def attach(self, core: NodeCore) -> None:
        """The node that runs."""
        self._core = core

    # --- getters ---------------------------------------------------------------------------

    def reachable(self) -> tuple[str, ...]:
        """The addresses at which another node of the cluster answered last."""
        return tuple(found.address for peer in self._peers for found in self._others(peer))

    def why_apart(self) -> str:
        """Why this node has not met the others; empty if it has, or if there are none."""
        core = self._core
        if core is None:
            return "the node starts"
        if core.knows_others():
            return ""
        if core.members.alive():
            return "this node has not got the list of books of the other nodes yet"
        for peer in self._peers:
            for found in self._others(peer):
                return f"the node at {found.address} answers, and is not connected yet"
            for found in peer.found:
                if found.kind in (Kind.SILENT, Kind.STRANGER):
                    return f"no other node was reached yet; {found.address}: {found.reason}"
        is_new = self._now_ns() - self._began_ns < _ALONE_NS
        return f"no other node was reached yet at {self._peers[0].name}" if self._peers and is_new else ""

    # --- what is due -----------------------------------------------------------------------

    async def try_all(self) -> None:
        """Try all addresses, before the session opens."""
        await asyncio.gather(*map(self._try, self._peers))

    async def look(self) -> bool:
        """Try the addresses that are due. Returns whether the session has to be opened again, because a node
        answers that it does not show."""
        now_ns = self._now_ns()
        if self._core is None:
            return False
        for peer in self._peers:
            self._judge(peer)
        due = [peer for peer in self._peers if not peer.is_seen and now_ns >= peer.next_ns]
        await asyncio.gather(*map(self._try, due))
        for peer in self._peers:
            self._judge(peer)
            self._write(peer)
        since_ns = [peer.answers_ns for peer in self._peers if peer.answers_ns is not None]
        if not since_ns or now_ns - min(since_ns) < _MEET_NS or now_ns < self._open_ns:
            return False
        self._open_ns = now_ns + self._open_pause_ns
        self._open_pause_ns = min(2 * self._open_pause_ns, _MOST_OPEN_NS)
        return True

    # --- helpers ---------------------------------------------------------------------------

    async def _try(self, peer: _Peer) -> None:
        peer.found = await self._probe(peer.name)
        peer.next_ns = self._now_ns() + peer.pause_ns
        peer.pause_ns = min(int(peer.pause_ns * _GROWTH), _MOST_NS)

    def _others(self, peer: _Peer) -> list[Found]:
        """The other nodes that answered."""
        core = self._core
        refused: set[str] = set() if core is None else {core.members.me.id, *core.wanted.denied()}
        return [each for each in peer.found if each.kind is Kind.NODE and each.node not in refused]

    def _judge(self, peer: _Peer) -> None:
        """Compare what answered with the nodes that are seen."""
        core, others = self._core, self._others(peer)
        unseen = [each for each in others if core is not None and not core.members.is_alive(each.node)]
        was_seen, peer.is_seen = peer.is_seen, bool(others) and not unseen
        if was_seen and not peer.is_seen:  # what answered before says nothing any more
            peer.found, peer.next_ns, peer.pause_ns = (), 0, _FIRST_NS
            unseen = []
        if not unseen:
            peer.answers_ns = None
        elif peer.answers_ns is None:
            peer.answers_ns = self._now_ns()

    def _write(self, peer: _Peer) -> None:
        if peer.is_seen:
            peer.told = ""
        is_late = self._now_ns() - self._began_ns >= _TELL_NS
        for found in peer.found:
            is_wrong = found.kind is Kind.STRANGER or (found.kind is not Kind.NODE and is_late)
            if is_wrong and not self._others(peer) and found.reason != peer.told:
                peer.told = found.reason
                logs.given_peer_not_reached(address=found.address, reason=found.reason)
                return


def parse_peer(given: str) -> str:
    """Host and port of another node, from `HOST` or `HOST:PORT`. Raises InvalidArgument."""
    allowed = "HOST or HOST:PORT, such as node1.example, 10.0.0.1:42080 or [::1]:42080"
    refused = InvalidArgument(name="--peer", value=given, allowed=allowed)
    try:
        is_plain_6 = ipaddress.ip_address(given).version == 6
    except ValueError:
        is_plain_6 = False
    try:
        found = urlsplit(f"//[{given}]" if is_plain_6 else f"//{given}")
        host, port = found.hostname, found.port
    except ValueError:
        raise refused from None
    if not host or found.path or found.query or found.fragment or "@" in found.netloc or not is_host(host):
        raise refused
    if port == 0 or (port is None and found.netloc.endswith(":")):
        raise refused
    return _address(host, port or DEFAULT_NODE_PORT)


def without_own(names: Sequence[str], identity: Identity) -> tuple[str, ...]:
    """The names without those of the node itself."""
    port = identity.listen.rpartition(":")[2]
    own = {
        identity.listen,
        *(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in identity.hosts),
    }
    return tuple(each for each in names if each not in own)


def probe_with(folder: DataFolder) -> Probe:
    """Says which nodes answer, by their certificates. The node of the folder sends them nothing but a TLS
    handshake with its own."""

    async def probe(name: str) -> tuple[Found, ...]:
        host, _, port = name.rpartition(":")
        try:
            addresses = await _resolved(host.strip("[]"), int(port))
        except TimeoutError:
            return (Found(Kind.SILENT, name, reason=f"the name was not resolved within {_TRY_S:g} s"),)
        except socket.gaierror as error:
            if error.errno in _UNKNOWN_NAME:
                return (Found(Kind.NOTHING, name, reason="the name is not known"),)
            return (Found(Kind.SILENT, name, reason=f"the name cannot be resolved now ({error.strerror})"),)
        except OSError as error:
            return (Found(Kind.SILENT, name, reason=error.strerror or type(error).__name__),)
        context = _context(folder)
        found = await asyncio.gather(*(_probed(each, int(port), context) for each in addresses))
        return tuple(found)

    return probe


_UNKNOWN_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


async def _resolved(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError."""
    async with asyncio.timeout(_TRY_S):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))[:_MOST_ADDRESSES]


def _context(folder: DataFolder) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the authority signs nodes of this cluster alone
    context.load_verify_locations(cadata=folder.identity.authority)
    context.load_cert_chain(folder.certificate_file, folder.key_file)
    return context


async def _probed(host: str, port: int, context: ssl.SSLContext) -> Found:
    address = _address(host, port)
    try:
        async with asyncio.timeout(_TRY_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        return Found(Kind.SILENT, address, reason=f"no answer within {_TRY_S:g} s")
    except ssl.SSLCertVerificationError as error:
        reason = (
            f"its certificate is not of the authority of this node ({error.verify_message}): it belongs to "
            "another cluster, or the authority was replaced after the secrets of one of the two were made"
        )
        return Found(Kind.STRANGER, address, reason=reason)
    except ssl.SSLError:
        reason = "it does not speak TLS, or not with this node: is this the port for nodes?"
        return Found(Kind.STRANGER, address, reason=reason)
    except ConnectionRefusedError:
        return Found(Kind.NOTHING, address, reason="no program listens there")
    except OSError as error:
        return Found(Kind.SILENT, address, reason=error.strerror or type(error).__name__)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return Found(Kind.NODE, address, node=node_of_der(certificate))


def _address(host: str, port: int | str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
