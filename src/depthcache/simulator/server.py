"""The embedded exchange as a server on loopback, on a background thread, for tests in any style.

    with depthcache.simulator.serve(seed=1) as server:
        depthcache.connect("binance.com", ["BTCUSDT"], settings=server.settings)

`http_server` implements the sockets; `exchange` and `recorded` are what it serves.
"""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from types import TracebackType
from typing import Protocol, Self, TypeVar, runtime_checkable

from depthcache import venues
from depthcache.arguments import parse_whole
from depthcache.errors import InvalidArgument, UsageError
from depthcache.io.thread import LoopEnded, LoopThread
from depthcache.pickling import OneProcess
from depthcache.settings import Settings
from depthcache.simulator.certificate import OwnCertificate
from depthcache.simulator.controls import ExchangeControls
from depthcache.simulator.exchange import SimulatedExchange, Symbols
from depthcache.simulator.faults import Faults
from depthcache.simulator.http_server import BUFFER_BYTES, HOST, Deflate, HttpServer
from depthcache.simulator.interface import Exchange
from depthcache.simulator.recorded import RecordedExchange
from depthcache.simulator.truth import Sides, Truth
from depthcache.venues import Endpoints

__all__ = ["Server", "serve"]

T = TypeVar("T")

_AUTHORITY_VARIABLES = (
    "DEPTHCACHE_CA_FILE",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)


@runtime_checkable
class _KnowsTruth(Protocol):
    def truth(self, venue: str, symbol: str) -> Truth: ...


