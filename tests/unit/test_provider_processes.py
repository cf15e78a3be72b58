"""The resources that are a process each: adopted, started, and asked whether they live."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import LockstepError
from lockstep.local.drift import Drift
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths
from lockstep.provider.kind import UNKNOWN, Call
from lockstep.provider.processes import AuditBucket, EntryPoint, Gateway, ModelService
from lockstep.provider.session import Session
from tests.support.children import free_port, program, running

DIGEST = "sha256:" + "a" * 64
SERVICE = {
    "model": "digits",
    "region": "local-a",
    "slot": "blue",
    "release": DIGEST,
    "runtime": "onnx",
    "store": "",
    "port": 1,
    "intent": 0,
    "environment": "local",
    "bucket": "lockstep-audit",
    "retention_days": 1,
}
GATEWAY = {
    "region": "local-a",
    "port": 1,
    "environment": "local",
    "bucket": "lockstep-audit",
    "retention_days": 1,
}
JUSTIFIES = {
    "ModelService": ("intent", "retention_days"),
    "Gateway": ("environment", "bucket", "retention_days"),
}
"""What proves that something may start; that the record grew is no reason to start it again."""
NAMES = [
    (AuditBucket(), {"bucket": "b", "port": 1}, "audit-bucket", ["bucket"]),
    (Gateway(), GATEWAY, "gateway-local-a", ["region"]),
    (ModelService(), SERVICE, "digits-local-a-blue", ["model", "region", "slot"]),
    (EntryPoint(), {"port": 1, "regions": ["local-a"]}, "entry", []),
]


class Asked(Session):
    """A session whose processes are the ones that a test names."""

    def __init__(self, root: Path, *alive: str) -> None:
        super().__init__(Paths(root, root / ".lockstep"))
        self._alive = set(alive)

    def alive(self, name: str) -> set[str]:
        return self._alive

    def drift(self, name: str, process: str, look: Any) -> list[Drift]:
        return [] if process in self._alive else [Drift("process.down", process, f"{process} does not run")]


def call(session: Session, *, preview: bool = False) -> Call:
    return Call(session, "urn:pulumi:local::lockstep::lockstep:index:Thing::one", preview)


@pytest.mark.parametrize(("kind", "inputs", "name", "replaces"), NAMES, ids=[each[2] for each in NAMES])
def test_a_diff_asks_what_is_alive(
    tmp_path: Path, kind: Any, inputs: dict[str, Any], name: str, replaces: list[str]
) -> None:
    outputs = {**inputs, "url": "u", "endpoint": "e", "drift": ""}
    up, down = Asked(tmp_path, name), Asked(tmp_path)
    assert not kind.changed(call(up), outputs, inputs).changed
    assert kind.changed(call(down), outputs, inputs).changed  # after a reboot, although nothing changed
    assert kind.read(call(up), "id", outputs) == outputs
    assert kind.read(call(down), "id", outputs) is None
    for key in inputs:
        change = kind.changed(call(up), outputs, {**inputs, key: "other"})
        assert change.changed == (key not in JUSTIFIES.get(type(kind).__name__, ()))
        assert change.replaces == ([key] if key in replaces else [])


@pytest.mark.parametrize(("kind", "inputs", "name", "replaces"), NAMES, ids=[each[2] for each in NAMES])
def test_a_preview_starts_nothing(
    tmp_path: Path, kind: Any, inputs: dict[str, Any], name: str, replaces: list[str]
) -> None:
    session = Asked(tmp_path)
    _, outputs = kind.create(call(session, preview=True), inputs)
    assert outputs.items() >= inputs.items()
    assert set(outputs) == set(kind.inputs) | set(kind.outputs)
    assert list(tmp_path.iterdir()) == []


def test_a_service_whose_release_a_preview_cannot_know_is_still_foreseen(tmp_path: Path) -> None:
    inputs = {**SERVICE, "release": UNKNOWN}
    identity, outputs = ModelService().create(call(Asked(tmp_path), preview=True), inputs)
    assert identity == ""
    assert outputs == {**inputs, "drift": ""}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    made = LocalStack(Paths(tmp_path, tmp_path / ".lockstep"), "local")
    made.run.mkdir(parents=True)
    with running(made.run):
        yield made


def test_delete_stops_its_own_process_and_nothing_else(stack: LocalStack) -> None:
    for name in ("gateway-local-a", "gateway-local-b"):
        sleep = program(name, "import time; time.sleep(600)", stack.run)
        stack.supervisor.start(sleep, lambda: True, deadline_s=10)
    session = Session(stack.paths)
    Gateway().delete(call(session), "id", {"region": "local-a", "port": 1})
    assert set(stack.supervisor.states()) == {"gateway-local-b"}
    Gateway().delete(call(session), "id", {"region": "local-a", "port": 1})
    Gateway().delete(call(session), "id", {"region": "local-b", "port": 1})
    assert stack.supervisor.states() == {}


def test_one_look_serves_a_whole_operation(stack: LocalStack) -> None:
    session = Session(stack.paths)
    assert session.alive("local") == set()
    sleep = program("late", "import time; time.sleep(600)", stack.run)
    stack.supervisor.start(sleep, lambda: True, deadline_s=10)
    assert session.alive("local") == set()  # asked at most once a second
    assert Session(stack.paths).alive("local") == {"late"}
    assert session.stack("local") is session.stack("local")


class Unproven(ModelService):
    """A service that needs no record and starts nothing, but says when it would."""

    def __init__(self) -> None:
        self.started = threading.Event()

    def authorize(self, call: Call, inputs: dict[str, Any]) -> None:
        pass

    def start(self, call: Call, stack: LocalStack, inputs: dict[str, Any]) -> dict[str, Any]:
        self.started.set()
        return {}


def test_live_services_are_restarted_one_after_the_other(tmp_path: Path) -> None:
    session, kind = Asked(tmp_path, "digits-local-a-blue"), Unproven()
    other = {**SERVICE, "runtime": "torch"}
    restart = threading.Thread(target=kind.update, args=(call(session), "id", SERVICE, other))
    with session.restarting:
        restart.start()
        assert not kind.started.wait(0.2)
    restart.join()
    assert kind.started.is_set()


@pytest.mark.parametrize(
    ("alive", "inputs"), [((), SERVICE), (("digits-local-a-blue",), {**SERVICE, "release": "sha256:b"})]
)
def test_what_does_not_serve_yet_waits_for_nobody(
    tmp_path: Path, alive: tuple[str, ...], inputs: dict[str, Any]
) -> None:
    session, kind = Asked(tmp_path, *alive), Unproven()
    with session.restarting:
        kind.update(call(session), "id", SERVICE, inputs)
    assert kind.started.is_set()


def test_without_a_record_no_service_is_started(stack: LocalStack) -> None:
    with pytest.raises(LockstepError) as caught:
        ModelService().create(call(Session(stack.paths)), {**SERVICE, "port": free_port()})
    assert caught.value.code == "route.no_record"
    assert stack.supervisor.states() == {}
