"""A running node of a cluster: a client of the exchanges, a book server, and the node's own decisions.

    async with ClusterNode(identity, options) as node:
        await node.create_books("binance.com", ["BTCUSDT"], replicas=2)
        print(node.url, node.status())

Everything runs on one event loop. Reads and subscriptions are served by native threads.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from depthcache import logs
from depthcache.client.aio import Books
from depthcache.client.client import Client
from depthcache.client.config import ClientConfig, parse_config
from depthcache.client.live_book import LiveBook
from depthcache.cluster.authority import first_end
from depthcache.cluster.book_health import BookHealth
from depthcache.cluster.build import own_version, with_build
from depthcache.cluster.core.commands import FromSibling, Source
from depthcache.cluster.core.members import Member, Node, NodeState
from depthcache.cluster.core.node import NodeCore, SelfRegistration, load
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Value
from depthcache.cluster.core.wanted_set import WantedSet, parse_replicas
from depthcache.cluster.data_folder import MOVES_FILE, Identity
from depthcache.cluster.errors import ChangeNotStored
from depthcache.cluster.following import Following
from depthcache.cluster.moves import Move, Moves
from depthcache.cluster.native_server import NativeServer
from depthcache.cluster.node_log import NodeLog
from depthcache.cluster.node_metrics import NodeMetrics, NodeView, PeerView
from depthcache.cluster.overview import Overview
from depthcache.cluster.readiness import Readiness
from depthcache.cluster.replica_host import BookHost
from depthcache.cluster.runner import DENIED_MS, Clock, NodeRunner, SystemClock
from depthcache.cluster.seam import ClusterNetwork
from depthcache.cluster.wanted_file import WantedFile
from depthcache.cluster.zenoh_network import ZenohNetwork, ZenohSettings
from depthcache.errors import DepthCacheError, InvalidArgument, UsageError
from depthcache.io.network.copies import CopyNetwork
from depthcache.io.network.http import fetch
from depthcache.io.network.interface import ClosableNetwork, Failure, Response, ServerAccess
from depthcache.io.network.select import real_network
from depthcache.io.network.sessions import Sessions
from depthcache.server import BookServer, ServerConfig, serve
from depthcache.settings import Settings

__all__ = ["ClusterNode", "NodeOptions"]

_LOOK_S = 5.0
_ASK_S = 2.0
"""How long the server of another node has to say what it alone knows."""
_LEAVE_S = 5.0
"""How long an ephemeral node that ends waits until another one has stored that."""
_CHECK_S = 0.25
"""How often books that are followed from other nodes are checked: for so long readers may wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """How a node runs.

    Attributes:
        folder: its data folder.
        listen: host and port for other nodes; port 0 for any free one.
        server: the book server. Its port may be 0; its address is that of the node's facts.
        settings: of the client of the exchanges.
        depth: complete levels a side of books that were created without a depth.
        network: the messaging engine; None for Zenoh.
        make_network: the network of the client of the exchanges; None for the real one.
        registration: how it registers itself; None for a node that others let join.
        why_apart: why it has not met the other nodes that it was told of; empty if it has, or is alone.
    """

    folder: Path
    listen: str = "127.0.0.1:0"
    server: ServerConfig = field(default_factory=ServerConfig)
    settings: Settings = field(default_factory=Settings.from_environment)
    depth: int = 100
    network: Callable[[], ClusterNetwork] | None = None
    make_network: Callable[[Settings], ClosableNetwork] | None = None
    registration: SelfRegistration | None = None
    why_apart: Callable[[], str] = lambda: ""


