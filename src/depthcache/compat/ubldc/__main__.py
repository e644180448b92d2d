"""`python -m depthcache.compat.ubldc script.py [args]`: an unmodified program of the old library, with the
names of its modules meaning this drop-in. Not here: how it is run (`script`)."""

from __future__ import annotations

import sys

from depthcache.compat.ubldc import script

__all__: list[str] = []

if __name__ == "__main__":
    script.main(sys.argv[1:])