class Server(OneProcess, ExchangeControls):
    """An embedded exchange on loopback. It runs from its creation until `close` or the end of `with`.

    To connect a client of this package, use `settings`; for another process, `environment`; for any other
    client, `url`, where every venue is mounted under `<url>/<exchange name>`. All methods are thread-safe.
    """

    _pickle_instead = "pickle its settings, and connect with them there"

    def __init__(
        self,
        exchange: Exchange,
        *,
        port: int = 0,
        paced: bool = False,
        buffer_bytes: int = BUFFER_BYTES,
        tls: ssl.SSLContext | bool | None = None,
        ca_file: str | PathLike[str] | None = None,
        deflate: Deflate = "never",
    ) -> None:
        """`exchange`: the exchange to serve. `port`: 0 takes any free port. `paced`: wait for the slowest
        reader, for recordings. `buffer_bytes`: bytes that a client may leave unread before it is closed with
        1008. `tls`: certificate and key for https and wss, or True to create a certificate. `ca_file`: the
        certificate authority that `settings` trust; with True, that of the created certificate. `deflate`:
        compression of frames (permessage-deflate): `never`, `if_asked`, or `unasked`, against RFC 7692.

        Raises InvalidArgument for a port that is in use, and PackageMissing for `tls=True` without trustme.
        """
        allowed = "0 to 65535, 0 for any free one"
        port = parse_whole(port, name="port", allowed=allowed, least=0, most=65_535)
        if tls is not None and not isinstance(tls, bool | ssl.SSLContext):
            allowed = "an SSLContext, True to create a certificate, or None"
            raise InvalidArgument(name="tls", value=tls, allowed=allowed)
        if tls is True and ca_file is not None:
            raise UsageError("tls=True creates its own authority; ca_file goes with an SSLContext")
        self.exchange = exchange
        self._certificate = OwnCertificate() if tls is True else None
        if self._certificate is not None:
            tls, ca_file = self._certificate.context, self._certificate.ca_file
        context = tls if isinstance(tls, ssl.SSLContext) else None
        self._ended, self._has_ended = threading.Event(), False
        self._http_server = HttpServer(
            exchange,
            port=port,
            paced=paced,
            buffer_bytes=buffer_bytes,
            tls=context,
            deflate=deflate,
            on_sent=self._on_sent,
            on_failed=self._ended.set,
        )
        self._thread = LoopThread(self._http_server, name="depthcache exchange")
        try:
            self._thread.start()
        except BaseException:
            self._remove_certificate()
            raise
        s = "" if context is None else "s"
        self.url: str = f"http{s}://{HOST}:{self._http_server.port}"
        places = {name: f"{HOST}:{self._http_server.port}/{name}" for name in exchange.venues()}
        endpoints = {
            name: Endpoints(rest=f"http{s}://{place}", websocket=f"ws{s}://{place}")
            for name, place in places.items()
        }
        self.settings: Settings = Settings(endpoints=endpoints, proxies=False, ca_file=ca_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables for `Settings.from_environment`: the REST and WebSocket URL of each venue.

        With TLS and a `ca_file`, also DEPTHCACHE_CA_FILE and the variables of other programs: SSL_CERT_FILE
        (OpenSSL, and so Python and aiohttp), CURL_CA_BUNDLE (curl), REQUESTS_CA_BUNDLE (requests) and
        NODE_EXTRA_CA_CERTS (Node).
        """
        variables: dict[str, str] = {}
        for name, ends in self.settings.endpoints.items():
            prefix = f"DEPTHCACHE_{name.upper().replace('.', '_').replace('-', '_')}"
            variables[f"{prefix}_REST"] = ends.rest
            variables[f"{prefix}_WEBSOCKET"] = ends.websocket
        if self.settings.ca_file is not None:
            variables |= dict.fromkeys(_AUTHORITY_VARIABLES, fspath(self.settings.ca_file))
        return variables

    def truth(self, exchange: str, symbol: str) -> Truth:
        """The true book of a `symbol` of a simulated `exchange`. Raises UnknownExchange, and UsageError for
        recordings, which have no known truth."""
        if not isinstance(self.exchange, _KnowsTruth):
            raise UsageError("a recording has no known truth: only a simulated exchange has one")
        known, name = self.exchange, venues.venue(exchange).name
        return _TruthOnThread(self, lambda: known.truth(name, symbol))

    def on_exchange(self, work: Callable[[], T]) -> T:
        """Call `work` on the thread of the exchange and return its result."""

        async def do() -> T:
            return work()

        try:
            return self._thread.call(do)
        except LoopEnded:
            raise UsageError("this server is closed") from None

    def _command(self, work: Callable[[SimulatedExchange], T]) -> T:
        made = self.exchange
        if not isinstance(made, SimulatedExchange):
            raise UsageError(
                "recordings are served unchanged: trouble on command needs a simulated exchange "
                "(listen(on=False) works for both)"
            )
        return self.on_exchange(lambda: self._http_server.command(lambda: work(made)))

    @property
    def has_ended(self) -> bool:
        """Whether a recording has ended: all of it has been sent. False for simulated markets."""
        return self._has_ended

    def wait_ended(self, timeout: float | None = None) -> bool:
        """Block until the recording has ended or failed, or the server is closed; return `has_ended`.

        `timeout`: seconds to wait at most; None waits without limit. The exchange stays up after the end,
        and silent. Raises UsageError for simulated markets, which have no end.
        """
        if not isinstance(self.exchange, RecordedExchange):
            raise UsageError("only a recording ends: a simulated exchange runs until it is closed")
        self._ended.wait(timeout)
        return self._has_ended

    def _on_sent(self) -> None:
        self._has_ended = True
        self._ended.set()

    def listen(self, *, on: bool) -> None:
        """Accept connections (`on`), or refuse them from now on. Open WebSockets stay open."""
        try:
            self._thread.call(lambda: self._http_server.listen(on=on))
        except LoopEnded:
            raise UsageError("this server is closed") from None

    def close(self) -> None:
        """Close every connection and end the thread. Safe to call more than once."""
        try:
            self._thread.stop()
        finally:
            self._ended.set()
            self._remove_certificate()

    def _remove_certificate(self) -> None:
        if self._certificate is not None:
            self._certificate.remove()


class _TruthOnThread:
    """A truth that is read on the thread of the exchange."""

    def __init__(self, server: Server, find: Callable[[], Truth]) -> None:
        self._server, self._find = server, find

    def book_at(self, update_id: int) -> Sides:
        """Bids and asks right after `update_id`: all levels, exact, best first."""
        return self._server.on_exchange(lambda: self._find().book_at(update_id))


def serve(
    seed: int | None = None,
    port: int = 0,
    *,
    symbols: Symbols | None = None,
    faults: Faults | None = None,
    files: Sequence[str | PathLike[str]] | str | PathLike[str] = (),
    speed: float = 1.0,
    exchange: str | None = None,
    tls: ssl.SSLContext | bool | None = None,
    ca_file: str | PathLike[str] | None = None,
) -> Server:
    """Start an embedded exchange on loopback, with simulated markets or with recordings.

    The clock of simulated markets is that of this machine; recordings keep the times that were recorded.

    Args:
        seed: seed of the simulated markets; the same seed gives the same markets. None chooses one.
        port: the port; 0 takes any free one.
        symbols: exchange names with their symbols; None serves the usual symbols of every venue.
        faults: faults by chance; None causes none.
        files: one or several recordings to serve instead of simulated markets.
        speed: speed of recordings: 1 as recorded, 10 ten times as fast, infinity without pauses.
        exchange: exchange name of recordings that do not name their exchange.
        tls: certificate and key for https and wss; True creates a certificate for loopback (needs the package
            trustme: `pip install "depthcache[tls]"`); None serves http and ws.
        ca_file: the certificate authority that the server's `settings` trust; None for those of the system.

    Raises InvalidArgument, UnknownExchange, UnreadableRecording, and PackageMissing for `tls=True` without
    trustme.
    """
    if files:
        if seed is not None or symbols is not None or faults is not None:
            raise UsageError(
                "recordings are served unchanged: seed, symbols and faults are for simulated markets"
            )
        recorded = RecordedExchange(files, speed=speed, exchange=exchange)
        return Server(recorded, port=port, paced=True, tls=tls, ca_file=ca_file)
    if exchange is not None:
        raise UsageError("exchange= names the exchange of recordings; for simulated ones, use symbols=")
    seed = _drawn() if seed is None else seed
    invented = SimulatedExchange(symbols, seed=seed, faults=faults, epoch_ms=_epoch_ms())
    return Server(invented, port=port, tls=tls, ca_file=ca_file)


def _epoch_ms() -> int:
    """The system's time at time 0 of the monotonic clock, which the sockets use."""
    return (time.time_ns() - time.monotonic_ns()) // 1_000_000


def _drawn() -> int:
    return secrets.randbelow(2**32)
