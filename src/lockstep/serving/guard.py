"""The first and last code that sees a request. Pure ASGI, around BentoML's application.

For each request:
    (0) the pickle type is refused: BentoML unpickles what it takes for a call from another service;
    (1) only known paths and methods pass;
    (2) the body is read within its limits of bytes and time, declared or not, and then replayed;
    (3) an answer gets the headers that say who gave it;
    (4) an error, whoever made it, gets a body of one form, without paths and tracebacks;
    (5) it is counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from lockstep.serving.identity import Identity
from lockstep.serving.limits import LIMITS, Limits
from lockstep.serving.metrics import Metrics
from lockstep.serving.refusal import Exchange, Refused, current

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PICKLE = b"application/vnd.bentoml+pickle"
ROUTES = {
    "/predict": ("POST",),
    "/predict_batch": ("POST",),
    "/release": ("GET", "HEAD"),
    "/metrics": ("GET", "HEAD"),
    "/readyz": ("GET", "HEAD"),
    "/livez": ("GET", "HEAD"),
}
BY_STATUS = {
    404: ("serving.no_such_path", "there is nothing at this path"),
    405: ("serving.wrong_method", "this path does not take this method"),
    415: ("serving.unsupported_type", "this content type is not served"),
    503: ("serving.overloaded", "the service is overloaded; try again"),
    504: ("serving.timeout", "the request took too long"),
}


class Gone(Exception):
    """The client went away before its request was complete."""


class Guard:
    def __init__(self, app: App, identity: Identity, metrics: Metrics, limits: Limits = LIMITS) -> None:
        self._app = app
        self._metrics = metrics
        self._limits = limits
        self._who = identity.headers()
        self._large = asyncio.Semaphore(limits.large_at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1003})
        started = perf_counter()
        reply = Reply(send, self._who)
        token = current.set(reply.exchange)
        try:
            await self._serve(scope, receive, reply)
        except Refused as refused:
            reply.exchange.refused = refused
            reply.failed = refused.status
            await self._drain(receive)
        except Gone:
            return
        finally:
            current.reset(token)
            if reply.failed:
                self._metrics.refused(await reply.refuse())
            path = scope["path"] if scope["path"] in ROUTES else "other"
            self._metrics.answered(path, reply.status, perf_counter() - started)

    async def _serve(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if PICKLE in headers.get(b"content-type", b"").lower():  # (0)
            raise Refused("pickled bodies are refused", code="serving.pickle", status=415)
        path, method = scope["path"], scope["method"]
        if path not in ROUTES:  # (1)
            raise _by_status(404)
        if method not in ROUTES[path]:
            raise _by_status(405)
        if method != "POST":
            return await self._app(scope, receive, reply.send)
        limit = self._limits.json_bytes if path == "/predict_batch" else self._limits.body_bytes
        declared = _declared(headers, limit)
        if declared is not None and declared < self._limits.large_bytes:
            return await self._app(scope, await self._read(receive, limit), reply.send)
        async with self._large:
            await self._app(scope, await self._read(receive, limit), reply.send)

    async def _read(self, receive: Receive, limit: int) -> Receive:
        """(2) The whole body, as a receive function that gives it in one piece."""
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await _body(receive, limit)
        except TimeoutError:
            raise Refused("the body did not arrive in time", code="serving.slow_body", status=408) from None
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replay

    async def _drain(self, receive: Receive) -> None:
        """Drop what is left of a refused body. Without this the client meets a reset, not the answer."""
        try:
            async with asyncio.timeout(self._limits.drain_seconds):
                while (message := await receive())["type"] == "http.request":
                    if not message.get("more_body"):
                        return
        except TimeoutError:
            return


def _declared(headers: dict[bytes, bytes], limit: int) -> int | None:
    """Content-Length, or None where the length is not told beforehand."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused("compressed bodies are refused", code="serving.unsupported_type", status=415)
    declared = headers.get(b"content-length")
    if declared is None:
        return None
    if int(declared) > limit:
        raise _too_large(limit)
    return int(declared)


async def _body(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join([*pieces, piece]) if pieces else piece
        pieces.append(piece)


def _too_large(limit: int) -> Refused:
    return Refused(f"the body is larger than {limit} bytes", code="serving.body_too_large", status=413)


def _by_status(status: int) -> Refused:
    code, message = BY_STATUS.get(status, ("serving.failed", "the request could not be served"))
    return Refused(message, code=code, status=status)


class Reply:
    """An answer on its way out: good ones pass with our headers (3), bad ones are held back (4)."""

    def __init__(self, send: Send, who: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._who = who
        self.exchange = Exchange()
        self.failed = 0
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 400:
                self.failed = self.status
            else:
                message["headers"] = [*message["headers"], *self._who]
        if not self.failed:
            await self._send(message)

    async def refuse(self) -> str:
        """Send the error; its code."""
        refused = self.exchange.refused or _by_status(self.failed)
        self.status = refused.status
        body = json.dumps({"error": {"code": refused.code, "message": refused.message}}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *self._who,
        ]
        if refused.status in (408, 413, 415):  # the rest of the body may still be on the line
            headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
        return refused.code
