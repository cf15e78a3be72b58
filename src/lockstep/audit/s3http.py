"""Signed requests to one endpoint over kept connections, standard library only."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from lockstep.audit.bucket import MAX_OBJECT_BYTES
from lockstep.audit.sigv4 import SERVICE, Credentials, encode_path, encode_query, signed_headers

MAX_ANSWER_BYTES = 4 * MAX_OBJECT_BYTES
SILENCE = (OSError, http.client.HTTPException)
_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True)
class Answer:
    """headers: names in lower case; body: at most a byte more than MAX_ANSWER_BYTES is read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class SignedHttp:
    """Requests to one endpoint. Thread-safe: each thread has its own connection.

    credentials: asked before each request, because those of a session end while a command runs.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Callable[[], Credentials],
        timeout_s: float,
        clock: Callable[[], datetime],
        *,
        service: str = SERVICE,
    ) -> None:
        self._url = urlsplit(endpoint)
        self._credentials = credentials
        self._timeout = timeout_s
        self._clock = clock
        self._service = service
        self._threads = threading.local()

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._url.scheme == "https"
        made = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return made(self._url.hostname or "", self._url.port, timeout=self._timeout)

    def _signed(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        who, now = self._credentials(), self._clock()
        host = self._url.netloc
        return signed_headers(method, host, path, query, headers, body, who, now, service=self._service)

    def _drop(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._threads, "connection", None)
        self._threads.connection = None
        if connection is not None:
            connection.close()

    def _once(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection: http.client.HTTPConnection | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = self._connect()
        try:
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            data = answer.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException):
            self._drop()
            raise
        if answer.will_close or len(data) > MAX_ANSWER_BYTES:
            self._drop()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)

    def ask(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """One request and its answer. Raises one of SILENCE when there is none."""
        if method == "PUT":
            # On a connection of its own: a kept one may be closing, and a write is never sent twice.
            self._drop()
        signed = self._signed(method, path, query, headers, body)
        target = encode_path(path) + (f"?{encode_query(query)}" if query else "")
        kept = getattr(self._threads, "connection", None) is not None
        try:
            return self._once(method, target, body, signed)
        except _CLOSED:
            if not kept:
                raise
        # The server closed a kept connection in between: ask again on a new one.
        return self._once(method, target, body, signed)

    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """The body of a GET in pieces, over a connection of its own: for objects of any size.

        Raises FileNotFoundError for a 404 or 405, one of SILENCE for no answer, another one or half a body.
        """
        signed = self._signed("GET", path, query, {}, b"")
        target = encode_path(path) + (f"?{encode_query(query)}" if query else "")
        connection = self._connect()
        try:
            connection.request("GET", target, headers=signed)
            answer = connection.getresponse()
            if answer.status in (404, 405):
                raise FileNotFoundError(path)
            if answer.status != 200:
                raise http.client.HTTPException(f"status {answer.status}")
            length = int(answer.headers.get("content-length", "-1"))
            done = 0
            while data := answer.read(MAX_OBJECT_BYTES):
                done += len(data)
                yield data
            if done != length:
                raise http.client.HTTPException(f"{done} of {length} bytes")
        finally:
            connection.close()
