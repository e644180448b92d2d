"""A hostile HTTP server in a separate process: the path of a request selects what it does.

`python -m tests.hostile.http_peer [backend]` prints its port and serves until stdin ends. For a request of
`/<case>~<who>/<what>/<times>/<rest>`, the case happens `<times>` times if `<rest>` ends with `<what>`; all
other requests are passed to the backend as `/<rest>`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cache

Chunks = AsyncIterator[bytes]

NASTY = (
    "\x1b[2J\x1b]0;owned\x07 \u202egnp\u2028\u2066 \x9b31m\x85 [red]x[/red] [link=http://evil]y[/link]"
    "\n2026 ERROR forged"
)
"""Text that clears the screen, sets the title, reverses the reading direction and forges a log line."""
MEGABYTE = 1024 * 1024


def response(body: bytes, head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    """A complete response."""
    size = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + size + head + b"\r\n" + body


@cache
def bomb(level: int, megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, level)
    return b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(megabytes)) + packer.flush()


def refused(text: str, code: object = -1000, status: bytes = b"400 Bad Request") -> bytes:
    raw = json.dumps({"code": code, "msg": text}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return response(raw, status=status)


def snapshot(**changed: object) -> bytes:
    fields: dict[str, object] = {"lastUpdateId": 1, "bids": [["1", "1"]], "asks": [["2", "1"]]}
    return response(json.dumps(fields | changed).encode())


ENDING: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no-http": lambda: b"SSH-2.0-OpenSSH_9.6\r\n",
    "no-http-long": lambda: b"\x1b[2J" + b"\xff\x00 garbage \x9b" * 6_000,
    "no-http-line": lambda: b"HTTP/1.1 200 " + b"\x1b]0;x\x07" * 12_000 + b"\r\n\r\n",
    "odd-status": lambda: b"HTTP/1.1 99999 X\r\n\r\n",
    "no-status": lambda: b"HTTP/1.1 \r\n\r\n",
    "status-000": lambda: b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n",
    "reason": lambda: response(b"", status=b"500 " + NASTY.replace("\n", " ").encode()),
    "reason-latin": lambda: response(b"", status=b"500 caf\xe9 \x9b31m"),
    "head-10mb": lambda: b"HTTP/1.1 200 OK\r\nX: " + b"a" * (10 * MEGABYTE) + b"\r\n\r\n",
    "head-many": lambda: b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 500_000 + b"\r\n",
    "head-nasty": lambda: response(b"{}", b"X-MBX-USED-WEIGHT-1M: \x1b[2J\xe9\r\nX-\xe9: 1\r\n"),
    "head-nul": lambda: response(b"{}", b"X: a\x00b\r\n"),
    "lengths": lambda: response(b"{}", b"Content-Length: 7\r\n"),
    "length-negative": lambda: b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "length-huge": lambda: b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n{}",
    "length-lie": lambda: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}",
    "weight-absurd": lambda: response(b"{", b"X-MBX-USED-WEIGHT-1M: 999999999\r\n"),
    "redirect": lambda: response(b"", b"Location: http://evil/\r\n", b"302 Found"),
    "redirect-latin": lambda: response(b"", b"Location: http://caf\xe9/\x9b31m\r\n", b"301 Moved"),
    "redirect-secret": lambda: response(b"", b"Location: http://us:Hunter2@evil/\r\n", b"307 Moved"),
    "redirect-long": lambda: response(b"", b"Location: /" + b"a" * 8_000 + b"\r\n", b"308 Moved"),
    "redirect-empty": lambda: response(b"", b"", b"303 See"),
    "chunks-broken": lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n{}\r\n0\r\n\r\n",
    "chunks-huge": lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"F" * 40 + b"\r\n",
    "chunks-negative": lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    "chunks-cut": lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFF\r\n{",
    "both-lengths": lambda: response(b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"),
    "gzip-lie": lambda: response(b'{"lastUpdateId":1}', b"Content-Encoding: gzip\r\n"),
    "gzip-cut": lambda: response(gzip.compress(b"{}" * 1_000)[:-12], b"Content-Encoding: gzip\r\n"),
    "gzip-bomb": lambda: response(bomb(31, 40), b"Content-Encoding: gzip\r\n"),
    "deflate-bomb": lambda: response(bomb(15, 40), b"Content-Encoding: deflate\r\n"),
    "gzip-twice": lambda: response(gzip.compress(bomb(31, 40)), b"Content-Encoding: gzip, gzip\r\n"),
    "encoding-unknown": lambda: response(b"{}", b"Content-Encoding: \x1b[2Jrot13\r\n"),
    "body-17mb": lambda: response(bytes(17 * MEGABYTE)),
    "not-utf8": lambda: response(b'{"lastUpdateId":1,"bids":[["\xff","1"]],"asks":[]}'),
    "nested": lambda: response(b"[" * 200_000),
    "nested-objects": lambda: response(b'{"lastUpdateId":' * 100_000),
    "nested-inside": lambda: response(b'{"lastUpdateId":1,"bids":' + b"[" * 100_000 + b"}"),
    "nan": lambda: response(b'{"lastUpdateId":NaN,"bids":[],"asks":[]}'),
    "infinity": lambda: response(b'{"lastUpdateId":1e400,"bids":[],"asks":[]}'),
    "digits": lambda: response(b'{"lastUpdateId":' + b"9" * 100_000 + b',"bids":[],"asks":[]}'),
    "price-digits": lambda: snapshot(bids=[["9" * 100_000, "1"]]),
    "price-negative": lambda: snapshot(bids=[["-1", "1"]]),
    "price-exponent": lambda: snapshot(bids=[["1e999999999", "1"]]),
    "id-negative": lambda: snapshot(lastUpdateId=-1),
    "id-text": lambda: snapshot(lastUpdateId="x"),
    "bids-null": lambda: snapshot(bids=None),
    "levels-odd": lambda: snapshot(bids=[[], None, 1, "x", [{}]]),
    "empty": lambda: response(b""),
    "null": lambda: response(b"null"),
    "text": lambda: response(b'"' + NASTY.encode() + b'"'),
    "html": lambda: response(b"<html>\x1b[2J" + NASTY.encode() + b"</html>", b"Content-Type: text/html\r\n"),
    "error-200": lambda: refused(NASTY, status=b"200 OK"),
    "error-nasty": lambda: refused(NASTY),
    "error-surrogate": lambda: response(b'{"code":-1000,"msg":"\\ud800 \\udfff"}', status=b"400 Bad"),
    "error-raw-surrogate": lambda: refused("\ud800"),
    "error-long": lambda: refused("x" * 60_000, status=b"500 X"),
    "error-16mb": lambda: response(b"x" * (15 * MEGABYTE), status=b"500 X"),
    "error-code": lambda: response(b'{"code":' + b"9" * 4_000 + b',"msg":{"a":[1]}}', status=b"400 X"),
    "error-nested": lambda: response(b'{"msg":' + b"[" * 30_000, status=b"400 Bad"),
    "error-503": lambda: refused(NASTY, status=b"503 X"),
}
"""Cases that end by themselves."""


async def _flood(head: bytes, piece: bytes) -> Chunks:
    yield head
    while True:
        yield piece


async def _slowly(head: bytes, piece: bytes) -> Chunks:
    yield head
    while True:
        await asyncio.sleep(0.01)
        yield piece


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, Callable[[], Chunks]] = {
    "silence": lambda: _slowly(b"", b""),
    "head-silence": lambda: _slowly(b"HTTP/1.1 200 OK\r\n", b""),
    "body-silence": lambda: _slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", b""),
    "head-drip": lambda: _slowly(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "head-flood": lambda: _flood(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 8_000),
    "line-flood": lambda: _flood(b"HTTP/1.1 200 ", b"x" * 65_536),
    "continues": lambda: _flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000),
    "body-drip": lambda: _slowly(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "body-flood": lambda: _flood(b"HTTP/1.1 200 OK\r\n\r\n", b"[" * 65_536),
    "chunk-flood": lambda: _flood(CHUNKED, b"1\r\n \r\n" * 8_000),
    "chunk-extensions": lambda: _flood(CHUNKED, b"1;" + b"a" * 65_536),
    "chunk-zero-drip": lambda: _slowly(CHUNKED, b"1\r\n \r\n"),
    "trailers": lambda: _flood(CHUNKED + b"0\r\n", b"X-Y: z\r\n" * 8_000),
    "no-http-flood": lambda: _flood(b"", b"\xff\x1b[2J" * 10_000),
}
"""Cases that never end."""


class Peer:
    """The server; `serve` never returns."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._asked: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            await self._response(head, writer)
            await writer.drain()
        writer.close()

    async def _response(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        path = head.split(b" ", 2)[1].decode()
        _, case, what, times, *rest = path.split("/", 4) + [""] * 4
        key = f"/{case}/{what}/{times}"
        target = f"/{rest[0]}"
        if target.partition("?")[0].endswith(what):
            self._asked[key] += 1
            if self._asked[key] <= int(times):
                await self._be_hostile(case, writer)
                return
        await self._pass_on(head, path, target, writer)

    async def _be_hostile(self, case: str, writer: asyncio.StreamWriter) -> None:
        case = case.partition("~")[0]
        if case in ENDING:
            writer.write(ENDING[case]())
            return
        async for piece in ENDLESS[case]():
            writer.write(piece)
            await writer.drain()
            if writer.is_closing():
                return

    async def _pass_on(self, head: bytes, path: str, target: str, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._backend.partition(":")
        reader, other = await asyncio.open_connection(host, int(port))
        asked = head.replace(path.encode(), target.encode(), 1)
        other.write(asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        other.close()


async def main(backend: str) -> None:
    """Serve until stdin ends."""
    for case in ENDING.values():
        case()  # prepare slow cases in advance
    server = await asyncio.start_server(Peer(backend).serve, "127.0.0.1", 0, limit=MEGABYTE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    sys.stdout.flush()
    os._exit(0)  # cuts connections that flood forever


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
