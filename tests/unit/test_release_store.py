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
from lockstep.errors import IntegrityError, Unavailable, UsageError
from lockstep.release import bundle
from lockstep.release.folder import FolderStore
from lockstep.stores import open_store
from tests.support import releases

STEPS = [
    "locked",
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


def test_a_put_release_is_listed_read_and_verified(store: FolderStore) -> None:
    digest = releases.put(store)
    store.verify(digest)
    manifest = store.manifest(digest)
    assert (manifest.model, manifest.name) == ("digits", "digits-test")
    assert {blob.title for blob in manifest.layers} == set(releases.FILES)
    for blob in manifest.layers:
        assert store.read_blob(blob.digest) == releases.FILES[blob.title]
    assert [(entry.digest, entry.model, entry.created) for entry in store.list()] == [
        (digest, "digits", releases.NOW)
    ]


def test_equal_contents_have_an_equal_digest_and_are_listed_once(tmp_path: Path) -> None:
    first, second = releases.store_in(tmp_path / "a"), releases.store_in(tmp_path / "b")
    assert releases.put(first) == releases.put(second) == releases.put(first, created=releases.LATER)
    assert [entry.created for entry in first.list()] == [releases.NOW]


def test_the_list_is_oldest_first_and_by_model(store: FolderStore) -> None:
    newer = releases.put(store, name="newer", created=releases.LATER)
    older = releases.put(store, name="older", created=releases.NOW)
    other = releases.put(store, model="letters", name="other", created="2027-01-01T00:00:00.000000Z")
    assert [entry.digest for entry in store.list()] == [older, newer, other]
    assert [entry.digest for entry in store.list("letters")] == [other]


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


def test_what_does_not_hash_to_its_digest_is_not_stored(store: FolderStore) -> None:
    data, blobs = releases.contents()
    wrong = {digest: b"something else" for digest in blobs}
    with pytest.raises(IntegrityError, match=r"config\.json.*release\.corrupt"):
        store.put(data, wrong, created=releases.NOW)
    assert store.list() == []
    assert store.put(data, blobs, created=releases.NOW)


def test_a_put_without_one_of_its_blobs_names_it(store: FolderStore) -> None:
    data, blobs = releases.contents()
    del blobs[canonical.digest(releases.FILES["model.onnx"])]
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        store.put(data, blobs, created=releases.NOW)


def test_blobs_may_be_given_as_files(store: FolderStore, tmp_path: Path) -> None:
    data, blobs = releases.contents()
    source = tmp_path / "weights"
    source.write_bytes(releases.FILES["model.onnx"])
    blobs[canonical.digest(releases.FILES["model.onnx"])] = source
    digest = store.put(data, blobs, created=releases.NOW)
    store.verify(digest)


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
    assert heard[0] == "locked" and heard[-3:] == [
        "linked manifest.json",
        "written index.json",
        "renamed index.json",
    ]


def _put_numbered(root: Path, number: int) -> None:
    releases.put(FolderStore(root), name=f"number-{number}")


def test_puts_from_several_processes_all_arrive(store: FolderStore) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_put_numbered, args=(store.root, number)) for number in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert {entry.name for entry in store.list()} == {f"number-{number}" for number in range(6)}
    for entry in store.list():
        store.verify(entry.digest)


def test_a_digest_that_is_not_in_the_store_is_unknown(store: FolderStore) -> None:
    missing = "sha256:" + "0" * 64
    for ask in (store.manifest, store.verify, store.resolve, store.referrers):
        with pytest.raises(UsageError) as caught:
            ask(missing)
        assert (caught.value.code, caught.value.exit_code) == ("release.unknown", 2)
        assert "release list" in caught.value.remedy


def test_the_digest_of_something_attached_is_no_release(store: FolderStore) -> None:
    attached = store.attach(releases.put(store), "application/x", b"{}")
    for ask in (store.manifest, store.resolve, store.referrers):
        with pytest.raises(UsageError, match=r"release\.unknown"):
            ask(attached)
    assert len(store.list()) == 1


