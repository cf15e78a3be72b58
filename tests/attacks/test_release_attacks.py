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

TITLES = ["config.json", *releases.FILES]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return releases.store_in(tmp_path)


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("offset", [0, -1])
def test_flipped_bit_in_any_blob(store: FolderStore, title: str, offset: int) -> None:
    digest = releases.put(store)
    blob = store.manifest(digest).blob(title)
    releases.flip_byte(store, digest, title, offset)
    with pytest.raises(IntegrityError) as caught:
        store.verify(digest)
    assert caught.value.code == "release.corrupt"
    assert title in caught.value.message and blob.digest in caught.value.message
    with pytest.raises(IntegrityError, match=blob.digest):
        store.read_blob(blob.digest)
    with pytest.raises(IntegrityError, match=title):
        store.materialize(digest, store.root.parent / "bundles")
    assert not (store.root.parent / "bundles" / digest[7:]).exists()


def test_flipped_bit_in_the_manifest(store: FolderStore) -> None:
    digest = releases.put(store)
    other = releases.put(store, name="other")
    releases.flip_byte(store, digest, "manifest.json", 40)
    for ask in (store.manifest, store.verify):
        with pytest.raises(IntegrityError, match=rf"manifest\.json.*{digest}"):
            ask(digest)
    assert [entry.digest for entry in store.list()] == [digest, other]
    store.verify(other)


@pytest.mark.parametrize("title", ["model.onnx", "config.json", "manifest.json"])
def test_truncated_blob(store: FolderStore, title: str) -> None:
    digest = releases.put(store)
    path = releases.blob_path(store, digest, title)
    releases.overwrite(path, path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=title):
        store.verify(digest)


@pytest.mark.parametrize("title", ["model.onnx", "config.json", "manifest.json"])
def test_missing_blob(store: FolderStore, title: str) -> None:
    digest = releases.put(store)
    releases.blob_path(store, digest, title).unlink()
    with pytest.raises(IntegrityError, match=rf"{title}.*missing"):
        store.verify(digest)


def test_swapped_blobs(store: FolderStore) -> None:
    digest = releases.put(store)
    first, second = (releases.blob_path(store, digest, t) for t in ("model.onnx", "model.safetensors"))
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    with pytest.raises(IntegrityError, match=r"model\.(onnx|safetensors)"):
        store.verify(digest)


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


def test_a_damaged_blob_is_not_healed_by_another_put(store: FolderStore) -> None:
    """A store that repaired in silence would hide that its disk, or somebody, changes bytes."""
    digest = releases.put(store)
    releases.flip_byte(store, digest, "model.onnx")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        releases.put(store)


@pytest.mark.parametrize("index", [b"", b"[]", b'{"manifests":1}', b'{"manifests":[{"digest":"../x"}]}'])
def test_malformed_index(store: FolderStore, index: bytes) -> None:
    digest = releases.put(store)
    (store.root / "index.json").write_bytes(index)
    with pytest.raises(IntegrityError, match=r"index\.json.*release\.corrupt"):
        store.manifest(digest)


def _rewrite(store: FolderStore, attached: str, change: Callable[[dict[str, object]], None]) -> None:
    path = releases.path_of(store, attached)
    value = json.loads(path.read_bytes())
    change(value)
    releases.overwrite(path, canonical.canonical(value))


def test_tampered_referrer_manifest(store: FolderStore, tmp_path: Path) -> None:
    keys = releases.local_keys(tmp_path)
    digest = releases.put(store)
    attached = releases.evaluate(store, digest, keys.signer("builder"))
    _rewrite(store, attached, lambda value: value.update(artifactType=evaluation.EVIDENCE_TYPE + "x"))
    (referrer,) = store.referrers(digest)
    assert referrer.payload == b"" and attached in str(referrer.problem)
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and "corrupt" in str(evidence.reason)


def test_tampered_evidence_payload(store: FolderStore, tmp_path: Path) -> None:
    keys = releases.local_keys(tmp_path)
    digest = releases.put(store)
    attached = releases.evaluate(store, digest, keys.signer("builder"))
    payload = json.loads(releases.path_of(store, attached).read_bytes())["layers"][0]["digest"]
    releases.flip(releases.path_of(store, payload), 100)
    evidence = collect(store, digest, keys.trust)
    assert evidence.evaluation is None and payload in str(evidence.reason)


def test_evidence_listed_for_another_release(store: FolderStore, tmp_path: Path) -> None:
    keys = releases.local_keys(tmp_path)
    good, bad = releases.put(store), releases.put(store, name="bad")
    releases.evaluate(store, good, keys.signer("builder"))
    path = store.root / "index.json"
    index = json.loads(path.read_bytes())
    index["manifests"][-1]["annotations"]["dev.lockstep.subject"] = bad
    path.write_bytes(json.dumps(index).encode())
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
