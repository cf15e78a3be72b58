"""The guard around any application: time limits, large bodies, and errors that the application makes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lockstep.serving.guard import App, Guard, Message, Receive, Scope, Send
from lockstep.serving.identity import Identity
from lockstep.serving.limits import Limits
from lockstep.serving.metrics import Metrics

IDENTITY = Identity("sha256:" + "0" * 64, "blue", "local-a", "digits")
LIMITS = Limits(
    body_bytes=100, body_seconds=0.1, large_bytes=50, large_at_once=2, large_grace=0.1, drain_seconds=0.05
)


def guard(app: App, limits: Limits = LIMITS) -> Guard:
    return Guard(app, IDENTITY, Metrics(IDENTITY), limits)


def scope(path: str = "/predict", **headers: str) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": raw}


def body_of(*pieces: bytes, pause: float = 0) -> Receive:
    messages = [
        {"type": "http.request", "body": piece, "more_body": n + 1 < len(pieces)}
        for n, piece in enumerate(pieces)
    ]

    async def receive() -> Message:
        await asyncio.sleep(pause)
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


class Client:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def answers(status: int, body: bytes) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-secret", b"1")]})
        await send({"type": "http.response.body", "body": body})

    return app


def ask(app: App, receive: Receive, **headers: str) -> Client:
    client = Client()
    asyncio.run(_call(guard(app), scope(**headers), receive, client.send))
    return client


async def _call(app: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    await app(*arguments)


def test_a_body_in_pieces_arrives_whole() -> None:
    client = ask(echo, body_of(b"ab", b"", b"c"))
    assert (client.status, client.body) == (200, b"abc")
    assert (b"x-lockstep-slot", b"blue") in client.messages[0]["headers"]


def test_a_body_that_trickles_in_is_cut_off() -> None:
    client = ask(echo, body_of(*[b"x"] * 50, pause=0.02))
    assert (client.status, client.code) == (408, "serving.slow_body")


def test_a_body_over_the_limit_is_cut_off_whatever_it_declared() -> None:
    for declared in ({}, {"content_length": "10"}):
        client = ask(echo, body_of(b"x" * 60, b"x" * 60), **declared)
        assert (client.status, client.code) == (413, "serving.body_too_large")
    assert ask(echo, body_of(b"x" * 60, b"x" * 40)).status == 200


@pytest.mark.parametrize("status", [400, 403, 404, 415, 500, 503, 504])
def test_an_error_of_the_application_is_told_without_its_words(status: int) -> None:
    client = ask(answers(status, b'Traceback: File "/srv/x.py"'), body_of(b""))
    assert client.status == status and client.code.startswith("serving.")
    assert b"Traceback" not in client.body
    assert (b"x-secret", b"1") not in client.messages[0]["headers"]


def test_an_application_that_breaks_is_answered_for() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        raise ZeroDivisionError

    client = Client()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(_call(guard(breaks), scope(), body_of(b""), client.send))
    assert (client.status, client.code) == (500, "serving.failed")


def test_a_client_that_went_away_is_not_answered() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    assert ask(echo, gone).messages == []


def test_large_bodies_wait_their_turn_and_small_ones_do_not() -> None:
    under_way, most = 0, 0

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal under_way, most
        size = len((await receive())["body"])
        under_way += size > 50
        most = max(most, under_way)
        await asyncio.sleep(0.02 if size > 50 else 0)
        under_way -= size > 50
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def crowd() -> list[int]:
        app, order, clients = guard(slow), list[int](), []

        async def one(size: int) -> None:
            client = Client()
            await app(scope(content_length=str(size)), body_of(b"x" * size), client.send)
            clients.append(client)
            order.append(size)

        await asyncio.gather(*[one(80) for _ in range(6)], one(10))
        assert all(client.status == 200 for client in clients)
        return order

    assert asyncio.run(crowd())[0] == 10
    assert most == 2


def test_slow_clients_do_not_hold_the_turns_of_large_bodies() -> None:
    """Many that send a little and wait, declared or not, and good ones with large bodies among them."""

    async def crowd() -> list[int]:
        app, good = guard(echo), [Client() for _ in range(4)]

        async def slow() -> None:
            async def dribble() -> Message:
                await asyncio.sleep(0.01)
                return {"type": "http.request", "body": b"x", "more_body": True}

            await app(scope(), dribble, Client().send)

        crowd = [asyncio.create_task(slow()) for _ in range(50)]
        for client in good:
            await app(scope(content_length="90"), body_of(b"x" * 60, b"x" * 30), client.send)
        assert not any(task.done() for task in crowd)  # nobody waited for them
        await asyncio.gather(*crowd)
        return [client.status for client in good]

    assert asyncio.run(crowd()) == [200] * 4


def test_a_large_body_that_stalls_in_its_turn_is_cut_off() -> None:
    stalled = Limits(**{**vars(LIMITS), "body_seconds": 30})

    async def one() -> Client:
        client, hanging = Client(), asyncio.Event()
        pieces = [{"type": "http.request", "body": b"x" * 60, "more_body": True}]

        async def receive() -> Message:
            if not pieces:
                await hanging.wait()
            return pieces.pop()

        await guard(echo, stalled)(scope(), receive, client.send)
        return client

    client = asyncio.run(one())
    assert (client.status, client.code) == (408, "serving.slow_body")


def two_headers(name: bytes, *values: bytes) -> Client:
    client, where = Client(), scope()
    where["headers"] = [(name, value) for value in values]
    asyncio.run(_call(guard(echo), where, body_of(b"x"), client.send))
    return client


def test_headers_that_two_readers_could_read_differently_are_refused() -> None:
    pickle, image = b"application/vnd.bentoml+pickle", b"image/png"
    # BentoML reads the first, a dictionary keeps the last.
    assert two_headers(b"content-type", pickle, image).code == "serving.pickle"
    assert two_headers(b"content-type", image, pickle).status in (400, 415)
    assert two_headers(b"content-type", image, image).code == "serving.double_header"
    assert two_headers(b"content-encoding", b"gzip", b"identity").code == "serving.double_header"
    assert two_headers(b"accept", b"a/b", b"c/d").status == 200


def test_the_name_of_the_pickle_type_hides_nowhere() -> None:
    for kind in (
        "application/vnd.bentoml+pickle",
        "APPLICATION/VND.BENTOML+PICKLE",
        "x, application/vnd.bentoml+pickle",
    ):
        assert ask(echo, body_of(b"x"), content_type=kind).status == 415
