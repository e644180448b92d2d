"""Open every page of build/site in a real browser: nothing cut, nothing missing, no other host asked.

    python tools/site_in_browser.py      needs Playwright and a Chromium (CHROMIUM names one); skips without

Exit code 1 names each fault.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chromium import NoBrowser, chromium

SITE = Path(__file__).parents[1] / "build" / "site"
WIDTHS = (1440, 390)
FOUND = ("Parquet", "spread", "stale price")
NOT_FOUND = "qwertzuiop"
CUT = """() => [...document.querySelectorAll("pre > code")]
    .filter(code => code.scrollWidth > code.clientWidth + 1).map(code => code.textContent.slice(0, 60))"""
TOO_WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"
BROKEN = """() => [...document.images].filter(image => image.loading !== "lazy")
    .filter(image => !image.complete || image.naturalWidth === 0).map(image => image.src)"""
IS_FOCUSED = """() => [...document.body.children].map(each => each.shadowRoot).find(Boolean)
    ?.activeElement?.tagName === 'INPUT'"""
RESULTS = """() => {
    const root = [...document.body.children].map(each => each.shadowRoot).find(Boolean);
    if (root.querySelector("[data-no-results]:not([hidden])")) return "none";
    return root.querySelectorAll("ol > li a").length;
}"""
"""0 while the answer is being made."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves the site and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def faults(browser: Any, url: str) -> Iterator[str]:
    """Whatever a reader would stumble over."""
    pages = sorted(path.parent.relative_to(SITE) for path in SITE.rglob("index.html"))
    for width in WIDTHS:
        page = browser.new_page(viewport={"width": width, "height": 900})
        elsewhere: list[str] = []
        page.on("request", lambda asked, seen=elsewhere: asked.url.startswith(url) or seen.append(asked.url))
        for path in pages:
            page.goto(f"{url}/{path}/", wait_until="load")
            said = f"{path} at {width} px"
            yield from (f"{said}: asks {other}" for other in elsewhere)
            yield from (f"{said}: the picture {source} is missing" for source in page.evaluate(BROKEN))
            if width == max(WIDTHS):
                yield from (f"{said}: code is cut: {code!r}" for code in page.evaluate(CUT))
            if page.evaluate(TOO_WIDE):
                yield f"{said}: the page is wider than the window"
            elsewhere.clear()
        page.close()
    yield from search_faults(browser, url)


def search_faults(browser: Any, url: str) -> Iterator[str]:
    """Words that a reader would search for."""
    for words in (*FOUND, NOT_FOUND):
        page = browser.new_page(viewport={"width": max(WIDTHS), "height": 900})
        page.goto(f"{url}/", wait_until="load")
        page.wait_for_function("() => [...document.body.children].some(each => each.shadowRoot)")
        page.keyboard.press("/")
        page.wait_for_function(IS_FOCUSED)  # the dialog opens in its own time
        page.keyboard.insert_text(words)  # at once: no results of half a word
        found = page.wait_for_function(RESULTS).json_value()
        if (found == "none") != (words == NOT_FOUND):
            yield f"the search for {words!r} shows {found} results"
        page.close()


def main() -> int:
    """Open the pages and report."""
    handler = functools.partial(Quiet, directory=str(SITE))
    try:
        with chromium() as browser, ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            found = list(faults(browser, f"http://127.0.0.1:{server.server_port}"))
            server.shutdown()
    except NoBrowser as missing:
        sys.stdout.write(f"SKIPPED: no page was opened in a browser: {missing}\n")
        return 0
    sys.stdout.write("\n".join([*found, f"{len(found)} faults in a browser", ""]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
