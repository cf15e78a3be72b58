"""How a question travels to OPA: one request, bounded in time and size, to exactly the place that was named.

opa-python-client posts through a session; this one replaces the session it would make itself, which
follows redirects, reads proxies from the environment, retries, inflates compressed bodies of any size, and
waits anew for each byte.
"""

from __future__ import annotations

import http.client
import io
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from lockstep import canonical
from lockstep.errors import IntegrityError, LockstepError, Unavailable, UsageError

MAX_ANSWER_BYTES = 1 << 20
MAX_QUESTION_BYTES = 4 << 20
REMEDY = "nothing was changed; see that OPA runs and has this stack's bundle, then try again"


def unavailable(what: str, message: str) -> Unavailable:
    """The one way in which a gate that gives no usable answer is reported: `gate.opa_<what>`."""
    return Unavailable(message, code=f"gate.opa_{what}", remedy=REMEDY)


@dataclass(frozen=True)
class Address:
    """Where OPA listens: `unix:///path`, `http://host:port` (loopback only) or `https://host:port`."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        parts = urlsplit(url)
        if parts.scheme == "unix" and not parts.netloc and parts.path:
            return cls("unix", "localhost", 80, parts.path)
        plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 8181)
        except ValueError:
            plain, port = False, 0
        host = parts.hostname or ""
        loopback = host in ("127.0.0.1", "::1", "localhost")
        if plain and host and (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
            return cls(parts.scheme, host, port)
        raise UsageError(
            f"{url!r} is no address of OPA that can be used",
            code="gate.opa_url",
            remedy="give https://host:port, or http://127.0.0.1:port on this machine: the token stays secret",
        )

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        if self.scheme == "unix":
            return _UnixConnection(self.path, timeout)
        if self.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Answer:
    """What opa-python-client sees of a response: it was 200, and its body is strict JSON."""

    body: bytes

    def raise_for_status(self) -> None:
        """Other statuses never get this far."""

    def json(self) -> Any:
        try:
            return canonical.parse(self.body)
        except IntegrityError as error:
            raise unavailable("nonsense", f"OPA's answer is not JSON: {error.message}") from None


class _Response(http.client.HTTPResponse):
    """A response that is read until a point in time, whoever sends a byte now and then."""

    def __init__(self, sock: socket.socket, *args: Any, until: float, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_Timely(sock, until))


class _Timely(io.RawIOBase):
    """Socket timeouts begin anew with each read; this one gives each read what is left of the whole."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock, self._until = sock, until
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until it is closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._until))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(until: float) -> float:
    """Seconds until then. Raises TimeoutError when there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Session:
    """The part of a session that opa-python-client's queries use."""

    def __init__(self, address: Address, headers: Mapping[str, str]) -> None:
        self._address = address
        self._headers = dict(headers)

    def post(self, url: str, *, json: Any, timeout: float) -> Answer:
        """Ask once. Raises Unavailable `gate.opa_*` for anything but a 200 with a small JSON body in time."""
        parts = urlsplit(url)
        body = _encode(json)
        if len(body) > MAX_QUESTION_BYTES:
            raise _too_large()
        until = time.monotonic() + timeout

        def ask() -> Answer:
            return self._ask(f"{parts.path}?{parts.query}", body, until)

        return _within(timeout, ask) if self._address.scheme == "https" else ask()

    def close(self) -> None:
        """Each question has a connection of its own, closed when it is answered."""

    def _ask(self, target: str, body: bytes, until: float) -> Answer:
        connection = self._address.connection(max(until - time.monotonic(), 0.001))
        connection.response_class = partial(_Response, until=until)  # type: ignore[assignment]
        headers = {**self._headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            _check_head(response)
            data = response.read(MAX_ANSWER_BYTES + 1)
        except TimeoutError:
            raise unavailable("slow", "OPA did not answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            raise unavailable("down", f"OPA does not answer: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if len(data) > MAX_ANSWER_BYTES:
            raise unavailable("too_large", f"OPA's answer has more than {MAX_ANSWER_BYTES} bytes")
        return Answer(data)


def _check_head(response: http.client.HTTPResponse) -> None:
    if response.status != 200:
        raise unavailable("status", f"OPA answered with status {response.status}, not 200")
    encoding = response.getheader("Content-Encoding", "identity")
    kind = response.getheader("Content-Type", "").partition(";")[0].strip()
    if encoding != "identity" or kind != "application/json":
        raise unavailable(
            "nonsense", f"OPA answered with {kind or 'no type'} in encoding {encoding}, not JSON"
        )


def _encode(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def refuse_too_large(question: Any) -> None:
    """Raises Unavailable `gate.opa_too_large` for a question far too large, before anything is made of it.

    What is counted here is never more than the bytes it would have, so nothing that fits is refused; what
    passes makes a body of a few times MAX_QUESTION_BYTES at most, whose length `Session.post` looks at.
    """
    left = MAX_QUESTION_BYTES
    todo: list[Iterator[Any]] = [iter((question,))]
    while todo:
        for value in todo[-1]:
            if isinstance(value, dict):
                left -= 4 * len(value)  # quotes, colon, comma
                todo.append(chain(value, value.values()))
                break
            if isinstance(value, list):
                left -= len(value)
                todo.append(iter(value))
                break
            left -= len(value) if isinstance(value, str) else 1
            if left < 0:
                raise _too_large()
        else:
            todo.pop()


def _too_large() -> Unavailable:
    return unavailable("too_large", f"the question has more than {MAX_QUESTION_BYTES} bytes")


_Outcome: TypeAlias = "queue.SimpleQueue[Answer | LockstepError]"


def _within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """Run `ask` with a deadline that holds even while a name is looked up, which no socket timeout ends.

    So it runs in a thread, which may be left behind: it ends by itself, because reading has a deadline.
    """
    outcome: _Outcome = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(ask())
        except LockstepError as error:
            outcome.put(error)

    threading.Thread(target=run, name="gate-question", daemon=True).start()
    try:
        result = outcome.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        raise unavailable("slow", f"OPA did not answer within {seconds:.1f} s") from None
    if isinstance(result, LockstepError):
        raise result
    return result
