"""`audit void`, `renew`, `prune` and batches on a real versitygw, through the command line."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import click.testing
import pytest

from lockstep.audit.bucket import Bucket
from lockstep.audit.export import ExportFolder, export
from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.audit.local import BucketCredentials, write_credentials
from lockstep.audit.record import draft
from lockstep.cli.audit import command
from lockstep.errors import IntegrityError, LockstepError
from lockstep.evidence.keys import Signer, ensure_local_keys
from lockstep.paths import Paths
from tests.support.audit import PLAIN, START, WHO, Writer, cell, codes, table
from tests.support.memory import MemoryBucket
from tests.support.versity import BUCKET, Server, versity

ROOT = Path(__file__).parents[2]
MONTH = timedelta(days=30)


class Place:
    """A stack's folders with a running bucket and six records, and a command line on them."""

    def __init__(self, root: Path, server: Server) -> None:
        self.server = server
        self.paths = Paths(root=root / "checkout", state=root / "state")
        self.paths.root.mkdir(parents=True)
        shutil.copy2(ROOT / "Pulumi.yaml", self.paths.root)
        example = Template((ROOT / "Pulumi.local.yaml.example").read_text()).substitute(plain=PLAIN)
        (self.paths.root / "Pulumi.local.yaml").write_text(example)
        ensure_local_keys(self.paths)
        signers = [Signer.load(self.paths.keys / f"{role}.pem") for role in ("deployer", "log")]
        self.writer = Writer(server.bucket(), deployer=signers[0], log_signer=signers[1])
        self.writer.story()
        stack = self.paths.stack("local")
        write_credentials(stack, BucketCredentials(server.endpoint, server.access, server.secret))
        stack.bucket_data.parent.mkdir(parents=True)
        stack.bucket_data.symlink_to(server.data)
        stack.bucket_versions.symlink_to(server.versions)

    def run(self, *args: str) -> click.testing.Result:
        result = click.testing.CliRunner().invoke(command, list(args), obj=self.paths)
        if isinstance(result.exception, LockstepError):
            raise result.exception
        return result

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args, "--output", "json").stdout)

    def note(self) -> None:
        """One more record, by a clock that is not behind what the commands wrote."""
        self.writer.ticks = int((datetime.now(UTC) - START).total_seconds()) + 1
        self.writer.note()

    def raw(self, method: str, key: str, **more: Any) -> int:
        """What anybody with the bucket's credentials can do."""
        return self.server.bucket()._ask(method, key, **more).status

    def end_locks(self, *keys: str) -> None:
        """The years go by, on disk."""
        past = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for key in keys:
            lock = json.dumps({"Mode": "COMPLIANCE", "RetainUntilDate": past}).encode()
            os.setxattr(self.server.data / BUCKET / key, "user.object-retention", lock)


