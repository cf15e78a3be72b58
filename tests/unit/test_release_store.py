"""The file:// store: whole or not at all, never overwritten, known only when listed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest

from lockstep import canonical
from lockstep.errors import Unavailable, UsageError
from lockstep.release import bundle
from lockstep.release.folder import FolderStore
from lockstep.stores import open_store
from tests.support import releases

STEPS = [
    "begun",
    *(
        f"{point} {title}"
        for title in ("config.json", *releases.FILES, "manifest.json")
        for point in ("written", "linked")
    ),
    "written index.json",
    "renamed index.json",
]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return releases.store_in(tmp_path)


def test_equal_contents_have_an_equal_digest_and_are_listed_once(tmp_path: Path) -> None:
    first, second = releases.store_in(tmp_path / "a"), releases.store_in(tmp_path / "b")
    assert releases.put(first) == releases.put(second) == releases.put(first, created=releases.LATER)
    assert [entry.created for entry in first.list()] == [releases.NOW]


def test_the_folder_is_an_oci_image_layout(store: FolderStore) -> None:
    digest = releases.put(store)
    assert json.loads((store.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((store.root / "index.json").read_text())["manifests"]
    data = releases.path_of(store, digest).read_bytes()
    assert (entry["digest"], entry["size"]) == (digest, len(data))
    assert entry["mediaType"] == json.loads(data)["mediaType"] == bundle.MANIFEST_TYPE
    for path in (store.root / "blobs" / "sha256").iterdir():
        assert canonical.digest(path.read_bytes()) == f"sha256:{path.name}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert list((store.root / "tmp").iterdir()) == []


def _put_and_die(root: Path, point: str) -> None:
    def die(step: str) -> None:
        if step == point:
            os.kill(os.getpid(), signal.SIGKILL)

    data, blobs = releases.contents()
    FolderStore(root).put(data, blobs, created=releases.NOW, on_step=die)


@pytest.mark.parametrize("point", STEPS)
def test_a_put_killed_at_any_point_leaves_nothing_reachable(store: FolderStore, point: str) -> None:
    before = releases.put(store, name="before", files={"model.onnx": b"another", "card.md": b"x"})
    child = multiprocessing.get_context("fork").Process(target=_put_and_die, args=(store.root, point))
    child.start()
    child.join()
    data, _ = releases.contents()
    digest = canonical.digest(data)
    if child.exitcode == -signal.SIGKILL and point != "renamed index.json":
        assert [entry.digest for entry in store.list()] == [before]
        with pytest.raises(UsageError, match=r"release\.unknown"):
            store.manifest(digest)
    else:  # the last point, or a blob that `before` had already brought, where nothing is written
        assert child.exitcode == (-signal.SIGKILL if point == "renamed index.json" else 0)
        store.verify(digest)
    assert releases.put(store) == digest
    store.verify(digest)
    store.verify(before)
    assert list((store.root / "tmp").iterdir()) == []


def test_the_points_where_a_put_can_be_killed_are_all_named(store: FolderStore) -> None:
    heard: list[str] = []
    data, blobs = releases.contents()
    store.put(data, blobs, created=releases.NOW, on_step=heard.append)
    assert sorted(heard) == sorted(STEPS)
    assert heard[0] == "begun" and heard[-3:] == [
        "linked manifest.json",
        "written index.json",
        "renamed index.json",
    ]


def test_an_empty_place_is_an_empty_store(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/nothing/here")
    assert store.list() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", "store", "file://relative/x", "http://x/y", "file:///a?b", "file:a"])
def test_a_url_that_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"release\.store_url"):
        open_store(url)


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"a file where the folder should be")
    with pytest.raises(Unavailable, match=r"release\.store_failed"):
        releases.put(releases.store_in(tmp_path))
