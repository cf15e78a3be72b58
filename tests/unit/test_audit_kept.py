"""Heads kept outside the bucket: written after each append, found in the file and in Pulumi's state."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lockstep.audit.kept import keep_head, kept_heads
from lockstep.audit.local import open_local
from lockstep.audit.note import Head
from lockstep.errors import IntegrityError
from lockstep.ledger import Ledger
from lockstep.paths import Paths
from tests.support.audit import ORIGIN
from tests.support.stack import Scene

ROOT = "ab" * 32


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(root=tmp_path, state=tmp_path / "state")
    made.stack("local").root.mkdir(parents=True)
    return made


def kept(paths: Paths) -> list[str]:
    return [str(head) for head in kept_heads(paths, "local", ORIGIN)]


def state(paths: Paths, said: Any) -> Path:
    """Pulumi's state with the stack output `head`."""
    path = paths.backend / ".pulumi" / "stacks" / "lockstep" / "local.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    resources = [
        {"type": "pulumi:pulumi:Stack", "outputs": {"head": said, "other": 1}},
        {"type": "lockstep:index:Route"},
    ]
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": resources}}}))
    return path


def test_nothing_is_kept_at_first(paths: Paths) -> None:
    assert kept(paths) == []


def test_the_largest_head_is_kept(paths: Paths) -> None:
    for size in (3, 5, 4):
        keep_head(paths.stack("local"), Head(ORIGIN, size, ROOT))
    assert kept(paths) == [f"5:{ROOT}"]


def test_the_stack_output_counts_too(paths: Paths) -> None:
    keep_head(paths.stack("local"), Head(ORIGIN, 5, ROOT))
    state(paths, f"7:{ROOT}")
    assert kept(paths) == [f"5:{ROOT}", f"7:{ROOT}"]


@pytest.mark.parametrize("said", [None, "", "7", 7, "7:xyz", f"007:{ROOT}", f"{2**64}:{ROOT}", {"secret": 1}])
def test_a_stack_output_that_is_no_head_says_nothing(paths: Paths, said: Any) -> None:
    state(paths, said)
    assert kept(paths) == []


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", '{"checkpoint":{"latest":{"resources":[1]}}}', "[" * 200_000]
)
def test_a_state_that_is_not_whole_is_left_to_the_engine(paths: Paths, text: str) -> None:
    state(paths, "x").write_text(text)
    assert kept(paths) == []


@pytest.mark.parametrize("text", ["", "five", f"5:{ROOT}\n6:{ROOT}", "5:", "\0"])
def test_a_kept_file_that_is_no_head_is_refused(paths: Paths, text: str) -> None:
    (paths.stack("local").root / "head").write_text(text)
    with pytest.raises(IntegrityError) as refused:
        kept(paths)
    assert refused.value.code == "audit.kept_head"
    assert "--head" in refused.value.remedy


def test_a_lost_head_is_given_up_by_name(paths: Paths) -> None:
    keep_head(paths.stack("local"), Head(ORIGIN, 5, ROOT))
    state(paths, f"4:{ROOT}")
    (paths.stack("local").root / "head.lost").write_text(f"5:{ROOT}\n")
    assert kept(paths) == [f"4:{ROOT}"]
    keep_head(paths.stack("local"), Head(ORIGIN, 4, ROOT))
    assert kept(paths) == [f"4:{ROOT}", f"4:{ROOT}"]


# --- on a real log


def restart_with(stage: Scene, copy: Path) -> None:
    """The bucket's folders as they were when the copy was made."""
    stage.server.stop()
    for name in ("data", "versions"):
        shutil.rmtree(stage.server.root / name)
    shutil.copytree(copy, stage.server.root, dirs_exist_ok=True, symlinks=True, copy_function=shutil.copy2)
    stage.server.start()


def refused(ledger: Ledger, stage: Scene) -> str:
    with pytest.raises(IntegrityError) as caught:
        ledger.record_intent(stage.table(stage.cell(stage.better)))
    return caught.value.code


def test_an_update_on_an_older_copy_of_the_bucket_is_refused(stage: Scene, tmp_path: Path) -> None:
    """By a fresh process; with the file gone by the stack output; with a person's word it goes on."""
    stage.make(stage.table())
    older = tmp_path / "older"
    shutil.copytree(stage.server.root, older, copy_function=shutil.copy2)
    stage.make(stage.table(stage.cell(stage.better)))
    newest = stage.ledger().head()
    assert newest is not None and newest.size == 4
    restart_with(stage, older)

    assert refused(stage.ledger(), stage) == "audit.cut_tail"
    with pytest.raises(IntegrityError):
        stage.ledger().state()
    folder = stage.paths.stack("local").root
    (folder / "head").unlink()
    state(stage.paths, str(newest))
    assert refused(stage.ledger(), stage) == "audit.cut_tail"

    (folder / "head.lost").write_text(f"{newest}\n")
    stage.stack.put(stage.table())
    assert stage.ledger().record_intent(stage.table(stage.cell(stage.better))) is not None
    assert stage.ledger().size() == 3


def test_a_log_that_is_gone_is_not_begun_again(stage: Scene) -> None:
    stage.make(stage.table())
    stage.server.stop()
    shutil.rmtree(stage.server.root / "data")
    with pytest.raises(IntegrityError) as caught:
        open_local("local", stage.paths)
    assert caught.value.code == "audit.log_gone"
    (stage.paths.stack("local").root / "head").unlink()
    assert open_local("local", stage.paths) is None
