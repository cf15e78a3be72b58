"""What every audit bucket promises: S3 (a real versitygw), its folder with the server stopped, an export.

The bucket in memory that other tests use goes through the same suite.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockstep.audit import local
from lockstep.audit.bucket import Bucket, KeyTaken, LostRace
from lockstep.audit.export import ExportFolder, export
from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.audit.note import Head
from lockstep.audit.record import draft
from lockstep.audit.s3 import S3Bucket
from lockstep.errors import IntegrityError, LockstepError, Unavailable, UsageError
from tests.support.audit import ORIGIN, RETENTION, START, WHO, Writer, codes
from tests.support.memory import MemoryBucket
from tests.support.versity import BUCKET, Server, versity

UNTIL = START.replace(microsecond=0) + timedelta(days=3650)
KEYS = [*(record_key(i) for i in range(12)), *(tile_key(0, 0, i) for i in range(1, 4)), "record/0000000012x"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with versity(tmp_path_factory.mktemp("versity")) as running:
        yield running


def made(server: Server, name: str) -> S3Bucket:
    """A fresh object-locked bucket."""
    bucket = server.bucket(name)
    bucket.create()
    return bucket


def fill(bucket: S3Bucket | MemoryBucket) -> None:
    for key in KEYS:
        bucket.put_new(key, key.encode() * 3, UNTIL)


def shadow_and_hide(bucket: S3Bucket) -> None:
    """What object lock does not prevent: a version over an object, and a delete marker."""
    assert bucket._ask("PUT", record_key(3), body=b"shadow").status == 200
    assert bucket._ask("DELETE", record_key(4)).status == 204


@dataclass(frozen=True)
class Reader:
    name: str
    bucket: Bucket


@pytest.fixture(scope="module")
def readers(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bucket]:
    """The same content through every adapter. The folder is read through a copy of nothing: as it lies."""
    served = made(server, "contract-reads")
    fill(served)
    shadow_and_hide(served)
    folder = tmp_path_factory.mktemp("export") / "out"
    export(served, folder, Head(ORIGIN, 0, ""), [], {})
    memory = MemoryBucket()
    fill(memory)
    memory.objects[record_key(3)].insert(0, memory._new(b"shadow"))
    memory.hide(record_key(4))
    return {
        "s3": served,
        "folder": server.folder("contract-reads"),
        "export": ExportFolder(folder),
        "memory": memory,
    }


@pytest.fixture(params=["s3", "folder", "export", "memory"])
def reader(request: pytest.FixtureRequest, readers: dict[str, Bucket]) -> Bucket:
    return readers[request.param]


def test_versions_come_in_order_newest_first(reader: Bucket) -> None:
    found = reader.versions("record/")
    assert [one.key for one in found] == sorted(one.key for one in found)
    three = [one for one in found if one.key == record_key(3)]
    assert [(one.is_latest, one.delete_marker, one.size) for one in three] == [
        (True, False, 6),
        (False, False, 51),
    ]
    four = [one for one in found if one.key == record_key(4)]
    assert [(one.is_latest, one.delete_marker) for one in four] == [(True, True), (False, False)]


def test_versions_take_a_prefix(reader: Bucket) -> None:
    assert [one.key for one in reader.versions("tile/")] == [tile_key(0, 0, i) for i in (1, 2, 3)]
    assert [one.key for one in reader.versions(record_key(7))] == [record_key(7)]
    assert reader.versions("head/") == []
    assert len({one.key for one in reader.versions("")}) == len(KEYS)


def test_versions_begin_after_a_key_and_stop_at_a_limit(reader: Bucket) -> None:
    found = reader.versions("record/", start_after=record_key(2), limit=3)
    assert sorted({one.key for one in found}) == [record_key(i) for i in (3, 4, 5)]
    assert len(found) == 5, "all versions of a key, or none of it"
    assert reader.versions("record/", start_after="record/0000000012x") == []


def test_get_gives_a_version_or_what_the_key_shows(reader: Bucket) -> None:
    assert reader.get(record_key(0)) == record_key(0).encode() * 3
    assert reader.get(record_key(3)) == b"shadow"
    older = reader.versions(record_key(3))[1].version_id
    assert reader.get(record_key(3), older) == record_key(3).encode() * 3
    hidden = reader.versions(record_key(4))[1].version_id
    assert reader.get(record_key(4), hidden) == record_key(4).encode() * 3


@pytest.mark.parametrize("key", ["record/9999999999", record_key(4), "tile/0/000.p"])
def test_what_a_key_does_not_show_is_missing(reader: Bucket, key: str) -> None:
    assert reader.head(key) is None
    with pytest.raises(IntegrityError) as refused:
        reader.get(key)
    assert refused.value.code == "audit.object_missing"


def test_head_tells_lock_and_checksum(reader: Bucket) -> None:
    found = reader.head(record_key(1))
    assert found is not None
    assert found.sha256 == hashlib.sha256(record_key(1).encode() * 3).hexdigest()
    assert (found.size, found.locked_until()) == (51, UNTIL)
    same = reader.head(record_key(1), found.version_id)
    assert same == found
    shadow = reader.head(record_key(3))
    assert shadow is not None and shadow.locked_until() is None


def test_copies_and_folders_are_read_only(readers: dict[str, Bucket]) -> None:
    for name in ("folder", "export"):
        with pytest.raises(UsageError) as refused:
            readers[name].put_new("record/0000000099", b"x", UNTIL)
        assert refused.value.code == "audit.read_only"
        with pytest.raises(UsageError):
            readers[name].lock(record_key(0), "x", UNTIL)


@pytest.fixture(params=["s3", "memory"])
def writable(request: pytest.FixtureRequest, server: Server) -> Bucket:
    if request.param == "memory":
        return MemoryBucket()
    return made(server, f"contract-{os.urandom(4).hex()}")


def test_a_key_is_taken_once(writable: Bucket) -> None:
    writable.put_new("record/0000000000", b"first", UNTIL)
    with pytest.raises(KeyTaken):
        writable.put_new("record/0000000000", b"second", UNTIL)
    assert writable.get("record/0000000000") == b"first"


def test_a_lock_can_be_made_longer(writable: Bucket) -> None:
    version = writable.put_new("record/0000000000", b"data", UNTIL)
    writable.lock("record/0000000000", version, UNTIL + timedelta(days=1))
    found = writable.head("record/0000000000", version)
    assert found is not None and found.locked_until() == UNTIL + timedelta(days=1)


def test_one_writer_wins_a_place(writable: Bucket) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        start.wait()
        try:
            writable.put_new("record/0000000000", b"%d" % number, UNTIL)
            won.append(number)
        except KeyTaken:
            pass

    run_all([threading.Thread(target=race, args=(number,)) for number in range(8)])
    assert len(won) == 1
    assert writable.get("record/0000000000") == b"%d" % won[0]


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)


def test_eight_writers_five_rounds_one_winner_each(server: Server) -> None:
    bucket = made(server, "contract-race")
    writer = Writer(bucket)
    surprises: list[Exception] = []
    for round_number in range(5):
        won: list[int] = []
        start = threading.Barrier(8)

        def race(
            number: int, size: int = round_number, won: list[int] = won, start: threading.Barrier = start
        ) -> None:
            log = writer.open()
            made = draft("history", claimed=f"writer {number}", history_reason="race")
            start.wait()
            try:
                won.append(log.append(made, expect_size=size, now=START, retention=RETENTION).index)
            except LostRace:
                pass
            except LockstepError as error:
                surprises.append(error)

        run_all([threading.Thread(target=race, args=(number,)) for number in range(8)])
        assert surprises == []
        assert won == [round_number]
    report = writer.verify()
    assert (report.ok, report.size) == (True, 5), report


def test_a_compliance_lock_cannot_be_shortened_or_bypassed(server: Server) -> None:
    bucket = made(server, "contract-lock")
    version = bucket.put_new("record/0000000000", b"data", UNTIL)
    with pytest.raises(Unavailable) as refused:
        bucket.lock("record/0000000000", version, UNTIL - timedelta(days=1))
    assert refused.value.code == "audit.bucket_refused"
    bypass = {"x-amz-bypass-governance-retention": "true"}
    gone = bucket._ask("DELETE", "record/0000000000", {"versionId": version}, bypass)
    assert gone.status == 403
    assert bucket.get("record/0000000000", version) == b"data"


def test_a_bucket_without_object_lock_is_refused(server: Server) -> None:
    bucket = server.bucket("contract-plain")
    assert bucket._ask("PUT").status == 200
    with pytest.raises(IntegrityError) as refused:
        bucket.check()
    assert refused.value.code == "audit.no_object_lock"
    with pytest.raises(IntegrityError):
        bucket.create()


def test_listing_goes_past_one_page(server: Server) -> None:
    bucket = made(server, "contract-pages")
    for number in range(7):
        bucket.put_new(record_key(number), b"x", UNTIL)
    assert bucket._ask("PUT", record_key(2), body=b"shadow").status == 200
    whole = bucket.versions("record/")
    bucket.page_keys = 2
    assert bucket.versions("record/") == whole
    assert len(whole) == 8


def test_a_log_survives_the_server(tmp_path: Path) -> None:
    """Written through S3, verified from the folder when the server was killed, and gone on with after."""
    with versity(tmp_path) as server:
        writer = Writer(server.bucket())
        writer.story()
        through_s3 = writer.verify()
        server.stop()
        from_folder = writer.verify(server.folder())
        assert through_s3 == from_folder and from_folder.ok
        with pytest.raises(Unavailable) as refused:
            writer.verify()
        assert refused.value.code == "audit.bucket_unreachable"
        server.start()
        writer.note()
        assert (writer.verify().ok, writer.verify().size) == (True, 7)


def test_one_byte_changed_on_disk_is_found_and_named(tmp_path: Path) -> None:
    with versity(tmp_path) as server:
        writer = Writer(server.bucket())
        writer.story()
        path = server.data / BUCKET / record_key(2)
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
        for bucket in (server.bucket(), server.folder()):
            report = writer.verify(bucket)
            assert [(one.code, one.index) for one in report.problems] == [("audit.changed_byte", 2)]


def beside(folder: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"garbage")


def test_a_name_on_disk_that_is_no_text_is_another_object_and_stops_nobody(tmp_path: Path) -> None:
    with versity(tmp_path / "server") as server:
        writer = Writer(server.bucket())
        writer.story()
        shadow_and_hide(server.bucket())
        head = writer.log.head()
    lying = server.folder()
    beside(server.data / BUCKET / "record", b"\xff")
    export(lying, tmp_path / "out", head, [writer.key], {})
    copied = ExportFolder(tmp_path / "out")
    beside(lying._older(record_key(3)), b"\xfe")
    beside(tmp_path / "out" / "head", b"\xfd")
    for bucket, names in ((lying, ["record/\\xff"]), (copied, ["head/\\xfd", "record/\\xff"])):
        problems = writer.verify(bucket).problems
        assert sorted(one.key or "" for one in problems if one.code == "audit.foreign_object") == names
        "\n".join(map(str, problems)).encode()  # they can be printed
    assert "version \\xfe of record/0000000003 has no" in "\n".join(map(str, writer.verify(lying).problems))


def test_an_export_verifies_with_everything_stopped(tmp_path: Path) -> None:
    with versity(tmp_path / "server") as server:
        writer = Writer(server.bucket())
        writer.story()
        head = writer.log.head()
        export(server.bucket(), tmp_path / "out", head, [writer.key], {"id": "PEM"})
    copy = ExportFolder(tmp_path / "out")
    assert writer.verify(copy, head=head).ok
    assert (tmp_path / "out" / "checkpoint").read_bytes() == copy.get(head_key(6))
    assert (tmp_path / "out" / "log.vkey").read_text() == f"{writer.key}\n"
    (tmp_path / "out" / record_key(1)).unlink()
    assert codes(writer.verify(copy)) == ["audit.record_missing"]
    with pytest.raises(UsageError) as refused:
        export(copy, tmp_path / "out", head, [], {})
    assert refused.value.code == "audit.export_exists"


def test_shadows_and_markers_survive_an_export(server: Server, tmp_path: Path) -> None:
    bucket = made(server, "contract-export")
    writer = Writer(bucket)
    writer.story()
    shadow_and_hide(bucket)
    export(bucket, tmp_path / "out", writer.log.head(), [writer.key], {})
    for one in (bucket, ExportFolder(tmp_path / "out"), server.folder("contract-export")):
        assert sorted(codes(writer.verify(one))) == [
            "audit.delete_marker",
            "audit.shadow_version",
            "audit.unlocked",  # the version that was written over it
        ]


@pytest.mark.parametrize(
    "key",
    [
        "record/7",
        "record/000000000%33",
        "record/%30000000003",
        "Record/0000000003",
        "record/\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0663",
        "record/0000000099/",
        "record/\x01",
        "record/a\nb",
        "tile/0/000.p/03",
    ],
    ids=ascii,
)
def test_another_name_is_another_object_and_stops_nobody(server: Server, tmp_path: Path, key: str) -> None:
    """On the real server: no other spelling is taken for the one name of a place, and none spoils a list."""
    bucket = made(server, f"names-{os.urandom(4).hex()}")
    writer = Writer(bucket)
    writer.story()
    put = bucket._ask("PUT", key, body=bucket.get(record_key(3)))
    writer.note()
    assert bucket.get(record_key(3)) == writer.log.read(3).leaf
    if put.status != 200:
        assert writer.verify().ok, "the server took no such key"
        return
    export(bucket, tmp_path / "out", writer.log.head(), [writer.key], {})
    for one in (bucket, ExportFolder(tmp_path / "out")):
        found = set(codes(writer.verify(one)))
        assert "audit.foreign_object" in found <= {"audit.foreign_object", "audit.unlocked"}


def test_a_folder_that_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        ExportFolder(tmp_path)
    assert refused.value.code == "audit.not_an_export"


def test_credentials_are_for_the_owner_only(tmp_path: Path) -> None:
    from lockstep.paths import StackPaths

    stack = StackPaths(tmp_path)
    assert local.read_credentials(stack) is None
    written = local.BucketCredentials("http://127.0.0.1:1", "a", "s")
    local.write_credentials(stack, written)
    assert local.read_credentials(stack) == written
    assert local.credentials_file(stack).stat().st_mode & 0o777 == 0o600
    assert "'s'" not in repr(written)
    local.credentials_file(stack).write_text("{}")
    with pytest.raises(IntegrityError) as refused:
        local.read_credentials(stack)
    assert refused.value.code == "audit.credentials_malformed"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_lies_in_the_place_of_the_credentials_is_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    from lockstep.paths import StackPaths

    stack = StackPaths(tmp_path)
    local.credentials_file(stack).parent.mkdir()
    make(local.credentials_file(stack))
    with pytest.raises(IntegrityError) as refused:
        local.read_credentials(stack)
    assert refused.value.code == "audit.credentials_malformed"


def test_now_is_after_the_start_of_the_story() -> None:
    """The locks in these tests end after today, or versitygw would refuse them."""
    assert datetime.now(UTC) + timedelta(days=30) < START + RETENTION, WHO
