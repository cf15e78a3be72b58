"""Ways to change a release or what is said about it after the fact. Each is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep import canonical
from lockstep.errors import IntegrityError
from lockstep.evidence import collect, evaluation
from lockstep.evidence.keys import Signer
from lockstep.release import bundle, manifest
from lockstep.release.folder import FolderStore
from tests.support import releases
from tests.support.stores import Place, flipped

TITLES = ["config.json", *releases.FILES]
BIG = bytes(range(256)) * (40 << 10)
"""10 MiB: two parts in a bucket."""


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return releases.store_in(tmp_path)


@pytest.mark.parametrize("title", TITLES)
def test_flipped_bit_in_any_blob(place: Place, tmp_path: Path, title: str) -> None:
    store = place.open()
    digest = releases.put(store)
    blob = store.manifest(digest).blob(title)
    for offset in (0, -1):
        place.rewrite(place.of(digest, title), flipped(offset))
        with pytest.raises(IntegrityError) as caught:
            store.verify(digest)
        assert caught.value.code == "release.corrupt"
        assert title in caught.value.message and blob.digest in caught.value.message
        with pytest.raises(IntegrityError, match=blob.digest):
            store.read_blob(blob.digest)
        with pytest.raises(IntegrityError, match=title):
            store.materialize(digest, tmp_path / "bundles")
        assert not (tmp_path / "bundles" / digest[7:]).exists()
        place.rewrite(place.of(digest, title), flipped(offset))
    assert store.materialize(digest, tmp_path / "bundles").exists()


@pytest.mark.parametrize("offset", [0, 9 << 20, -1])
def test_flipped_bit_in_a_large_blob(place: Place, tmp_path: Path, offset: int) -> None:
    store = place.open()
    digest = releases.put(store, files={"model.onnx": BIG})
    place.rewrite(place.of(digest, "model.onnx"), flipped(offset))
    with pytest.raises(IntegrityError, match=r"model\.onnx.*hash to"):
        store.verify(digest)
    with pytest.raises(IntegrityError, match=r"model\.onnx.*hash to"):
        store.materialize(digest, tmp_path / "bundles")
    assert [path.name for path in (tmp_path / "bundles").glob("[0-9a-f]*")] == []


def test_flipped_bit_in_the_manifest(place: Place) -> None:
    store = place.open()
    digest, other = releases.put(store), releases.put(store, name="other")
    place.rewrite(place.blob(digest), flipped(40))
    for ask in (store.manifest, store.verify):
        with pytest.raises(IntegrityError, match=rf"manifest\.json.*{digest}"):
            ask(digest)
    assert [entry.digest for entry in store.list()] == [digest, other]
    store.verify(other)


@pytest.mark.parametrize("title", ["model.onnx", "config.json", "manifest.json"])
def test_truncated_blob(place: Place, title: str) -> None:
    store = place.open()
    digest = releases.put(store)
    place.rewrite(place.of(digest, title), lambda data: data[:-1])
    with pytest.raises(IntegrityError, match=title):
        store.verify(digest)


@pytest.mark.parametrize("title", ["model.onnx", "config.json", "manifest.json"])
def test_missing_blob(place: Place, title: str) -> None:
    store = place.open()
    digest = releases.put(store)
    place.of(digest, title).unlink()
    with pytest.raises(IntegrityError, match=rf"{title}.*missing"):
        store.verify(digest)


def test_grown_blob_and_grown_manifest(place: Place) -> None:
    """Neither is read into memory further than a manifest may be long."""
    store = place.open()
    digest = releases.put(store)
    place.rewrite(place.of(digest, "model.onnx"), lambda data: data + b" ")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        store.verify(digest)
    place.rewrite(place.blob(digest), lambda data: data + b" " * (2 << 20))
    with pytest.raises(IntegrityError, match=r"more than 1048576 bytes"):
        store.manifest(digest)


def test_swapped_blobs(place: Place) -> None:
    store = place.open()
    digest = releases.put(store)
    place.swap(place.of(digest, "model.onnx"), place.of(digest, "model.safetensors"))
    with pytest.raises(IntegrityError, match=r"model\.(onnx|safetensors)"):
        store.verify(digest)


def test_swapped_releases(place: Place) -> None:
    store = place.open()
    good, bad = releases.put(store), releases.put(store, name="bad")
    place.swap(place.blob(good), place.blob(bad))
    for digest in (good, bad):
        with pytest.raises(IntegrityError, match="manifest"):
            store.manifest(digest)


def test_blob_replaced_by_a_link_to_the_same_bytes(store: FolderStore, tmp_path: Path) -> None:
    """The bytes are right now; whoever owns the link's target can change them after the check."""
    digest = releases.put(store)
    path = releases.blob_path(store, digest, "model.onnx")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="link"):
        store.verify(digest)
    with pytest.raises(IntegrityError, match="link"):
        store.read_blob(store.manifest(digest).blob("model.onnx").digest)


