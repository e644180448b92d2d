"""Books of both engines for the replay tests."""

from __future__ import annotations

from typing import Any

import pytest

from depthcache import venues
from tests.engine import Engine


@pytest.fixture
def new_book(engine: Engine) -> Any:
    """Makes a book by the rules of an exchange, as `depthcache.Book` does."""

    def make(exchange: str, symbol: str | None = None) -> Any:
        return engine.Book(exchange, symbol, venues.venue(exchange).continuity)

    return make
