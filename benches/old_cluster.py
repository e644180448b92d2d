"""The old library's cluster (UBDCC 0.9.1) in its own environment, with one book of an embedded exchange.

It takes most of a minute to start, mostly waiting: `begin` does that in the background of other measurements.
Not here: what is compared (`server`).
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benches.environments import Unavailable, python_with
from depthcache import Settings, simulator

__all__ = ["PATH", "SYMBOL", "VERSION", "Begun", "Unavailable", "begin", "running"]

VERSION = "0.9.1"
REQUIREMENTS = (f"ubdcc=={VERSION}",)
EXCHANGE, SYMBOL, LEVELS = "binance.com", "BTCUSDT", 20
PATH = f"/get_asks?exchange={EXCHANGE}&market={SYMBOL}&limit_count={LEVELS}"
"""A read that it answers, and the book server's listener for old clients as well."""
START_S = 120
ASK_S = 0.3
_JUDGES = Path(__file__).parents[1] / "tests" / "rivals" / "judges"
_HOOK = """
import sys
if any("ubdcc_dcn" in each for each in sys.orig_argv):
    import os
    from redirect_unicorn import redirect
    redirect(os.environ["OLD_CLUSTER_REST"], os.environ["OLD_CLUSTER_WEBSOCKET"])
"""
"""Its nodes know the exchange's hosts alone; `redirect_unicorn` of the judges leads them elsewhere."""


class Begun:
    """A cluster that starts in the background."""

    def __init__(self) -> None:
        self._port: Future[int] = Future()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="old cluster", daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def port(self) -> int:
        """Wait until it answers; the port of its REST API. Raises Unavailable."""
        return self._port.result()

    def end(self) -> None:
        """Stop it; may be called more than once."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with simulator.serve(seed=3) as exchange, running(exchange.settings) as port:
                self._port.set_result(port)
                self._is_over.wait()
        except BaseException as error:  # noqa: BLE001 - the waiting side raises it again
            if not self._port.done():
                self._port.set_exception(error)


def begin() -> Begun:
    """Start it in the background."""
    return Begun()


@contextmanager
def running(settings: Settings) -> Iterator[int]:
    """A cluster of one node whose book is synced; the port of its REST API. Raises Unavailable."""
    python = python_with("ubdcc", REQUIREMENTS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process, output = _started(python, folder, settings)
        try:
            url = _url(process, output)
            _sync(process, url)
            yield int(url.rpartition(":")[2])
        finally:
            _end(process)


def _started(python: str, folder: Path, settings: Settings) -> tuple[subprocess.Popen[bytes], Path]:
    (folder / "sitecustomize.py").write_text(_HOOK)
    output = folder / "output.txt"
    ends = settings.endpoints[EXCHANGE]
    proxies = {name for name in os.environ if name.lower().endswith("_proxy")}
    with output.open("w") as out:
        process = subprocess.Popen(
            [python, "-c", "from ubdcc.cli import main; main()", "start", "--logdir", str(folder)],
            env={
                **{key: value for key, value in os.environ.items() if key not in proxies},
                "HOME": str(folder),
                "PYTHONPATH": os.pathsep.join((str(folder), str(_JUDGES))),
                "PYTHONUNBUFFERED": "1",
                "OLD_CLUSTER_REST": ends.rest,
                "OLD_CLUSTER_WEBSOCKET": ends.websocket,
            },
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return process, output


def _url(process: subprocess.Popen[bytes], output: Path) -> str:
    ends_s = time.monotonic() + START_S
    while time.monotonic() < ends_s and process.poll() is None:
        found = re.search(r"REST API: (http://127\.0\.0\.1:\d+)/", output.read_text())
        if found is not None:
            return found[1]
        time.sleep(ASK_S)
    raise Unavailable(f"the old cluster did not start: {output.read_text()[-200:]!r}")


def _sync(process: subprocess.Popen[bytes], url: str) -> None:
    """Begin its book and wait until it answers with levels."""
    begin = f"{url}/create_depthcache?exchange={EXCHANGE}&market={SYMBOL}"
    ends_s, said = time.monotonic() + START_S, ""
    is_begun = False
    while time.monotonic() < ends_s and process.poll() is None:
        try:
            with urlopen(url + PATH if is_begun else begin, timeout=10) as response:  # noqa: S310 - loopback
                said = response.read().decode()
            found = json.loads(said)
            if is_begun and len(found.get("asks") or ()) == LEVELS:
                return
            is_begun = is_begun or found.get("result") == "OK"
        except (URLError, OSError, ValueError) as error:
            said = str(error)
        time.sleep(ASK_S)
    raise Unavailable(f"the book of the old cluster did not sync: {said[:200]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
