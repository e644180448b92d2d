"""The access tokens of a cluster as files: their names, and how their secrets are made."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from depthcache.cluster.core.access_tokens import Role

__all__ = ["TOKEN_FILES", "TOKEN_ROLES", "is_secret", "make_secret", "token_name"]

TOKEN_FILES: Mapping[str, str] = {"read": "dcr_", "admin": "dca_", "exchange": "dcx_"}
"""How the secret in the file of each token begins; the file is the name with `.token`."""
TOKEN_ROLES: Mapping[str, Role] = {"read": Role.READ, "admin": Role.MANAGE, "exchange": Role.EXCHANGE}
"""What the token in each file allows."""
_RANDOM = re.compile(r"[A-Za-z0-9_-]{32,128}")


def make_secret(name: str) -> str:
    """A new secret for a token file."""
    return TOKEN_FILES[name] + secrets.token_urlsafe(24)


def is_secret(name: str, text: str) -> bool:
    """Whether this may be the secret of a token file."""
    begin = TOKEN_FILES[name]
    return text.startswith(begin) and _RANDOM.fullmatch(text, len(begin)) is not None


def token_name(name: str) -> str:
    """How `credentials` names the secret of a token file."""
    return f"token {name}"
