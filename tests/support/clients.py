"""Clients as they should not be, and good ones beside them that count what they were answered."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import re
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import serving
from tests.support.images import MIB, chunk, encoded, noise, with_chunks
from tests.support.pictures import PICTURES

Answer = tuple[int, str]


@dataclass(frozen=True)
class Door:
    """Where clients send: `/predict` and the others, behind `prefix` on a loopback port."""

    port: int
    prefix: str = ""

    def head(self, path: str, *lines: str) -> bytes:
        first = f"POST {self.prefix}{path} HTTP/1.1\r\nhost: x\r\n"
        return (first + "".join(line + "\r\n" for line in lines)).encode()


def raw(door: Door, *pieces: bytes, seconds: float = 40) -> Answer:
    """The status and error code of the answer to these bytes; (0, "") where the connection just closed.

    Sending stops as soon as it fails: who is refused halfway still reads its answer.
    """
    with socket.create_connection(("127.0.0.1", door.port), timeout=seconds) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                client.sendall(piece)
        return read_answer(client)


def read_answer(client: socket.socket) -> Answer:
    response = http.client.HTTPResponse(client)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ConnectionError):
        return 0, ""
    finally:
        response.close()
    if response.status < 400:
        return response.status, ""
    serving.check_error(response.status, body)
    return response.status, code_in(body)


def code_in(body: bytes) -> str:
    """The code of a refusal in our form; "" for the gateway's own short texts."""
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def pour(door: Door, head: bytes, piece: bytes, limit: int) -> tuple[int, Answer]:
    """Send `piece` again and again, `limit` bytes at most, until cut off: bytes sent, and the answer."""
    sent = 0
    with socket.create_connection(("127.0.0.1", door.port), timeout=40) as client:
        try:
            client.sendall(head)
            while sent < limit:
                client.sendall(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return sent, read_answer(client)


class Slow:
    """Many clients that began a request and do not end it. Closed at the end, whatever became of them."""

    def __init__(self, door: Door, beginnings: list[bytes]) -> None:
        self.sockets = [socket.create_connection(("127.0.0.1", door.port)) for _ in beginnings]
        for client, beginning in zip(self.sockets, beginnings, strict=True):
            client.settimeout(60)
            client.sendall(beginning)

    def dribble(self) -> int:
        """One more byte each; how many are still connected."""
        alive = 0
        for client in self.sockets:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(b"a")
                alive += 1
        return alive

    def endings(self) -> Counter[int]:
        """The status that each was sent away with; 0: closed without a word."""
        return Counter(read_answer(client)[0] for client in self.sockets)

    def __enter__(self) -> Slow:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.sockets:
            client.close()


def slow_beginnings(door: Door, count: int) -> list[bytes]:
    """Of every kind: nothing said, half a head, a body that was declared, one in chunks, a large one."""
    kinds = [
        b"",
        door.head("/predict")[:-2],
        door.head("/predict", "content-type: image/png", "content-length: 9999", "") + b"abc",
        door.head("/predict", "content-type: image/png", "transfer-encoding: chunked", "") + b"5\r\nab",
        door.head("/predict_batch", "content-type: application/json", "content-length: 99999", "") + b"{",
    ]
    large = door.head("/predict", "content-type: image/png", f"content-length: {9 * MIB}", "")
    # One in 25 is large: the good large ones wait for those, eight at a time.
    return [kinds[n % len(kinds)] if n % 25 else large + bytes(200 * 1024) for n in range(count)]


@dataclass
class Tally:
    right: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.right / (self.right + len(self.wrong))

    def __str__(self) -> str:
        kinds = Counter(self.wrong).most_common(3)
        return f"{self.right} right, {len(self.wrong)} not{f' {kinds}' if kinds else ''}: {self.rate:.4%}"


def _requests() -> list[tuple[str, str, bytes, list[str]]]:
    """(path, content type, body, labels) of good requests: small, large, and batches."""
    asked = [
        ("/predict", "image/png" if name.startswith("png") else "image/jpeg", data, [str(number)])
        for name, (number, data) in PICTURES.items()
    ]
    large = serving.picture(4, scale=64)
    padded = with_chunks(large, chunk(b"teXt", encoded(noise(600, 600))))  # 360 KB: a large body
    numbers = list(range(10))
    rows = [(serving.digit(number) / 255).tolist() for number in numbers]
    batch = json.dumps({"instances": rows * 20}).encode()
    asked.append(("/predict", "image/png", padded, ["4"]))
    asked.append(("/predict_batch", "application/json", batch, [str(number) for number in numbers] * 20))
    return asked


def good(door: Door, count: int, clients: int = 8) -> Tally:
    """`count` good requests by `clients` at once, on kept connections; each answer is compared."""
    asked, tally = _requests(), Tally()

    def client(first: int) -> Tally:
        mine = Tally()
        connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        with contextlib.closing(connection):
            for number in range(first, count, clients):
                path, kind, body, labels = asked[number % len(asked)]
                chunked = number % 7 == 0
                try:
                    sent: Any = iter([body[:100], body[100:]]) if chunked else body
                    connection.request("POST", door.prefix + path, sent, {"content-type": kind})
                    response = connection.getresponse()
                    answer = response.read()
                except (OSError, http.client.HTTPException) as error:
                    mine.wrong.append(repr(error))
                    connection.close()
                    continue
                if response.status == 200 and labels_in(json.loads(answer)) == labels:
                    mine.right += 1
                else:
                    mine.wrong.append(f"{response.status} {code_in(answer)}")
        return mine

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for part in pool.map(client, range(clients)):
            tally.right += part.right
            tally.wrong += part.wrong
    return tally


def labels_in(document: Mapping[str, Any]) -> list[str]:
    return [one["label"] for one in document.get("predictions", [document])]


@dataclass(frozen=True)
class Memory:
    """Resident MiB of a process now, and the most since it was last reset."""

    now: int
    peak: int

    @classmethod
    def of(cls, pid: int) -> Memory:
        status = Path(f"/proc/{pid}/status").read_text()
        found = {name: int(re.findall(rf"{name}:\s+(\d+)", status)[0]) // 1024 for name in ("VmRSS", "VmHWM")}
        return cls(found["VmRSS"], found["VmHWM"])

    @staticmethod
    def reset_peak(pid: int) -> None:
        Path(f"/proc/{pid}/clear_refs").write_text("5")

    def __str__(self) -> str:
        return f"{self.now} MiB now, {self.peak} MiB at most"
