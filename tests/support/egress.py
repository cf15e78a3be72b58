"""What lies between a control plane and its pods, for an API server that leads requests on to them.

A kube-apiserver refuses to lead anybody to an address of its own machine. With an egress selection it asks a
proxy behind a unix socket for every address in the cluster, as where its network is not the pods': here that
proxy leads a pod's address to a port on loopback.
"""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.loopback import served

MAX_HEAD = 4096


@dataclass
class Egress:
    """socket: where an API server asks; ways: `<address>:<port>` of a pod -> port on loopback. To any other
    address there is no way."""

    socket: Path
    ways: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def egress() -> Iterator[Egress]:
    """One for one API server; its folder's name is short, because a socket's may not be long."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked = _asked(self.request)
            port = made.ways.get(asked)
            try:
                there = socket.create_connection(("127.0.0.1", port or 0), timeout=5)
            except OSError:
                self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                return
            with there:
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                _join(self.request, there)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with tempfile.TemporaryDirectory(prefix="way-") as folder:
        made = Egress(Path(folder) / "s")
        server = Server(str(made.socket), Handler)
        with served(server):
            yield made


def _asked(client: Any) -> str:
    """The address of a CONNECT. Nothing follows its head before it is answered."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
        chunk = client.recv(MAX_HEAD)
        if not chunk:
            break
        head += chunk
    words = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    return words[1] if words[0] == "CONNECT" else ""


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until a side ends."""
    while True:
        for source in select.select([one, other], [], [])[0]:
            try:
                data = source.recv(1 << 16)
                if not data:
                    return
                (other if source is one else one).sendall(data)
            except OSError:
                return
