"""Smoke test of an installed wheel: import, sync a book from bytes, read it, run the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import depthcache

book = depthcache.Book("binance.com")
book.load_snapshot(b'{"lastUpdateId":10,"bids":[["1.10","5.0"]],"asks":[["1.20","7.0"]]}', limit=1000)
frame = b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":11,"u":12,"b":[["1.15","2.0"]],"a":[["1.20","0.0"]]}'
outcome = book.apply(frame)
if outcome is not depthcache.APPLIED or book.best != ((1.15, 2.0), None, 12):
    sys.exit(f"the book is wrong: {outcome} {book!r}")
command = Path(sys.executable).with_name("depthcache")
version = subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout.strip()
sys.stdout.write(f"python{sys.version_info.major}.{sys.version_info.minor}: {version} works\n")
