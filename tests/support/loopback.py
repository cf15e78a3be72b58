"""Servers in this process, on loopback and for as long as a test needs them.

Each caller has a thread of its own. Some machines have a watcher that calls every new port and then says
nothing: it may hold up nobody else, nor the end of the server.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class SecureServer(ThreadingHTTPServer):
    """HTTPS; the handshake is the caller's own affair, not that of the thread that takes the calls."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


@contextlib.contextmanager
def calls(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where `act` deals with each connection, which is closed after it. Yields the port."""

    def deal(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # callers who have had enough
            act(connection)

    def take(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=deal, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        taking = threading.Thread(target=take, args=[server], daemon=True)
        taking.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            taking.join()


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
