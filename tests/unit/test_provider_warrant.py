"""Warrants: nothing is given out that no signed record allows, and only what moves is updated."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep.errors import IntegrityError, UsageError
from lockstep.provider.kind import UNKNOWN, Call, Values
from lockstep.provider.session import Session
from lockstep.provider.warrant import ReleaseWarrant, RouteWarrant
from tests.support.stack import Scene
from tests.support.versity import BUCKET

LOG = {"environment": "local", "target": "local", "home": "local-a", "bucket": BUCKET, "retention_days": 1}
PLACE = {"model": "digits", "region": "local-a"}


def call(scene: Scene, kind: str, *, preview: bool = False) -> Call:
    stacks: dict[str, Any] = {"local": scene.stack}
    urn = f"urn:pulumi:local::lockstep::lockstep:index:{kind}::digits-local-a"
    return Call(Session(scene.paths, _stacks=stacks), urn, preview)


def placed(scene: Scene, release: str, intent: int, slot: str = "blue", runtime: str = "onnx") -> Values:
    return {
        **PLACE,
        "slot": slot,
        "release": release,
        "intent": intent,
        "runtime": runtime,
        "store": "",
        **LOG,
    }


def routed(scene: Scene, cell: dict[str, Any], intent: int) -> Values:
    return {**PLACE, "cell": cell, "intent": intent, **LOG}


def test_a_release_comes_with_the_digest_of_its_lock_file(stage: Scene) -> None:
    stage.make(stage.table())
    identity, given = ReleaseWarrant().create(call(stage, "ReleaseWarrant"), placed(stage, stage.plain, 0))
    assert identity == "digits-local-a-blue"
    assert given["release"] == stage.plain
    manifest = stage.stack.store("").manifest(stage.plain)
    assert given["lock"] == manifest.blob("serving.lock").digest


def test_a_release_that_no_record_puts_here_is_not_given_out(stage: Scene) -> None:
    stage.make(stage.table())
    warrant = ReleaseWarrant()
    for release, intent, slot in [
        (stage.better, 0, "blue"),  # another release
        (stage.plain, 0, "green"),  # another slot
        (stage.plain, 1, "blue"),  # an outcome
        (stage.plain, -1, "blue"),  # before the first
    ]:
        with pytest.raises(IntegrityError) as caught:
            warrant.create(call(stage, "ReleaseWarrant"), placed(stage, release, intent, slot))
        assert caught.value.code == "route.no_record"


def test_a_runtime_without_a_lock_file_is_named(stage: Scene) -> None:
    stage.make(stage.table())
    with pytest.raises(UsageError) as caught:
        ReleaseWarrant().create(
            call(stage, "ReleaseWarrant"), placed(stage, stage.plain, 0, runtime="tensorrt")
        )
    assert caught.value.code == "release.no_runtime"


def test_a_step_of_the_cell_does_not_touch_the_service(stage: Scene) -> None:
    warrant, where = ReleaseWarrant(), call(stage, "ReleaseWarrant")
    before = {**placed(stage, stage.plain, 0), "lock": "sha256:x"}
    assert not warrant.changed(where, before, placed(stage, stage.plain, 4)).changed
    assert warrant.changed(where, before, placed(stage, stage.better, 4)).changed
    other = warrant.changed(where, before, placed(stage, stage.plain, 0, slot="green"))
    assert other.replaces == ["slot"]


def test_a_cell_comes_with_the_digest_of_its_record(stage: Scene) -> None:
    stage.make(stage.table())
    _, given = RouteWarrant().create(call(stage, "RouteWarrant"), routed(stage, stage.cell(), 0))
    assert given["record"] == stage.records()[0].digest
    assert given["cell"] == stage.cell()


def test_a_cell_that_no_record_explains_is_not_given_out(stage: Scene) -> None:
    stage.make(stage.table())
    with pytest.raises(IntegrityError) as caught:
        RouteWarrant().create(call(stage, "RouteWarrant"), routed(stage, stage.cell(stage.better, 5), 0))
    assert caught.value.code == "route.no_record"


def test_a_preview_proves_nothing_and_says_so(stage: Scene) -> None:
    asked = call(stage, "RouteWarrant", preview=True)
    _, given = RouteWarrant().create(asked, routed(stage, stage.cell(stage.better, 5), 7))
    assert given["record"] == UNKNOWN


def test_a_null_that_the_engine_dropped_is_no_change(stage: Scene) -> None:
    cell = stage.cell()
    before = {**routed(stage, {"blue": cell["blue"], "green_weight": 0}, 3), "record": "sha256:x"}
    assert not RouteWarrant().changed(call(stage, "RouteWarrant"), before, routed(stage, cell, 3)).changed
    assert RouteWarrant().changed(call(stage, "RouteWarrant"), before, routed(stage, cell, 4)).changed
