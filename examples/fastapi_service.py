"""Books over HTTP with FastAPI: JSON, server-sent events, errors as status codes. Run it with uvicorn."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

import depthcache

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with depthcache.connect("binance.com", SYMBOLS, depth=100) as books:
        app.state.books = books
        yield  # the server runs; leaving the block closes the books


async def get_book(symbol: str, request: Request) -> depthcache.LiveBook:
    books: depthcache.Books = request.app.state.books
    return books[symbol]


Book = Annotated[depthcache.LiveBook, Depends(get_book)]
app = FastAPI(lifespan=lifespan)


@app.exception_handler(depthcache.DepthCacheError)
async def explain(_: Request, error: Exception) -> Response:
    """A book out of sync heals by itself, so the caller may try again."""
    if isinstance(error, depthcache.BookClosed):
        code = 410
    elif isinstance(error, depthcache.UsageError):
        code = 404 if isinstance(error, depthcache.UnknownSymbol) else 422
    else:
        code = 503
    headers = {"Retry-After": "1"} if code == 503 else None
    return JSONResponse({"detail": str(error)}, code, headers)


@app.get("/books/{symbol}/best")
async def best(book: Book) -> Response:
    return Response(book.best.to_json(), media_type="application/json")


@app.get("/books/{symbol}")
async def levels(book: Book, levels: int = 20) -> Response:
    return Response(book.freeze(levels).to_json(), media_type="application/json")


@app.get("/books/{symbol}/events")
async def events(book: Book) -> StreamingResponse:
    stream = book.updates("interval", 10, interval_ms=250)

    async def lines() -> AsyncGenerator[bytes]:
        async with stream:
            async for update in stream:
                yield b"data: " + update.to_json() + b"\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")
