"""What a record may be, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep.audit.record import Record, draft
from lockstep.audit.shape import FIELDS, check
from lockstep.errors import IntegrityError, LockstepError
from tests.support.audit import PLAIN, START, WHO, Writer
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
        ("v", 2),
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
