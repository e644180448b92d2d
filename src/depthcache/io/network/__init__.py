"""The networks of a client: one interface, the native and the aiohttp one behind it."""
