"""The real network: WebSocket and HTTP through aiohttp, on the event loop that made it.

TLS is verified against the system's certificates (SSL_CERT_FILE and SSL_CERT_DIR are honoured),
proxies come from the environment, redirects are refused, compression of WebSockets is never
offered. It reports and decides nothing; when and where to connect is the core's.
"""

from __future__ import annotations

import asyncio
from functools import partial
from os import PathLike

from depthcache import logs
from depthcache._native import now_ns
from depthcache.io.network import http
from depthcache.io.network.interface import Callbacks, Closed, Failure, FrameSink, Network, Response
from depthcache.io.network.loop_watchdog import LoopWatchdog, StallSink
from depthcache.io.network.sessions import Sessions
from depthcache.io.network.websocket import WebSocket, WebSocketHandler

__all__ = ["AiohttpNetwork"]

QUIET_S, PONG_S = 5.0, 5.0
"""A socket on which nothing came for 5 s is pinged (1 message in 5 s, where at least 5 a second are
allowed); one that is dead is known as such 10 s after it died."""
CONNECT_S = 15.0
"""How long making a WebSocket may take: SYNs are sent after 0, 1, 3 and 7 s (Linux), and the reason is known
before the core gives the connection up (`Policy.connect_timeout_s`)."""
CLOSE_TIMEOUT_S = 3.0
"""How long closing may take in all before connections are cut."""
_LATE_NS = 200_000_000
"""A wake-up that comes this late tells that the loop was blocked."""
_CATCH_UP_S = 0.1

_Work = asyncio.Task[Closed] | asyncio.Task[Response | Failure]


