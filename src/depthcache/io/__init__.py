"""The client's only place with sockets, timers and threads: networks, and the runner that moves the core.

`network.interface` is the interface; `network.native` is the default implementation, `network.aiohttp` the
alternative. Not here: any decision (core), any book.
"""
