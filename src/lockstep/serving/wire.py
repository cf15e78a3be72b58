"""The connection under the guard: what a client can do before there is a request to judge.

uvicorn bounds the size of a head and nothing else: a client that never ends its head is kept for ever,
one byte a chunk costs a hundred times what it carries, and once all files are open nobody gets in.

    (1) a head must be complete within `header_seconds` of the connection, or of its first byte;
    (2) a body must not come in far more pieces than its size explains;
    (3) of too many connections the one that has kept us waiting longest is closed, not the newcomer;
    (4) what is refused here gets the same form of error as everywhere.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from lockstep.serving.limits import LIMITS, Limits
from lockstep.serving.refusal import error_body

FEW_PIECES = 2000
PIECE_BYTES = 256
"""A body may come in FEW_PIECES pieces, and in one more for every PIECE_BYTES of it."""

RESERVED_FILES = 48
"""Open files that are no connections: libraries, the log, the listening socket, a margin."""


def connections_allowed(limits: Limits) -> int:
    """`limits.connections`, or as many as the process may have files open for. At least one."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(limits.connections, files - RESERVED_FILES))


class Counted(h11.Connection):
    """(2) A connection that counts the pieces of each body."""

    pieces = 0
    size = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.pieces = self.size = 0
        elif isinstance(event, h11.Data):
            self.pieces += 1
            self.size += len(event.data)
            if self.pieces > FEW_PIECES + self.size / PIECE_BYTES:
                raise h11.RemoteProtocolError("too many small chunks")
        return event


class Wire(H11Protocol):
    limits = LIMITS

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = Counted(h11.SERVER, self.limits.header_bytes)
        self._most = connections_allowed(self.limits)
        self._head_late: asyncio.TimerHandle | None = None
        self.waiting_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > self._most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_is_there()
        elif self._head_late is None and not self.transport.is_closing():
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._head_is_there()
        self.waiting_since = self.loop.time()
        if self.conn.their_state is h11.SEND_BODY:  # answered already, so the rest of it is for nobody
            self.transport.close()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # nobody reads the last answer: closing would wait for it
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """(4) In place of uvicorn's plain text."""
        self._refuse(400, "serving.bad_http", "this is not a well-formed HTTP/1.1 request")

    def _expect_head(self) -> None:
        self.waiting_since = self.loop.time()
        self._head_late = self.loop.call_later(self.limits.header_seconds, self._head_too_late)

    def _head_is_there(self) -> None:
        if self._head_late is not None:
            self._head_late.cancel()
            self._head_late = None

    def _head_too_late(self) -> None:  # (1)
        self._head_late = None
        self._refuse(408, "serving.slow_head", "the request's head did not arrive in time")

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer where no answer has begun, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = error_body(code, message)
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _make_room(self) -> None:  # (3)
        waiting = [one for one in self.connections if isinstance(one, Wire) and one.keeps_us_waiting()]
        oldest = min(waiting, key=lambda one: one.waiting_since, default=self)
        oldest.transport.abort()

    def keeps_us_waiting(self) -> bool:
        """Nothing is owed to this client before it sends something, or reads what it was sent."""
        return (
            self.conn.their_state in (h11.IDLE, h11.SEND_BODY) or self.transport.get_write_buffer_size() > 0
        )
