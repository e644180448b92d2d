"""Join tokens: `dcj_<hash of the authority>_<secret>`, for one node, within 30 minutes, at their issuer.

The hash lets a new node check the cluster before it sends anything secret (as k3s does): it compares the
authority's certificate with the token, and only then sends the secret over TLS. The issuer keeps digests of
secrets in memory alone; a restart makes its open tokens void.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from depthcache.cluster.errors import JoinRefused

__all__ = ["LIFE_NS", "JoinToken", "JoinTokens"]

LIFE_NS = 30 * 60 * 1_000_000_000
"""How long a token can be redeemed."""
_MOST_OPEN = 1_000
_NEW = "get a new one with `depthcache cluster token join`"
_SHAPE = re.compile(r"dcj_([0-9a-f]{64})_([A-Za-z0-9_-]{16,128})")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A join token.

    Attributes:
        authority: SHA-256 of the authority's certificate, in hexadecimal.
        secret: what the issuer recognises.
    """

    authority: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """The token of a text. Raises JoinRefused, which does not show it."""
        found = _SHAPE.fullmatch(text.strip())
        if found is None:
            raise JoinRefused(reason=f"this is not a join token, dcj_<hash>_<secret>: {_NEW}")
        return cls(found[1], found[2])

    def text(self) -> str:
        """The text for the user of the new node: a secret."""
        return f"dcj_{self.authority}_{self.secret}"

    def check(self, authority: str) -> None:
        """Compare with the hash of the authority that a cluster shows, before anything secret is sent.

        Raises JoinRefused."""
        if not hmac.compare_digest(authority, self.authority):
            raise JoinRefused(reason="the node at this address belongs to another cluster than the token")


@dataclass(slots=True)
class _Open:
    digest: bytes
    until_ns: int
    redeemed_by: str | None = None


class JoinTokens:
    """The tokens that one node issued. `now_ns` is a clock that never goes back."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: list[_Open] = []

    def issue(self, authority: str, *, secret: str, now_ns: int) -> JoinToken:
        """A new token. `secret`: at least 16 random characters, letters, digits, `-` and `_`.

        Raises JoinRefused if 1,000 tokens are open.
        """
        self._open = [each for each in self._open if now_ns < each.until_ns + LIFE_NS]
        if len(self._open) >= _MOST_OPEN:
            raise JoinRefused(reason="too many join tokens are open: wait until some have expired")
        token = JoinToken.parse(f"dcj_{authority}_{secret}")
        self._open.append(_Open(_digest(secret), now_ns + LIFE_NS))
        return token

    def check(self, secret: str, *, by: str, now_ns: int) -> bool:
        """Raises JoinRefused as `redeem` would; uses nothing up. True if the same one redeemed it before."""
        return self._find(secret, by, now_ns).redeemed_by is not None

    def redeem(self, secret: str, *, by: str, now_ns: int) -> None:
        """Use a token up. Raises JoinRefused: unknown here, redeemed already, or expired.

        `by`: who redeems it. The same one may repeat that until the token expires: the answer may be lost.
        """
        self._find(secret, by, now_ns).redeemed_by = by

    def _find(self, secret: str, by: str, now_ns: int) -> _Open:
        digest = _digest(secret)
        matching = [each for each in self._open if hmac.compare_digest(each.digest, digest)]
        if not matching:
            raise JoinRefused(
                reason=f"the node asked did not issue the token, or was restarted since: {_NEW}"
            )
        if matching[0].redeemed_by not in (None, by):
            raise JoinRefused(reason=f"the token was redeemed already: {_NEW}")
        if now_ns >= matching[0].until_ns:
            raise JoinRefused(reason=f"the token has expired: {_NEW}")
        return matching[0]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
