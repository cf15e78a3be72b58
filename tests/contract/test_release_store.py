"""What every release store promises, of `file://` and of `s3://` alike (versitygw)."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from lockstep import canonical
from lockstep.errors import IntegrityError, UsageError
from lockstep.release import bundle
from tests.support import releases
from tests.support.stores import Place, flipped

BIG = bytes(range(256)) * (80 << 10)
"""20 MiB: three parts in a bucket."""


def test_a_put_release_is_listed_read_and_verified(place: Place) -> None:
    store = place.open()
    digest = releases.put(store)
    store.verify(digest)
    manifest = store.manifest(digest)
    assert (manifest.model, manifest.name) == ("digits", "digits-test")
    assert {blob.title for blob in manifest.layers} == set(releases.FILES)
    for blob in manifest.layers:
        assert store.read_blob(blob.digest) == releases.FILES[blob.title]
    assert [(entry.digest, entry.model, entry.created) for entry in place.open().list()] == [
        (digest, "digits", releases.NOW)
    ]


def test_equal_contents_have_an_equal_digest_and_are_listed_once(place: Place) -> None:
    store = place.open()
    assert releases.put(store) == releases.put(store, created=releases.LATER)
    assert [entry.created for entry in store.list()] == [releases.NOW]


def test_the_list_is_oldest_first_and_by_model(place: Place) -> None:
    store = place.open()
    newer = releases.put(store, name="newer", created=releases.LATER)
    older = releases.put(store, name="older", created=releases.NOW)
    other = releases.put(store, model="letters", name="other", created="2027-01-01T00:00:00.000000Z")
    assert [entry.digest for entry in store.list()] == [older, newer, other]
    assert [entry.digest for entry in store.list("letters")] == [other]


def test_what_lies_there_is_an_oci_image_layout(place: Place) -> None:
    store = place.open()
    digest = releases.put(store, files={"model.onnx": BIG})
    attached = store.attach(digest, "application/a", b"{}")
    assert json.loads((place.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((place.root / "index.json").read_text())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    assert [item["digest"] for item in index["manifests"]] == [digest, attached]
    for item in index["manifests"]:
        data = place.blob(item["digest"]).read_bytes()
        assert (item["size"], item["mediaType"]) == (len(data), json.loads(data)["mediaType"])
    for path in (place.root / "blobs" / "sha256").iterdir():
        assert canonical.digest(path.read_bytes()) == f"sha256:{path.name}"


def test_what_does_not_hash_to_its_digest_is_not_stored(place: Place) -> None:
    store = place.open()
    data, blobs = releases.contents()
    wrong = {digest: b"something else" for digest in blobs}
    with pytest.raises(IntegrityError, match=r"config\.json.*release\.corrupt"):
        store.put(data, wrong, created=releases.NOW)
    assert store.list() == []
    assert store.put(data, blobs, created=releases.NOW)


def test_a_large_source_that_is_not_its_digest_is_not_stored(place: Place, tmp_path: Path) -> None:
    store = place.open()
    data, blobs = releases.contents(files={"model.onnx": BIG})
    source = tmp_path / "weights"
    source.write_bytes(flipped(-1)(BIG))
    digest = canonical.digest(BIG)
    with pytest.raises(IntegrityError, match=r"model\.onnx is not"):
        store.put(data, {**blobs, digest: source}, created=releases.NOW)
    assert store.list() == [] and not place.blob(digest).exists()
    store.verify(store.put(data, blobs, created=releases.NOW))


def test_a_put_without_one_of_its_blobs_names_it(place: Place) -> None:
    data, blobs = releases.contents()
    del blobs[canonical.digest(releases.FILES["model.onnx"])]
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        place.open().put(data, blobs, created=releases.NOW)


@pytest.mark.parametrize("content", [releases.FILES["model.onnx"], BIG], ids=["small", "large"])
def test_blobs_may_be_given_as_files(place: Place, tmp_path: Path, content: bytes) -> None:
    store = place.open()
    data, blobs = releases.contents(files={"model.onnx": content})
    source = tmp_path / "weights"
    source.write_bytes(content)
    blobs[canonical.digest(content)] = source
    digest = store.put(data, blobs, created=releases.NOW)
    assert store.put(data, blobs, created=releases.NOW) == digest
    store.verify(digest)
    assert store.read_blob(canonical.digest(content)) == content


def test_one_blob_under_two_titles_is_one_blob(place: Place, tmp_path: Path) -> None:
    store = place.open()
    digest = releases.put(store, files={"a.txt": b"the same", "b.txt": b"the same", "empty": b""})
    folder = store.materialize(digest, tmp_path / "bundles")
    assert (folder / "a.txt").read_bytes() == (folder / "b.txt").read_bytes() == b"the same"
    assert (folder / "empty").read_bytes() == b""


def _put_numbered(place: Place, number: int) -> None:
    releases.put(place.open(), name=f"number-{number}")


def test_puts_from_several_processes_all_arrive(place: Place) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_put_numbered, args=(place, number)) for number in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    store = place.open()
    assert [child.exitcode for child in children] == [0] * 6
    assert {entry.name for entry in store.list()} == {f"number-{number}" for number in range(6)}
    for entry in store.list():
        store.verify(entry.digest)
    assert len(json.loads((place.root / "index.json").read_text())["manifests"]) == 6


def test_a_digest_that_is_not_in_the_store_is_unknown(place: Place, tmp_path: Path) -> None:
    store, missing = place.open(), "sha256:" + "0" * 64
    for ask in (store.manifest, store.verify, store.resolve, store.referrers):
        with pytest.raises(UsageError) as caught:
            ask(missing)
        assert (caught.value.code, caught.value.exit_code) == ("release.unknown", 2)
        assert "release list" in caught.value.remedy
    with pytest.raises(UsageError, match=r"release\.unknown"):
        store.materialize(missing, tmp_path / "bundles")
    with pytest.raises(UsageError, match=r"release\.unknown"):
        store.attach(missing, "application/x", b"{}")


def test_blobs_without_an_entry_are_no_release(place: Place) -> None:
    store = place.open()
    digest = releases.put(store)
    (place.root / "index.json").unlink()
    for entry in (place.root / "entries").glob("*"):
        entry.unlink()
    assert store.list() == []
    with pytest.raises(UsageError, match=r"release\.unknown"):
        store.manifest(digest)


def test_the_digest_of_something_attached_is_no_release(place: Place) -> None:
    store = place.open()
    attached = store.attach(releases.put(store), "application/x", b"{}")
    for ask in (store.manifest, store.resolve, store.referrers):
        with pytest.raises(UsageError, match=r"release\.unknown"):
            ask(attached)
    assert len(store.list()) == 1


def test_a_prefix_finds_its_release(place: Place) -> None:
    store = place.open()
    digest = releases.put(store)
    for prefix in (digest, digest[:19], digest[7:15], digest[7:15].upper()):
        assert store.resolve(prefix) == digest
    for prefix in ("", "sha256:", "abc", "sha256:zzzz", "../..", "sha256:0000"):
        with pytest.raises(UsageError, match=r"release\.unknown"):
            store.resolve(prefix)


def test_a_prefix_of_two_releases_is_refused_with_both(place: Place) -> None:
    store = place.open()
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


def test_attached_payloads_come_back_oldest_first_and_by_type(place: Place) -> None:
    store = place.open()
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


def test_an_index_written_by_another_client_is_understood(place: Place) -> None:
    """Other OCI clients copy manifests, not our notes in the index, and know of no entries."""
    store = place.open()
    digest = releases.put(store)
    attached = store.attach(digest, "application/a", b"{}")

    def plain(data: bytes) -> bytes:
        index = json.loads(data)
        for item in index["manifests"]:
            item.pop("annotations")
            item.pop("artifactType")
        return json.dumps(index).encode()

    place.rewrite(place.root / "index.json", plain)
    for entry in (place.root / "entries").glob("*"):
        entry.unlink()
    assert [(entry.digest, entry.model) for entry in store.list()] == [(digest, "digits")]
    assert [(r.digest, r.artifact_type) for r in store.referrers(digest)] == [(attached, "application/a")]


def test_a_release_becomes_a_folder_and_stays_one(place: Place, tmp_path: Path) -> None:
    store = place.open()
    digest = releases.put(store, files={"model.onnx": BIG})
    folder = store.materialize(digest, tmp_path / "bundles")
    assert folder == tmp_path / "bundles" / digest[7:]
    assert bundle.verify_bundle(folder, digest) == store.manifest(digest)
    inode = (folder / "model.onnx").stat().st_ino
    assert store.materialize(digest, tmp_path / "bundles") == folder
    assert (folder / "model.onnx").stat().st_ino == inode
    assert (folder / "model.onnx").stat().st_mode & 0o777 == 0o444
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", folder.name]


def test_a_folder_left_half_made_is_made_again(place: Place, tmp_path: Path) -> None:
    store = place.open()
    digest = releases.put(store)
    left = tmp_path / "bundles" / f".{digest[7:]}.new"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"")
    folder = store.materialize(digest, tmp_path / "bundles")
    assert not left.exists()
    bundle.verify_bundle(folder, digest)


@pytest.mark.parametrize("left", ["begun", "torn", "too long", "whole and wrong", "link"])
def test_bytes_left_by_a_killed_unpacking_are_gone_on_with_or_dropped(
    place: Place, tmp_path: Path, left: str
) -> None:
    store = place.open()
    digest = releases.put(store, files={"model.onnx": BIG})
    parts = tmp_path / "bundles" / f".{digest[7:]}.parts"
    parts.mkdir(parents=True)
    whole = parts / canonical.digest(BIG)[7:]
    partial = whole.with_name(whole.name + ".partial")
    partial.write_bytes(
        {"begun": BIG[:9_000_001], "torn": bytes(9_000_001), "too long": BIG + b"x"}.get(left, b"")
    )
    if left == "whole and wrong":
        whole.write_bytes(flipped(7)(BIG))
    if left == "link":
        (tmp_path / "elsewhere").write_bytes(b"kept")
        whole.symlink_to(tmp_path / "elsewhere")
    folder = store.materialize(digest, tmp_path / "bundles")
    assert bundle.verify_bundle(folder, digest)
    assert not parts.exists()
    if left == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b"kept"


def test_nothing_is_made_by_opening_or_reading(place: Place) -> None:
    store = place.open()
    assert store.list() == []
    assert not place.root.exists() or list(place.root.iterdir()) == []
