"""A hostile WebSocket peer: raw bytes on a separate thread.

The script of a peer gets each connection as a `Wire` and may do anything: refuse the handshake, send frames
that no exchange sends, flood, never read. It runs on a thread, so that it continues while the client's event
loop is busy, and ends with the connection.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TEXT, BINARY, CLOSE, PING, PONG, MORE = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_STATUS = Path("/proc/self/statm")


def frame(opcode: int, payload: bytes = b"", *, last: bool = True, reserved: int = 0) -> bytes:
    """A frame (RFC 6455, 5.2), valid or not."""
    first, size = (0x80 if last else 0) | reserved | opcode, len(payload)
    if size < 126:
        return struct.pack(">BB", first, size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", first, 126, size) + payload
    return struct.pack(">BBQ", first, 127, size) + payload


@dataclass
class Wire:
    """One connection of the peer. Every method raises OSError once it is gone."""

    raw: socket.socket
    over: threading.Event
    """Set when the test is over."""

    def head(self) -> bytes:
        """The client's request up to its empty line."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = self.raw.recv(4096)
            if not more:
                raise ConnectionError("gone before its request was complete")
            head += more
        return head

    def shake(self, together: bytes = b"") -> None:
        """Perform a valid handshake. `together`: bytes to send in the same packet."""
        lines = self.head().split(b"\r\n")
        key = next(line[19:] for line in lines if line.lower().startswith(b"sec-websocket-key: "))
        accept = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
        self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + together
        )

    def send(self, *parts: bytes) -> None:
        """Send everything, waiting for the client to read."""
        self.raw.sendall(b"".join(parts))

    def flood(self, chunk: bytes) -> None:
        """Send the same bytes repeatedly without reading, until the connection or the test ends."""
        while not self.over.is_set():
            self.raw.sendall(chunk)

    def drip(self, data: bytes, *, every_s: float) -> None:
        """Send byte by byte, with a pause after each."""
        for byte in data:
            self.raw.sendall(bytes([byte]))
            if self.over.wait(every_s):
                return

    def receive(self) -> tuple[int, bytes]:
        """The next frame of the client: opcode and payload, unmasked."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        mask = self._exactly(4)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._exactly(size)))

    def answer_pings(self) -> None:
        """Answer like a healthy peer until the connection ends."""
        while not self.over.is_set():
            opcode, payload = self.receive()
            if opcode == PING:
                self.send(frame(PONG, payload))

    def read_on(self) -> None:
        """Read without answering."""
        while self.raw.recv(65_536):
            pass

    def until_close_frame(self) -> None:
        """Read until the client sends a close frame."""
        while self.receive()[0] != CLOSE:
            pass

    def wait(self) -> None:
        """Do and read nothing."""
        self.over.wait()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.raw.recv(size - len(data))
            if not more:
                raise ConnectionError("the client is gone")
            data += more
        return data


Script = Callable[[Wire], None]


@contextmanager
def peer(script: Script, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """A server that runs `script` for each connection; yields `host:port`."""
    over = threading.Event()
    held: list[socket.socket] = []
    threads: list[threading.Thread] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    # A small receive buffer, so that the client's output soon has to wait.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def serve(raw: socket.socket) -> None:
        with raw, suppress(OSError, StopIteration):
            script(Wire(raw, over))

    def accept() -> None:
        with suppress(OSError):
            while True:
                raw, _ = listener.accept()
                held.append(raw)
                threads.append(threading.Thread(target=serve, args=(raw,), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    port = listener.getsockname()[1]
    try:
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for raw in held:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)


@contextmanager
def black_hole(host: str) -> Iterator[int]:
    """A port that never responds: its queue of connections is full, so SYNs are dropped (Linux)."""
    with socket.create_server((host, 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect((host, port))
                fillers.append(filler)
            yield port
        finally:
            for filler in fillers:
                filler.close()


class Growth:
    """Growth of this process's peak memory since the start; 0 if the system does not report it."""

    def __init__(self) -> None:
        self._began = self._most = resident_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def bytes(self) -> int:
        """The growth until now; the measurement ends."""
        self._over.set()
        self._thread.join()
        return self._most - self._began

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self._most = max(self._most, resident_bytes())


def resident_bytes() -> int:
    """The memory in use by this process; 0 if the system does not report it."""
    if not _STATUS.exists():
        return 0
    return int(_STATUS.read_text().split()[1]) * 4096
