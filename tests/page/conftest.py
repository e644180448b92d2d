"""One browser for all tests of the page, and a fresh profile for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.browsing import Visit, chromium


class _Loop:
    """Playwright's event loop. It stays marked as running in this thread while the browser is open, and no
    other test could run a loop of its own; so it is marked only while a test of the page runs.
    """

    found: asyncio.AbstractEventLoop | None = None

    @classmethod
    def mark(cls) -> None:
        asyncio._set_running_loop(cls.found)

    @classmethod
    def hide(cls) -> None:
        cls.found = asyncio._get_running_loop()
        asyncio._set_running_loop(None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not item.path.is_relative_to(Path(__file__).parent):
        return (yield)
    _Loop.mark()
    try:
        return (yield)
    finally:
        _Loop.hide()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser
        _Loop.mark()  # the session may end after other tests
    _Loop.hide()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open a page with options of a browser's context; no visit may leave an error behind."""
    visits: list[Visit] = []

    def begin(**options: Any) -> Visit:
        visits.append(Visit(browser, **options))
        return visits[-1]

    yield begin
    errors = [error for each in visits for error in each.errors]
    for each in visits:
        each.close()
    assert errors == []
