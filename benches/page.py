"""The live page in Chromium: first paint, script per frame, and memory, against the thresholds of its design.

    python -m benches.page                 500 books at 10 updates a second; about a minute
    python -m benches.page --minutes 10    and memory over that time

Needs Playwright and a Chromium (CHROMIUM names one). Chromium draws in software here, so no frame rate is
claimed; script time does not depend on that.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from depthcache import Book, _native
from depthcache.server.documents import documents, gzipped
from tools.chromium import NoBrowser, chromium
from tools.page_scripts import VIEWS as PAGE_VIEWS
from tools.page_scripts import scripts_of

BOOKS = 500
LEVELS = 1_000
UPDATES_PER_S = 10
ROUNDS = 10
LOOK_S = 15
MOST_PAINT_MS, MOST_SCRIPT_MS, MOST_SCRIPT_BYTES, MOST_GROWTH = 300.0, 1.0, 120_000, 1.15
VIEWS = {
    "table of 500 books": ("#/", ".rows .line:not([hidden])"),
    "one book with every chart": ("#/books/binance.com/B000USDT", ".book[data-live=true]"),
}


def snapshot(shift: int) -> bytes:
    """1,000 levels a side."""
    mid = 100_000 + shift
    sides = {
        name: [[f"{(mid + sign * step) / 100:.2f}", f"{1 + step % 7}.5"] for step in range(1, LEVELS + 1)]
        for name, sign in (("bids", -1), ("asks", 1))
    }
    return json.dumps({"lastUpdateId": 1, **sides}).encode()


class Feed:
    """Books that are fed by hand: each update changes ten levels."""

    def __init__(self, native: Any) -> None:
        self.books = {
            f"B{number:03}USDT": Book("binance.com", f"B{number:03}USDT") for number in range(BOOKS)
        }
        for number, (name, book) in enumerate(self.books.items()):
            book.load_snapshot(snapshot(number), limit=LEVELS)
            native.add("binance.com", name, book)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Every book once a tenth of a second, one after the other."""
        number = 1
        while not self.over.is_set():
            number += 1
            began_s = time.monotonic()
            for shift, (name, book) in enumerate(self.books.items()):
                best = 100_000 + shift
                levels = [
                    [f"{(best - step) / 100:.2f}", f"{(number * step) % 9 + 1}.0"] for step in range(1, 11)
                ]
                event = {"e": "depthUpdate", "E": int(time.time() * 1e3), "s": name, "U": number, "u": number}
                book.apply(json.dumps({**event, "b": levels, "a": []}).encode())
                if shift % 25 == 24:
                    self.over.wait(0.0005)
            self.over.wait(max(0.0, 1 / UPDATES_PER_S - (time.monotonic() - began_s)))


@contextmanager
def served() -> Iterator[str]:
    """The link to the page."""
    token, found = "dcr_" + secrets.token_urlsafe(24), documents()
    native = _native.BookServer(
        "127.0.0.1", 0, workers=1, tokens=[("read", token)], hosts=[], documents=found, gzipped=gzipped(found)
    )
    feed = Feed(native)
    feed.thread.start()
    yield f"http://127.0.0.1:{native.port}/#token={token}"
    feed.over.set()
    feed.thread.join()
    native.drain(0)


def first_paint_ms(browser: Any, link: str) -> float:
    """From the request to the first content on the screen."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(link)
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    painted = float(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    context.close()
    return painted


class Looked:
    """What Chromium counts of a page."""

    def __init__(self, page: Any) -> None:
        self.page, self.session = page, page.context.new_cdp_session(page)
        self.session.send("Performance.enable")
        page.evaluate("""async () => {
            const { frames } = await import('/page/frames.js');
            const { draw } = frames;
            window.frames_ = 0;
            frames.draw = (nowMs) => { frames_ += 1; draw(nowMs); };
        }""")

    def metric(self, name: str) -> float:
        found = self.session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in found if each["name"] == name))

    def script_ms(self, seconds: float) -> tuple[float, int]:
        """Script time per frame of 60 a second, and the frames in which the page drew: those with news."""
        began, frames = self.metric("ScriptDuration"), self.page.evaluate("frames_")
        self.page.wait_for_timeout(seconds * 1_000)
        spent_ms = (self.metric("ScriptDuration") - began) * 1_000
        return spent_ms / (60 * seconds), self.page.evaluate("frames_") - frames

    def heap_mib(self) -> float:
        self.session.send("HeapProfiler.collectGarbage")
        return self.metric("JSHeapUsedSize") / 2**20


def memory(page: Any, looked: Looked, minutes: float) -> bool:
    """Whether memory is flat while a book is shown: the last quarter against the second one."""
    heaps = []
    for _ in range(max(8, int(minutes * 6))):
        page.wait_for_timeout(minutes * 60_000 / max(8, int(minutes * 6)))
        heaps.append(looked.heap_mib())
    quarter = len(heaps) // 4
    before, after = statistics.median(heaps[quarter : 2 * quarter]), statistics.median(heaps[-quarter:])
    return say(
        f"memory over {minutes:g} minutes",
        after / before,
        MOST_GROWTH,
        f"times; {before:.1f} to {after:.1f} MiB",
    )


def say(what: str, value: float, most: float, unit: str) -> bool:
    """One line; whether the threshold is met."""
    is_met = value <= most
    sys.stdout.write(f"{what:32} {value:10,.2f}  at most {most:g} {unit}{'' if is_met else '   MISSED'}\n")
    sys.stdout.flush()
    return is_met


def main() -> int:
    """Measure and report; exit code 1 for a threshold that is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=0.0, help="measure memory for so long")
    options = parser.parse_args()
    try:
        with chromium() as browser:
            return 0 if is_met(browser, options.minutes) else 1
    except NoBrowser as missing:
        sys.stdout.write(f"SKIPPED: nothing was measured: {missing}\n")
        return 0


def is_met(browser: Any, minutes: float) -> bool:
    """Measure and report; whether every threshold is met. `minutes`: how long to measure memory."""
    files = documents()
    packed = gzipped(files)
    met = []
    for view in PAGE_VIEWS:
        scripts = scripts_of(view)
        wire = sum(len(packed.get(path, files[path][1])) for path in scripts)
        written = sum(len(files[path][1]) for path in scripts)
        met.append(say(f"script of: {view}", written, MOST_SCRIPT_BYTES, f"bytes; {wire:,} over the wire"))
    with served() as link:
        paints = [first_paint_ms(browser, link) for _ in range(ROUNDS)]
        met.append(
            say(
                "first paint, median",
                statistics.median(paints),
                MOST_PAINT_MS,
                f"ms; worst {max(paints):.0f}",
            )
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(link)
        looked = Looked(page)
        for view, (address, selector) in VIEWS.items():
            page.evaluate("address => { location.hash = address }", address)
            page.wait_for_selector(selector)
            page.wait_for_timeout(3_000)
            spent_ms, frames = looked.script_ms(LOOK_S)
            met.append(say(view, spent_ms, MOST_SCRIPT_MS, f"ms of script a frame of 1/60 s; {frames} drawn"))
        if minutes:
            met.append(memory(page, looked, minutes))
    return all(met)


if __name__ == "__main__":
    sys.exit(main())