class AiohttpNetwork(Network):
    """Make it on the thread of the running event loop that carries it; `aclose` it there."""

    _loop_carries_frames = True
    _loop_watchdog: LoopWatchdog | None = None

    def __init__(
        self,
        *,
        use_proxies: bool = True,
        ca_file: str | PathLike[str] | None = None,
        quiet_s: float = QUIET_S,
        pong_s: float = PONG_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect_s = connect_s
        self._use_proxies, self._quiet_s, self._pong_s = use_proxies, quiet_s, pong_s
        self._ca_file = ca_file
        self._sessions = Sessions(ca_file)
        self._sockets: dict[int, tuple[WebSocket, asyncio.Task[Closed]]] = {}
        self._requests: dict[int, asyncio.Task[Response | Failure]] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._events_wait = False
        self._closed = False

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once before anything else."""
        self._callbacks = callbacks
        carried = router if self._loop_carries_frames and isinstance(router, StallSink) else None
        self._loop_watchdog = LoopWatchdog(
            carried,
            on_events=self._tell_events,
            on_resumed=self._on_resumed,
            on_loop_ended=self._on_loop_ended,
        )
        self._loop_watchdog.start()
        self._ears = WebSocketHandler(
            feed=router.feed,
            heard_ns=partial(_heard_ns, router),
            on_events=self._tell_events_soon,
            on_open=callbacks.on_open,
            on_alive=callbacks.on_alive,
            quiet_s=self._quiet_s,
            pong_s=self._pong_s,
            connect_s=self._connect_s,
        )

    def now_ns(self) -> int:
        """`depthcache.now_ns`, which also stamps frames."""
        return now_ns()

    # --- WebSockets ---------------------------------------------------------------------------

    def open(self, connection: int, url: str) -> None:
        """Connect; ends in `on_open`, or in `on_closed` when it fails."""
        socket = WebSocket(connection, url, self._ears)
        task = self._loop.create_task(socket.run(self._sessions, use_proxies=self._use_proxies))
        self._sockets[connection] = (socket, task)
        task.add_done_callback(partial(self._on_socket_done, connection))

    def send(self, connection: int, text: str) -> None:
        """Send one text frame; silently dropped when the connection is gone."""
        found = self._sockets.get(connection)
        if found is not None:
            found[0].send(text)

    def close(self, connection: int) -> None:
        """Close; ends in `on_closed`, unless that was already reported."""
        found = self._sockets.get(connection)
        if found is not None and not found[1].cancelling():
            found[1].cancel()

    def _on_socket_done(self, connection: int, task: asyncio.Task[Closed]) -> None:
        del self._sockets[connection]
        if task.cancelled():
            closed = Closed(None, "closed by this client")
        elif (error := task.exception()) is not None:
            logs.unexpected(where=f"connection {connection}", error=error)
            closed = Closed(None, http.describe_error(error))
        else:
            closed = task.result()
        if not self._closed:
            self._callbacks.on_closed(connection, closed)

    # --- HTTP ---------------------------------------------------------------------------------

    def fetch(self, request: int, url: str, *, timeout_s: float) -> None:
        """GET; ends in exactly one `on_response`."""
        work = http.fetch(self._sessions, url, timeout_s=timeout_s, use_proxies=self._use_proxies)
        task = self._loop.create_task(work)
        self._requests[request] = task
        task.add_done_callback(partial(self._on_request_done, request))

    def _on_request_done(self, request: int, task: asyncio.Task[Response | Failure]) -> None:
        del self._requests[request]
        if task.cancelled():
            response: Response | Failure = Failure("given up: the client is closing")
        elif (error := task.exception()) is not None:
            logs.unexpected(where=f"request {request}", error=error)
            response = Failure(http.describe_error(error))
        else:
            response = task.result()
        if not self._closed:
            self._callbacks.on_response(request, response)

    # --- waking -------------------------------------------------------------------------------

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the one pending wake-up; None takes it away."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if at_ns is not None and not self._closed:
            # The loop's clock may stand still while the machine sleeps: `_on_resumed` looks again.
            delay_s = max(0, at_ns - now_ns()) / 1e9
            self._wake = self._loop.call_later(delay_s, self._on_time, at_ns)

    def _on_time(self, at_ns: int) -> None:
        late_ns = now_ns() - at_ns
        if late_ns > _LATE_NS:
            self._catch_up(late_ns / 1e9)
        else:
            self._wake_now()

    def _catch_up(self, late_s: float) -> None:
        """The loop was blocked. What waits in the sockets is heard before watchdogs judge silence."""
        logs.loop_was_blocked(late_s=late_s, books_were_late=True)
        self._wake = self._loop.call_later(_CATCH_UP_S, self._wake_now)

    def _on_resumed(self) -> None:
        """The machine or the process paused: is everybody still there, and what has become due?"""
        for socket, _ in self._sockets.values():
            socket.ask()
        if not self._closed:
            self.wake_at(None)
            self._wake = self._loop.call_later(_CATCH_UP_S, self._wake_now)

    def _wake_now(self) -> None:
        self._wake = None
        self._callbacks.on_wake()

    def _tell_events_soon(self) -> None:
        """Many frames of one batch are told of once."""
        if not self._events_wait:
            self._events_wait = True
            self._loop.call_soon(self._tell_events)

    def _tell_events(self) -> None:
        self._events_wait = False
        if not self._closed:
            self._callbacks.on_events()

    # --- the end ------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Send a close frame on every connection, give up every request, leave nothing behind.

        Bounded: after a few seconds connections are cut. Nothing is reported after it began.
        """
        self._closed = True
        self.wake_at(None)
        if self._loop_watchdog is not None:
            self._loop_watchdog.stop()
            self._loop_watchdog = None
        try:
            await self._end_all(timeout_s=CLOSE_TIMEOUT_S, cut=False)
        finally:
            await self._end_all(timeout_s=None, cut=True)
            await self._sessions.aclose()
            await asyncio.sleep(0)  # transports close their sockets one step later

    def abandon_sessions(self) -> None:
        """Let go of the sockets of HTTP at once."""
        self._sessions.abandon()

    def end_without_loop(self) -> None:
        """What the watchdog does as soon as it notices; from any thread."""
        if self._loop_watchdog is not None:
            self._loop_watchdog.end_thread()
        self._on_loop_ended()

    def _on_loop_ended(self) -> None:
        """On another thread, when no loop is left that could send a close frame."""
        if self._closed:
            return
        self._closed = True
        self._callbacks.on_loop_ended()
        for socket, _ in self._sockets.values():
            socket.cut()
        self._sessions.abandon()

    async def _end_all(self, *, timeout_s: float | None, cut: bool) -> None:
        """Cancel all work and wait for it. `cut`: also what is already closing."""
        work: list[_Work] = [*self._requests.values(), *(task for _, task in self._sockets.values())]
        for task in work:
            if cut or not task.cancelling():
                task.cancel()
        if work:
            await asyncio.wait(work, timeout=timeout_s)


def _heard_ns(router: FrameSink, connection: int) -> int:
    try:
        return router.traffic(connection).last_data_ns or 0
    except KeyError:
        return 0  # given up a moment ago
