"""Save the newest raw frames of a book, and the snapshot they follow, to a file that can be replayed."""

from pathlib import Path

from depthcache import Settings, blocking, recording

# With flight_dumps_to, a gap, a crossed book or a malformed frame writes a file automatically.
settings = Settings.from_environment(flight_dumps_to="flights", flight_bytes=256 * 1024)
with blocking.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
    book = books["BTCUSDT"]
    book.wait_synced(timeout=30)
    Path("now.jsonl.zst").unlink(missing_ok=True)
    book.save_flight_dump("now.jsonl.zst", reason="odd fills at noon")

for record in recording.read(["now.jsonl.zst"], recording.Problems()):
    print(type(record).__name__)
    break
print(recording.verify(["now.jsonl.zst"]).rows)
