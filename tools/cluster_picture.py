"""Draw the cluster on the live page.

    python -m tools.cluster_picture [FOLDER]      writes page-cluster.png, usually to docs/pictures

Four nodes run in processes of their own, on books of the embedded exchange. Needs Playwright, Pillow and a
Chromium (CHROMIUM names one).
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from PIL import Image

from tests.cluster.nodes import SPOT, exchange
from tests.cluster.processes import Processes
from tools.chromium import chromium

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COINS = ("ADA", "AVAX", "BNB", "BTC", "DOGE", "DOT", "ETH", "LINK", "LTC", "NEAR", "SOL", "TRX", "UNI", "XRP")
PLACES = {"a": ("rack1", "office"), "b": ("rack1", "office"), "c": ("rack2", "lab"), "d": ("rack2", "lab")}
COLOURS = 255


async def settle(cluster: Processes) -> None:
    """Four nodes with books, of which one is unknown to the exchange; one node is drained."""
    for name, (zone, egress) in PLACES.items():
        options = ("--zone", zone, "--egress", egress)
        await (cluster.start(name, *options) if name == "a" else cluster.join(name, *options))
    symbols = [f"{coin}USDT" for coin in COINS]
    await cluster["a"].ask("POST", "/books", {"exchange": SPOT, "symbols": symbols, "replicas": 2})
    await cluster.settled()
    unknown = {"exchange": SPOT, "symbols": ["NOSUCHUSDT"], "replicas": 2}
    await cluster["a"].ask("POST", "/books", unknown)
    await cluster["a"].ask("POST", f"/nodes/{cluster['d'].id}/drain", {})
    await cluster["a"].wait(
        lambda status: not any(cluster["d"].id in book["holders"] for book in status["books"])
    )


def save(page: Any, folder: Path) -> None:
    """The page as it is, in few colours: the picture is kept in the repository."""
    image = Image.open(io.BytesIO(page.screenshot()))
    image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(
        folder / "page-cluster.png", optimize=True
    )


def draw(cluster: Processes, folder: Path) -> None:
    """Open the page of the first node with both tokens, and save it."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 690}, color_scheme="light")
        page.goto(str(cluster["a"].facts["page"]))
        page.wait_for_selector("[data-live=true]")
        page.click("[data-does=manage]")
        page.fill("dialog input", cluster["a"].secret("admin"))
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="detached")
        page.click("#notices button")
        page.click("nav >> text=Cluster")
        page.wait_for_selector(".nodes >> text=draining")
        page.wait_for_selector(".wrong >> text=does not know the symbol")
        page.wait_for_selector(".weight >> text=lab")
        page.wait_for_selector(".census >> text=14 synced")
        page.mouse.move(640, 670)
        save(page, folder)


def main(folder: Path) -> int:
    """Draw it."""
    with (
        tempfile.TemporaryDirectory() as home,
        exchange(symbols=tuple(f"{coin}USDT" for coin in COINS)) as server,
    ):
        cluster = Processes(Path(home), server)
        try:
            thread = threading.Thread(
                target=lambda: asyncio.run(settle(cluster))
            )  # Playwright has a loop, too
            thread.start()
            thread.join()
            draw(cluster, folder)
        finally:
            cluster.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES))
