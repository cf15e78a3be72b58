"""What a refresh warns of, taken by a server in the engine's place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pulumi.provider.experimental.provider as api
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from lockstep.paths import Paths
from lockstep.provider.engine import Engine
from lockstep.provider.kind import Call, Change, Values
from lockstep.provider.plugin import LockstepProvider
from lockstep.provider.session import Session

URN = "urn:pulumi:local::lockstep::lockstep:index:Thing::one"


class Taken(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.said: list[tuple[int, str, str]] = []

    def Log(self, request: Any, context: Any) -> Empty:
        self.said.append((request.severity, request.urn, request.message))
        return Empty()


class Thing:
    """A kind that is read as it was, and no other call is made of it."""

    token = "lockstep:index:Thing"
    description = "for tests"
    inputs: ClassVar[dict[str, Any]] = {}
    outputs: ClassVar[dict[str, Any]] = {"drift": {"type": "string"}}

    def read(self, call: Call, identity: str, outputs: Values) -> Values | None:
        return outputs

    def check(self, call: Call, inputs: Values) -> list[str]:
        raise NotImplementedError

    def changed(self, call: Call, outputs: Values, inputs: Values) -> Change:
        raise NotImplementedError

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        raise NotImplementedError

    def update(self, call: Call, identity: str, outputs: Values, inputs: Values) -> Values:
        raise NotImplementedError

    def delete(self, call: Call, identity: str, outputs: Values) -> None:
        raise NotImplementedError


@pytest.fixture
def engine() -> Iterator[tuple[Taken, str]]:
    taken, server = Taken(), grpc.server(ThreadPoolExecutor(2))
    engine_pb2_grpc.add_EngineServicer_to_server(taken, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield taken, f"127.0.0.1:{port}"
    server.stop(None).wait()


def read(tmp_path: Path, engine: Engine, drift: str) -> None:
    provider = LockstepProvider([Thing()], Session(Paths(tmp_path, tmp_path)), engine)
    properties = {"drift": PropertyValue(drift)}
    request = api.ReadRequest(URN, "one", properties, {})
    assert asyncio.run(provider.read(request)).properties == properties


def test_a_refresh_warns_of_drift_and_of_nothing_else(engine: tuple[Taken, str], tmp_path: Path) -> None:
    taken, address = engine
    read(tmp_path, Engine(address), "")
    assert taken.said == []
    read(tmp_path, Engine(address), "one: it was edited")
    assert taken.said == [(engine_pb2.WARNING, URN, "drift: one: it was edited")]


def test_without_an_engine_nobody_is_told(tmp_path: Path) -> None:
    read(tmp_path, Engine(), "one: it was edited")


@pytest.mark.parametrize(
    ("arguments", "address"),
    [(["127.0.0.1:5"], "127.0.0.1:5"), (["--logtostderr", "--v=9", "127.0.0.1:5"], "127.0.0.1:5"), ([], "")],
)
def test_the_address_is_the_word_that_is_no_flag(arguments: list[str], address: str) -> None:
    assert Engine.from_arguments(arguments) == Engine(address)
