"""`python -m depthcache`: the command line without its script."""

from __future__ import annotations

import sys

from depthcache.cli import main

if __name__ == "__main__":
    sys.exit(main(prog_name="python -m depthcache"))
