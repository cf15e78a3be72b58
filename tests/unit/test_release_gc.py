"""`release gc`: removes what nothing refers to, and refuses wherever that is not certain."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lockstep import canonical
from lockstep.cli.release import command as release
from lockstep.errors import IntegrityError, LockstepError, UsageError
from lockstep.lock import locked
from lockstep.paths import Paths
from lockstep.references import referred
from lockstep.release import gc
from lockstep.release.folder import FolderStore
from lockstep.workspace import Workspace
from tests.support import releases
from tests.support.stack import Scene

ROOT = Path(__file__).parents[2]
STACK_FILE = """config:
  lockstep:target: local
  lockstep:environment: local
  lockstep:regions: [{name: local-a}]
  lockstep:models:
    digits:
      local-a: {blue: "%s", green: null, green_weight: 0}
  lockstep:audit: {bucket: lockstep-audit, retention_days: 1}
  lockstep:allow_destroy: true
"""


@pytest.fixture
def here(tmp_path: Path) -> Paths:
    """A checkout without any stack."""
    made = Paths(tmp_path, tmp_path / ".lockstep")
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path / "Pulumi.yaml")
    return made


def run(here: Paths, *words: str) -> Result:
    return CliRunner().invoke(
        release, ["gc", *words], obj=here, catch_exceptions=False, standalone_mode=False
    )


def document(here: Paths, *words: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(run(here, *words, "--output", "json").stdout)
    return value


def declare(here: Paths, digest: str, stack: str = "local") -> None:
    (here.root / f"Pulumi.{stack}.yaml").write_text(STACK_FILE % digest)


def blobs(store: FolderStore) -> set[str]:
    return {f"sha256:{path.name}" for path in store.folder.blobs.iterdir()}


def test_an_unreferred_release_goes_with_what_only_it_uses(here: Paths) -> None:
    store = FolderStore(here.store)
    kept = releases.put(store, name="kept")
    evidence = store.attach(kept, "application/x", b"about the kept one")
    before = blobs(store)
    gone = releases.put(store, name="gone", files={"model.onnx": b"x" * 1000})
    attached = store.attach(gone, "application/x", b"about the other")
    declare(here, kept)
    bundles = here.stack("local").run / "bundles"
    for digest in (kept, gone):
        store.materialize(digest, bundles)
    (bundles / f".{kept[7:]}.parts").mkdir()
    shown = document(here, "--dry-run")
    assert (bundles / gone[7:]).exists() and len(store.list()) == 2
    done = document(here, "--yes")
    assert {**shown, "dry_run": False} == done
    assert [entry["digest"] for entry in done["releases"]] == [gone] and done["attached"] == [attached]
    assert done["bytes"] > 1000 and done["blobs"] == 5
    assert done["bundles"] == [
        f"stacks/local/run/bundles/{name}" for name in (f".{kept[7:]}.parts", gone[7:])
    ]
    assert blobs(store) == before
    assert [entry.digest for entry in store.list()] == [kept]
    assert [referrer.digest for referrer in store.referrers(kept)] == [evidence]
    store.verify(kept)
    assert sorted(path.name for path in bundles.iterdir()) == [".lock", kept[7:]]
    assert document(here, "--yes")["bytes"] == 0


def test_every_stack_file_counts_and_a_broken_one_refuses(here: Paths) -> None:
    store = FolderStore(here.store)
    one, other = releases.put(store, name="one"), releases.put(store, name="other")
    declare(here, one)
    declare(here, other, "prod")
    assert document(here, "--dry-run")["releases"] == []
    (here.root / "Pulumi.prod.yaml").write_text("config: [")
    with pytest.raises(UsageError, match=r"(?s)Pulumi\.prod\.yaml.*config\.malformed"):
        run(here, "--yes")
    (here.root / "Pulumi.prod.yaml").write_text("config: {lockstep:target: moon}")
    with pytest.raises(UsageError, match=r"config\.invalid"):
        run(here, "--yes")
    assert len(store.list()) == 2


def test_nobody_there_to_answer_is_no_yes(here: Paths) -> None:
    releases.put(FolderStore(here.store))
    with pytest.raises(Exception, match="pass --yes"):
        run(here)
    assert len(FolderStore(here.store).list()) == 1


@pytest.mark.parametrize("url", ["s3://bucket/x", "file:///elsewhere/store"])
def test_a_store_that_others_may_use_is_refused(here: Paths, url: str) -> None:
    with pytest.raises(UsageError, match=r"release\.gc_shared") as caught:
        run(here, "--yes", "--store", url)
    assert str(here.store) in caught.value.remedy
    declare(here, "sha256:" + "0" * 64)
    with (here.root / "Pulumi.local.yaml").open("a") as file:
        file.write(f"  lockstep:store: {url}\n")
    with pytest.raises(UsageError, match=r"release\.gc_shared"):
        run(here, "--yes")


def test_a_kept_manifest_that_is_damaged_refuses(here: Paths) -> None:
    """What it needs is not known; a blob of it could go."""
    store = FolderStore(here.store)
    kept = releases.put(store, name="kept")
    releases.put(store, name="gone")
    declare(here, kept)
    releases.flip(store.folder.path(kept), 40)
    before = blobs(store)
    with pytest.raises(IntegrityError, match=r"release\.corrupt"):
        run(here, "--yes")
    assert blobs(store) == before


def test_a_damaged_release_that_nobody_refers_to_goes(here: Paths) -> None:
    store = FolderStore(here.store)
    gone = releases.put(store)
    releases.flip(store.folder.path(gone), 40)
    assert [entry["digest"] for entry in document(here, "--yes")["releases"]] == [gone]
    assert blobs(store) == set()


def test_an_image_of_another_client_stays_with_all_it_names(here: Paths) -> None:
    store = FolderStore(here.store)
    releases.put(store)
    inner = canonical.canonical({"mediaType": "application/x", "layers": [_blob(store, b"layer")]})
    image = _blob(store, inner, "application/vnd.oci.image.manifest.v1+json")
    outer = canonical.canonical({"manifests": [image]})
    with store.folder.writing():
        store.folder.enter(_blob(store, outer, "application/vnd.oci.image.index.v1+json"), lambda _: None)
    run(here, "--yes")
    assert blobs(store) == {canonical.digest(data) for data in (b"layer", inner, outer)}


def _blob(store: FolderStore, data: bytes, media_type: str = "application/x") -> dict[str, Any]:
    digest = canonical.digest(data)
    store.folder.path(digest).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def test_what_was_put_since_it_was_shown_stays_with_its_blobs(here: Paths) -> None:
    store = FolderStore(here.store)
    old = releases.put(store, name="old", files={"model.onnx": b"only the old"})
    shown = gc.survey(store, frozenset())
    new = releases.put(store, name="new", files={"labels.json": b"only the new"})
    gone = gc.remove(store, shown, frozenset(), lambda _: None)
    assert [entry.digest for entry in gone.releases] == [old]
    store.verify(new)
    shown = gc.survey(store, frozenset())
    again = releases.put(store, name="old", files={"model.onnx": b"only the old"})
    assert gc.remove(store, shown, frozenset({new}), lambda _: None).releases == ()
    store.verify(again)


def test_what_is_referred_to_since_it_was_shown_stays(here: Paths) -> None:
    store = FolderStore(here.store)
    digest = releases.put(store)
    shown = gc.survey(store, frozenset())
    assert gc.remove(store, shown, frozenset({digest}), lambda _: None) == gc.Garbage()
    store.verify(digest)


def _remove_and_die(root: Path, keep: str, point: int) -> None:
    store = FolderStore(root)
    heard = 0

    def die(_: str) -> None:
        nonlocal heard
        heard += 1
        if heard == point:
            os.kill(os.getpid(), signal.SIGKILL)

    gc.remove(store, gc.survey(store, frozenset({keep})), frozenset({keep}), die)


@pytest.mark.parametrize("point", range(1, 6))
def test_killed_at_any_point_it_is_finished_by_the_next_run(here: Paths, point: int) -> None:
    store = FolderStore(here.store)
    kept = releases.put(store, name="kept")
    before = blobs(store)
    gone = releases.put(store, name="gone", files={"model.onnx": b"another"})
    child = multiprocessing.get_context("fork").Process(
        target=_remove_and_die, args=(store.root, kept, point)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    listed = {entry.digest for entry in store.list()}
    assert listed == ({kept, gone} if point == 1 else {kept})
    for digest in listed:
        store.verify(digest)
    declare(here, kept)
    document(here, "--yes")
    assert blobs(store) == before
    store.verify(kept)


def test_a_command_that_changes_the_stack_now_refuses(here: Paths) -> None:
    releases.put(FolderStore(here.store))
    root = here.stack("local").root
    root.mkdir(parents=True)
    with locked(root / "change.lock"), pytest.raises(LockstepError, match=r"change\.locked"):
        run(here, "--yes")
    assert len(FolderStore(here.store).list()) == 1


def test_a_stack_file_that_a_killed_command_left_refuses(here: Paths) -> None:
    root = here.stack("local").root
    root.mkdir(parents=True)
    (root / "stack-file-before.json").write_text("{}")
    with pytest.raises(LockstepError, match=r"gc\.not_settled"):
        run(here, "--yes")


# --- records


def test_every_release_in_a_record_stays_and_a_log_that_does_not_verify_refuses(stage: Scene) -> None:
    extra = releases.put(FolderStore(stage.paths.store), name="never placed")
    stage.make(stage.table())
    stage.make(stage.table(stage.cell(stage.better)))
    stage.make(stage.table())
    shutil.copy(ROOT / "Pulumi.yaml", stage.paths.root)
    assert {stage.plain, stage.better} <= referred(stage.paths)
    assert extra not in referred(stage.paths)
    stage.server.stop()
    record = next(iter(sorted(stage.server.data.rglob("record/0000000001"))))
    releases.overwrite(record, record.read_bytes().replace(b'"payload":"', b'"payload":"A', 1))
    with pytest.raises(IntegrityError, match=r"gc\.log_unverified"):
        referred(stage.paths)


def test_records_that_are_gone_refuse(stage: Scene) -> None:
    stage.make(stage.table())
    state = Workspace(stage.paths, "local").state_file
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    stage.server.stop()
    shutil.copy(ROOT / "Pulumi.yaml", stage.paths.root)
    assert stage.plain in referred(stage.paths)
    shutil.rmtree(stage.server.data)
    with pytest.raises(IntegrityError, match=r"audit\.log_gone"):
        referred(stage.paths)
    (stage.paths.stack("local").root / "head").unlink()
    with pytest.raises(IntegrityError, match=r"gc\.log_missing"):
        referred(stage.paths)
