"""The connection under the guard, over real sockets with a stub behind it and small limits."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from lockstep.serving.guard import Guard, Receive, Scope, Send
from lockstep.serving.identity import Identity
from lockstep.serving.limits import Limits
from lockstep.serving.metrics import Metrics
from lockstep.serving.wire import FEW_PIECES, Wire

IDENTITY = Identity("sha256:" + "0" * 64, "blue", "local-a", "digits")
HEAD = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
Talk = Callable[[int], Awaitable[Any]]


async def size(scope: Scope, receive: Receive, send: Send) -> None:
    body = str(len((await receive())["body"])).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    )
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[tuple[int, ServerState]]:
    class Bounded(Wire):
        pass

    Bounded.limits = limits
    state = ServerState()
    config = uvicorn.Config(Guard(size, IDENTITY, Metrics(IDENTITY), limits), log_config=None, ws="none")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Bounded(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], state
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()


async def send_and_read(port: int, *pieces: bytes) -> tuple[int, str]:
    """The status and error code (or body) of the answer to these bytes; (0, "") when there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.splitlines() if line.startswith("content-length"))
        body = await reader.readexactly(int(length.split(":")[1]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, ""
    finally:
        writer.close()
    status = int(head.split()[1])
    return status, body.decode() if status == 200 else json.loads(body)["error"]["code"]


def talk(*pieces: bytes, limits: Limits | None = None) -> tuple[int, str]:
    async def once() -> tuple[int, str]:
        async with serving(limits or Limits()) as (port, _):
            return await send_and_read(port, *pieces)

    return asyncio.run(once())


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


def test_a_good_request_is_answered() -> None:
    assert talk(HEAD + b"content-length: 3\r\n\r\nabc") == (200, "3")
    assert talk(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunked(b"ab", b"c")) == (200, "3")


@pytest.mark.parametrize("start", [b"", b"P", HEAD, HEAD + b"a: " + b"b" * 1000])
def test_a_head_that_never_ends_is_answered_and_cut_off(start: bytes) -> None:
    assert talk(start, limits=Limits(header_seconds=0.05)) == (408, "serving.slow_head")


def test_a_second_head_on_a_kept_connection_is_bounded_too() -> None:
    async def twice() -> bytes:
        async with serving(Limits(header_seconds=0.05)) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + b"content-length: 1\r\n\r\nx")
            await reader.readuntil(b"\r\n\r\n1")
            writer.write(b"P")
            answer = await reader.read()
            writer.close()
            return answer

    assert b"serving.slow_head" in asyncio.run(twice())


@pytest.mark.parametrize(
    "endless",
    [HEAD + b"a: ", b"GET /", b"", HEAD + b"transfer-encoding: chunked\r\n\r\n1;"],
    ids=["header", "path", "method", "chunk header"],
)
def test_a_line_that_never_ends_is_cut_off(endless: bytes) -> None:
    assert talk(endless, b"a" * 200_000) == (400, "serving.bad_http")


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 1e3\r\n\r\n",
        HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n",
        b"\0\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\r\n\r\n",
    ],
    ids=repr,
)
def test_what_is_not_http_is_refused_in_our_words(request_: bytes) -> None:
    assert talk(request_) == (400, "serving.bad_http")


def test_more_tiny_chunks_than_a_body_explains_are_cut_off() -> None:
    start = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    assert talk(start + chunked(*[b"x"] * (FEW_PIECES - 10))) == (200, str(FEW_PIECES - 10))
    assert talk(start + chunked(*[b"x" * 512] * 5000)) == (200, str(512 * 5000))
    assert talk(start, b"1\r\nx\r\n" * (FEW_PIECES * 2)) == (400, "serving.bad_http")


@pytest.mark.parametrize("first", [b"POST /nothing", b"GET /predict", b"PUT /release"])
def test_who_was_answered_and_still_sends_is_cut_off(first: bytes) -> None:
    """Otherwise a body that never ends would be read and dropped for ever."""

    async def endless() -> bytes:
        async with serving(Limits(drain_seconds=0.05)) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(first + b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
            answer = await reader.readuntil(b"\r\n\r\n")
            with pytest.raises(ConnectionError):
                for _ in range(2000):
                    writer.write(b"8000\r\n" + bytes(0x8000) + b"\r\n")
                    await writer.drain()
            return answer

    assert asyncio.run(endless()).startswith(b"HTTP/1.1 40")


def test_a_newcomer_is_let_in_and_who_waited_longest_goes() -> None:
    async def crowd() -> tuple[list[bytes], tuple[int, str]]:
        async with serving(Limits(connections=4)) as (port, state):
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
            for _, writer in idle:
                writer.write(HEAD)
            while len(state.connections) < 4:
                await asyncio.sleep(0)
            answer = await send_and_read(port, HEAD + b"content-length: 1\r\n\r\nx")
            gone = await asyncio.gather(idle[0][0].read(1), return_exceptions=True)
            alive = [reader.at_eof() for reader, _ in idle]
            for _, writer in idle:
                writer.close()
            assert alive[1:] == [False] * 3
            return [bytes(one) if isinstance(one, bytes) else b"" for one in gone], answer

    gone, answer = asyncio.run(crowd())
    assert gone == [b""] and answer == (200, "1")


def test_who_does_not_read_its_answer_makes_room_too() -> None:
    async def stuck() -> bool:
        async with serving(Limits(connections=1)) as (port, state):
            deaf = socket.create_connection(("127.0.0.1", port))
            deaf.sendall(HEAD + b"content-length: 1\r\n\r\nx")
            while not (state.total_requests and state.connections):
                await asyncio.sleep(0)
            ours = next(iter(state.connections))
            ours.transport.write(bytes(32 * 1024 * 1024))
            assert ours.transport.get_write_buffer_size() > 0
            answer = await send_and_read(port, HEAD + b"content-length: 2\r\n\r\nxy")
            deaf.close()
            return answer == (200, "2") and ours not in state.connections

    assert asyncio.run(stuck())
