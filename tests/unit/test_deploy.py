"""The engine: why an update failed, in words, and an interrupt that is never lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lockstep.deploy import LOCKED, Engine, Touch, _plain, _Watch, interruptible
from lockstep.errors import Cancelled, Denied, LockstepError
from lockstep.paths import Paths
from lockstep.toolchain import Toolchain
from lockstep.workspace import Workspace

HERE = socket.gethostname()
BIN = Path("/nowhere")
TOOLS = Toolchain(BIN / "pulumi", BIN / "opa", BIN / "versitygw", BIN / "envoy", BIN)


class Fixture:
    """An engine on an empty checkout, and the lock files that a test puts there."""

    def __init__(self, root: Path) -> None:
        self.said: list[str] = []
        self.workspace = Workspace(Paths(root, root / ".lockstep"), "local")
        self.engine = Engine(self.workspace, lambda: TOOLS, self.said.append)
        self.workspace.locks.mkdir(parents=True)

    def lock(self, pid: int, *, host: str = HERE, age_s: float = 0) -> Path:
        file = self.workspace.locks / f"{pid}-{host}.json"
        file.write_text(json.dumps({"pid": pid, "username": "ann", "hostname": host, "timestamp": "now"}))
        taken = time.time() - age_s
        os.utime(file, (taken, taken))
        return file


@pytest.fixture
def at(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path)


def failure(at: Fixture, raw: str, *errors: str, interrupted: bool = False) -> LockstepError:
    watch = _Watch(at.said.append, errors=list(errors))
    return at.engine._failure("update", watch, raw, [signal.SIGINT] if interrupted else [])


def test_two_updates_at_once_are_told_who_holds_the_stack(at: Fixture) -> None:
    at.lock(os.getpid(), host="elsewhere")
    error = failure(at, f"error: {LOCKED} by 1 lock(s)")
    assert error.code == "engine.locked"
    assert f"ann@elsewhere (pid {os.getpid()})" in error.message


def test_what_the_engine_said_is_said_once(at: Fixture) -> None:
    error = failure(at, "code: 255\nlots of output", "gate.x: no", "gate.x: no", "route: no")
    assert error.code == "engine.failed"
    assert error.message == "the update failed:\ngate.x: no\nroute: no"


def test_an_engine_that_said_nothing_is_quoted(at: Fixture) -> None:
    error = failure(at, "x" * 5000 + "the end\n")
    assert error.message.endswith("the end")
    assert len(error.message) < 2100


def test_an_interrupted_update_is_cancelled_whatever_it_printed(at: Fixture) -> None:
    error = failure(at, f"error: {LOCKED}", "update canceled", interrupted=True)
    assert isinstance(error, Cancelled)
    assert error.exit_code == 8


def test_a_denial_inside_the_engine_is_a_denial_here(at: Fixture) -> None:
    error = failure(at, "code: 255", "denied by policy:\n  step.size: too far [gate.denied]")
    assert isinstance(error, Denied)
    assert error.exit_code == 5
    assert "step.size: too far" in error.message


def test_the_engines_colours_are_taken_out() -> None:
    assert _plain("<{%fg 1%}>error:<{%reset%}> no <{%%}>way\n") == "error: no way"
    assert _plain("5 < 6 and {%x%}") == "5 < 6 and {%x%}"


def event(**parts: Any) -> Any:
    """An engine event as the Automation API hands it over: every kind is an attribute."""
    from pulumi.automation.events import EngineEvent

    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, **parts})


def step(op: str, kind: str, name: str) -> Any:
    urn = f"urn:pulumi:local::lockstep::{kind}::{name}"
    metadata = {"op": op, "urn": urn, "type": kind, "provider": ""}
    return event(resourcePreEvent={"metadata": metadata, "planning": False})


def test_only_what_changes_is_touched(at: Fixture) -> None:
    watch = _Watch(at.said.append)
    for each in (
        step("same", "lockstep:index:Gateway", "gateway-local-a"),
        step("update", "lockstep:index:Route", "digits-local-a"),
        step("create", "pulumi:providers:lockstep", "default"),
        step("update", "pulumi:pulumi:Stack", "lockstep-local"),
        step("delete", "lockstep:index:ModelService", "digits-local-a-green"),
    ):
        watch(each)
    assert watch.touched == [
        Touch("update", "lockstep:index:Route", "digits-local-a"),
        Touch("delete", "lockstep:index:ModelService", "digits-local-a-green"),
    ]
    assert at.said == ["update Route digits-local-a", "delete ModelService digits-local-a-green"]


def test_a_warning_is_said_once_with_all_that_it_is_about(at: Fixture) -> None:
    watch = _Watch(lambda _: None, at.said.append)
    for urn in ("urn:pulumi:a::b::c::one", "urn:pulumi:a::b::c::two"):
        said = {"message": "<{%reset%}>mind\n", "color": "never", "severity": "warning", "urn": urn}
        watch(event(diagnosticEvent=said))
    assert at.said == ["warning: mind"]
    assert watch.warnings == {"mind": ["one", "two"]}


def test_errors_are_kept_and_warnings_are_not(at: Fixture) -> None:
    watch = _Watch(at.said.append)
    for severity in ("error", "warning", "info"):
        said = {"message": f"<{{%reset%}}>an {severity}\n", "color": "never", "severity": severity}
        watch(event(diagnosticEvent=said))
    assert watch.errors == ["an error"]


def test_signals_are_the_engines_while_it_runs_and_ours_again_after(at: Fixture) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as received:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
    assert received == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_engine_that_has_just_ended_is_no_error_of_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["true"])
    listed = psutil.Process(child.pid)
    child.wait()
    monkeypatch.setattr(psutil.Process, "children", lambda _: [listed])
    with interruptible() as received:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
    assert received == [signal.SIGTERM]


END = """
import os, signal, subprocess, sys
from lockstep.deploy import interruptible
wait = "import signal, sys; signal.signal(2, lambda *_: sys.exit(42)); print(1, flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-c", wait], stdout=subprocess.PIPE)
child.stdout.readline()
with interruptible() as received:
    os.kill(os.getpid(), signal.SIGTERM)
    ended = child.wait(timeout=10)
print(ended, [int(number) for number in received])
"""


def test_a_request_to_end_reaches_the_engine_as_an_interrupt() -> None:
    """In a process of its own: every child of the one that is asked to end is interrupted."""
    said = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split("\n")[0] == "42 [15]"
