"""XML-RPC over a unix socket: how supervisord is spoken to. (Its own client imports half of supervisor.)"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from typing import Any

BAD_NAME, SHUTTING_DOWN = 10, 6
"""Fault codes: no such program; the daemon is on its way out."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> _UnixConnection:
        return _UnixConnection(self._path)


def proxy(path: str) -> Any:
    """The `supervisor` namespace of the daemon behind this socket."""
    return xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(path)).supervisor
