"""Everything of a client that uses sockets, timers and threads. The decisions are in `core`.

`network.interface` defines a network; `network.native` is the default one, `network.aiohttp` the alternative.
`runner` connects a network with the core.
"""
