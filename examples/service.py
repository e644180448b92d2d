"""A service: live books, /healthz, /readyz and /metrics over HTTP, and a clean shutdown on SIGTERM."""

import asyncio
import os
import signal

from aiohttp import web

import depthcache

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
HOST, PORT = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))


def application(books: depthcache.Books) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")  # the event loop runs

    async def readyz(_: web.Request) -> web.Response:
        waiting = [
            f"{book.symbol}: {book.status}, {book.reason}\n" for book in books if book.status != "synced"
        ]
        return web.Response(status=503 if waiting else 200, text="".join(waiting) or "ready\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=books.prometheus())

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with depthcache.connect("binance.com", SYMBOLS) as books:
        runner = web.AppRunner(application(books))
        await runner.setup()
        await web.TCPSite(runner, HOST, PORT).start()
        print("serving on port", runner.addresses[0][1], flush=True)
        await stop.wait()
        await runner.cleanup()
    print("stopped", flush=True)


asyncio.run(main())