def test_blob_folder_replaced_by_a_link(store: FolderStore, tmp_path: Path) -> None:
    digest = releases.put(store)
    (store.root / "blobs").rename(tmp_path / "elsewhere")
    (store.root / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="link"):
        store.verify(digest)
    with pytest.raises(IntegrityError, match="link"):
        releases.put(store, name="another")


@pytest.mark.parametrize("content", [b"small", BIG], ids=["small", "large"])
def test_a_damaged_blob_is_not_healed_by_another_put(place: Place, content: bytes) -> None:
    """A store that repaired in silence would hide that its disk, or somebody, changes bytes.

    Of a large blob in a bucket a put compares checksums only (docs/adr/0017): readers find it.
    """
    store = place.open()
    digest = releases.put(store, files={"model.onnx": content})
    place.rewrite(place.of(digest, "model.onnx"), flipped())
    if content == BIG and place.url.startswith("s3:"):
        releases.put(store, files={"model.onnx": content})
    else:
        with pytest.raises(IntegrityError, match=r"model\.onnx"):
            releases.put(store, files={"model.onnx": content})
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        store.verify(digest)


@pytest.mark.parametrize("index", [b"", b"[]", b'{"manifests":1}', b'{"manifests":[{"digest":"../x"}]}'])
def test_malformed_index(place: Place, index: bytes) -> None:
    store = place.open()
    digest = releases.put(store)
    place.rewrite(place.root / "index.json", lambda _: index)
    with pytest.raises(IntegrityError, match=r"index\.json.*release\.corrupt"):
        store.manifest(digest)
    with pytest.raises(IntegrityError, match=r"index\.json.*release\.corrupt"):
        releases.put(store, name="another")


@pytest.mark.parametrize("entry", [b"", b"[]", b"{}", b'{"digest":"sha256:' + b"0" * 64 + b'"}'])
def test_malformed_entry_that_the_index_does_not_list(s3: Place, entry: bytes) -> None:
    store = s3.open()
    digest = releases.put(store)
    s3.rewrite(s3.root / "entries" / digest[7:], lambda _: entry)
    (s3.root / "index.json").unlink()
    with pytest.raises(IntegrityError, match=rf"entry of {digest}.*damaged"):
        store.manifest(digest)


def test_a_cut_index_hides_nothing_that_has_its_entry(s3: Place) -> None:
    store = s3.open()
    first, second = releases.put(store), releases.put(store, name="second")
    s3.rewrite(s3.root / "index.json", lambda _: b'{"manifests":[],"schemaVersion":2}')
    assert {entry.digest for entry in store.list()} == {first, second}


