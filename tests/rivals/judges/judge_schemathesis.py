"""Schemathesis against the book server: requests made from its OpenAPI document, valid ones and others.

Twice: with names of books that are there, and with any names. Every check of it counts. Two things a schema
cannot say: how parameters exclude each other, and that a book is not synced or closed; so 400, 410 and 425
may answer a request that the schema allows.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["schemathesis==4.32.5"]
#
# [tool.judge]
# client = "schemathesis"
# books = { "binance.com" = ["BTCUSDT", "ETHUSDT"] }
# server = true
# ///

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "404", "409", "410", "425", "503"]
"""
BOOKS = """
[parameters]
"path.exchange" = "binance.com"
"path.symbol" = ["BTCUSDT", "ETHUSDT"]
"""
CASES = re.compile(r"(\d+) generated")


def checked(url: str, token: str, config: str, folder: Path) -> int:
    """How many requests were made; ends the program with what was found where anything was."""
    file = folder / "schemathesis.toml"
    file.write_text(config)
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(file), "run"]
    command += [f"{url}/openapi.json", "--header", f"Authorization: Bearer {token}", "--checks", "all"]
    command += ["--max-examples", "40", "--seed", "1", "--generation-database", "none", "--no-color"]
    # These do not end by themselves: they have tests of their own.
    command += ["--exclude-path-regex", "^/v1/(ws|stream)$"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    found = CASES.search(ran.stdout)
    if ran.returncode or found is None:
        sys.exit(ran.stdout[-3_000:] + ran.stderr[-1_000:])
    return int(found[1])


def main() -> None:
    given = json.loads(sys.argv[1])
    os.environ["NO_PROXY"] = "*"
    with tempfile.TemporaryDirectory() as name:
        for config in (CHECKS, CHECKS + BOOKS):
            requests = checked(given["url"], given["admin_token"], config, Path(name))
            print(json.dumps({"requests": requests, "failures": 0}), flush=True)


main()
