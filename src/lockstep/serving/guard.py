"""The first and last code that sees a request. Pure ASGI, around BentoML's application.

For each request:
    (0) the pickle type is refused: BentoML unpickles what it takes for a call from another service;
        so are headers that are there twice, of which two readers could believe different ones;
    (1) only known paths and methods pass;
    (2) the body is read within its limits of bytes and time, declared or not, and then replayed;
    (3) an answer gets the headers that say who gave it;
    (4) an error, whoever made it, gets a body of one form, without paths and tracebacks;
    (5) it is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any

from lockstep.serving.identity import Identity
from lockstep.serving.limits import LIMITS, Limits
from lockstep.serving.metrics import Metrics
from lockstep.serving.refusal import Exchange, Refused, current, error_body

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PICKLE = b"application/vnd.bentoml+pickle"
ONCE = (b"content-type", b"content-length", b"content-encoding", b"transfer-encoding")
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
            reply.exchange.refused = refused.bare()
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
        headers = _once(scope["headers"])  # (0)
        path, method = scope["path"], scope["method"]
        if path not in ROUTES:  # (1)
            raise _by_status(404)
        if method not in ROUTES[path]:
            raise _by_status(405)
        if method != "POST":
            return await self._app(scope, receive, reply.send)
        limit = self._limits.json_bytes if path == "/predict_batch" else self._limits.body_bytes
        _check_declared(headers, limit)
        with self._metrics.under_way():
            async with Turn(self._large) as turn:
                await self._app(scope, await self._read(receive, limit, turn), reply.send)

    async def _read(self, receive: Receive, limit: int, turn: Turn) -> Receive:
        """(2) The whole body, as a receive function that gives it in one piece."""
        try:
            body = await self._body(receive, limit, turn)
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

    async def _body(self, receive: Receive, limit: int, turn: Turn) -> bytes:
        """Raises TimeoutError for a body that arrives too slowly: a large one must keep up a rate."""
        clock = asyncio.get_running_loop().time
        latest = clock() + self._limits.body_seconds
        pieces: list[bytes] = []
        size = 0
        while True:
            async with asyncio.timeout_at(latest):
                message = await receive()
            if message["type"] != "http.request":
                raise Gone
            piece = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            if size > self._limits.large_bytes:
                began = await turn.taken(clock)
                latest = began + self._limits.large_grace + size / self._limits.large_rate
            if not message.get("more_body"):
                return b"".join([*pieces, piece]) if pieces else piece
            pieces.append(piece)

    async def _drain(self, receive: Receive) -> None:
        """Drop what is left of a refused body. Without this the client meets a reset, not the answer."""
        try:
            async with asyncio.timeout(self._limits.drain_seconds):
                while (message := await receive())["type"] == "http.request":
                    if not message.get("more_body"):
                        return
        except TimeoutError:
            return


class Turn:
    """One request's place among the few large bodies that are in memory at a time, once it needs one."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._began: float | None = None

    async def taken(self, clock: Callable[[], float]) -> float:
        """When the turn began; waits for it where it has not."""
        if self._began is None:
            await self._places.acquire()
            self._began = clock()
        return self._began

    async def __aenter__(self) -> Turn:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._began is not None:
            self._places.release()


def _once(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name. Raises Refused for the pickle type, wherever it stands, and for doubles."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        if name == b"content-type" and PICKLE in value.lower():
            raise Refused("pickled bodies are refused", code="serving.pickle", status=415)
        if name in ONCE and name in headers:
            raise Refused(
                f"the header {name.decode()} is there twice", code="serving.double_header", status=400
            )
        headers[name] = value
    return headers


def _check_declared(headers: dict[bytes, bytes], limit: int) -> None:
    """Refuse from the headers alone what would be refused once read."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused("compressed bodies are refused", code="serving.unsupported_type", status=415)
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > limit:
        raise _too_large(limit)


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
        body = error_body(refused.code, refused.message)
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