class ClusterNode:
    """One node; runs inside `async with`.

    Attributes:
        identity: who it is; its node's facts are those with the ports that were chosen.
        runner, network, host, server, books: its parts, while it runs.
        overview: what it shows of the whole cluster.
        removed: why it was removed from the cluster; empty as long as it belongs to it.
        is_leaving: whether it hands its books over to leave the cluster for good.
    """

    def __init__(
        self,
        identity: Identity,
        options: NodeOptions,
        *,
        clock: Clock | None = None,
        on_removed: Callable[[str], None] = lambda _: None,
        on_left: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens nothing. `clock`: None for the system's. `on_removed`: this node was removed from the
        cluster; gets the reason. `on_left`: `begin_leaving` is done."""
        self.identity: Identity = identity
        self.options: NodeOptions = options
        self.removed: str = ""
        self.is_leaving: bool = False
        self._ends = ""
        """Why it is not ready any more."""
        self._clock = SystemClock() if clock is None else clock
        self._on_removed, self._on_left = on_removed, on_left
        self._leaving: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._check_timer: asyncio.TimerHandle | None = None
        self._state = "new"
        self._news = asyncio.Event()
        """A book was synced, here or at another node."""
        self._moves = Moves(options.folder / MOVES_FILE)
        self._sessions: Sessions | None = None
        """Of requests to the servers of other nodes, besides those for copies of books."""
        self.overview: Overview = Overview(self, self._ask_server)
        self._log = NodeLog(now_ns=self._clock.now_ns)
        self._metrics = NodeMetrics()
        self._version = own_version()
        """The one that runs, also once another one is installed."""
        self._addresses: dict[str, str] = {}
        """Of the servers of all nodes of the cluster that were seen, also of those that are away."""
        self._disk: tuple[int, int] | None = None
        """Free and all bytes of the disk of the data folder."""
        self._measuring: asyncio.Future[None] | None = None
        self._changed: tuple[str, int] = ("", 0)
        """When the wanted set of this digest was last edited."""
        self._began: dict[BookKey, tuple[float, str]] = {}
        """When replicas that were not synced yet began, and from where."""

    # --- getters ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where readers reach this node. Raises UsageError before it runs."""
        return self.server.url

    @property
    def page_url(self) -> str:
        """Where a browser shows the books, without a token. Plain HTTP where only programs of this machine
        can connect: browsers do not know the cluster's authority. Raises UsageError before it runs."""
        url = self.url
        return url.replace("https:", "http:", 1) if self.options.server.is_loopback else url

    @property
    def read_token(self) -> str:
        """The secret of readers. Raises UsageError before it runs."""
        return self.server.read_token

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._state == "running"

    def moves(self) -> tuple[Move, ...]:
        """The newest moves of books on this node, oldest first."""
        return self._moves.all()

    def status(self) -> dict[str, Any]:
        """What an operator wants to know, ready for JSON: the nodes as this one sees them, the books, and the
        request weight of the address that this node shares with others of its egress group."""
        core = self.runner.core
        return {
            "cluster": self.identity.cluster,
            "node": self.identity.node.id,
            "nodes": self.node_rows(),
            "versions": self._versions(),
            "books": [self.book_status(key) for key in sorted(core.wanted.books())],
            "weight": self.weight(),
        }

    @property
    def cluster(self) -> str:
        """The name of its cluster."""
        return self.identity.cluster

    def node_rows(self) -> list[dict[str, Any]]:
        """What `status` has of the nodes."""
        return [self._node_status(peer) for peer in self._known_nodes()]

    def weight(self) -> list[dict[str, Any]]:
        """What `status` has of the request weight."""
        egress, stats = self.identity.node.egress, self.books.stats()
        return [
            {
                "egress": egress,
                "pool": each.pool,
                "limit": each.limit,
                "allowed": each.allowed,
                "used": each.used,
                "exchange_used": each.exchange_used,
            }
            for each in stats.budgets
        ]

    def reason(self, key: BookKey) -> str:
        """Why a replica of this node is not synced; empty if it is, or if it holds none."""
        return self.host.reason(key)

    def moves_after(self, number: int, most: int) -> tuple[int, tuple[Move, ...]]:
        """The number of the newest move, and those that follow the one of a number, so many at most."""
        return self._moves.count, self._moves.after(number, most)

    def wall_ms(self) -> int:
        """The system's clock in milliseconds since 1970."""
        return self._clock.wall_ms()

    def now_ns(self) -> int:
        """A clock that never goes back."""
        return self._clock.now_ns()

    def book_status(self, key: BookKey) -> dict[str, Any]:
        """What `status` has of one book that the cluster keeps. Raises KeyError for any other."""
        core = self.runner.core
        book, states = core.wanted.books()[key], core.books.all_states(key)
        return {
            "exchange": key.exchange,
            "symbol": key.symbol,
            "replicas": book.replicas,
            "settings": dict(book.settings),
            "owners": list(core.books.owners(key)),
            "holders": {peer: state.value for peer, state in states.items()},
            "synced": len(core.books.holders(key)),
            "reason": self.host.reason(key),
            "why": core.books.why(key),
        }

    def exchange_clocks(self) -> Mapping[str, tuple[float, float]]:
        """As `Client.exchange_clocks`."""
        return self.books._client.exchange_clocks(time.time_ns())  # noqa: SLF001

    async def ask_node(self, address: str, path: str, *, timeout_s: float) -> Response | Failure:
        """The response of another node's server to a GET, which knows this one by its certificate."""
        sessions = self._make_sessions()
        try:
            url = f"{'https' if self._is_tls else 'http'}://{address}{path}"
            return await fetch(sessions, url, timeout_s=timeout_s, use_proxies=False)
        finally:
            await sessions.aclose()

    # --- running ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise UsageError("a node runs once: make another with ClusterNode(…)")
        self._state = "starting"
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        self._state = "running"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def until_known(self, most_s: float) -> None:
        """Wait until this node has met the others, and every book that the cluster keeps is synced here or at
        a node that is known, but not for long: a node that has just started would say that there is no such
        book."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while not self._knows_all():
                    self._news.clear()
                    await self._news.wait()

    def _knows_all(self) -> bool:
        core = self.runner.core
        if self.options.why_apart():
            return False
        return all(core.books.holders(key) or self.host.is_synced(key) for key in core.wanted.books())

    async def stop(self) -> None:
        """Leave the cluster for good: hand all books over first, then close. Waits without a limit of its
        own. Raises ChangeNotStored."""
        await self.runner.retire()
        await self.close()

    async def _leave(self) -> None:
        try:
            await self.stop()
        except DepthCacheError as error:
            logs.node_housekeeping_failed(what="leaving the cluster", error=error)
            self._leaving, self.is_leaving, self._ends = None, False, ""
            return
        self._on_left()

    async def hand_over(self, *, timeout_s: float) -> bool:
        """Before `close`: let other nodes copy the books that this one alone has synced, for at most so long.
        Returns whether they have all. An ephemeral node hands over all books, and leaves for good."""
        self._ends = "the node is ending"
        self._native.set_not_ready(self._ends)
        registration = self.options.registration
        is_ephemeral = registration is not None and registration.is_ephemeral
        is_done = True
        try:
            async with asyncio.timeout(timeout_s):
                await (self.runner.hand_over_all() if is_ephemeral else self.runner.hand_over())
        except TimeoutError:
            is_done = False
        if is_ephemeral and self.runner.core.members.alive():
            await self._leave_at_end()
        return is_done

    async def _leave_at_end(self) -> None:
        """What fails is done by the others later: they forget an ephemeral node that stays away."""
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self.runner.leave()
        except TimeoutError:
            error = UsageError(f"no other node has stored that within {_LEAVE_S:g} s")
            logs.node_housekeeping_failed(what="leaving the cluster", error=error)
        except ChangeNotStored as error:
            logs.node_housekeeping_failed(what="leaving the cluster", error=error)

    async def close(self) -> None:
        """End now: other nodes take over at once. It may be started again with the same identity."""
        if self._state == "closed":
            return
        self._state = "closed"
        for timer in (self._timer, self._check_timer):
            if timer is not None:
                timer.cancel()
        if self._leaving is not None and self._leaving is not asyncio.current_task():
            self._leaving.cancel()
        await self.overview.close()
        if self._sessions is not None:
            await self._sessions.aclose()
        if hasattr(self, "runner"):
            await self.runner.close()
        if hasattr(self, "server"):
            await self.server.aclose()  # before any book ends: its readers go on at other nodes
        if hasattr(self, "following"):
            await self.following.close()
        if hasattr(self, "books"):
            await self.books.aclose()

    # --- changes of the wanted set ----------------------------------------------------------

    async def create_books(
        self,
        exchange: str,
        symbols: Iterable[str],
        *,
        replicas: int = 2,
        settings: Mapping[str, Value] | None = None,
    ) -> tuple[BookKey, ...]:
        """Keep books, on as many nodes each; returns them as the exchange spells them.

        `settings`: `depth` and `speed_ms`; what is missing or None is that of each node. Books that are kept
        already get exactly these. Raises UnknownExchange, InvalidArgument, ChangeNotStored.
        """
        keys = self.keys(exchange, symbols)
        parsed = self._settings(keys, settings)
        await self.runner.create(*keys, replicas=parse_replicas(replicas), settings=parsed)
        return keys

    async def change_books(
        self,
        exchange: str,
        symbols: Iterable[str],
        *,
        replicas: int | None = None,
        settings: Mapping[str, Value] | None = None,
    ) -> tuple[BookKey, ...]:
        """Change some settings of books; None sets one back to that of each node. Raises what `create_books`
        raises, and BookNotWanted."""
        keys = self.keys(exchange, symbols)
        parsed = self._settings(keys, settings)
        most = None if replicas is None else parse_replicas(replicas)
        await self.runner.change(*keys, replicas=most, settings=parsed)
        return keys

    async def stop_books(self, exchange: str, symbols: Iterable[str]) -> tuple[BookKey, ...]:
        """Keep books no longer. Raises UnknownExchange, InvalidArgument, BookNotWanted, ChangeNotStored."""
        keys = self.keys(exchange, symbols)
        await self.runner.stop(*keys)
        return keys

    async def remove(self, node: str) -> int:
        """Remove a node and refuse it for longer than any certificate of it can last; returns as
        `NodeRunner.create`. Raises ChangeNotStored."""
        return await self.runner.deny(node, until_ms=self._clock.wall_ms() + DENIED_MS)

    def renew(self, identity: Identity) -> None:
        """Use another certificate, and trust other authorities, from now on: towards readers and nodes.

        Their files in the data folder have been replaced already. Raises ValueError for those that cannot be
        used, and UsageError before the node runs."""
        native = self.server._running()  # noqa: SLF001
        native.replace_certificate(identity.certificate, identity.key, authority=identity.authority)
        self.identity = replace(identity, node=self.identity.node)
        self._copies.renew()
        self.following.renew()
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            self._closing = asyncio.get_running_loop().create_task(sessions.aclose())

    def why_apart(self) -> str:
        """As `NodeOptions.why_apart`."""
        return self.options.why_apart()

    def begin_leaving(self) -> None:
        """As `stop`, without waiting; `on_left` is called at the end."""
        if self._leaving is None:
            self.is_leaving, self._ends = True, "the node is leaving the cluster"
            self._leaving = asyncio.get_running_loop().create_task(self._leave())

    def keys(self, exchange: str, symbols: Iterable[str]) -> tuple[BookKey, ...]:
        """Books by the names that users give them. Raises UnknownExchange, InvalidArgument."""
        several = self._config().several(exchange, symbols)
        return tuple(dict.fromkeys(BookKey(venue.name, symbol) for venue, symbol in several))

    # --- helpers ---------------------------------------------------------------------------

    async def _start(self) -> None:
        me = with_build(self.identity.node)
        self.identity = replace(self.identity, node=me)
        wanted, disk = WantedSet(me.id), WantedFile(self.options.folder / "wanted.journal")
        load(wanted, await asyncio.to_thread(disk.load))
        self.host: BookHost = BookHost(
            sink=lambda: self.runner,
            source_of=lambda key: self.runner.core.books.source(key),
            is_tls=lambda: self._is_tls,
            readers=self._readers,
            on_kept=self._on_kept,
            on_holders=self._on_holders,
            on_denied=self._on_denied,
            on_move=self._on_move,
            on_synced=self._on_synced,
            log=self._log,
        )
        client: Client[LiveBook] = Client(
            self._config(),
            make_book=LiveBook,
            make_network=self._make_network,
            copy_from=self.host.copy_from,
        )
        self.host.attach(client)
        self.books: Books = await Books(client.config, client=client)
        self.server: BookServer = serve(self.books, self.options.server)
        if self._is_tls:
            identity = self.identity
            self.server._cluster = {  # noqa: SLF001
                "node": me.id,
                "authority": identity.authority,
                "certificate": identity.certificate,
                "key": identity.key,
            }
        await self.server.__aenter__()
        self._native = NativeServer(self.server._native, is_node=self._is_tls)  # noqa: SLF001
        self._native.set_not_ready("the node starts")
        self.following: Following = Following(
            self._native,
            servers_of=self._servers_of,
            connect=self._connect,
            is_held=lambda key: self.host.is_synced(key),
        )
        self.server._delegate(self.following)  # noqa: SLF001
        host, _, port = me.address.rpartition(":")
        if port in ("", "0"):
            me = replace(me, address=f"{host or '127.0.0.1'}:{self.server.port}")
            self.identity = replace(self.identity, node=me)
        self.network: ClusterNetwork = self._make_engine(tuple(sorted(wanted.denied())))
        self.network.watch(self._on_member)
        self.runner: NodeRunner = NodeRunner(
            NodeCore(me, wanted, registration=self.options.registration),
            self.network,
            disk=disk,
            host=self.host,
            clock=self._clock,
            on_stop=self._on_stop,
        )
        self._log.begin(self.runner.core, self.identity.cluster)
        await self.runner.start()
        self._readiness = Readiness(
            self.runner.core,
            is_hopeless=self.host.is_hopeless,
            has_peers=lambda: bool(self.identity.peers),
            why_apart=self.options.why_apart,
        )
        self._health = BookHealth(self.runner.core, is_hopeless=self.host.is_hopeless)
        self._tell_nodes()
        await asyncio.to_thread(self._measure_disk)
        self._look()
        self._check()

    def _look(self, passed_s: float = 0.0) -> None:
        """End what was kept for readers that have gone."""
        self.host.look(passed_s)
        self.following.look(passed_s)
        if self._measuring is None or self._measuring.done():  # a disk that hangs takes one thread
            self._measuring = asyncio.get_running_loop().run_in_executor(None, self._measure_disk)
        self.server._metrics.set_more(self._counts())  # noqa: SLF001
        self._timer = self._clock.call_later(_LOOK_S, partial(self._look, _LOOK_S))

    def _check(self, passed_s: float = 0.0) -> None:
        self.following.check(passed_s)
        self._log.look(len(self.host.keys()))
        self.overview.note_states({peer: self.runner.core.state_of(peer) for peer in self._known_nodes()})
        self._native.set_not_ready(self._why_not_ready())
        self._news.set()
        self._check_timer = self._clock.call_later(_CHECK_S, partial(self._check, _CHECK_S))

    def _counts(self) -> str:
        core, now_ns = self.runner.core, self._clock.now_ns()
        return self._metrics.text(
            NodeView(
                facts=self._facts(),
                nodes=map(core.state_of, self._known_nodes()),
                peers=self._peers(now_ns),
                replicas=Counter(core.books.states().values()),
                wanted=len(core.wanted.books()),
                health=self._health.look(now_ns),
                differing=len(core.differing()),
                digest=core.wanted.map.digest(),
                changed_ms=self._changed_ms(),
                is_ready=not self._why_not_ready(),
                has_authority_key=self.identity.is_issuer,
                certificates=self._certificate_ends(),
                can_write=self.runner.can_write,
                failed_writes=self.runner.failed_writes,
                failed_asks=self.runner.failed_asks,
                failed_copies=self._log.failed_copies,
                malformed=core.malformed,
                disk=self._disk,
            )
        )

    def _facts(self) -> dict[str, str]:
        node = self.identity.node
        return {
            "cluster": self.identity.cluster,
            "node": node.id,
            "version": self._version,
            "zone": node.zone,
            "egress": node.egress,
        }

    def _peers(self, now_ns: int) -> dict[str, PeerView]:
        core = self.runner.core
        silent_s, ahead_s = core.silent_s(now_ns), core.clock_offsets_s()
        return {
            peer: PeerView(state=core.state_of(peer), silent_s=silent_s.get(peer), ahead_s=ahead_s.get(peer))
            for peer in core.wanted.registered() - core.wanted.denied() - {self.identity.node.id}
        }

    def _changed_ms(self) -> int:
        wanted = self.runner.core.wanted.map
        if self._changed[0] != (digest := wanted.digest()):
            self._changed = digest, wanted.newest().wall_ms
        return self._changed[1]

    def _certificate_ends(self) -> dict[str, float]:
        if not self._is_tls:
            return {}
        given = {"node": self.identity.certificate, "authority": self.identity.authority}
        return {of: first_end(each).timestamp() for of, each in given.items()}

    def _measure_disk(self) -> None:
        """Called on a thread: the disk may be slow, or on another machine."""
        with suppress(OSError):
            found = shutil.disk_usage(self.options.folder)
            self._disk = found.free, found.total

    def _why_not_ready(self) -> str:
        return self._ends or self._readiness.why_not()

    def _readers(self, key: BookKey) -> int:
        """Of a book that the cluster keeps."""
        return self._native.readers(key) if key in self.runner.core.wanted.books() else 0

    def _config(self) -> ClientConfig:
        options = self.options
        return parse_config(
            {}, None, depth=options.depth, on_stale="raise", speed_ms=None, settings=options.settings
        )

    def _make_network(self, settings: Settings) -> ClosableNetwork:
        make = self.options.make_network
        inner = real_network(settings) if make is None else make(settings)
        self._copies = CopyNetwork(inner, self._make_sessions, lambda host: host in self._addresses.values())
        return self._copies

    async def _ask_server(self, address: str, path: str) -> bytes | None:
        """As `overview.AskPeer`."""
        if self._sessions is None:
            self._sessions = self._make_sessions()
        url = f"{'https' if self._is_tls else 'http'}://{address}{path}"
        response = await fetch(self._sessions, url, timeout_s=_ASK_S, use_proxies=False)
        return response.body if isinstance(response, Response) and response.status == HTTPStatus.OK else None

    def _make_sessions(self) -> Sessions:
        return Sessions(self._authority, self._access)

    @property
    def _is_tls(self) -> bool:
        """Whether nodes know each other's servers by their certificates; tests of one process do without."""
        return bool(self.identity.certificate)

    @property
    def _access(self) -> ServerAccess:
        """How this node proves itself to the servers of others."""
        folder = self.options.folder
        return ServerAccess(certificate=(folder / "node.pem", folder / "node.key") if self._is_tls else None)

    @property
    def _authority(self) -> Path | None:
        return self.options.folder / "authority.pem" if self._is_tls else None

    def _servers_of(self, key: BookKey) -> tuple[str, ...]:
        """URLs of the nodes that have a book, the best first, then of all others, also of those that are
        away: they may have the book when others have gone."""
        core, me = self.runner.core, self.identity.node.id
        holders = [peer for peer in core.books.holders(key) if peer != me]
        if not holders and not core.books.owners(key):
            return ()
        peers = dict.fromkeys((*holders, *sorted(core.wanted.registered() - {me})))
        scheme = "https" if self._is_tls else "http"
        return tuple(f"{scheme}://{self._addresses[peer]}" for peer in peers if peer in self._addresses)

    def _on_member(self, member: Member) -> None:
        self._addresses[member.node.id] = member.node.address
        self._metrics.on_member(member.node.id, member.state)
        asyncio.get_running_loop().call_soon(self._tell_nodes)

    def _tell_nodes(self) -> None:
        """Tell clients where the nodes are that can be asked now."""
        if hasattr(self, "runner") and self._state != "closed":
            members, registered = self.runner.core.members, self.runner.core.wanted.registered()
            gone = [peer for peer in self._addresses if peer not in registered and members.node(peer) is None]
            for peer in gone:
                del self._addresses[peer]
            alive = (node for node in members.not_dead() if members.is_alive(node.id))
            self._log.look(len(self.host.keys()))
            self._native.set_nodes(sorted(node.address for node in alive))

    async def _connect(self, servers: tuple[str, ...]) -> Books:
        """A client of other nodes."""
        settings = replace(
            self.options.settings, server=servers, ca_file=self._authority, endpoints={}, fingerprint=None
        )
        config = parse_config(
            {}, None, depth=self.options.depth, on_stale="raise", speed_ms=None, settings=settings
        )
        access = replace(self._access, is_one_of_several=len(servers) > 1)
        client: Client[LiveBook] = Client(
            replace(config, access=access),
            make_book=LiveBook,
            make_network=partial(real_network, access=access),
        )
        return await Books(client.config, client=client)

    def _make_engine(self, denied: tuple[str, ...]) -> ClusterNetwork:
        options, folder = self.options, self.options.folder
        if options.network is not None:
            return options.network()
        host, _, port = options.listen.rpartition(":")
        return ZenohNetwork(
            ZenohSettings(
                cluster=self.identity.cluster,
                listen=f"{host}:{_free_port(host) if port == '0' else port}",
                peers=self.identity.peers,
                authority=folder / "authority.pem",
                certificate=folder / "node.pem",
                key=folder / "node.key",
                denied=denied,
            )
        )

    def _settings(self, keys: Iterable[BookKey], given: Mapping[str, Value] | None) -> dict[str, Value]:
        settings = dict(given or {})
        for name, value in settings.items():
            if name not in ("depth", "speed_ms"):
                raise InvalidArgument(name=name, value=value, allowed="depth or speed_ms")
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                allowed = "a whole number, or null for the default"
                raise InvalidArgument(name=name, value=value, allowed=allowed)
        said = {name: value for name, value in settings.items() if value is not None}
        config = replace(self._config(), **{"depth": self.options.depth, **said})  # type: ignore[arg-type]
        for key in keys:
            config.book(*key)
        return settings

    def _on_stop(self, reason: str) -> None:
        self.removed = reason
        logs.node_removed(node=self.identity.node.id, reason=reason)
        self._on_removed(reason)

    def _on_kept(self, key: BookKey, is_kept: bool) -> None:
        self._native.keep_for_readers(key, is_kept=is_kept)

    def _on_holders(self, key: BookKey, nodes: tuple[Node, ...], is_synced: bool) -> None:
        self._native.set_holders(key, nodes, is_synced=is_synced)
        self._news.set()

    def _on_denied(self, nodes: frozenset[str]) -> None:
        self._native.set_denied(nodes)

    # --- status ----------------------------------------------------------------------------

    def _known_nodes(self) -> list[str]:
        core = self.runner.core
        seen = {each.id for each in core.members.not_dead()}
        return sorted(core.wanted.registered() | core.wanted.denied() | seen)

    def _node_status(self, peer: str) -> dict[str, Any]:
        core = self.runner.core
        state = core.state_of(peer)
        node = core.members.node(peer)
        report = core.wanted.certificates().get(peer)
        has_key = report is not None and report.issues
        facts: dict[str, Any] = {"id": peer, "state": state, "has_authority_key": has_key, "address": None}
        if node is not None:
            facts |= {
                "address": node.address,
                "zone": node.zone,
                "egress": node.egress,
                "capacity": node.capacity,
                "run": node.run,
                "version": node.version or None,
                "protocol": node.protocol,
            }
        if state is NodeState.INCOMPATIBLE:
            facts["reason"] = core.incompatible()[peer]
        return facts

    def _versions(self) -> list[str | None]:
        """Of the packages of all nodes that are seen, sorted; None for builds that do not say theirs."""
        found = {node.version or None for node in self.runner.core.members.not_dead()}
        return sorted(found, key=lambda each: each or "")

    # --- history ---------------------------------------------------------------------------

    def _on_move(self, key: BookKey, source: Source | None) -> None:
        core = self.runner.core
        if source is None:
            self._began.pop(key, None)
            is_wanted = key in core.wanted.books()
            owners = ", ".join(core.books.owners(key))
            why = f"handed over to {owners}" if is_wanted else "no longer wanted"
            self._note(key, "ended", why=why)
            self._log.on_ended(key, why)
            return
        name = source.node if isinstance(source, FromSibling) else "exchange"
        self._began[key] = (time.monotonic(), name)
        self._note(key, "began", source=name, why=core.books.why(key))
        self._log.on_began(key, source, core.books.why(key))

    def _on_synced(self, key: BookKey) -> None:
        self._news.set()
        began_s, source = self._began.pop(key, (time.monotonic(), ""))
        took_s = time.monotonic() - began_s
        self._metrics.on_taken_over(took_s, is_copy=source not in ("", "exchange"))
        self._note(key, "synced", source=source, took_s=took_s)

    def _note(self, key: BookKey, what: str, *, source: str = "", why: str = "", took_s: float = 0.0) -> None:
        self._metrics.on_move(what)
        self._moves.add(
            Move(
                self._clock.wall_ms(), self.identity.node.id, *key, what,
                source=source, why=why, took_s=round(took_s, 3),
            )
        )  # fmt: skip


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host.strip("[]"), 0))
        port: int = probe.getsockname()[1]
        return port