def _rewrite(place: Place, attached: str, change: Callable[[dict[str, object]], None]) -> None:
    def changed(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return canonical.canonical(value)

    place.rewrite(place.blob(attached), changed)


def test_tampered_referrer_manifest(place: Place, tmp_path: Path) -> None:
    store, keys = place.open(), releases.local_keys(tmp_path)
    digest = releases.put(store)
    attached = releases.evaluate(store, digest, keys.signer("builder"))
    _rewrite(place, attached, lambda value: value.update(artifactType=evaluation.EVIDENCE_TYPE + "x"))
    (referrer,) = store.referrers(digest)
    assert referrer.payload == b"" and attached in str(referrer.problem)
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "corrupt" in str(evidence.reason)


def test_tampered_evidence_payload(place: Place, tmp_path: Path) -> None:
    store, keys = place.open(), releases.local_keys(tmp_path)
    digest = releases.put(store)
    attached = releases.evaluate(store, digest, keys.signer("builder"))
    payload = json.loads(place.blob(attached).read_bytes())["layers"][0]["digest"]
    place.rewrite(place.blob(payload), flipped(100))
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and payload in str(evidence.reason)


def test_evidence_larger_than_any_is_refused_before_it_is_in_memory(place: Place, tmp_path: Path) -> None:
    store, keys = place.open(), releases.local_keys(tmp_path)
    digest = releases.put(store)
    attached = releases.evaluate(store, digest, keys.signer("builder"))
    payload = json.loads(place.blob(attached).read_bytes())["layers"][0]["digest"]
    place.rewrite(place.blob(payload), lambda _: bytes(bundle.MAX_MANIFEST + 1))
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "has more than" in str(evidence.reason)
    with pytest.raises(IntegrityError) as refused:
        store.attach(digest, evaluation.EVIDENCE_TYPE, bytes(bundle.MAX_MANIFEST + 1))
    assert refused.value.code == "release.corrupt"


def test_evidence_listed_for_another_release(place: Place, tmp_path: Path) -> None:
    store, keys = place.open(), releases.local_keys(tmp_path)
    good, bad = releases.put(store), releases.put(store, name="bad")
    releases.evaluate(store, good, keys.signer("builder"))

    def relabelled(data: bytes) -> bytes:
        index = json.loads(data)
        index["manifests"][-1]["annotations"]["dev.lockstep.subject"] = bad
        return json.dumps(index).encode()

    place.rewrite(place.root / "index.json", relabelled)
    evidence = collect(store, bad, keys.trust)
    assert evidence.evaluation is None and "about something else" in str(evidence.reason)


def test_evidence_of_a_good_release_attached_to_a_bad_one(store: FolderStore, tmp_path: Path) -> None:
    keys = releases.local_keys(tmp_path)
    good, bad = releases.put(store), releases.put(store, name="bad")
    releases.evaluate(store, good, keys.signer("builder"))
    (original,) = store.referrers(good)
    store.attach(bad, evaluation.EVIDENCE_TYPE, original.payload)
    evidence = collect(store, bad, keys.trust)
    assert evidence.evaluation is None and "evidence.wrong_subject" in str(evidence.reason)
    assert collect(store, good, keys.trust).evaluation is not None


def test_evidence_signed_by_a_stranger(store: FolderStore, tmp_path: Path) -> None:
    keys = releases.local_keys(tmp_path)
    digest = releases.put(store)
    releases.evaluate(store, digest, Signer.generate())
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "evidence.unknown_key" in str(evidence.reason)


def test_evidence_signed_by_a_deployer(store: FolderStore, tmp_path: Path) -> None:
    keys = releases.local_keys(tmp_path)
    digest = releases.put(store)
    releases.evaluate(store, digest, keys.signer("deployer"))
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "evidence.wrong_role" in str(evidence.reason)


def test_evidence_whose_payload_was_exchanged_under_the_signature(store: FolderStore, tmp_path: Path) -> None:
    keys = releases.local_keys(tmp_path)
    digest = releases.put(store)
    metrics = evaluation.Metrics(0.99, {"0": 0.99}, 360)
    better = evaluation.statement("digits", digest, metrics, dataset="sha256:" + "0" * 64, time=releases.NOW)
    signed = keys.signer("builder").sign(evaluation.PAYLOAD_TYPE, b"{}")
    forged = keys.signer("builder").sign(evaluation.PAYLOAD_TYPE, canonical.canonical(better))
    forged["signatures"] = signed["signatures"]
    store.attach(digest, evaluation.EVIDENCE_TYPE, canonical.canonical(forged))
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "evidence.bad_signature" in str(evidence.reason)


def test_a_record_signature_used_as_evidence(store: FolderStore, tmp_path: Path) -> None:
    """The payload type is signed too: what was signed as something else is not an evaluation."""
    keys = releases.local_keys(tmp_path)
    digest = releases.put(store)
    metrics = evaluation.Metrics(0.99, {"0": 0.99}, 360)
    said = evaluation.statement("digits", digest, metrics, dataset="sha256:" + "0" * 64, time=releases.NOW)
    envelope = keys.signer("builder").sign("application/vnd.other+json", canonical.canonical(said))
    store.attach(digest, evaluation.EVIDENCE_TYPE, canonical.canonical(envelope))
    assert "evidence.wrong_type" in str(collect(store, digest, keys.trust).reason)
    envelope["payloadType"] = evaluation.PAYLOAD_TYPE
    store.attach(digest, evaluation.EVIDENCE_TYPE, canonical.canonical(envelope))
    assert "evidence.bad_signature" in str(collect(store, digest, keys.trust).reason)


def _bundle(store: FolderStore) -> tuple[str, Path]:
    digest = releases.put(store)
    return digest, store.materialize(digest, store.root.parent / "bundles")


@pytest.mark.parametrize("title", ["manifest.json", *TITLES])
def test_flipped_bit_in_a_bundle(store: FolderStore, title: str) -> None:
    digest, folder = _bundle(store)
    releases.flip(folder / title)
    with pytest.raises(IntegrityError, match=title):
        bundle.verify_bundle(folder, digest)
    with pytest.raises(IntegrityError, match=title):
        store.materialize(digest, folder.parent)


def test_extra_file_in_a_bundle(store: FolderStore) -> None:
    digest, folder = _bundle(store)
    (folder / "lockstep" / "numpy.py").write_bytes(b"import os")
    with pytest.raises(IntegrityError, match=r"lockstep/numpy\.py is not part"):
        bundle.verify_bundle(folder, digest)


def test_compiled_code_beside_the_code_in_a_bundle(store: FolderStore) -> None:
    """Python prefers a matching .pyc over the source that was hashed."""
    digest, folder = _bundle(store)
    (folder / "lockstep" / "__pycache__").mkdir()
    with pytest.raises(IntegrityError, match="__pycache__"):
        bundle.verify_bundle(folder, digest)


def test_missing_file_in_a_bundle(store: FolderStore) -> None:
    digest, folder = _bundle(store)
    (folder / "labels.json").unlink()
    with pytest.raises(IntegrityError, match=r"labels\.json is missing"):
        bundle.verify_bundle(folder, digest)


@pytest.mark.parametrize("name", ["model.onnx", "lockstep", "manifest.json"])
def test_link_in_a_bundle(store: FolderStore, tmp_path: Path, name: str) -> None:
    digest, folder = _bundle(store)
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="link"):
        bundle.verify_bundle(folder, digest)


