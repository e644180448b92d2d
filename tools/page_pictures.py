"""Draw the live page.

    python tools/page_pictures.py      writes docs/pictures/page-*.png; takes four minutes

The pictures are of the embedded exchange in real time, so each run draws others. Needs Playwright, Pillow and
a Chromium (CHROMIUM names one).
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from chromium import chromium
from PIL import Image

from depthcache import blocking, server, simulator

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COINS = [
    "ADA",
    "AVAX",
    "BNB",
    "BTC",
    "DOGE",
    "DOT",
    "ETH",
    "LINK",
    "LTC",
    "NEAR",
    "NEXO",
    "SOL",
    "TRX",
    "UNI",
    "XRP",
]
BOOKS = {
    "binance.com": [f"{coin}USDT" for coin in COINS],
    "binance.com-futures": [f"{coin}USDT" for coin in ("BTC", "ETH", "SOL", "XRP")],
}
GONE = "LTCUSDT"
HISTORY_S = 200
COLOURS = 255


def save(page: Any, name: str) -> None:
    """The page as it is, in few colours: the pictures are kept in the repository."""
    image = Image.open(io.BytesIO(page.screenshot()))
    image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(
        PICTURES / f"page-{name}.png", optimize=True
    )


def draw(browser: Any, url: str) -> None:
    """Open the pages, let their history grow, and save them."""

    def opened(address: str, scheme: str, width: int, height: int) -> Any:
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.goto(url)
        page.wait_for_selector(".rows .line:not([hidden])")
        page.evaluate("address => { location.hash = address }", address)
        return page

    book = opened("#/books/binance.com/BTCUSDT", "dark", 1440, 900)
    time.sleep(HISTORY_S)
    save(book, "book")
    book.close()
    books = opened("#/", "light", 1280, 720)
    phone = opened("#/books/binance.com/ETHUSDT", "light", 390, 844)
    time.sleep(30)
    save(phone, "phone")
    phone.close()
    books.bring_to_front()
    time.sleep(35)
    save(books, "books")


def main() -> int:
    """Draw all pictures."""
    with (
        simulator.serve(seed=5, symbols=BOOKS) as exchange,
        blocking.connect(BOOKS, settings=exchange.settings) as books,
        tempfile.TemporaryDirectory() as folder,
        server.serve(books, server.ServerConfig(port=0, data_dir=folder)) as running,
        chromium() as browser,
    ):
        books.wait_synced(30)
        exchange.on_exchange(lambda: exchange.exchange.delist("binance.com", GONE))
        draw(browser, running.page_url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
