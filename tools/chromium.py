"""Chromium under Playwright, for the tests of the live page, its benchmark, its pictures and the site.

CHROMIUM names one; otherwise it is the one on the path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["NoBrowser", "chromium"]

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]


class NoBrowser(Exception):
    """Playwright or Chromium is missing; says which."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A running Chromium. Raises NoBrowser."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowser("install playwright") from None
    if path is None:
        raise NoBrowser("install chromium, or name one with CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()
