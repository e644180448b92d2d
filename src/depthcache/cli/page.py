"""The live page from the command line: a server of it for one run, and its address in a browser."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache import Settings
    from depthcache.server import BookServer, ServerConfig

__all__ = ["opened", "passing_config", "played"]

_LOOK_S = 0.25


def passing_config() -> ServerConfig:
    """Of a server for one run: any free port, secrets that no file keeps, no other protocol."""
    from depthcache.server import ServerConfig

    read, admin, key = (prefix + secrets.token_urlsafe(24) for prefix in ("dcr_", "dca_", "dcx_"))
    return ServerConfig(port=0, read_token=read, admin_token=admin, exchange_key=key, exchange_symbols="off")


@contextmanager
def opened(server: BookServer) -> Generator[None]:
    """Open the page in the browser of this desktop.

    The browser gets a file that leads to the page, not its address: every user of the machine sees the
    arguments of programs.
    """
    import webbrowser

    folder = server.config.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"open-{os.getpid()}.html"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_REDIRECT.format(url=escape(server.page_url)))
    try:
        if not (_has_desktop() and webbrowser.open(path.as_uri())):
            tell("depthcache: there is no browser here; open the address of the page in one")
        yield
    finally:
        path.unlink(missing_ok=True)


_REDIRECT = """\
<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>depthcache</title>
<meta http-equiv="refresh" content="0; url={url}">
"""


def _has_desktop() -> bool:
    """Whether a browser would have a window: without one, a text browser would take this terminal."""
    if os.name != "posix" or sys.platform == "darwin" or "BROWSER" in os.environ:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def played(
    settings: Settings, symbols: Mapping[str, Sequence[str]], has_ended: Callable[[], bool] | None = None
) -> Generator[BookServer]:
    """A server of the books of an embedded exchange; `has_ended`: of the recordings that it plays, if any.

    The books begin when the page is first opened, because the first subscription starts the recordings.
    """
    from depthcache import blocking, server

    over = threading.Event()
    with blocking.connect({}, settings=settings) as books, server.serve(books, passing_config()) as running:
        if has_ended is not None:
            running._play(has_ended=False)  # noqa: SLF001

        def begin() -> None:
            while running.followers == 0:
                if over.wait(_LOOK_S):
                    return
            for exchange, names in symbols.items():
                for name in names:
                    books.add(name, exchange)
            while has_ended is not None and not over.wait(_LOOK_S):
                if has_ended():
                    running._play(has_ended=True)  # noqa: SLF001
                    return

        thread = threading.Thread(target=begin, name="depthcache page of recordings", daemon=True)
        thread.start()
        try:
            yield running
        finally:
            over.set()
            thread.join()
