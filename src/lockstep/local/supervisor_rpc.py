"""XML-RPC over a unix socket: how supervisord is spoken to. (Its own client imports half of supervisor.)"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from typing import Any

BAD_NAME, SHUTTING_DOWN = 10, 6
"""Fault codes: no such program; the daemon is on its way out."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__()
        self._path = path
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> _UnixConnection:
        return _UnixConnection(self._path, self._timeout_s)


def proxy(path: str, timeout_s: float) -> Any:
    """The `supervisor` namespace of the daemon behind this socket; each question waits so long."""
    transport = _UnixTransport(path, timeout_s)
    return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor
