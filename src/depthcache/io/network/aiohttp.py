"""The aiohttp network: WebSockets and HTTP on the event loop that created it.

TLS is verified against the system's certificates (SSL_CERT_FILE and SSL_CERT_DIR are honoured). Proxies come
from the environment. Redirects are refused, and WebSocket compression is never offered. The network only
reports; the core decides when and where to connect.
"""

from __future__ import annotations

import asyncio
from functools import partial
from os import PathLike

from depthcache import logs
from depthcache._native import now_ns
from depthcache.io.network import http
from depthcache.io.network.interface import (
    Callbacks,
    Closed,
    Failure,
    FrameSink,
    Network,
    Response,
    ServerAccess,
)
from depthcache.io.network.loop_watchdog import LoopWatchdog, StallSink
from depthcache.io.network.sessions import Sessions
from depthcache.io.network.websocket import WebSocket, WebSocketHandler

__all__ = ["AiohttpNetwork"]

QUIET_S, PONG_S = 5.0, 5.0
"""A socket that has received nothing for 5 s is pinged (the exchange allows at least 5 messages per second),
so a dead one is detected after 10 s."""
CONNECT_S = 15.0
"""Timeout for opening a WebSocket. It allows for SYNs after 0, 1, 3 and 7 s (Linux), and is shorter than that
of the core (`Policy.connect_timeout_s`), so that the core learns the cause."""
CLOSE_TIMEOUT_S = 3.0
"""Time for all connections to close before they are cut."""
_LATE_NS = 200_000_000
"""A wake-up that is this late shows that the loop was blocked."""
_CATCH_UP_S = 0.1

_Work = asyncio.Task[Closed] | asyncio.Task[Response | Failure]


class AiohttpNetwork(Network):
    """Create it on the running event loop that it is to use, and call `aclose` there."""

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
        access: ServerAccess | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect_s = connect_s
        self._use_proxies, self._quiet_s, self._pong_s = use_proxies, quiet_s, pong_s
        self._ca_file = ca_file
        self._access = access or ServerAccess()
        self._sessions = Sessions(ca_file, self._access)
        self._sockets: dict[int, tuple[WebSocket, asyncio.Task[Closed]]] = {}
        self._requests: dict[int, asyncio.Task[Response | Failure]] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._events_wait = False
        self._closed = False

    def attach(self, router: FrameSink, callbacks: Callbacks) -> None:
        """Called once, before anything else."""
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
        """`depthcache.now_ns`, the clock that also stamps frames."""
        return now_ns()

    # --- WebSockets ---------------------------------------------------------------------------

    def open(self, connection: int, url: str) -> None:
        """Open a connection. Reports `on_open`, or `on_closed` on failure."""
        socket = WebSocket(connection, url, self._ears)
        task = self._loop.create_task(socket.run(self._sessions, use_proxies=self._use_proxies))
        self._sockets[connection] = (socket, task)
        task.add_done_callback(partial(self._on_socket_done, connection))

    def send(self, connection: int, text: str) -> None:
        """Send a text frame. Dropped without an error if the connection is gone."""
        found = self._sockets.get(connection)
        if found is not None:
            found[0].send(text)

    def close(self, connection: int) -> None:
        """Close a connection. Reports `on_closed`, unless that has been reported."""
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
        """GET a URL. Reports exactly one `on_response`."""
        work = http.fetch(self._sessions, url, timeout_s=timeout_s, use_proxies=self._use_proxies)
        task = self._loop.create_task(work)
        self._requests[request] = task
        task.add_done_callback(partial(self._on_request_done, request))

    def _on_request_done(self, request: int, task: asyncio.Task[Response | Failure]) -> None:
        del self._requests[request]
        if task.cancelled():
            response: Response | Failure = Failure("cancelled: the client is closing")
        elif (error := task.exception()) is not None:
            logs.unexpected(where=f"request {request}", error=error)
            response = Failure(http.describe_error(error))
        else:
            response = task.result()
        if not self._closed:
            self._callbacks.on_response(request, response)

    # --- waking -------------------------------------------------------------------------------

    def wake_at(self, at_ns: int | None) -> None:
        """Replace the pending wake-up; None cancels it."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if at_ns is not None and not self._closed:
            # The loop's clock may stop while the machine sleeps: `_on_resumed` checks again.
            delay_s = max(0, at_ns - now_ns()) / 1e9
            self._wake = self._loop.call_later(delay_s, self._on_time, at_ns)

    def _on_time(self, at_ns: int) -> None:
        late_ns = now_ns() - at_ns
        if late_ns > _LATE_NS:
            self._catch_up(late_ns / 1e9)
        else:
            self._wake_now()

    def _catch_up(self, late_s: float) -> None:
        """The loop was blocked: read what waits in the sockets before watchdogs judge silence."""
        logs.loop_was_blocked(late_s=late_s, books_were_late=True)
        self._wake = self._loop.call_later(_CATCH_UP_S, self._wake_now)

    def _on_resumed(self) -> None:
        """The machine or the process paused: check every connection and everything that is due."""
        for socket, _ in self._sockets.values():
            socket.ask()
        if not self._closed:
            self.wake_at(None)
            self._wake = self._loop.call_later(_CATCH_UP_S, self._wake_now)

    def _wake_now(self) -> None:
        self._wake = None
        self._callbacks.on_wake()

    def _tell_events_soon(self) -> None:
        """Report the events of all frames of one batch at once."""
        if not self._events_wait:
            self._events_wait = True
            self._loop.call_soon(self._tell_events)

    def _tell_events(self) -> None:
        self._events_wait = False
        if not self._closed:
            self._callbacks.on_events()

    # --- the end ------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close every connection with a close frame, and cancel every request.

        Takes a few seconds at most, then connections are cut. Nothing is reported once it has started.
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
            await asyncio.sleep(0)  # transports close their sockets one step of the loop later

    def abandon_sessions(self) -> None:
        """Release the HTTP sockets at once."""
        self._sessions.abandon()

    def end_without_loop(self) -> None:
        """Do at once what the watchdog does when it notices that the loop has ended; from any thread."""
        if self._loop_watchdog is not None:
            self._loop_watchdog.end_thread()
        self._on_loop_ended()

    def _on_loop_ended(self) -> None:
        """Called on another thread, because no loop is left that could send a close frame."""
        if self._closed:
            return
        self._closed = True
        self._callbacks.on_loop_ended()
        for socket, _ in self._sockets.values():
            socket.cut()
        self._sessions.abandon()

    async def _end_all(self, *, timeout_s: float | None, cut: bool) -> None:
        """Cancel all tasks and wait for them; with `cut`, also those that are already closing."""
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
        return 0  # removed a moment ago
