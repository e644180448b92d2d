"""A server from its start to its end: with live books, a busy program, restarts, forks and TLS."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import pickle
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.client import HTTPSConnection
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import depthcache
from depthcache import Settings, blocking, server, simulator, wire
from depthcache.errors import InvalidArgument, UsageError
from depthcache.server import ServerConfig
from tests.server.asking import ADMIN, DEADLINE_S, PATH, READ, ask, book, serving


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with simulator.serve(seed=3) as exchange:
        yield exchange.settings


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    return ServerConfig(port=0, workers=1, data_dir=tmp_path)


def put(running: server.BookServer, path: str, **arguments: Any) -> Any:
    return ask(running.port, path, method="PUT", token=running.admin_token, **arguments)


def delete(running: server.BookServer, path: str) -> Any:
    return ask(running.port, path, method="DELETE", token=running.admin_token)


async def test_live_books_are_read_while_they_change(settings: Settings, config: ServerConfig) -> None:
    async with (
        depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books,
        server.serve(books, config) as running,
    ):
        await books.wait_synced()
        ids = []
        for _ in range(20):
            answer = await asyncio.to_thread(ask, running.port, PATH, token=running.read_token)
            frozen = wire.decode(answer.body)
            assert isinstance(frozen, depthcache.FrozenBook)
            assert frozen.last_update_id is not None
            assert frozen.bids[0].price < frozen.asks[0].price
            ids.append(frozen.last_update_id)
            held = books["BTCUSDT"].freeze(20)
            if held.last_update_id == frozen.last_update_id:
                assert frozen.exact.bids[:] == held.exact.bids[:]
                assert frozen.exact.asks[:] == held.exact.asks[:]
        assert ids == sorted(ids)


async def test_books_begin_and_end_on_request(settings: Settings, config: ServerConfig) -> None:
    async with (
        depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books,
        server.serve(books, config) as running,
    ):

        async def at(act: Any, *arguments: Any, **others: Any) -> Any:
            return await asyncio.to_thread(act, running, *arguments, **others)

        path = "/v1/books/binance.com/ethusdt"
        begun = await at(put, path)
        assert (begun.status, begun.json["symbol"]) == (201, "ETHUSDT")
        assert "ETHUSDT" in books
        assert (await at(put, path)).status == 200
        json_type = {"Content-Type": "application/json"}
        assert (await at(put, path, body=b'{"depth":100}', headers=json_type)).status == 200
        otherwise = await at(put, path, body=b'{"depth":7}', headers=json_type)
        assert (otherwise.status, otherwise.error["code"]) == (409, "exists_otherwise")
        for body, name in (
            (b"[]", "body"),
            (b"{", "body"),
            (b'{"depht":1}', "depht"),
            (b'{"depth":0}', "depth"),
        ):
            refused = await at(put, path, body=body, headers=json_type)
            assert (refused.status, refused.error["name"]) == (400, name)
        await books.wait_synced(books=["ETHUSDT"])
        reading = (running.port, path)
        assert (await asyncio.to_thread(ask, *reading, token=running.read_token)).status == 200
        assert (await at(delete, path)).status == 204
        assert "ETHUSDT" not in books
        assert (await at(delete, path)).status == 204
        assert (await asyncio.to_thread(ask, *reading, token=running.read_token)).status == 404
        assert (await at(put, "/v1/books/binanc.com/BTCUSDT")).error["code"] == "unknown_exchange"
        assert (await at(put, "/v1/books/binance.com/B!")).error["name"] == "symbol"


async def test_an_exchange_is_read_by_each_of_its_names(settings: Settings, config: ServerConfig) -> None:
    """As in Python: `binance.tr` is `trbinance.com`, in any case."""
    async with (
        depthcache.connect("Binance.TR", ["BTCTRY"], settings=settings) as books,
        server.serve(books, config) as running,
    ):
        assert books["BTCTRY"].exchange == "trbinance.com"

        async def status(path: str) -> int:
            answer = await asyncio.to_thread(ask, running.port, path, token=running.read_token)
            return answer.status

        for name in ("trbinance.com", "binance.tr", "BINANCE.TR"):
            path = f"/v1/books/{name}/BTCTRY"
            assert await status(f"{path}?on_stale=serve") != 404
            assert await status(f"/v1/stream?symbols={name}/BTCTRI") == 404


async def test_books_of_the_program_itself_are_served_too(settings: Settings, config: ServerConfig) -> None:
    async with (
        depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books,
        server.serve(books, config) as running,
    ):
        assert len(running) == 1
        books.add_all(["ETHUSDT", "BNBUSDT"])
        assert len(running) == 3
        books.remove("BTCUSDT")
        assert len(running) == 2
        answer = await asyncio.to_thread(ask, running.port, PATH, token=running.read_token)
        assert answer.status == 404


async def test_a_book_that_the_exchange_does_not_know_is_gone(
    settings: Settings, config: ServerConfig
) -> None:
    async with (
        depthcache.connect("binance.com", ["NOSUCH"], settings=settings) as books,
        server.serve(books, config) as running,
    ):
        await books.wait_synced(missing="skip")
        path = "/v1/books/binance.com/NOSUCH"
        answer = await asyncio.to_thread(ask, running.port, path, token=running.read_token)
        assert (answer.status, answer.error["code"]) == (410, "book_closed")
        assert "-1121" in answer.error["reason"]


def test_a_blocking_client_is_served_as_well(settings: Settings, config: ServerConfig) -> None:
    with blocking.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
        with server.serve(books, config) as running:
            books.wait_synced()
            assert ask(running.port, PATH, token=running.read_token).status == 200
            assert put(running, "/v1/books/binance.com/ETHUSDT").status == 201
            assert delete(running, PATH).status == 204
            assert [held.symbol for held in books] == ["ETHUSDT"]
        assert repr(running).startswith("<depthcache.server.BookServer")
        with pytest.raises(ConnectionRefusedError):
            ask(running.port, PATH)


async def test_a_held_event_loop_delays_no_read_and_its_own_requests_get_503(
    settings: Settings, tmp_path: Path
) -> None:
    config = ServerConfig(port=0, data_dir=tmp_path, manage_timeout_s=0.1)
    async with (
        depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books,
        server.serve(books, config) as running,
    ):
        await books.wait_synced()
        # Here the loop is held: these requests block it until they are answered.
        assert ask(running.port, "/healthz", token=None).status == 200
        assert ask(running.port, "/readyz", token=None).status == 200
        assert ask(running.port, PATH, token=running.read_token).status == 200
        answer = put(running, "/v1/books/binance.com/ETHUSDT")
        assert (answer.status, answer.error["code"]) == (503, "program_silent")
        await asyncio.sleep(0)  # what came too late is not done any more
        assert len(running) == len(books) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_held_interpreter_delays_no_read() -> None:
    """Another process asks, while this one waits for its answers and keeps the interpreter lock."""
    with serving() as native:
        native.add("binance.com", "BTCUSDT", book())
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                statuses = [ask(native.port, path).status for path in (PATH, "/healthz", "/metrics")]
                os.write(write, bytes(status == 200 for status in statuses))
            finally:
                os.write(write, b"...")
                os._exit(0)
        buffer = ctypes.create_string_buffer(3)
        ctypes.PyDLL(None).read(read, buffer, 3)  # a PyDLL keeps the lock
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
        assert buffer.raw == b"\1\1\1"


async def test_a_restart_on_the_same_port_is_possible_at_once(settings: Settings, tmp_path: Path) -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
        async with server.serve(books, ServerConfig(port=0, data_dir=tmp_path)) as first:
            port, token = first.port, first.read_token
            kept = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
            await asyncio.to_thread(ask, port, "/healthz")
        assert await asyncio.to_thread(kept.recv, 1) == b"", "the end closes connections"
        kept.close()
        async with server.serve(books, ServerConfig(port=port, data_dir=tmp_path)) as second:
            assert (second.port, second.read_token) == (port, token), "readers go on"
            await books.wait_synced()
            assert (await asyncio.to_thread(ask, port, PATH, token=token)).status == 200
            with pytest.raises(OSError, match="in use"):
                async with server.serve(books, ServerConfig(port=port, data_dir=tmp_path)):
                    pass


def test_an_address_that_is_taken_is_named() -> None:
    with serving() as native:
        taken = ("127.0.0.1", native.port, "ubdcc-restapi", [], False)
        with pytest.raises(OSError, match="in use") as caught, serving(compat=[taken]):
            pass
        assert caught.value.filename == f"127.0.0.1:{native.port}"


def test_the_end_answers_what_was_asked() -> None:
    with serving(delegation_s=DEADLINE_S) as native:
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(ask(native.port, PATH, method="PUT", token=ADMIN))
        )
        asking.start()
        number = native.take_request(DEADLINE_S)[0]
        ending = threading.Thread(target=native.drain, args=(DEADLINE_S,))
        ending.start()
        while True:  # until no new connection is taken
            try:
                socket.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S).close()
            except OSError:
                break
        assert native.respond(number, 201, b"{}")
        asking.join()
        ending.join()
        assert [answer.status for answer in answers] == [201]
        assert native.is_over


def test_the_end_does_not_wait_longer_than_asked() -> None:
    head = f"PUT {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
    with (
        serving(delegation_s=DEADLINE_S) as native,
        socket.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S) as connection,
    ):
        connection.sendall(head.encode())
        assert native.take_request(DEADLINE_S) is not None
        assert not native.drain(0.01)
        response = connection.recv(1 << 16)
        assert response.startswith(b"HTTP/1.1 503")
        assert b'"code":"draining"' in response


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_leaves_the_port_to_its_parent(settings: Settings, config: ServerConfig) -> None:
    with blocking.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
        read, write = os.pipe()
        with server.serve(books, config) as running:
            port = running.port
            child = os.fork()
            if child == 0:
                running.close()  # without effect: the threads are the parent's
                os.read(read, 1)
                os._exit(0)
            try:
                assert ask(port, "/healthz").status == 200
                running.close()
                with socket.socket() as other:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    other.bind(("127.0.0.1", port))
                    other.listen()
            finally:
                os.write(write, b"x")  # else the child would wait for ever
                status = os.waitpid(child, 0)[1]
        assert status == 0
        os.close(read)
        os.close(write)


async def test_its_own_certificate_is_kept_and_trusted(settings: Settings, tmp_path: Path) -> None:
    config = ServerConfig(port=0, data_dir=tmp_path, tls=True, hosts=("books.example",))
    fingerprints = []
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
        for _ in range(2):
            async with server.serve(books, config) as running:
                assert running.url.startswith("https://books.example:")
                fingerprints.append(running.fingerprint)
                trusted = ssl.create_default_context(cafile=str(running.certificate_file))
                trusted.verify_flags |= ssl.VERIFY_X509_STRICT
                assert await asyncio.to_thread(over_tls, running.port, trusted) == 200
                with pytest.raises(ssl.SSLCertVerificationError):
                    await asyncio.to_thread(over_tls, running.port, ssl.create_default_context())
    assert fingerprints[0] == fingerprints[1]
    assert modes_of_keys(tmp_path) == [0o600]


def modes_of_keys(folder: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in folder.iterdir() if path.suffix == ".key"]


def over_tls(port: int, context: ssl.SSLContext) -> int:
    connection = HTTPSConnection("127.0.0.1", port, timeout=DEADLINE_S, context=context)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def test_books_are_read_over_http_2(tmp_path: Path) -> None:
    from depthcache import _native

    curl = shutil.which("curl")
    if curl is None or b"HTTP2" not in subprocess.run([curl, "--version"], capture_output=True).stdout:
        pytest.skip("no curl with HTTP/2 here")
    certificate, key = _native._make_certificate(["localhost", "127.0.0.1"])
    (tmp_path / "own.pem").write_text(certificate)
    with serving(tls=(certificate, key)) as native:
        native.add("binance.com", "BTCUSDT", book())
        url = f"https://127.0.0.1:{native.port}"
        command = [curl, "--silent", "--http2", "--cacert", str(tmp_path / "own.pem"), "--noproxy", "*"]
        command += [
            "--header",
            f"Authorization: Bearer {READ}",
            "--write-out",
            "\n%{http_version} %{http_code}\n",
        ]
        paths = [f"{url}{PATH}?levels=2", f"{url}/metrics", f"{url}{PATH}?levels=-1", f"{url}/readyz"]
        ran = subprocess.run([*command, *paths], capture_output=True, text=True, check=True)
        answers = ran.stdout.splitlines()
        assert json.loads(answers[0])["bids"][0] == ["999.99", "1.12500000"]
        assert [line for line in answers if line.startswith("2 ")] == ["2 200", "2 200", "2 400", "2 200"]
        long = [*command, "--header", f"X-Long: {'a' * 20_000}", paths[0]]
        ran = subprocess.run(long, capture_output=True, text=True, check=False)
        assert ran.stdout.splitlines()[-1] in ("2 431", "0 000", "2 000"), ran.stdout
        foreign = [*command, "--header", "Host: evil.example", paths[0]]
        ran = subprocess.run(foreign, capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == "2 403"


def test_tls_agrees_on_http_2_and_plain_senders_are_ended(tmp_path: Path) -> None:
    from depthcache import _native

    certificate, key = _native._make_certificate(["localhost", "127.0.0.1"])
    native = _native.BookServer(
        "127.0.0.1", 0, workers=1, tokens=[], hosts=[], documents={}, tls=(certificate, key)
    )
    (tmp_path / "own.pem").write_text(certificate)
    context = ssl.create_default_context(cafile=str(tmp_path / "own.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    address = ("127.0.0.1", native.port)
    plain = socket.create_connection(address, timeout=DEADLINE_S)
    with context.wrap_socket(plain, server_hostname="localhost") as agreed:
        assert agreed.selected_alpn_protocol() == "h2"
        assert agreed.version() == "TLSv1.3"
    with socket.create_connection(address, timeout=DEADLINE_S) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while part := plain.recv(1 << 16):
            answer += part
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b"\r\n\r\nthis is HTTPS: use https://\n")
    native.drain(0)


@pytest.fixture
def logged() -> Iterator[Callable[[str], Awaitable[str]]]:
    """Waits for a line of the log with these words."""
    lines: SimpleQueue[Any] = SimpleQueue()
    handler, logger = QueueHandler(lines), logging.getLogger("depthcache")

    async def line(words: str) -> str:
        while words not in (text := (await asyncio.to_thread(lines.get, timeout=DEADLINE_S)).getMessage()):
            pass
        return str(text)

    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield line
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_a_renewed_certificate_is_served_to_new_connections(
    settings: Settings,
    tmp_path: Path,
    logged: Callable[[str], Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from depthcache import _native
    from depthcache.server import app

    monkeypatch.setattr(app, "_LOOK_S", 0.01)
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def install(certificate: str, key: str) -> ssl.SSLContext:
        for path, content in zip(files, (certificate, key), strict=True):
            path.with_suffix(".new").write_text(content)
            path.with_suffix(".new").replace(path)
        return ssl.create_default_context(cadata=certificate)

    names = ["localhost", "127.0.0.1"]
    one, two = _native._make_certificate(names), _native._make_certificate(names)
    config = ServerConfig(port=0, data_dir=tmp_path, certificate=files[0], key=files[1])
    before = install(*one)
    async with (
        depthcache.connect("binance.com", [], settings=settings) as books,
        server.serve(books, config) as running,
    ):
        first = running.fingerprint
        install(two[0], one[1])  # they do not belong together
        await logged("cannot be used; the server keeps the previous one")
        assert await asyncio.to_thread(over_tls, running.port, before) == 200
        assert running.fingerprint == first
        after = install(*two)
        renewed = await logged("was replaced")
        assert await asyncio.to_thread(over_tls, running.port, after) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(over_tls, running.port, before)
        assert running.fingerprint not in (None, first)
        assert f"SHA-256 {running.fingerprint}" in renewed


@pytest.mark.parametrize("part", ["certificate", "key"])
async def test_a_certificate_that_cannot_be_used_is_refused(
    settings: Settings, tmp_path: Path, part: str
) -> None:
    from depthcache import _native

    one, two = _native._make_certificate(["localhost"]), _native._make_certificate(["localhost"])
    (tmp_path / "certificate.pem").write_text("nothing" if part == "certificate" else one[0])
    (tmp_path / "key.pem").write_text(two[1])
    config = ServerConfig(
        port=0,
        data_dir=tmp_path,
        certificate=tmp_path / "certificate.pem",
        key=tmp_path / "key.pem",
    )
    async with depthcache.connect("binance.com", [], settings=settings) as books:
        with pytest.raises(InvalidArgument) as caught:
            async with server.serve(books, config):
                pass
        assert "PRIVATE" not in str(caught.value)


async def test_misuse_is_said(settings: Settings, config: ServerConfig) -> None:
    books = depthcache.connect("binance.com", ["BTCUSDT"], settings=settings)
    made = server.serve(books, config)
    with pytest.raises(UsageError, match="is not running yet"):
        made.url  # noqa: B018
    assert repr(made) == "<depthcache.server.BookServer: not running>"
    with pytest.raises(UsageError, match="async with"), made:
        pass
    with pytest.raises(UsageError, match="is not running yet"):
        async with made:
            pass
    assert repr(made) == "<depthcache.server.BookServer: not running>", "nothing was opened"
    with pytest.raises(InvalidArgument, match="books"):
        server.serve("BTCUSDT")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="config"):
        server.serve(books, {"port": 0})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(made)
