"""Policy without I/O: when to connect, subscribe, fetch snapshots, wait, retry and give up.

No socket, no clock, no thread, no log, no randomness: time is an argument, effects are returned. `client`
is the whole, `markets.supervisor` one market. Not here: bytes and books (native), performing commands (io).
"""
