"""The client's only place with sockets, timers and threads: networks, and the runner that moves the core.

`network` is the interface, `aiohttp_network` the real one. Not here: any decision (core), any book.
"""
