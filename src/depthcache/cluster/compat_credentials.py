"""Exchange keys of old clients, as far as they are kept, in the store that all nodes share.

Order books need no keys. So of a key only its first and last characters are kept, and of a secret nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from http import HTTPStatus
from typing import Protocol

from depthcache.server.compat_management import CompatCredential

__all__ = ["CredentialRoutes", "SharedCredentials"]

_PREFIX = "old client "
_EDITS = frozenset({"compat_add_credentials", "compat_remove_credentials"})


class Store(Protocol):
    """`credentials.CredentialStore`, as far as it is used here."""

    def names(self) -> tuple[str, ...]:
        """As `CredentialStore.names`."""
        ...

    def get(self, name: str) -> Mapping[str, str]:
        """As `CredentialStore.get`."""
        ...

    def put(self, name: str, fields: Mapping[str, str], *, wall_ms: int) -> None:
        """As `CredentialStore.put`."""

    def remove(self, name: str, *, wall_ms: int) -> None:
        """As `CredentialStore.remove`."""


class CredentialRoutes:
    """The edits of a node's credentials (`server.delegated.DelegatedRoutes`): answered once the other nodes
    have them, because the next request of a program may reach any of them."""

    def __init__(self, answer: Callable[[str, bytes], bytes], spread: Callable[[], Awaitable[None]]) -> None:
        """`answer`: makes the edit (`CompatManagement.answer`). `spread`: lets the other nodes have it."""
        self._answer, self._spread = answer, spread

    def answers(self, route: str) -> bool:
        """Whether a route is one of these."""
        return route in _EDITS

    async def answer(self, route: str, _first: str, _second: str, body: bytes) -> tuple[int, bytes]:
        """As `CompatManagement.answer`, a little later."""
        facts = self._answer(route, body)
        await self._spread()
        return HTTPStatus.OK, facts


class SharedCredentials(MutableMapping[str, CompatCredential]):
    """`CompatManagement.credentials` of a node."""

    def __init__(self, store: Store, *, wall_ms: Callable[[], int], on_change: Callable[[], None]) -> None:
        """`on_change`: lets the other nodes have it."""
        self._store, self._wall_ms, self._on_change = store, wall_ms, on_change

    def __getitem__(self, number: str) -> CompatCredential:
        fields = self._store.get(_PREFIX + number)
        if not fields:
            raise KeyError(number)
        return CompatCredential(
            account_group=fields["account_group"],
            added_timestamp=float(fields["added_timestamp"]),
            preview=fields["preview"],
        )

    def __setitem__(self, number: str, credential: CompatCredential) -> None:
        fields = {
            "account_group": credential.account_group,
            "added_timestamp": repr(credential.added_timestamp),
            "preview": credential.preview,
        }
        self._store.put(_PREFIX + number, fields, wall_ms=self._wall_ms())
        self._on_change()

    def __delitem__(self, number: str) -> None:
        if not self._store.get(_PREFIX + number):
            raise KeyError(number)
        self._store.remove(_PREFIX + number, wall_ms=self._wall_ms())
        self._on_change()

    def __iter__(self) -> Iterator[str]:
        names = self._store.names()
        return iter([name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)])

    def __len__(self) -> int:
        return sum(1 for _ in self)
