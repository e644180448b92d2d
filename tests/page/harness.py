"""A page with every chart, for development: the embedded exchange, a book server, the files of the page.

python -m tests.page.harness [PORT]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import aiohttp
from aiohttp import web

import depthcache
from depthcache import server, simulator

HERE = Path(__file__).parent
PAGE = Path(server.__file__).parent / "page"


def application(running: server.BookServer) -> web.Application:
    """The harness, and a way through to the server, which admits no other origin."""
    headers = {"Authorization": f"Bearer {running.read_token}"}

    async def index(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(HERE / "harness.html")

    async def books(_request: web.Request) -> web.StreamResponse:
        async with aiohttp.ClientSession(headers=headers) as session:
            response = await session.get(f"{running.url}/v1/books")
            return web.Response(body=await response.read(), content_type="application/json")

    async def stream(request: web.Request) -> web.StreamResponse:
        page = web.WebSocketResponse()
        await page.prepare(request)
        url = f"{running.url.replace('http', 'ws', 1)}/v1/ws"
        async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as upstream:

            async def down() -> None:
                async for message in upstream:
                    await page.send_str(message.data)

            task = asyncio.create_task(down())
            async for message in page:
                await upstream.send_str(message.data)
            task.cancel()
        return page

    made = web.Application()
    made.router.add_get("/", index)
    made.router.add_get("/books", books)
    made.router.add_get("/ws", stream)
    made.router.add_static("/page", PAGE)
    return made


async def main(port: int) -> None:
    """Serve until Ctrl-C."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulator.serve(symbols={"binance.com": ["BTCUSDT"]}) as venue,
    ):
        config = server.ServerConfig(port=0, data_dir=folder)
        wanted = depthcache.connect("binance.com", ["BTCUSDT"], settings=venue.settings, depth=1000)
        async with wanted as books, server.serve(books, config) as running:
            runner = web.AppRunner(application(running))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            print(f"http://127.0.0.1:{port}/", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8765))
