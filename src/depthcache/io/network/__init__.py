"""The networks of a client: the interface, and its native and aiohttp implementations."""
