"""`python -m depthcache.compat.ubldc`: what a program that uses the old library can expect here."""

from __future__ import annotations

__all__: list[str] = []

if __name__ == "__main__":
    raise SystemExit("nothing to do yet")
