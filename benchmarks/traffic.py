"""Processes of the `route` benchmark: two backends, and a client that keeps its connections.

    python traffic.py backend         prints the ports of blue and green, serves until stdin closes
    python traffic.py load PORT       asks until stdin closes, then prints what it saw as JSON

Times are CLOCK_MONOTONIC, which on Linux all processes share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

CONNECTIONS = 4
PACE_S = 0.01
"""Each steady connection asks this often; one more connection, the probe, asks without a pause."""
REQUEST = b"GET /v1/models/digits/predict HTTP/1.1\r\nhost: bench\r\n\r\n"


class Backend(asyncio.Protocol):
    """Answers every request at once with its slot's name."""

    def __init__(self, slot: str) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-lockstep-slot: {slot}\r\n\r\nok"
        self.answer = head.encode()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer * data.count(b"\r\n\r\n"))


async def backend() -> None:
    loop = asyncio.get_running_loop()
    made = [await loop.create_server(lambda s=slot: Backend(s), "127.0.0.1", 0) for slot in ("blue", "green")]
    sys.stdout.write(json.dumps([server.sockets[0].getsockname()[1] for server in made]) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


class Client:
    """Counts what its connections get. A request that gets no whole answer of status 200 has failed;
    none is repeated. An announced close (`connection: close`) is no failure."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.stopping = False
        self.reconnects = 0
        self.failures: list[str] = []
        self.answers: list[tuple[float, float, int, bool]] = []
        """asked at, answered at, intent, whether green"""

    async def run(self, pace_s: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while not self.stopping:
            asked = time.monotonic()
            try:
                writer.write(REQUEST)
                close = await self.read(reader, asked)
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(repr(error))
                close = True
            if close:
                self.reconnects += 1
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            if pace_s:
                await asyncio.sleep(max(0.0, asked + pace_s - time.monotonic()))
        writer.close()

    async def read(self, reader: asyncio.StreamReader, asked: float) -> bool:
        """Take one answer; whether the server closes the connection after it."""
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().lower()
        status, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        await reader.readexactly(int(headers.get("content-length", 0)))
        if " 200 " not in status:
            self.failures.append(status)
        else:
            green = headers["x-lockstep-slot"] == "green"
            self.answers.append((asked, time.monotonic(), int(headers["x-lockstep-intent"]), green))
        return headers.get("connection") == "close"


async def load(port: int) -> None:
    client = Client(port)
    running = [asyncio.create_task(client.run(PACE_S)) for _ in range(CONNECTIONS)]
    running.append(asyncio.create_task(client.run(0)))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    client.stopping = True
    await asyncio.gather(*running)
    seen = {"answers": client.answers, "failures": client.failures, "reconnects": client.reconnects}
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(backend() if sys.argv[1] == "backend" else load(int(sys.argv[2])))