def test_a_prefix_finds_its_release(store: FolderStore) -> None:
    digest = releases.put(store)
    for prefix in (digest, digest[:19], digest[7:15], digest[7:15].upper()):
        assert store.resolve(prefix) == digest


@pytest.mark.parametrize("prefix", ["", "sha256:", "abc", "sha256:zzzz", "../..", "sha256:0000"])
def test_what_is_no_prefix_of_a_release_finds_nothing(store: FolderStore, prefix: str) -> None:
    digest = releases.put(store)
    assert not digest.startswith("sha256:0000")
    with pytest.raises(UsageError, match=r"release\.unknown"):
        store.resolve(prefix)


def test_a_prefix_of_two_releases_is_refused_with_both(store: FolderStore) -> None:
    seen: dict[str, str] = {}
    for number in range(2000):  # until two share four digits; no need to store those that do not
        data, _ = releases.contents(name=f"n{number}")
        start = canonical.digest(data)[7:11]
        if start in seen:
            break
        seen[start] = f"n{number}"
    digests = [releases.put(store, name=name) for name in (seen[start], f"n{number}")]
    with pytest.raises(UsageError, match=r"release\.ambiguous") as caught:
        store.resolve(start)
    assert all(digest in caught.value.message for digest in digests)


def test_attached_payloads_come_back_oldest_first_and_by_type(store: FolderStore) -> None:
    digest, other = releases.put(store), releases.put(store, name="other")
    first = store.attach(digest, "application/a", b'{"n":1}')
    second = store.attach(digest, "application/b", b'{"n":2}')
    store.attach(other, "application/a", b'{"n":3}')
    assert [(r.digest, r.payload) for r in store.referrers(digest)] == [
        (first, b'{"n":1}'),
        (second, b'{"n":2}'),
    ]
    assert [r.payload for r in store.referrers(digest, "application/b")] == [b'{"n":2}']
    assert store.attach(digest, "application/a", b'{"n":1}') == first
    assert len(store.referrers(digest)) == 2


def test_an_index_written_by_another_client_is_understood(store: FolderStore) -> None:
    """Other OCI clients copy manifests, not our notes in the index."""
    digest = releases.put(store)
    attached = store.attach(digest, "application/a", b"{}")
    index = json.loads((store.root / "index.json").read_text())
    for item in index["manifests"]:
        item.pop("annotations")
        item.pop("artifactType")
    (store.root / "index.json").write_text(json.dumps(index))
    assert [(entry.digest, entry.model) for entry in store.list()] == [(digest, "digits")]
    assert [(r.digest, r.artifact_type) for r in store.referrers(digest)] == [(attached, "application/a")]


def test_a_release_becomes_a_folder_and_stays_one(store: FolderStore, tmp_path: Path) -> None:
    digest = releases.put(store)
    folder = store.materialize(digest, tmp_path / "bundles")
    assert folder == tmp_path / "bundles" / digest[7:]
    assert bundle.verify_bundle(folder, digest) == store.manifest(digest)
    inode = (folder / "model.onnx").stat().st_ino
    assert store.materialize(digest, tmp_path / "bundles") == folder
    assert (folder / "model.onnx").stat().st_ino == inode
    assert stat.S_IMODE((folder / "model.onnx").stat().st_mode) == 0o444


def test_a_folder_left_half_made_is_made_again(store: FolderStore, tmp_path: Path) -> None:
    digest = releases.put(store)
    left = tmp_path / "bundles" / f".{digest[7:]}.new"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"")
    store.materialize(digest, tmp_path / "bundles")
    assert not left.exists()


def test_an_empty_place_is_an_empty_store(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/nothing/here")
    assert store.list() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["", "store", "file://relative/x", "s3://bucket", "http://x/y", "file:///a?b", "file:a"]
)
def test_a_url_that_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"release\.store_url"):
        open_store(url)


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"a file where the folder should be")
    with pytest.raises(Unavailable, match=r"release\.store_failed"):
        releases.put(releases.store_in(tmp_path))
