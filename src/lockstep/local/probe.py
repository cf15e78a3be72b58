"""One bounded GET on loopback: the answer, or None for anything that is not an answer."""

from __future__ import annotations

import http.client

MAX_BODY = 16 * 1024 * 1024


def get(port: int, path: str, *, timeout_s: float = 2.0) -> tuple[int, bytes] | None:
    """(status, body) of `http://127.0.0.1:<port><path>`; None if nothing answers properly in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(MAX_BODY)
        return None if response.length else (response.status, body)  # length: what is still missing
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
