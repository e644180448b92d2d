"""A browser for the live page, and a server of books that are fed by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from depthcache import Book
from depthcache.server.documents import documents, gzipped
from tests.server.asking import READ, book, diff, serving
from tools.chromium import NoBrowser
from tools.chromium import chromium as running

DEADLINE_MS = 20_000


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium, or a skip that says what is missing."""
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(running())
        except NoBrowser as missing:
            pytest.skip(f"the live page was opened in no browser: {missing}")
        yield browser


class Served:
    """A server, its books, and a thread that does what requests ask of the program."""

    def __init__(self, native: Any, token: str) -> None:
        self.native, self.port, self.token = native, native.port, token
        self.url = f"http://127.0.0.1:{native.port}"
        self.books: dict[str, Book] = {}
        self.ids: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []
        self.listed: object = {"symbols": []}
        self.is_over = False
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    @property
    def link(self) -> str:
        return f"{self.url}/#token={self.token}"

    def add(self, symbol: str, exchange: str = "binance.com") -> None:
        self.books[symbol] = made = book(symbol, exchange)
        self.ids[symbol] = 100
        self.native.add(exchange, symbol, made)

    def move(self, symbol: str, price: str, quantity: str) -> None:
        """One update: a bid."""
        self.ids[symbol] += 1
        number = self.ids[symbol]
        self.books[symbol].apply(diff(symbol, number, number, [[price, quantity]]))

    def empty(self, symbol: str, side: str = "bids") -> None:
        """One update: a side has no levels any more."""
        self.ids[symbol] += 1
        number, book = self.ids[symbol], self.books[symbol]
        gone = [[str(price), "0"] for price, _ in getattr(book.freeze(), side)]
        bids, asks = (gone, []) if side == "bids" else ([], gone)
        book.apply(diff(symbol, number, number, bids, asks))

    def lose(self, symbol: str) -> None:
        """Updates are missing: the book is not synced."""
        self.books[symbol].apply(diff(symbol, self.ids[symbol] + 50, self.ids[symbol] + 60, []))

    def end(self) -> None:
        self.is_over = True
        self._thread.join()

    def _answer(self) -> None:
        while not self.is_over:
            if (request := self.native.take_request(0.05)) is None:
                continue
            number, route, exchange, symbol, _ = request
            self.asked.append((route, symbol))
            if route == "exchange_info":
                self.native.respond(number, 200, json.dumps(self.listed).encode())
            elif route == "begin_book":
                if symbol not in self.books:
                    self.add(symbol, exchange)
                self.native.respond(number, 201, b"{}")
            elif route == "read_cluster":
                self.native.respond(number, 404, b'{"error":{"code":"no_cluster","message":"no node"}}')
            else:
                self.native.remove(exchange, symbol)
                self.books.pop(symbol, None)
                self.native.respond(number, 204, b"")


@contextmanager
def served(
    *symbols: str,
    port: int = 0,
    token: str = READ,
    exchange: str | None = None,
    cluster: Mapping[str, str] | None = None,
    **limits: float,
) -> Iterator[Served]:
    """A server of these books with the live page."""
    found = documents(is_node=cluster is not None)
    with serving(
        documents=found,
        gzipped=gzipped(found),
        port=port,
        read_token=token,
        exchange=exchange,
        cluster=cluster,
        **limits,
    ) as native:
        made = Served(native, token)
        for symbol in symbols:
            made.add(symbol)
        try:
            yield made
        finally:
            made.end()


class Visit:
    """A page in a browser of its own, and everything that it did."""

    def __init__(self, browser: Any, **options: Any) -> None:
        options = {"viewport": {"width": 1280, "height": 800}, **options}
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(DEADLINE_MS)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.context.on("request", lambda request: self.asked.append(request.url))

    def open(self, link: str, *, waits: bool = True) -> Any:
        self.page.goto(link)
        if waits:
            self.page.wait_for_selector(".rows .line:not([hidden])")
        return self.page

    def go(self, address: str) -> None:
        """Another view, as a link leads there."""
        self.page.evaluate("address => { location.hash = address }", address)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def until(self, words: str, selector: str = "body") -> None:
        """Wait until a part of the page says this."""
        self.page.wait_for_function(
            "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)",
            arg=[selector, words],
        )

    def traces(self) -> Mapping[str, str]:
        """Everywhere that a secret could have been left, but the storage of the tab."""
        return {
            "address": self.page.url,
            "requests": "\n".join(self.asked),
            "console": "\n".join(self.said),
            "document": self.page.content(),
            "fields": self.page.evaluate("[...document.querySelectorAll('input')].map(e => e.value).join()"),
            "local": self.page.evaluate("JSON.stringify(localStorage)"),
            "cookies": str(self.context.cookies()),
        }

    def close(self) -> None:
        self.context.close()
