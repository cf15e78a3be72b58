"""Gateways, an entry point and backends for tests: real Envoys, answered by servers that say who they are."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lockstep.local import admin, envoy, gateway, live
from lockstep.local.httproute import backend_name, http_route
from lockstep.table import Cell

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
MODEL = "digits"
PATH = f"/v1/models/{MODEL}/predict"


def both(green_weight: float) -> Cell:
    return {"blue": A, "green": B, "green_weight": green_weight}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Backend(asyncio.Protocol):
    """A keep-alive HTTP server that says its name, and what it was asked, in one write."""

    def __init__(self, name: str, seen: list[str], delay_s: float) -> None:
        self.name, self.seen, self.delay_s, self.buffer = name, seen, delay_s, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        length = int(headers.get("content-length", 0))
        if found and len(rest) >= length and "chunked" not in headers.get("transfer-encoding", ""):
            self.buffer = rest[length:]
            asyncio.get_running_loop().call_later(self.delay_s, self.answer, lines[0], headers, length)
        elif found and rest.endswith(b"0\r\n\r\n"):
            self.buffer = b""
            asyncio.get_running_loop().call_later(self.delay_s, self.answer, lines[0], headers, len(rest))

    def answer(self, line: str, headers: Mapping[str, str], length: int) -> None:
        self.seen.append(line)
        said = {"slot": self.name, "path": line.split(" ")[1], "headers": headers, "bytes": length}
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nx-lockstep-slot: {self.name}\r\n\r\n"
        self.transport.write(head.encode() + body)


class Fleet:
    """Gateways, an entry point and backends of one test, all stopped at its end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self.admins: dict[str, int] = {}
        self.seen: dict[str, list[str]] = {}
        self.services: dict[str, int] = {}
        self.servers: list[asyncio.Server] = []

    def folder(self, name: str) -> Path:
        return self.root / name

    def backend(self, name: str, delay_s: float = 0) -> int:
        seen = self.seen.setdefault(name, [])
        made = asyncio.run_coroutine_threadsafe(
            self.loop.create_server(lambda: Backend(name, seen, delay_s), "127.0.0.1", 0), self.loop
        )
        server = made.result(5)
        self.servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def start(self, name: str, bootstrap: Path) -> None:
        argv = envoy.gateway_argv(envoy.binary(), bootstrap)
        with (self.root / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(argv, stdout=log, stderr=log)
        until = time.monotonic() + 20
        while not admin.is_ready(self.admins[name]):
            assert time.monotonic() < until, (self.root / f"{name}.log").read_text()
            time.sleep(0.02)

    def gateway(self, region: str) -> None:
        self.ports.setdefault(region, free_port())
        self.admins.setdefault(region, free_port())
        self.start(region, self.render(region))

    def render(self, region: str) -> Path:
        return gateway.render_gateway(
            self.folder(region), name=region, port=self.ports[region], admin_port=self.admins[region]
        )

    def entry(self, *regions: str) -> None:
        self.ports["entry"], self.admins["entry"] = free_port(), free_port()
        bootstrap = gateway.render_entry(
            self.folder("entry"),
            name="entry",
            port=self.ports["entry"],
            admin_port=self.admins["entry"],
            gateways={region: ("127.0.0.1", self.ports[region]) for region in regions},
        )
        self.start("entry", bootstrap)

    def slots(self, region: str, *, delay_s: float = 0) -> None:
        for slot in ("blue", "green"):
            port = self.backend(f"{region}-{slot}", delay_s)
            name = backend_name(MODEL, region, slot)
            self.services[name] = port
            gateway.set_backend(self.folder(region), self.admins[region], name, port)

    def route(self, region: str, cell: Cell, *, intent: int = 1, **options: Any) -> str:
        route = http_route(MODEL, region, cell, intent=intent, **options)
        return gateway.set_route(self.folder(region), self.admins[region], route)

    def live(self, region: str) -> live.LiveCell:
        return live.read_live(self.admins[region]).cells[MODEL][region]

    def ask(
        self,
        name: str,
        path: str = PATH,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=20)
        with contextlib.closing(connection):
            connection.request("POST" if body is not None else "GET", path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()

    def eventually(self, look: Callable[[], object], wanted: object) -> bool:
        """Whether a look comes to the wanted answer within some seconds."""
        until = time.monotonic() + 10
        while look() != wanted:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait(10)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(10)
        for server in self.servers:
            self.loop.call_soon_threadsafe(server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


class Load:
    """Steady requests on kept-alive connections; counts answers by slot, and what failed."""

    def __init__(self, port: int, connections: int = 4) -> None:
        self.port = port
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.reconnects = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(connections)]

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            while not self.stopping.is_set():
                try:
                    connection.request("POST", PATH, b"x" * 1000)
                    response = connection.getresponse()
                    response.read()
                    if response.status == 200:
                        self.answers[str(response.getheader("x-lockstep-slot"))] += 1
                    else:
                        self.failures.append(str(response.status))
                    if response.will_close:
                        self.reconnects += 1
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(repr(error))
                    connection.close()
                    self.reconnects += 1

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
