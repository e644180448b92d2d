"""Record everything that a client receives, then replay the recording and verify its book."""

import time

from depthcache import Settings, blocking, recording

settings = Settings.from_environment(record_to="data")
with blocking.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
    path = books.recording
    book = books["BTCUSDT"]
    book.wait_synced(timeout=30)
    while book.counters["applied"] < 10:
        time.sleep(0.1)

report = recording.verify([path] if path else [])
for row in report.rows:
    print(f"{row.symbol}: {row.applied} updates applied, {row.gaps} gaps, last update id {row.final_u}")
print("right" if report.right else report.faults)
