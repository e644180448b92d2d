"""The embedded exchange in its own process: a recorded market at an exact rate, for as long as needed.

It plays the diffs of one recorded day forwards, then their inverses backwards, and so on, so the book cycles
through the recorded states. Every frame carries one update id, and its event time (`"E":`) is the moment it
was sent, in µs of the wall clock, as Binance sends on request, so no book counts as late. Frames keep the
shape of the exchange's, so clients do no work for the measurement.

    with serving(rate=5000, tls=False) as endpoint: …

Here is what contestants import; the exchange (`paced_exchange`) would double the start of their processes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import depthcache

VENUE = "binance.com"
SYMBOL = "BTCUSDT"
FIRST_ID = 1_000_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of the served exchange. `ca_file`: the certificate authority to trust, with TLS."""

    url: str
    ca_file: str | None

    @property
    def rest(self) -> str:
        """Base URL of REST requests."""
        return f"{self.url}/{VENUE}"

    @property
    def websocket(self) -> str:
        """Base URL of WebSocket connections."""
        return self.rest.replace("http", "ws", 1)

    @property
    def settings(self) -> depthcache.Settings:
        """Settings of a depthcache client."""
        endpoints = depthcache.Endpoints(rest=self.rest, websocket=self.websocket)
        return depthcache.Settings(endpoints={VENUE: endpoints}, proxies=False, ca_file=self.ca_file)


@contextmanager
def serving(*, rate: int | None, tls: bool) -> Iterator[Endpoint]:
    """Start a new exchange. `rate`: frames a second; None sends as fast as its slowest client reads."""
    command = [sys.executable, "-m", "benches.paced_exchange", *(["--tls"] if tls else [])]
    command += [] if rate is None else ["--rate", str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdin is None:
            raise AssertionError("the process has no pipes")
        try:
            yield Endpoint(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(30)


def contestant(module: str, name: str, endpoint: Endpoint, seconds: float) -> list[str]:
    """The command that runs one contestant of a benchmark in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", module, "--as", name, "--url", endpoint.url]
    return [
        *command,
        "--seconds",
        str(seconds),
        *([] if endpoint.ca_file is None else ["--ca-file", endpoint.ca_file]),
    ]


def parse_contestant(module: str, names: Collection[str], default_s: float) -> tuple[str, Endpoint, float]:
    """The arguments that `contestant` passes: name, endpoint, seconds."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--as", dest="contestant", choices=names, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca-file")
    parser.add_argument("--seconds", type=float, default=default_s)
    options = parser.parse_args()
    return options.contestant, Endpoint(options.url, options.ca_file), options.seconds
