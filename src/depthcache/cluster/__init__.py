"""Many nodes as one server of books: membership, placement, take-over, the wanted set, and who may join.

`core` decides and does no I/O; `seam` is all that it needs of a messaging engine, `memory_network` and
`zenoh_network` offer it; `runner` carries out what the core wants. This package is not public yet.
"""

from __future__ import annotations

__all__: list[str] = []
