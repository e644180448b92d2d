"""One running client and its two APIs: asyncio (`aio`) and, above it, `depthcache.blocking` for threads."""
