"""`python -m depthcache.compat.ubldc script.py [args]`: run an unmodified program of the old library."""

from __future__ import annotations

import sys

from depthcache.compat.ubldc import script

__all__: list[str] = []

if __name__ == "__main__":
    script.main(sys.argv[1:])
