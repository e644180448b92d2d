"""A running book server: books of a client, the native server, and the thread that takes its requests."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from depthcache import _native, blocking, logs, venues
from depthcache.client.aio import Books
from depthcache.errors import DepthCacheError, InvalidArgument, UsageError
from depthcache.pickling import OneProcess
from depthcache.server.client_metrics import ClientMetrics
from depthcache.server.compat_management import CompatCredential, CompatManagement
from depthcache.server.config import ServerConfig
from depthcache.server.delegated import DelegatedRoutes
from depthcache.server.documents import documents, gzipped
from depthcache.server.exchange import ExchangeInfo, exchange_options
from depthcache.server.kept_books import KeptBooks
from depthcache.server.management import Management
from depthcache.server.private_files import Renewals, load_tls, load_tokens
from depthcache.server.versions import Versions
from depthcache.venues import Endpoints

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BookServer", "serve"]

_LOOK_S = 1.0
"""How long the thread of requests waits natively before it looks whether it is to end."""
_COMPAT_LIST = "compat_get_depthcache_list"
_HEADER_BYTES, _BODY_BYTES = 16 * 1024, 64 * 1024
_SERVERS: weakref.WeakSet[BookServer] = weakref.WeakSet()


def serve(books: Books | blocking.Books, config: ServerConfig | None = None) -> BookServer:
    """A server of the books of a client, also of those that are added while it runs.

    `books`: a client of either API that runs. `config`: `ServerConfig()` when None. Nothing is opened before
    `async with`, or `with` for a blocking client. Raises InvalidArgument.
    """
    if not isinstance(books, Books | blocking.Books):
        allowed = "what depthcache.connect or depthcache.blocking.connect returned"
        raise InvalidArgument(name="books", value=books, allowed=allowed)
    if config is not None and not isinstance(config, ServerConfig):
        raise InvalidArgument(name="config", value=config, allowed="a ServerConfig(…) or None")
    return BookServer(books, config or ServerConfig())


class BookServer(OneProcess):
    """A book server; made by `serve`, runs inside `async with` (or `with`, for a blocking client).

    Attributes:
        config: how it behaves.
    """

    _pickle_instead = "pickle its config, and start a server in the other process"

    def __init__(self, books: Books | blocking.Books, config: ServerConfig) -> None:
        self.config: Final = config
        self._books: Any = books
        self._native: _native.BookServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._served: dict[tuple[str, str], Any] = {}
        self._cluster: Mapping[str, str] | None = None
        """How this server is a node of a cluster; set before it runs."""
        self._delegated: tuple[DelegatedRoutes, ...] = ()
        self._answering: set[asyncio.Task[None]] = set()

    # --- getters ------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port that it listens on. Raises UsageError before it runs."""
        return self._running().port

    @property
    def url(self) -> str:
        """Where it is reached: scheme, host and port, without a path. Raises UsageError before it runs."""
        config = self.config
        shown = next(iter(config.hosts), _in_url(config.address))
        return f"{'https' if config.is_tls else 'http'}://{shown}:{self.port}"

    @property
    def page_url(self) -> str:
        """Where a browser shows the books, with the read token behind the `#`, which no browser sends."""
        return f"{self.url}/#token={self.read_token}"

    @property
    def followers(self) -> int:
        """How many WebSockets and streams of events are open."""
        return self._running().followers

    def _play(self, *, has_ended: bool) -> None:
        """Tell readers that the books are of a recording, which has ended or plays."""
        self._running().set_recording(has_ended)

    def _delegate(self, *routes: DelegatedRoutes) -> None:
        """Let the node of a cluster answer some more routes: those that begin and end books, those that list
        them for old clients, and those about the cluster. Call it inside `async with`."""
        self._delegated += routes
        if any(each.answers(_COMPAT_LIST) for each in routes):
            self._running().delegate_lists()

    def _keep_credentials_in(
        self, credentials: MutableMapping[str, CompatCredential]
    ) -> Callable[[str, bytes], bytes]:
        """Keep what is kept of the keys of old clients here. Returns what answers their requests."""
        self._compat.credentials = credentials
        return self._compat.answer

    @property
    def compat_urls(self) -> tuple[str, ...]:
        """Where old clients reach it: those of release 2.9 and later, then older ones; as configured."""
        given = self.config.compat_listeners()
        ports = self._running().compat_ports
        return tuple(
            f"http://{_in_url(host)}:{port}" for (host, _, _), port in zip(given, ports, strict=True)
        )

    @property
    def read_token(self) -> str:
        """The secret of readers."""
        self._running()
        return self._tokens.read

    @property
    def read_token_file(self) -> Path | None:
        """The file it comes from; None where it was given."""
        self._running()
        return self._tokens.read_file

    @property
    def admin_token(self) -> str:
        """The secret of those who may begin and end books."""
        self._running()
        return self._tokens.admin

    @property
    def admin_token_file(self) -> Path | None:
        """The file it comes from; None where it was given."""
        self._running()
        return self._tokens.admin_file

    @property
    def exchange_key(self) -> str:
        """The secret of clients that speak the exchange's own protocol, in the path of their addresses."""
        self._running()
        return self._tokens.exchange

    @property
    def exchange_key_file(self) -> Path | None:
        """The file it comes from; None where it was given."""
        self._running()
        return self._tokens.exchange_file

    def endpoints(self, exchange: str) -> Endpoints:
        """Where clients of an exchange find this server, instead of the exchange's own hosts.

        With the key in the path where not only programs of this machine can connect. Raises UnknownExchange.
        """
        name = self._books._config.settings.venue(exchange).name  # noqa: SLF001
        key = "" if self.config.is_loopback else f"/k/{self.exchange_key}"
        rest = f"{self.url}{key}/{name}"
        return Endpoints(rest=rest, websocket=rest.replace("http", "ws", 1))

    @property
    def certificate_file(self) -> Path | None:
        """The certificate, for clients to trust; None without TLS."""
        self._running()
        return None if self._tls is None else self._tls.certificate_file

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the certificate; None without TLS."""
        self._running()
        return None if self._tls is None else self._tls.fingerprint

    def __len__(self) -> int:
        """How many books are served."""
        return len(self._running())

    def __repr__(self) -> str:
        if self._native is None:
            return "<depthcache.server.BookServer: not running>"
        return f"<depthcache.server.BookServer: {len(self)} books at {self.url}>"

    # --- running ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if not isinstance(self._books, Books):
            raise UsageError("serve the books of a blocking client inside `with`")
        self._loop = asyncio.get_running_loop()
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        if isinstance(self._books, Books):
            raise UsageError("serve the books of an asyncio client inside `async with`")
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def aclose(self) -> None:
        """Take no connection any more, answer what was asked, and end. May be called more than once."""
        await asyncio.to_thread(self.close)
        for task in tuple(self._answering):
            task.cancel()

    def close(self) -> None:
        """The same for a blocking client; it blocks for at most `drain_s`, and a second."""
        native = self._native
        if native is None or native.is_foreign:
            return
        self._unwatch()
        native.drain(self.config.drain_s)
        self._thread.join()
        self._exchange_info.close()
        self._kept.close()

    def _start(self) -> None:
        if self._native is not None:
            raise UsageError("a server runs once: make another with serve(…)")
        len(self._books)  # raises before anything is opened where the client does not run
        self._tokens, self._renewals = load_tokens(self.config), Renewals(self.config)
        self._tls = load_tls(self.config)
        config, tls = self.config, self._tls
        node = {} if self._cluster is None else {"cluster": self._cluster}
        client = self._books._config  # noqa: SLF001
        self._kept = kept = KeptBooks(config.folder / "books.json" if config.keep_books else None)
        self._compat = CompatManagement(self._books, kept)
        self._management = Management(self._books, kept, depth=client.depth)
        self._exchange_info = ExchangeInfo(
            client.settings, whole=config.exchange_symbols == "any", timeout_s=config.manage_timeout_s
        )
        found = documents(is_node=self._cluster is not None)
        try:
            native = _native.BookServer(
                config.address,
                config.port,
                workers=config.workers,
                tokens=[("read", self._tokens.read), ("manage", self._tokens.admin)],
                hosts=list(config.hosts),
                documents=found,
                gzipped=gzipped(found),
                tls=None if tls is None or node else (tls.certificate, tls.key),
                limits={
                    "connections": config.connections,
                    "connections_per_address": config.connections_per_address,
                    "requests_per_second": config.requests_per_second,
                    "messages_per_second": config.messages_per_second,
                    "subscriptions": config.subscriptions,
                    "view_bytes": config.view_bytes,
                    "heartbeat_s": config.heartbeat_s,
                    "header_bytes": _HEADER_BYTES,
                    "body_bytes": _BODY_BYTES,
                    "idle_s": config.idle_s,
                    "delegation_s": config.manage_timeout_s,
                },
                compat=[
                    (host, port, name, list(config.compat_allow), config.compat_manage)
                    for host, port, name in config.compat_listeners()
                ],
                access_log=None if config.access_log is None else os.fspath(config.access_log),
                exchange=exchange_options(config, client.settings, client.speed_ms, self._tokens.exchange),
                **node,
            )
        except OSError:
            kept.close()
            raise
        except ValueError as error:
            kept.close()
            raise InvalidArgument(
                name="certificate", value=str(config.certificate or ""), allowed=str(error)
            ) from None
        self._native, self._metrics = native, ClientMetrics(self._books, native)
        self._versions = Versions(native)
        _SERVERS.add(self)
        self._unwatch: Callable[[], None] = self._books._watch(self._on_books)  # noqa: SLF001
        self._begin_kept(kept)
        self._on_books()
        self._thread = threading.Thread(
            target=_take_requests, args=(weakref.ref(self), native), name="depthcache-requests", daemon=True
        )
        self._thread.start()

    def _begin_kept(self, kept: KeptBooks) -> None:
        for exchange, symbol in kept.all():
            try:
                self._books.add(symbol, exchange)
            except DepthCacheError as error:  # such as an exchange that this release does not know
                logs.unexpected(where=f"the kept book {symbol} on {exchange}", error=error)

    def _running(self) -> _native.BookServer:
        if self._native is None:
            raise UsageError("the server is not running yet: enter it with `async with` or `with`")
        return self._native

    def _on_books(self) -> None:
        """The client has other books than before."""
        native = self._running()
        wanted = {(book.exchange, book.symbol): book for book in self._books}
        known = [venues.venue(name) for name in venues.names()]  # one may have been registered since
        native.set_aliases({name: each.name for each in known for name in (each.name, *each.aliases)})
        for key in self._served.keys() - wanted.keys():
            native.remove(*key)
        for key, book in wanted.items():
            if self._served.get(key) is not book:
                native.add(*key, book)
        self._served = wanted

    def _renew_certificate(self) -> None:
        """Load the certificate again if its files were replaced; keep the current one if that fails."""
        path = str(self.config.certificate)
        try:
            tls = self._renewals.take()
            if tls is None:
                return
            self._running().replace_certificate(tls.certificate, tls.key)
        except (OSError, InvalidArgument, ValueError) as error:
            logs.certificate_refused(path=path, error=error)
            return
        self._tls = tls
        logs.certificate_renewed(path=path, fingerprint=tls.fingerprint)

    def _answer(self, number: int, route: str, exchange: str, symbol: str, body: bytes) -> None:
        native = self._running()
        if not native.is_waiting(number):  # nobody would learn what was done
            return
        delegated = next((each for each in self._delegated if each.answers(route)), None)
        if delegated is not None:
            answer = delegated.answer(route, exchange, symbol, body)
            task = asyncio.get_running_loop().create_task(self._answer_later(number, answer))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif self._compat.answers(route):
            native.respond(number, HTTPStatus.OK, self._compat.answer(route, body))
        else:
            native.respond(number, *self._management.answer(route, exchange, symbol, body))

    async def _answer_later(self, number: int, answer: Awaitable[tuple[int, bytes]]) -> None:
        self._running().respond(number, *await answer)

    def _on_request(self, request: tuple[int, str, str, str, bytes]) -> None:
        """On the thread of requests."""
        number, route, exchange, _, body = request
        if route == "exchange_info":  # waits for the exchange
            asking = (number, exchange, body)
            threading.Thread(target=self._answer_exchange_info, args=asking, daemon=True).start()
            return
        if self._loop is None:
            self._answer(*request)
            return
        with suppress(RuntimeError):  # the loop has ended: the sender gets status 503
            self._loop.call_soon_threadsafe(self._answer, *request)

    def _answer_exchange_info(self, number: int, exchange: str, held: bytes) -> None:
        """`held`: the symbols that are served here or by other nodes, as JSON; empty if all are wanted."""
        try:
            status, body = self._exchange_info.answer(exchange, set(json.loads(held or b"[]")))
        except Exception as error:  # noqa: BLE001 - the sender gets a status, the log the error
            logs.unexpected(where="exchangeInfo of the book server", error=error)
            status, body = 500, b""
        self._running().respond(number, status, body)


def _in_url(address: str) -> str:
    wildcards = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    shown = wildcards.get(address, address)
    return f"[{shown}]" if ":" in shown else shown


def _take_requests(server: weakref.ref[BookServer], native: _native.BookServer) -> None:
    while not native.is_over:
        if (holder := server()) is not None:
            holder._metrics.renew()  # noqa: SLF001
            holder._renew_certificate()  # noqa: SLF001
            holder._versions.renew()  # noqa: SLF001
        del holder
        request = native.take_request(_LOOK_S)
        holder = server()
        if holder is None:
            return
        if request is not None:
            holder._on_request(request)  # noqa: SLF001
        del holder


def _close_listeners() -> None:
    """In a forked child: its copy of a listening socket would keep the port taken, and answer nobody."""
    for server in list(_SERVERS):
        native = server._native  # noqa: SLF001
        for descriptor in [] if native is None else native.listeners:
            with suppress(OSError):
                os.close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_listeners)
