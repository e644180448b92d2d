#!/opt/depthcache/bin/python
"""Whether the server of this container runs, for `docker run --health-cmd healthz`: exit code 0, or 1 if not.

healthz [PORT] [PATH]        (42081 and /healthz)
"""

from __future__ import annotations

import ssl
import sys
from http.client import HTTPException, HTTPSConnection


def main(port: str = "42081", path: str = "/healthz") -> int:
    """Ask the server. Nobody needs to check who answers: it is this container."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection("127.0.0.1", int(port), timeout=4, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            sys.stdout.write(f"status {response.status}: {response.read(300)!r}\n")
    except (OSError, HTTPException) as error:
        sys.stdout.write(f"no answer on port {port}: {error}\n")
        return 1
    finally:
        connection.close()
    return int(response.status != 200)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
