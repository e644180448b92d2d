"""A running client and its APIs: asyncio (`aio`), and `depthcache.blocking` for threads on top of it."""
