"""Drift: whatever somebody does to a running stack is found, named, and mended by the next `up`.

One stack bears all edits of tests/support/edits.py. Here they come in batches, so that the whole takes
about a minute; in the soak they come one by one, in random order, with a refresh after each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Soak
from tests.support import edits
from tests.support.checkout import Checkout, make, own_cache
from tests.support.children import awaited
from tests.support.edits import BATCHES, Edit, Scene

CLEAN_RUNS = 2


@pytest.fixture(scope="module")
def scene(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A stack with a candidate at 5 % in local-a, and a cache of its own to do harm to."""
    checkout = make(tmp_path_factory.mktemp("check out"), built)
    own = tmp_path_factory.mktemp("cache")
    own_cache(own, _linked)  # linked: a program that is replaced there is replaced there alone
    checkout.extra["LOCKSTEP_CACHE"] = str(own)
    patch = pytest.MonkeyPatch()
    patch.setenv("LOCKSTEP_CACHE", str(own))
    try:
        checkout.run("up")
        found = checkout.releases()
        made = Scene(checkout, found["digits-plain"], found["digits-better"])
        checkout.run("promote", "digits", made.better, "--share", "5", "--region", "local-a")
        yield made
    finally:
        checkout.close()
        patch.undo()


def _linked(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def status(checkout: Checkout) -> dict[str, Any]:
    """What `status` says, be it an error."""
    process = checkout.start("status", "--output", "json")
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in out + err, out + err
    return dict(json.loads(out))


def assert_clean(checkout: Checkout) -> dict[str, Any]:
    told = status(checkout)
    assert told.get("drift") == [], told
    assert told["odd"] == ""
    assert told["policies"]["same"]
    assert all(entry["healthy"] and not entry["problems"] for entry in told["regions"]), told["regions"]
    return told


def mend(scene: Scene, batch: list[Edit]) -> None:
    """What the next `up` does about these; afterwards nothing is left of them."""
    checkout = scene.checkout
    for each in batch:
        if each.mended == "itself":
            assert awaited(partial(_is_back, scene, each.name.split()[0]), 30), each.name
        if "." in each.mended:
            error = checkout.json("up", expect=1)["error"]
            assert error["code"] == each.mended or f"[{each.mended}]" in error["message"], error
            assert error["remedy"], error
    edits.undo(scene)
    if "toolchain" in {each.mended for each in batch}:
        assert "is not the file that was made here: making it again" in checkout.run("up").stderr
    elif {each.mended for each in batch} != {"itself"}:
        checkout.run("up")


def _is_back(scene: Scene, name: str) -> bool:
    """supervisord has started it again, and `status` finds nothing amiss."""
    again = scene.checkout.supervisor.pids().get(name, scene.pids[name]) != scene.pids[name]
    return again and status(scene.checkout).get("drift") == []


def do_and_find(scene: Scene, batch: list[Edit]) -> list[str]:
    """Make all edits of a batch; the names of those that were found."""
    for each in batch:
        each.do(scene)
    told = status(scene.checkout)
    found = [
        each.name
        for each in batch
        if each.mended not in ("itself", "preview", "toolchain") and each.found(told)
    ]
    if "preview" in {each.mended for each in batch}:
        touched = {touch["name"] for touch in scene.checkout.json("preview")["touched"]}
        found += [each.name for each in batch if each.mended == "preview" and "digits-local-a" in touched]
    missed = [each.name for each in batch if each.mended in ("up", "declared") and each.name not in found]
    assert not missed, (missed, json.dumps(told, indent=1))
    mend(scene, batch)
    # Those that mend themselves, or are refused, or made again were seen by `mend`.
    return sorted({*found, *(each.name for each in batch if each.mended in ("itself", "toolchain"))})


@pytest.mark.parametrize("name", BATCHES)
def test_edits_are_found_and_mended(scene: Scene, name: str) -> None:
    found = do_and_find(scene, BATCHES[name])
    assert found == sorted(edits.names(BATCHES[name]))
    assert_clean(scene.checkout)
    print(f"{name}: {len(found)} of {len(BATCHES[name])} found")


def test_a_clean_stack_raises_no_alarm(scene: Scene) -> None:
    clean_runs(scene.checkout, CLEAN_RUNS)


def clean_runs(checkout: Checkout, count: int) -> None:
    for _ in range(count):
        assert_clean(checkout)
        assert checkout.json("preview")["touched"] == []
        said = checkout.pulumi("refresh", "--yes", "--expect-no-changes", "--non-interactive").stdout
        assert "unchanged" in said and "warning" not in said


def test_a_refresh_says_what_drifted(scene: Scene) -> None:
    """The engine names the resource; what is wrong with it is ours to say."""
    edits.edit_route_in_place(scene)
    edits.edit("conf.d", "entry.conf", old=b"--concurrency", new=b"--concurrence", inside=".")(scene)
    said = scene.checkout.pulumi("refresh", "--yes", "--non-interactive", "--color", "never").stdout
    for words in (
        "Gateway (gateway-local-a):",
        "warning: drift: gateway-local-a: rds.json was edited; of the file alone: the weights in force of "
        "digits in local-a are not touched by it",
        "EntryPoint (entry):",
        "warning: drift: entry: its file in conf.d was edited; the running process was not started from it",
        "~ 2 updated",
    ):
        assert words in said, said
    scene.checkout.run("up")
    assert_clean(scene.checkout)
    clean_runs(scene.checkout, 1)


@pytest.mark.soak
def test_every_edit_alone(scene: Scene, soak: Soak) -> None:
    """In random order; each found by `status`, seen by `refresh`, mended by `up`; then 20 clean runs."""
    found, order = 0, list(edits.ALL)
    soak.rng.shuffle(order)
    for each in order:
        found += len(do_and_find(scene, [each]))
        assert_clean(scene.checkout)
    clean_runs(scene.checkout, 20)
    soak.tally(f"drift: {found} of {len(order)} edits found and mended, 20 clean runs without an alarm")
    assert found == len(order)
