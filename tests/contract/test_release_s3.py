"""What only a store in a bucket can get wrong: several writers, uploads left half, broken connections."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from lockstep import canonical
from lockstep.errors import LockstepError, Unavailable
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths
from lockstep.release import multipart
from lockstep.release.objects import NoSuchUpload, checksum
from lockstep.release.s3 import S3Store
from lockstep.stores import open_store
from tests.conftest import Soak
from tests.support import releases
from tests.support.stores import Place, Watched, flipped, objects_of
from tests.support.versity import free_port

PART = multipart.SINGLE
BIG = bytes(range(256)) * (80 << 10)
"""20 MiB: two parts of 8 and one of 4."""
KEY = "team/models/blobs/sha256/" + canonical.digest(BIG)[7:]


def contents() -> tuple[bytes, dict[str, bytes | Path]]:
    return releases.contents(files={"model.onnx": BIG})


def put(store: S3Store) -> str:
    data, blobs = contents()
    return store.put(data, blobs, created=releases.NOW)


def watched(place: Place) -> tuple[S3Store, Watched]:
    objects = Watched(objects_of(place))
    return S3Store(objects, "team/models/"), objects


POINTS = [
    "begun",
    "written config.json",
    "begun model.onnx",
    "part 1 of model.onnx",
    "part 2 of model.onnx",
    "part 3 of model.onnx",
    "sent model.onnx",
    "written model.onnx",
    "written manifest.json",
    "written entry",
    "written index.json",
]


def _put_and_die(place: Place, point: str) -> None:
    def die(step: str) -> None:
        if step == point:
            os.kill(os.getpid(), signal.SIGKILL)

    data, blobs = contents()
    place.open().put(data, blobs, created=releases.NOW, on_step=die)


@pytest.mark.parametrize("point", POINTS)
def test_a_put_killed_at_any_point_leaves_nothing_reachable_that_is_not_whole(s3: Place, point: str) -> None:
    child = multiprocessing.get_context("fork").Process(target=_put_and_die, args=(s3, point))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL, "the point was not reached"
    there = ["digits-test"] if POINTS.index(point) >= POINTS.index("written entry") else []
    store, objects = watched(s3)
    assert [entry.name for entry in store.list()] == there
    for entry in store.list():
        store.verify(entry.digest)
    digest = put(store)
    store.verify(digest)
    assert objects.real.uploads("") == []
    listed = json.loads((s3.root / "index.json").read_text())["manifests"]
    assert [item["digest"] for item in listed] == [digest]
    if point == "sent model.onnx":
        assert objects.sent == []


def test_the_points_where_a_put_can_be_killed_are_all_named(s3: Place) -> None:
    heard: list[str] = []
    data, blobs = contents()
    s3.open().put(data, blobs, created=releases.NOW, on_step=heard.append)
    others = {f"written {title}" for title in releases.FILES}
    assert [point for point in heard if point in POINTS or point not in others] == POINTS


def test_an_upload_goes_on_with_the_parts_that_are_there_and_right(s3: Place) -> None:
    store, objects = watched(s3)
    upload = objects.begin(KEY)
    first, wrong = BIG[:PART], flipped()(BIG[PART : 2 * PART])
    objects.real.put_part(KEY, upload, 1, first, checksum(first))
    objects.real.put_part(KEY, upload, 2, wrong, checksum(wrong))
    store.verify(put(store))
    assert sorted(objects.sent) == [2, 3]


def test_an_upload_that_somebody_left_long_ago_goes(s3: Place) -> None:
    store, objects = watched(s3)
    other = "team/models/blobs/sha256/" + "0" * 64
    objects.begin(other)
    put(store)
    assert [upload.key for upload in objects.uploads("")] == [other]
    objects.later = timedelta(days=8)
    put(store)
    assert objects.uploads("") == []


def test_another_writer_who_completes_the_same_blob_first(s3: Place) -> None:
    """Both send the same bytes under one upload; the later one finds it over, and the blob there."""
    store, objects = watched(s3)
    objects.before["complete"] = lambda: put(S3Store(objects_of(s3), "team/models/"))
    store.verify(put(store))
    assert objects.uploads("") == []


def test_an_upload_that_somebody_aborts_is_begun_again(s3: Place) -> None:
    store, objects = watched(s3)
    real = objects_of(s3)
    objects.before["complete"] = lambda: [real.abort(KEY, upload.id) for upload in real.uploads(KEY)]
    store.verify(put(store))


def test_an_object_that_another_program_put_there_is_hashed_and_never_overwritten(s3: Place) -> None:
    store, objects = watched(s3)
    wrong = flipped(5)(BIG)
    assert objects.put_new(KEY, wrong)
    with pytest.raises(LockstepError, match=r"model\.onnx.*release\.corrupt"):
        put(store)
    assert store.list() == [] and s3.blob(canonical.digest(BIG)).read_bytes() == wrong


def test_a_right_object_that_another_program_put_there_is_taken(s3: Place) -> None:
    store, objects = watched(s3)
    assert objects.put_new(KEY, BIG)
    store.verify(put(store))
    assert objects.sent == []


def test_two_writers_of_the_index_at_once_both_stay_in_it(s3: Place) -> None:
    store, objects = watched(s3)
    releases.put(store, name="there before")
    objects.before["replace"] = lambda: releases.put(s3.open(), name="the faster")
    releases.put(store, name="the slower")
    names = {entry.name for entry in store.list()}
    assert names == {"there before", "the faster", "the slower"}
    assert len(json.loads((s3.root / "index.json").read_text())["manifests"]) == 3


def test_two_first_writers_of_the_index_at_once(s3: Place) -> None:
    store, objects = watched(s3)
    objects.before["put_new index.json"] = lambda: releases.put(s3.open(), name="the faster")
    releases.put(store, name="the slower")
    assert len(json.loads((s3.root / "index.json").read_text())["manifests"]) == 2


def test_a_plain_copy_of_the_prefix_is_a_store_in_a_folder(s3: Place, tmp_path: Path) -> None:
    """So `aws s3 sync`, and after it any client that reads an OCI image layout, get release and evidence."""
    store = s3.open()
    digest = put(S3Store(objects_of(s3), "team/models/"))
    attached = store.attach(digest, "application/a", b"{}")
    for path in sorted(s3.root.rglob("*")):
        if path.is_file() and "entries" not in path.parts:
            target = tmp_path / "copy" / path.relative_to(s3.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    copy = open_store(f"file://{tmp_path}/copy")
    copy.verify(digest)
    assert [referrer.digest for referrer in copy.referrers(digest)] == [attached]


def test_an_unpacking_that_was_killed_reads_on_from_there(s3: Place, tmp_path: Path) -> None:
    store, objects = watched(s3)
    digest = put(store)
    parts = tmp_path / f".{digest[7:]}.parts"
    parts.mkdir()
    (parts / (canonical.digest(BIG)[7:] + ".partial")).write_bytes(BIG[:PART])
    objects.read_from.clear()
    store.materialize(digest, tmp_path)
    assert [start for start in objects.read_from if start] == [PART]


def test_a_service_of_the_stack_gets_its_release_from_the_bucket(s3: Place, tmp_path: Path) -> None:
    """The provider's own path, up to the lock file, which this small release does not have."""
    digest = put(S3Store(objects_of(s3), "team/models/"))
    local = LocalStack(Paths(tmp_path, tmp_path / "state"), "local")
    with pytest.raises(LockstepError, match=r"serving\.no_lock"):
        local.start_service(
            "digits", "local-a", "blue", release=digest, runtime="torch", store_url=s3.url, near=free_port()
        )
    assert (local.run / "bundles" / digest[7:] / "model.onnx").read_bytes() == BIG


