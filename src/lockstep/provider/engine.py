"""What the plugin has to tell the user, said through the engine that started it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """The engine's own gRPC address, `host:port`; empty where nobody listens."""

    address: str = ""

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Engine:
        """From a plugin's command line: the one word that is no flag."""
        words = [word for word in arguments if not word.startswith("-")]
        return cls(words[-1] if words else "")

    def warn(self, urn: str, message: str) -> None:
        """Show a warning under this resource."""
        if not self.address:
            return
        import grpc
        from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

        with grpc.insecure_channel(self.address) as channel:
            said = engine_pb2.LogRequest(severity=engine_pb2.WARNING, urn=urn, message=message)
            engine_pb2_grpc.EngineStub(channel).Log(said)
