"""What a record may be, and what is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lockstep.audit.record import Record, draft
from lockstep.audit.shape import FIELDS, check
from lockstep.errors import IntegrityError, LockstepError
from lockstep.evidence.keys import Signer
from tests.support.audit import BETTER, PLAIN, RETENTION, START, WHO, Writer, cell, table
from tests.support.memory import MemoryBucket


@pytest.fixture(scope="module")
def records() -> list[Record]:
    writer = Writer(MemoryBucket())
    writer.story()
    return writer.log.tail(0)


def test_a_record_has_every_field(records: list[Record]) -> None:
    for record in records:
        assert set(record.fields) == FIELDS
        check(dict(record.fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 0),
        ("v", 3),
        ("v", True),
        ("v", "2"),
        ("log", {}),
        ("log", {"void": {"index": 0, "digest": PLAIN}}),
        ("log", {"batch": {"first": 1, "count": 2}}),
        ("log", {"batch": {"first": 0, "count": 1}}),
        ("log", {"batch": {"first": 0, "count": 2, "more": 1}}),
        ("kind", "note"),
        ("index", -1),
        ("index", True),
        ("index", 1.5),
        ("origin", ""),
        ("time", "2026-11-21T02:51:23Z"),
        ("time", "2026-13-21T02:51:23.000000Z"),
        ("actor", {"claimed": WHO}),
        ("actor", {"claimed": WHO, "proven": None}),
        ("from", {"digits": {"local-a": {"blue": "x", "green": None, "green_weight": 0}}}),
        ("to", {"digits": {"local-a": {"blue": PLAIN, "green": None, "green_weight": 101}}}),
        ("to", {"digits": {"local-a": {"blue": PLAIN, "green": None, "green_weight": True}}}),
        ("to", None),
        ("decision", {"allow": "true"}),
        ("decision", None),
        ("releases", ["sha256:1"]),
        ("releases", None),
        ("evidence", None),
        ("history", [{"name": "x", "sha256": "y"}]),
        ("change", "climb"),
        ("marked", {"digits": {"local-a": None}}),
        ("barred", [1]),
        ("cell_intent", {"digits": {"local-a": "1"}}),
        ("promotion", {"digits": {"local-a": {"since": 1}}}),
        ("ready", {"digits": {"local-a": {"red": True}}}),
        ("git", {"commit": "x"}),
    ],
)
def test_a_field_of_another_shape_is_refused(records: list[Record], field: str, value: Any) -> None:
    with pytest.raises(IntegrityError) as refused:
        check(dict(records[0].fields) | {field: value})
    assert refused.value.code == "audit.malformed_record"


@pytest.mark.parametrize("value", [None, [], "x", {}])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(IntegrityError):
        check(value)


@pytest.mark.parametrize(
    ("kind", "log", "good"),
    [
        ("void", {"void": {"index": 3, "digest": PLAIN}}, True),
        ("void", {"void": {"index": 3, "digest": PLAIN}, "batch": {"first": 0, "count": 2}}, True),
        ("void", None, False),
        ("void", {"batch": {"first": 0, "count": 2}}, False),
        ("void", {"void": {"index": 3, "digest": "x"}}, False),
        ("void", {"void": {"index": 3, "digest": PLAIN}, "pruned": {"size": 1, "root": "00" * 32}}, False),
        ("renewed", {"renewed": {"size": 6, "until": "2027-01-01T00:00:00.000000Z", "lapsed": 0}}, True),
        ("renewed", {"renewed": {"size": 6, "until": "soon", "lapsed": 0}}, False),
        ("renewed", {"renewed": {"size": 6, "until": "2027-01-01T00:00:00Z"}}, False),
        ("pruned", {"pruned": {"size": 6, "root": "00" * 32}}, True),
        ("pruned", {"pruned": {"size": 6, "root": "0"}}, False),
        ("pruned", {"pruned": {"size": True, "root": "00" * 32}}, False),
        ("history", {"batch": {"first": 0, "count": 4097}}, False),
        ("history", {"batch": {"first": 0, "count": 4096}}, True),
    ],
)
def test_what_a_record_says_about_the_log_fits_its_kind(
    records: list[Record], kind: str, log: Any, good: bool
) -> None:
    fields = dict(records[0].fields) | {"kind": kind, "log": log, "reason": "r"}
    if good:
        check(fields)
        return
    with pytest.raises(IntegrityError) as refused:
        check(fields)
    assert refused.value.code == "audit.malformed_record"


def test_the_first_version_has_neither_the_field_nor_the_new_kinds(records: list[Record]) -> None:
    fields = {name: value for name, value in records[0].fields.items() if name != "log"} | {"v": 1}
    check(fields)
    for changed in ({"log": None}, {"kind": "pruned", "reason": "r"}):
        with pytest.raises(IntegrityError):
            check(fields | changed)


GOLDEN = json.loads((Path(__file__).parent / "audit_v1.json").read_text())
"""A log of ten records as version 1 wrote it, byte for byte, with the seeds of its two keys."""


def written_by_version_1() -> Writer:
    signers = {
        role: Signer.of(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))
        for role, seed in GOLDEN["seeds"].items()
    }
    bucket = MemoryBucket()
    for key, data in GOLDEN["objects"].items():
        bucket.put_new(key, base64.b64decode(data), START + RETENTION)
    return Writer(bucket, deployer=signers["deployer"], log_signer=signers["log"], ticks=100)


def test_a_log_of_version_1_verifies_and_is_read_for_ever() -> None:
    writer = written_by_version_1()
    report = writer.verify(head=writer.log.head())
    assert (report.ok, f"{report.size}:{report.root}") == (True, GOLDEN["head"])
    records = writer.log.tail(0)
    assert {record["v"] for record in records} == {1}
    assert [record.kind for record in records[6:]] == ["rollback", "retry", "denied", "history"]
    assert writer.log.state().standing["digits"] == {"local-a": PLAIN, "local-b": PLAIN}


def test_a_log_of_version_1_is_gone_on_with_in_version_2() -> None:
    writer = written_by_version_1()
    writer.change(table(cell(PLAIN, BETTER, 10), cell(PLAIN)))
    report = writer.verify()
    assert (report.ok, report.size) == (True, 12), report.problems
    assert {record["v"] for record in writer.log.tail(10)} == {2}


def test_a_draft_names_only_fields_that_there_are() -> None:
    with pytest.raises(TypeError, match="wight"):
        draft("denied", claimed=WHO, wight=1)


def test_a_record_too_large_is_refused_before_anything_is_written() -> None:
    bucket = MemoryBucket()
    writer = Writer(bucket)
    with pytest.raises(LockstepError) as refused:
        writer.append(draft("history", claimed=WHO, history_reason="x" * 70_000))
    assert refused.value.code == "audit.malformed_record"
    assert bucket.objects == {}


def test_the_proven_actor_is_the_signer(records: list[Record]) -> None:
    assert records[0]["actor"] == {
        "claimed": WHO,
        "proven": {"person": "local-deployer", "keyid": records[0].keyid},
    }
    assert records[0].person == "local-deployer"


def test_the_time_is_the_one_that_was_given(records: list[Record]) -> None:
    assert records[0].time == START.replace(second=24).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
