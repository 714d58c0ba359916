"""The image's health check: exit status 0 while /health/ready answers 200.

Uses the standard library alone, since the image has no curl. Knows the service's port, and whether it speaks TLS, from
the settings' own environment variables.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from collections.abc import Mapping

PATIENCE_S = 4.0


def connection(environment: Mapping[str, str]) -> http.client.HTTPConnection:
    """To this container's service; not opened yet."""
    port = int(environment.get("EAR_TEACHER_PORT", "8350"))
    if not environment.get("EAR_TEACHER_TLS_CERT"):
        return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    trusting = ssl.create_default_context()  # the certificate names the outside address, and this is loopback
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=trusting)


def main() -> int:
    """Ask once."""
    asked = connection(os.environ)
    try:
        asked.request("GET", "/health/ready")
        answer = asked.getresponse()
        said = answer.read(1000).decode(errors="replace")
    except OSError as error:
        print(f"not ready: {error}", file=sys.stderr)
        return 1
    finally:
        asked.close()
    if answer.status != http.HTTPStatus.OK:
        print(f"not ready: HTTP {answer.status} {said}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
