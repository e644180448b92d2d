"""Access tokens of a cluster, for reading, managing and letting nodes join. All nodes accept the same ones.

The wanted set keeps digests, never secrets. A role may have several tokens: rotating one makes the new
token valid before the old one ends, so that no client is refused. Secrets have at least 128 bits of
randomness, so that plain SHA-256 suffices.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

__all__ = ["AccessToken", "Role", "digest_of", "role_of"]


class Role(Enum):
    """What a token allows; each allows what those before it do."""

    EXCHANGE = "exchange"
    """Books in the exchange's own protocol: the key in the paths of its clients."""
    READ = "read"
    """Books and their states."""
    MANAGE = "manage"
    """Begin, change and end books; drain nodes."""
    JOIN = "join"
    """Issue join tokens, remove nodes, rotate tokens."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What the cluster keeps of a token.

    Attributes:
        digest: SHA-256 of the secret, in hexadecimal.
        role: what it allows.
        until_ms: when it ends, in milliseconds since 1970; None for never.
    """

    digest: str
    role: Role
    until_ms: int | None


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def role_of(secret: str, tokens: Iterable[AccessToken], *, wall_ms: int) -> Role | None:
    """What a secret allows now; None if nothing. It takes the same time for every secret."""
    digest, found = digest_of(secret), None
    for token in tokens:
        is_same = hmac.compare_digest(token.digest, digest)
        if is_same and (token.until_ms is None or wall_ms < token.until_ms):
            found = token.role
    return found
