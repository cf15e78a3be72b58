"""Servers in this process, on loopback and for as long as a test needs them."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

POLL_S = 0.02
"""How often a server looks whether it is to end: what each test waits for at its end."""


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON, and says nothing on stderr."""

    def say(self, status: int, value: Any, kind: str = "application/json") -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def served(server: socketserver.BaseServer) -> Iterator[None]:
    """Serves until the end of the block, and is gone after it."""
    running = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    running.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        running.join()
