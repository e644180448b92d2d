"""UNICORN's cluster: its management, its REST API and one node, which keeps the books.

Its answers name no update id.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["ubdcc==0.9.1"]
#
# [tool.judge]
# client = "ubdcc"
# books = { "binance.com" = ["NEXOUSDT"] }
# ///

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests
from report import Task, task, tell

EXCHANGE = "binance.com"
START_S = 120
HOOK = """
import sys
if any("ubdcc_dcn" in each for each in sys.orig_argv):
    import os
    from redirect_unicorn import redirect
    redirect(os.environ["JUDGE_REST"], os.environ["JUDGE_WEBSOCKET"])
"""


def started(folder: Path, work: Task) -> tuple[subprocess.Popen[bytes], str]:
    """The cluster, and where its REST API is."""
    (folder / "sitecustomize.py").write_text(HOOK)
    output = folder / "output.txt"
    with output.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "from ubdcc.cli import main; main()", "start", "--logdir", str(folder)],
            env={
                **os.environ,
                "HOME": str(folder),
                "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parent)]),
                "PYTHONUNBUFFERED": "1",
                "JUDGE_REST": work.rest[EXCHANGE],
                "JUDGE_WEBSOCKET": work.websocket[EXCHANGE],
            },
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    ends = time.monotonic() + START_S
    while time.monotonic() < ends and process.poll() is None:
        found = re.search(r"REST API: (http://127\.0\.0\.1:\d+)/", output.read_text())
        if found is not None:
            return process, found[1]
        time.sleep(0.2)
    raise TimeoutError(output.read_text())


def asked(url: str, call: str, **parameters: object) -> dict[str, Any]:
    try:
        response = requests.get(f"{url}/{call}", params={"exchange": EXCHANGE} | parameters, timeout=10)
        return dict(response.json())
    except (requests.RequestException, ValueError):
        return {}  # not yet


def main() -> None:
    work = task()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        process, url = started(Path(name), work)
        try:
            for _, symbol in work.books:
                while asked(url, "create_depthcache", market=symbol).get("result") != "OK":
                    time.sleep(0.5)
                looks, seen = 0, None
                while looks < work.looks:
                    time.sleep(0.3)
                    bids = asked(url, "get_bids", market=symbol, limit_count=100).get("bids")
                    asks = asked(url, "get_asks", market=symbol, limit_count=100).get("asks")
                    if bids and asks and (bids, asks) != seen:
                        seen, looks = (bids, asks), looks + 1
                        tell(EXCHANGE, symbol, update_id=None, updates=looks, bids=bids, asks=asks)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


main()
