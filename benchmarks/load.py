"""A steady load on one port, and a process that is measured: shared by benchmarks that drive HTTP."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

CLIENTS = 4
READY_S = 60

Latencies = list[float]
"""Seconds from the first byte sent to the last byte received, one for each request."""


def drive(port: int, images: Sequence[bytes], seconds: float) -> tuple[float, Latencies]:
    """Images per second and latencies of CLIENTS connections that are kept alive and always busy."""
    requests = [
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: "
        + str(len(image)).encode()
        + b"\r\n\r\n"
        + image
        for image in images
    ]
    latencies: Latencies = []
    failures: list[BaseException] = []
    started = time.perf_counter()
    threads = [
        threading.Thread(target=_client, args=(port, requests, started + seconds, latencies, failures))
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return len(latencies) / (time.perf_counter() - started), latencies


def _client(
    port: int, requests: Sequence[bytes], until: float, latencies: Latencies, failures: list[BaseException]
) -> None:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for request in itertools.cycle(requests):
                sent = time.perf_counter()
                if sent >= until:
                    return
                connection.sendall(request)
                _read_answer(connection)
                latencies.append(time.perf_counter() - sent)
    except (OSError, AssertionError) as error:
        failures.append(error)


def _read_answer(connection: socket.socket) -> None:
    """One response with a Content-Length, read whole. http.client would cost more than the server."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, body = data.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise AssertionError(head.decode(errors="replace"))
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += _some(connection)


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError("the service closed the connection")
    return data


@contextlib.contextmanager
def run(command: Sequence[str], env: Mapping[str, str], port: int, log: Path) -> Iterator[int]:
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, env=env, stdout=stderr, stderr=stderr) as process,
    ):
        try:
            until = time.monotonic() + READY_S
            while not _ready(port):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[2]} is not ready: {log.read_text()[-2000:]}")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def resident(pid: int) -> float:
    """MiB of a process and its children."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(member.memory_info().rss for member in family) / 1024**2


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in user and system mode."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
