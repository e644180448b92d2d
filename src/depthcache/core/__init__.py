"""Policy without I/O: when to connect, subscribe, fetch snapshots, wait, retry and give up.

No socket, clock, thread, log or randomness: time is an argument, effects are return values. `client` is the
entry point, `markets.supervisor` handles one market. Bytes and books are native; commands are carried out in
`io`.
"""
