"""Several nodes as one book server: membership, placement, take-over, the wanted set, and joining.

`core` decides and does no I/O. `seam` defines what it needs of a messaging engine; `memory_network` and
`zenoh_network` implement that. `runner` carries out the commands of the core.

Nothing in this package is public. Programs read a cluster with `connect(server=…)`; the commands of
`depthcache cluster` and the routes under `/v1/cluster` manage it.
"""

from __future__ import annotations

__all__: list[str] = []