def notes_of(report: Any) -> list[str]:
    """The notes, but that the story of these tests is dated by a clock of its own."""
    return [one["code"] for one in report["notes"] if one["code"] != "audit.written_apart"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with versity(tmp_path / "server") as server:
        yield Place(tmp_path, server)


def test_objects_of_any_size_come_in_pieces(place: Place, tmp_path: Path) -> None:
    data = os.urandom(5 << 20)
    served = place.server.bucket()
    assert place.raw("PUT", record_key(6), body=data) == 200
    export(served, tmp_path / "out", place.writer.log.head(), [place.writer.key], {})
    memory = MemoryBucket()
    memory.put_new(record_key(6), data, datetime.now(UTC))
    readers: list[Bucket] = [served, place.server.folder(), ExportFolder(tmp_path / "out"), memory]
    for reader in readers:
        hasher, longest = hashlib.sha256(), 0
        for chunk in reader.chunks(record_key(6)):
            hasher.update(chunk)
            longest = max(longest, len(chunk))
        assert hasher.digest() == hashlib.sha256(data).digest()
        assert longest <= 1 << 20
        with pytest.raises(IntegrityError) as refused:
            list(reader.chunks(record_key(99)))
        assert refused.value.code == "audit.object_missing"


def test_a_version_is_deleted_once_its_lock_has_ended(place: Place) -> None:
    bucket = place.server.bucket()
    (version,) = bucket.versions(record_key(0))
    with pytest.raises(IntegrityError) as refused:
        bucket.delete(version.key, version.version_id)
    assert refused.value.code == "audit.still_locked"
    place.end_locks(record_key(0))
    for _ in range(2):
        bucket.delete(version.key, version.version_id)
    assert bucket.versions(record_key(0)) == []


def test_garbage_is_voided_by_the_command_that_the_error_names(place: Place) -> None:
    assert place.raw("PUT", record_key(6), body=b"a stray upload") == 200
    assert place.raw("PUT", record_key(7), body=b"x" * (2 << 20)) == 200
    with pytest.raises(IntegrityError) as refused:
        place.note()
    assert refused.value.remedy.startswith("./lockstep audit void 6 --reason")
    would = place.json("void", "6", "--reason", "stray", "--dry-run")
    assert [(one["index"], one["code"]) for one in would["garbage"]] == [
        (6, "audit.malformed_record"),
        (7, "audit.object_too_large"),
    ]
    assert would["records"] == [] and would["head"].startswith("6:")
    asked = place.run("void", "6", "--reason", "stray")
    assert asked.exit_code == 2 and "pass --yes" in asked.stderr
    done = place.run("void", "6", "--reason", "stray", "--yes")
    assert "2 places are void, by records [8, 9]" in done.stdout
    place.note()
    assert place.json("verify")["ok"]
    assert "nothing to do" in place.run("void", "0", "--reason", "again", "--yes").stdout
    text = place.run("show", "8").stdout
    assert "what lies at 6 is no record" in text and "stray" in text


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_garbage_that_its_writer_has_locked_is_voided(place: Place, mode: str) -> None:
    until = (datetime.now(UTC) + timedelta(days=9999)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lock = {"x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": until}
    bucket = place.server.bucket()
    checksum = base64.b64encode(hashlib.sha256(b"locked").digest()).decode()
    lock |= {"x-amz-checksum-sha256": checksum, "x-amz-sdk-checksum-algorithm": "SHA256"}
    assert bucket._ask("PUT", record_key(6), headers=lock, body=b"locked").status == 200
    place.json("void", "6", "--reason", "stray", "--yes")
    place.note()
    report = place.writer.verify()
    assert report.ok, report.problems


@pytest.mark.parametrize("key", [head_key(7), tile_key(0, 0, 7)])
def test_what_is_locked_under_the_next_head_or_tile_is_gone_over(place: Place, key: str) -> None:
    bucket = place.server.bucket()
    bucket.put_new(key, b"in the way", datetime.now(UTC) + timedelta(days=9999))
    assert place.json("void", "6", "--reason", "stray", "--dry-run")["passed"] == [key]
    done = place.json("void", "6", "--reason", "stray", "--yes")
    assert done["passed"] == [key]
    place.note()
    report = place.json("verify")
    assert report["ok"], report["problems"]
    assert "audit.gone_over" in [one["code"] for one in report["notes"]]
    assert "nothing to do" in place.run("void", "0", "--reason", "again", "--yes").stdout


def test_a_delete_marker_over_garbage_is_taken_away(place: Place) -> None:
    assert place.raw("PUT", record_key(6), body=b"a stray upload") == 200
    assert place.raw("DELETE", record_key(6)) == 204
    done = place.json("void", "6", "--reason", "stray", "--yes")
    assert (done["cleared"], done["records"]) == ([record_key(6)], [7])
    place.note()
    assert place.json("verify")["ok"]


def test_locks_are_renewed_once(place: Place) -> None:
    keys = [one.key for one in place.server.bucket().versions("")]
    soon = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for key in keys:
        lock = json.dumps({"Mode": "COMPLIANCE", "RetainUntilDate": soon}).encode()
        os.setxattr(place.server.data / BUCKET / key, "user.object-retention", lock)
    place.end_locks(record_key(3))
    would = place.json("renew", "--dry-run")
    assert (would["objects"], would["lapsed"], would["record"]) == (18, 1, None)
    assert would["earliest_end"] < soon
    done = place.json("renew")
    assert (done["objects"], done["record"]) == (18, 6)
    report = place.json("verify")
    assert (report["ok"], notes_of(report)) == (True, ["audit.lock_lapsed"])
    again = place.json("renew")
    assert (again["objects"], again["record"]) == (0, None)
    assert place.writer.log.head().size == 7


def test_old_records_are_pruned_when_their_locks_have_ended(place: Place) -> None:
    options = ("prune", "--before", "3", "--reason", "kept long enough")
    with pytest.raises(LockstepError) as refused:
        place.run(*options, "--yes")
    assert refused.value.code == "audit.prune_needed"
    place.writer.change(table(cell(None), cell(PLAIN)), "withdraw")
    place.writer.change(table(cell(PLAIN), cell(None)), "withdraw")
    with pytest.raises(LockstepError) as refused:
        place.run(*options, "--yes")
    assert refused.value.code == "audit.still_locked"
    gone = [*(record_key(i) for i in range(3)), head_key(1), head_key(2)]
    place.end_locks(*gone)
    would = place.json(*options, "--dry-run")
    assert (would["objects"], place.writer.log.head().size) == (5, 10)
    done = place.json(*options, "--yes")
    assert (done["objects"], done["record"]) == (5, 10)
    assert not {one.key for one in place.server.bucket().versions("")} & set(gone)
    report = place.json("verify")
    assert (report["ok"], report["since"]) == (True, 3), report["problems"]
    with pytest.raises(LockstepError) as deleted:
        place.run("show", "1")
    assert deleted.value.code == "audit.pruned"
    assert place.writer.verify(place.server.folder()).ok


def test_a_batch_on_a_real_bucket_outlives_a_kill(place: Place) -> None:
    log, now = place.writer.log, datetime.now(UTC)
    drafts = [draft("history", claimed=WHO, history_reason=f"{number}") for number in range(300)]
    made = log.append_batch(drafts, expect_size=6, now=now, retention=MONTH)
    assert len(made) == 300
    place.server.stop()
    assert place.writer.verify(place.server.folder()).ok
    place.server.start()
    place.note()
    report = place.writer.verify()
    assert (report.ok, report.size) == (True, 307), codes(report)


def test_an_export_and_the_key_are_all_that_a_reader_needs(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place.json("export", str(out))
    key = place.run("key").stdout.strip()
    deployers = place.run("key", "--deployers").stdout.split()
    bare = Paths(root=tmp_path / "nothing", state=tmp_path / "nothing" / "state")
    assert not bare.root.exists()

    def verify(*options: str) -> Any:
        args = ["verify", "--from", str(out), *options, "--output", "json"]
        result = click.testing.CliRunner().invoke(command, args, obj=bare)
        if isinstance(result.exception, IntegrityError):  # already the export's own head does not verify
            return {"ok": False, "problems": [{"code": result.exception.code}]}
        return json.loads(result.stdout)

    alone = verify("--key", key)
    assert (alone["ok"], notes_of(alone)) == (True, ["audit.keys_from_export"])
    both = verify("--key", key, *(word for one in deployers for word in ("--key", one)))
    assert (both["ok"], notes_of(both)) == (True, [])
    (tmp_path / "keys").write_text("\n".join([key, *deployers]) + "\n")
    assert notes_of(verify("--key", str(tmp_path / "keys"))) == []
    assert not bare.root.exists(), "nothing was made on the way"
    other = Writer(MemoryBucket())
    wrong = verify("--key", str(other.key))
    assert not wrong["ok"] and {one["code"] for one in wrong["problems"]} == {"audit.wrong_key"}
    (out / "deployers.vkey").write_text("")
    assert {one["code"] for one in verify("--key", key)["problems"]} == {"audit.wrong_key"}
