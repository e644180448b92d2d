"""A client shuts down in any order of steps, on every transport, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

import depthcache
from depthcache import simulator
from tests.support.process import eventually, native_threads, open_files

BEGIN = """
import asyncio, os, signal, sys, threading, time
from dataclasses import replace
import depthcache
from depthcache import blocking, simulator

server = simulator.serve(seed=1, symbols={"binance.com": ["BTCUSDT", "ETHUSDT"]})
settings = replace(server.settings, transport=sys.argv[1])
wanted = ("binance.com", ["BTCUSDT", "ETHUSDT"])
"""

SLOW_STEP = re.compile(r"Executing <.* took \d+\.\d+ seconds$")

ENDINGS = {
    "in order": (
        """
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                await books.wait_synced()
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "the server first": (
        """
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                await books.wait_synced()
                server.close()
        asyncio.run(main()); print("done")
        """,
        0,
        "",
    ),
    "in the middle of connecting": (
        """
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                pass
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "by an error of the program": (
        """
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                await books.wait_synced()
                raise ValueError("mine")
        try:
            asyncio.run(main())
        finally:
            server.close()
        """,
        1,
        "ValueError: mine",
    ),
    "by a cancelled task": (
        """
        async def main():
            async def use():
                async with depthcache.connect(*wanted, settings=settings) as books:
                    await books.wait_synced()
                    synced.set()
                    await asyncio.Event().wait()
            synced = asyncio.Event()
            task = asyncio.create_task(use())
            await synced.wait()
            task.cancel()
            await asyncio.wait([task])
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "by Ctrl-C": (
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                await books.wait_synced()
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.Event().wait()
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("done")
        server.close()
        """,
        0,
        "",
    ),
    "in a callback of the loop": (
        """
        async def main():
            loop = asyncio.get_running_loop()
            books = await depthcache.connect(*wanted, settings=settings).__aenter__()
            await books.wait_synced()
            ended = asyncio.Event()
            async def close():
                await books.aclose()
                await books.aclose()
                ended.set()
            loop.call_soon(lambda: setattr(sys, "closing", loop.create_task(close())))
            await ended.wait()
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "twice in one loop, one after the other": (
        """
        async def main():
            for _ in range(2):
                async with depthcache.connect(*wanted, settings=settings) as books:
                    await books.wait_synced()
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "forgotten on a thread": (
        """
        books = blocking.connect(*wanted, settings=settings).__enter__()
        books.wait_synced()
        print("done")
        """,
        0,
        "",
    ),
    "on a thread, with sys.exit": (
        """
        books = blocking.connect(*wanted, settings=settings).__enter__()
        books.wait_synced()
        print("done"); sys.exit(3)
        """,
        3,
        "",
    ),
    "from several threads at once": (
        """
        books = blocking.connect(*wanted, settings=settings).__enter__()
        books.wait_synced()
        threads = [threading.Thread(target=books.close) for _ in range(4)]
        for each in threads: each.start()
        for each in threads: each.join()
        server.close(); print("done")
        """,
        0,
        "",
    ),
    "with followers of all kinds": (
        """
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                book = books["BTCUSDT"]
                await books.wait_synced()
                seen = []
                async def consume(stream):
                    async for update in stream:
                        seen.append(update.status)
                async def later(update):
                    await asyncio.sleep(0)
                streams = [book.updates(mode) for mode in ("latest", "every", "best")] + [books.updates()]
                tasks = [asyncio.create_task(consume(stream)) for stream in streams]
                books.on_update(later, "every"); book.on_update(seen.append)
                async for update in book.updates("interval", interval_ms=5):
                    break
                unfinished = books.updates("every")
                await anext(unfinished)
                tasks[0].cancel()
                await asyncio.sleep(0.1)
            await asyncio.wait(tasks)
            assert seen.count("closed") == 4, seen.count("closed")
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "in the middle of following, by Ctrl-C": (
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                books.on_update(lambda update: None)
                async for update in books.updates():
                    os.kill(os.getpid(), signal.SIGINT)
                    await asyncio.Event().wait()
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("done")
        server.close()
        """,
        0,
        "",
    ),
    "with followers, without having been closed before the loop was": (
        """
        import logging, warnings
        warnings.simplefilter("ignore"); logging.disable()  # aiohttp says that it was forgotten, rightly
        loop = asyncio.new_event_loop()
        async def main():
            books = await depthcache.connect(*wanted, settings=settings).__aenter__()
            books.on_update(lambda update: None)
            stream = books.updates("every")
            await anext(stream)
            return books, stream
        kept = loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop): task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        server.close(); print("done")
        """,
        0,
        "",
    ),
    "forgotten on a thread that follows": (
        """
        books = blocking.connect(*wanted, settings=settings).__enter__()
        books.on_update(lambda update: None, "every")
        def consume(stream):
            for update in stream: pass
        for daemon in (True, True):
            threading.Thread(target=consume, args=(books.updates("every"),), daemon=daemon).start()
        stream = books["BTCUSDT"].updates()
        for update in stream:
            break
        print("done")
        """,
        0,
        "",
    ),
    "while threads follow": (
        """
        books = blocking.connect(*wanted, settings=settings).__enter__()
        def consume(stream):
            for update in stream: pass
        threads = [threading.Thread(target=consume, args=(books.updates(mode),))
                   for mode in ("every", "latest", "best", "status")]
        for each in threads: each.start()
        books.on_update(lambda update: None)
        books.wait_synced()
        time.sleep(0.1)
        books.close()
        for each in threads: each.join()
        server.close(); print("done")
        """,
        0,
        "",
    ),
    "several clients on several loops in several threads": (
        """
        async def main():
            async with depthcache.connect(*wanted, settings=settings) as books:
                books.on_update(lambda update: None)
                count = 0
                async for update in books.updates("every"):
                    count += update.status == "synced"
                    if count == 20: break
        threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
        for each in threads: each.start()
        for each in threads: each.join()
        server.close(); print("done")
        """,
        0,
        "",
    ),
    "awaited, and closed": (
        """
        async def main():
            books = await depthcache.connect(*wanted, settings=settings)
            await books.wait_synced()
            await books.aclose()
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "awaited, and forgotten": (
        """
        import logging, warnings
        warnings.simplefilter("ignore"); logging.disable()  # that is said, rightly
        async def main():
            books = await depthcache.connect(*wanted, settings=settings)
            await books.wait_synced()
        asyncio.run(main()); server.close(); print("done")
        """,
        0,
        "",
    ),
    "started on a thread, and closed": (
        """
        books = blocking.connect(*wanted, settings=settings).start()
        books.wait_synced()
        books.close()
        server.close(); print("done")
        """,
        0,
        "",
    ),
    "started on a thread, and forgotten before the end": (
        """
        import warnings
        warnings.simplefilter("ignore")  # that is said, rightly
        books = blocking.connect(*wanted, settings=settings).start()
        books.wait_synced()
        del books
        print("done")
        """,
        0,
        "",
    ),
    "without having been closed before the loop was": (
        """
        import logging, warnings
        warnings.simplefilter("ignore"); logging.disable()  # aiohttp says that it was forgotten, rightly
        loop = asyncio.new_event_loop()
        async def main():
            books = await depthcache.connect(*wanted, settings=settings).__aenter__()
            await books.wait_synced()
            return books
        books = loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop): task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        server.close(); print("done")
        """,
        0,
        "",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", "aiohttp"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_program_ends_cleanly_however_it_ends(ending: str, transport: str) -> None:
    code, status, complaint = ENDINGS[ending]
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", BEGIN + textwrap.dedent(code), transport],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == status, ran.stderr
    # On a busy machine the loop's debug mode finds every step slow; that is no complaint of ours.
    complaints = [line for line in ran.stderr.splitlines() if not SLOW_STEP.match(line)]
    if complaint:
        assert ran.stderr.strip().splitlines()[-1].startswith(complaint)
        assert ran.stderr.count("Traceback") == 1
    else:
        assert ran.stdout.split() == ["done"]
        assert complaints == []


FORK = """
with blocking.connect(*wanted, settings=settings) as books:
    books.wait_synced()
    book = books["BTCUSDT"]
    frozen = book.freeze(5)
    kept = (book.best, book.bids[:5], book.bids[0])
    stream = books.updates("every")
    child = os.fork()
    if child == 0:
        said = [book.status.value, book.reason]
        reads = (lambda: book.best, book.freeze, lambda: book.bids[0])
        follows = (book.updates, books.updates, lambda: books.on_update(print))
        for use in (*reads, books.wait_synced, lambda: books.add("BNBUSDT"), *follows):
            try:
                use()
                said.append("nothing")
            except depthcache.DepthCacheError as error:
                said.append(f"{type(error).__name__}: {error}")
        said.append(str(len(frozen.bids)))
        assert list(stream) == []
        del stream
        books.close()
        print("\\n".join(said), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    applied = book.counters["applied"]
    while book.counters["applied"] == applied:
        time.sleep(0.01)
    print(book.status.value, flush=True)
server.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("transport", ["native", "aiohttp"])
def test_a_forked_child_is_told_clearly_and_the_parent_goes_on(transport: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BEGIN + FORK, transport],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    status, reason, *uses, length, parent = ran.stdout.splitlines()
    assert status == "closed"
    assert "fork" in reason
    assert len(uses) == 8
    for said in uses[:3]:
        assert said.startswith("BookClosed: ")
        assert "fork" in said
    assert "fork" in uses[5]
    for said in (*uses[3:5], *uses[6:]):
        assert "create a new client with connect() after a fork" in said
    assert length == "5", "what was copied out stays"
    assert parent == "synced"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not tell its open files")
@pytest.mark.parametrize("transport", ["native", "aiohttp"])
async def test_no_thread_and_no_file_is_left(transport: str) -> None:
    with simulator.serve(seed=1, symbols={"binance.com": ["BTCUSDT"]}) as server:
        settings = replace(server.settings, transport=transport)

        async def use() -> None:
            async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
                await books.wait_synced()

        await use()
        gc.collect()
        threads, files = native_threads(), open_files()
        for _ in range(5):
            await use()
        gc.collect()
        assert native_threads() <= threads
        eventually(lambda: open_files() <= files)  # the server closes its ends on a thread of its own
