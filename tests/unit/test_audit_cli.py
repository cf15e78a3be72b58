"""`./lockstep audit` on a log in versitygw's folder form (the server is not running) and on exports."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click.testing
import pytest

from lockstep.audit.local import BUCKET
from lockstep.cli.audit import command
from lockstep.errors import LockstepError, UsageError
from lockstep.evidence.keys import Signer, ensure_local_keys
from lockstep.paths import Paths, origin_of
from tests.support.audit import Writer
from tests.support.memory import MemoryBucket


def lay_out(bucket: MemoryBucket, data: Path) -> None:
    """The bucket as versitygw keeps it on disk."""
    for key, stored in bucket.objects.items():
        path = data / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored[0].data)
        assert stored[0].until is not None
        lock = {"Mode": stored[0].mode, "RetainUntilDate": stored[0].until.isoformat()}
        os.setxattr(path, "user.version-id", stored[0].version_id.encode())
        os.setxattr(path, "user.object-retention", json.dumps(lock).encode())


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    made = Paths(root=tmp_path / "checkout", state=tmp_path / "state")
    ensure_local_keys(made)
    signers = {role: Signer.load(made.keys / f"{role}.pem") for role in ("deployer", "log")}
    writer = Writer(MemoryBucket(), origin_of("local"), signers["deployer"], signers["log"])
    writer.story()
    assert isinstance(writer.bucket, MemoryBucket)
    lay_out(writer.bucket, made.stack("local").bucket_data)
    yield made


def run(paths: Paths, *args: str) -> click.testing.Result:
    result = click.testing.CliRunner().invoke(command, list(args), obj=paths)
    if isinstance(result.exception, LockstepError):
        raise result.exception
    return result


def run_json(paths: Paths, *args: str) -> Any:
    return json.loads(run(paths, *args, "--output", "json").stdout)


def test_verify_says_ok_and_the_head(paths: Paths) -> None:
    report = run_json(paths, "verify")
    assert report["schema"] == "lockstep.audit.verify/1"
    assert (report["ok"], report["size"], report["problems"]) == (True, 6, [])
    text = run(paths, "verify")
    assert text.exit_code == 0
    assert f"root {report['root']}" in text.stdout
    assert "versitygw is not running" in text.stderr


def test_verify_fails_with_one_and_names_what_is_wrong(paths: Paths) -> None:
    path = paths.stack("local").bucket_data / BUCKET / "record/0000000002"
    path.write_bytes(path.read_bytes().replace(b"A", b"B", 1))
    result = run(paths, "verify", "--output", "json")
    assert result.exit_code == 1
    problem = json.loads(result.stdout)["problems"][0]
    assert (problem["code"], problem["index"], problem["key"]) == (
        "audit.changed_byte",
        2,
        "record/0000000002",
    )
    text = run(paths, "verify")
    assert text.exit_code == 1 and "record 2 (record/0000000002)" in text.stdout


def test_an_export_verifies_against_a_head_in_each_form(paths: Paths, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = run_json(paths, "export", str(out))
    head = f"{made['head']['size']}:{made['head']['root']}"
    (tmp_path / "head.txt").write_text(head + "\n")
    for given in (head, str(tmp_path / "head.txt"), str(out / "checkpoint")):
        assert run_json(paths, "verify", "--from", str(out), "--head", given)["ok"]
    tail = ("head/0000000006", "record/0000000005", "tile/0/000.p/6")
    for name in tail:
        (out / name).unlink()
    listed = json.loads((out / "versions.json").read_text())
    found = run(paths, "verify", "--from", str(out), "--output", "json")
    assert {one["key"] for one in json.loads(found.stdout)["problems"]} >= {"head/0000000006", tail[1]}
    listed["versions"] = [one for one in listed["versions"] if one["key"] not in tail]
    (out / "versions.json").write_text(json.dumps(listed))
    for given in ((), ("--head", head)):
        result = run(paths, "verify", "--from", str(out), *given, "--output", "json")
        assert [one["code"] for one in json.loads(result.stdout)["problems"]] == ["audit.cut_tail"]
    (out / "checkpoint").unlink()
    assert run_json(paths, "verify", "--from", str(out))["ok"]
    result = run(paths, "verify", "--from", str(out), "--head", head, "--output", "json")
    assert [one["code"] for one in json.loads(result.stdout)["problems"]] == ["audit.cut_tail"]


def test_a_head_that_is_none_is_refused(paths: Paths) -> None:
    with pytest.raises(UsageError) as refused:
        run(paths, "verify", "--head", "seven")
    assert refused.value.code == "audit.bad_head"


def test_history_is_compared_with_the_backend(paths: Paths) -> None:
    assert run_json(paths, "verify", "--history", "auto")["ok"]


def test_show_prints_the_newest_step(paths: Paths) -> None:
    text = run(paths, "show").stdout
    for words in (
        "Record 4 · intent",
        "Record 5 · outcome",
        "digits in local-a: green sha256:2b2b2b2b2b2b, 0 % -> 5 %",
        "local-deployer, proven by the signature",
        "'ann@laptop' (not proven)",
        "step.ladder looked at 1 cell, no objection",
        "head       6 records, root",
    ):
        assert words in text


def test_show_takes_an_index_or_the_last(paths: Paths) -> None:
    assert [one["record"]["index"] for one in run_json(paths, "show", "3")["records"]] == [3]
    assert [one["record"]["index"] for one in run_json(paths, "show", "--last", "2")["records"]] == [4, 5]
    assert len(run_json(paths, "show", "--last", "99")["records"]) == 6
    with pytest.raises(UsageError) as refused:
        run(paths, "show", "6")
    assert refused.value.code == "audit.no_such_record"
    with pytest.raises(UsageError):
        run(paths, "show", "1", "--last", "2")


def test_key_prints_the_verifier_key(paths: Paths) -> None:
    text = run(paths, "key").stdout.strip()
    assert text.startswith("lockstep/local+")
    assert run_json(paths, "key")["keys"] == [text]


def test_without_a_log_it_says_what_to_do(paths: Paths) -> None:
    with pytest.raises(UsageError) as refused:
        run(paths, "verify", "--stack", "other")
    assert (refused.value.code, refused.value.remedy) == ("audit.absent", "./lockstep up")