@pytest.mark.parametrize(
    ("secret", "access", "word"),
    [
        ("wrong-secret-0123456789", None, "SignatureDoesNotMatch"),
        ("wrong-secret-0123456789", "nobody", "XAdminUserNotFound"),
    ],
)
def test_wrong_credentials(
    s3: Place, monkeypatch: pytest.MonkeyPatch, secret: str, access: str | None, word: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    if access is not None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", access)
    with pytest.raises(Unavailable, match=word) as caught:
        s3.open().list()
    assert caught.value.code == "release.store_failed" and "AWS_ACCESS_KEY_ID" in caught.value.remedy
    assert secret not in str(caught.value)
    with pytest.raises(Unavailable) as caught:
        releases.put(s3.open())
    assert secret not in str(caught.value)


def test_no_credentials_at_all(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Unavailable, match=r"NoCredentials.*\n.*set AWS_ACCESS_KEY_ID"):
        s3.open().list()


def test_no_bucket(s3: Place) -> None:
    store = open_store(s3.url.replace("/team", "-nowhere/team"))
    for ask in (store.list, lambda: releases.put(store)):
        with pytest.raises(Unavailable, match=r"NoSuchBucket.*release\.store_failed.*\n.*make the bucket"):
            ask()


def test_an_endpoint_that_does_not_answer(s3: Place) -> None:
    store = open_store(f"s3://bucket/x?endpoint=http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match=r"release\.store_failed.*\n.*whether the endpoint answers"):
        store.list()


def test_the_endpoint_may_stand_in_the_environment(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    url, _, endpoint = s3.url.partition("?endpoint=")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    store = open_store(url)
    store.verify(releases.put(store))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint.replace("://", "://ann:hunter2@"))
    with pytest.raises(LockstepError, match=r"release\.store_url") as caught:
        open_store(url).list()
    assert "hunter2" not in str(caught.value)


@pytest.mark.soak
def test_puts_and_unpackings_killed_at_random_times(s3: Place, tmp_path: Path, soak: Soak) -> None:
    """Nothing that is listed is ever broken; each is whole after at most one more run."""
    data, blobs = contents()
    expected = canonical.digest(data)
    killed = 0
    for _ in range(soak.rounds):
        shutil.rmtree(s3.root, ignore_errors=True)
        shutil.rmtree(tmp_path / "bundles", ignore_errors=True)
        for work in (_put, _unpack):
            child = multiprocessing.get_context("fork").Process(target=work, args=(s3, tmp_path))
            child.start()
            child.join(timeout=soak.rng.uniform(0.02, 0.6))
            if child.is_alive():
                child.kill()
                killed += 1
            child.join()
            store = s3.open()
            for entry in store.list():
                store.verify(entry.digest)
            store.verify(store.put(data, blobs, created=releases.NOW))
            made = [path for path in (tmp_path / "bundles").glob("[0-9a-f]*")]
            assert made in ([], [tmp_path / "bundles" / expected[7:]])
            if made:
                store.materialize(expected, tmp_path / "bundles")
    store.materialize(expected, tmp_path / "bundles")
    soak.tally(f"release store in a bucket: {killed} kills in {2 * soak.rounds} runs, nothing half")


def _put(place: Place, _: Path) -> None:
    data, blobs = contents()
    place.open().put(data, blobs, created=releases.NOW)


def _unpack(place: Place, folder: Path) -> None:
    data, _ = contents()
    place.open().materialize(canonical.digest(data), folder / "bundles")


def test_the_end_of_an_upload_is_told_apart(s3: Place) -> None:
    objects = objects_of(s3)
    upload = objects.begin(KEY)
    objects.abort(KEY, upload)
    objects.abort(KEY, upload)
    with pytest.raises(NoSuchUpload):
        objects.parts(KEY, upload)
