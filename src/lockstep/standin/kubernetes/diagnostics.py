"""Words to the user that are no failure: shown by the engine under the resource that they are about."""

from __future__ import annotations

from threading import Lock
from typing import Any


class Diagnostics:
    """address: the engine's, as it gives it to a plugin; without one nothing is said.

    A text is said once for a resource: a preview comes by in Check, in Diff and in Create.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._engine: Any = None
        self._said: set[tuple[str, str]] = set()
        self._lock = Lock()

    def warn(self, urn: str, text: str) -> None:
        with self._lock:
            if (urn, text) in self._said:
                return
            self._said.add((urn, text))
            if self._address is None:
                return
            if self._engine is None:
                self._engine = _connect(self._address)
        from pulumi.runtime.proto import engine_pb2

        self._engine.Log(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text, urn=urn))

    def said_about(self, urn: str) -> list[str]:
        with self._lock:
            return [text for about, text in self._said if about == urn]


def _connect(address: str) -> Any:
    import grpc
    from pulumi.runtime.proto import engine_pb2_grpc

    return engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))
