"""The image's health check: the gateway in this container lists its models.

Envoy wrote down where its admin interface is; that one knows the listeners, whatever the configuration says.
"""

from __future__ import annotations

import http.client
import json  # noqa: TID251
import ssl
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen


def main() -> int:
    """Status 0 when the newest gateway answers."""
    found = sorted(Path(tempfile.gettempdir()).glob("extproc-*/admin.txt"), key=lambda path: path.stat().st_mtime)
    if not found:
        return 1
    with urlopen(f"http://{found[-1].read_text().strip()}/listeners?format=json", timeout=3) as answer:
        listeners = {each["name"]: each["local_address"] for each in json.load(answer)["listener_statuses"]}
    port = listeners["main"]["socket_address"]["port_value"]
    return 0 if _status(port, tls=True) < 500 or _status(port, tls=False) < 500 else 1


def _status(port: int, *, tls: bool) -> int:
    context = ssl._create_unverified_context()  # noqa: S323
    kind = http.client.HTTPSConnection("127.0.0.1", port, timeout=3, context=context) if tls else None
    connection = kind or http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 599
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError):
        sys.exit(1)