def test_another_release_in_the_place_of_a_bundle(store: FolderStore) -> None:
    digest, folder = _bundle(store)
    with pytest.raises(IntegrityError, match=digest[:19]):
        bundle.verify_bundle(folder, digest[:-1] + ("0" if digest[-1] != "0" else "1"))
    other = releases.put(store, name="other")
    (folder.parent / other[7:]).symlink_to(folder)
    with pytest.raises(IntegrityError, match="manifest"):
        store.materialize(other, folder.parent)


@pytest.mark.parametrize(
    "title",
    ["../x", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "", ".hidden", "a\\b", "a\x00b", "a b", "a\n"],
)
def test_title_that_leaves_the_folder(title: str) -> None:
    with pytest.raises(IntegrityError, match="plain relative path"):
        manifest.release("digits", "x", b"{}", {title: b"x"})


@pytest.mark.parametrize("title", ["manifest.json", "config.json"])
def test_title_that_is_reserved(title: str) -> None:
    with pytest.raises(IntegrityError, match="reserved"):
        manifest.release("digits", "x", b"{}", {title: b"x"})


def test_title_that_is_file_and_folder() -> None:
    with pytest.raises(IntegrityError, match="both a file and a folder"):
        manifest.release("digits", "x", b"{}", {"a": b"x", "a/b": b"y"})


def _forged(**changes: object) -> bytes:
    data, _ = releases.contents()
    return canonical.canonical({**json.loads(data), **changes})


@pytest.mark.parametrize(
    "data",
    [
        _forged(schemaVersion=1),
        _forged(mediaType="application/vnd.oci.image.index.v1+json"),
        _forged(artifactType=evaluation.EVIDENCE_TYPE),
        _forged(layers={}),
        _forged(layers=[1]),
        _forged(layers=[{"digest": "sha256:" + "0" * 64, "size": 1}]),
        _forged(config={}),
        _forged(config={"digest": "sha256:" + "0" * 64, "size": True}),
        _forged(config={"digest": "sha256:" + "0" * 64, "size": -1}),
        _forged(config={"digest": "sha256:" + "0" * 63 + "/", "size": 1}),
        _forged(annotations={}),
        _forged(annotations={"dev.lockstep.model": "", "dev.lockstep.name": "x"}),
        _forged(subject={}),
        releases.contents()[0] + b"\n",
        releases.contents()[0].replace(b'"schemaVersion":2', b'"schemaVersion":1,"schemaVersion":2'),
        b"[]",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_manifest_of_another_form(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"release\.corrupt"):
        bundle.parse_manifest(data, canonical.digest(data))
