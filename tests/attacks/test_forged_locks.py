"""Locks, versions and delete markers in the hand of the forger: object lock keeps bytes, not their sight."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockstep.audit import note
from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.errors import IntegrityError
from tests.support.audit import ORIGIN, RETENTION, codes
from tests.support.forged import Forged, die_after_record


@pytest.mark.parametrize("key", [record_key(4), head_key(6), head_key(2), tile_key(0, 0, 3)])
def test_a_shadow_version(forged: Forged, key: str) -> None:
    forged.bucket.shadow(key, b"something else")
    forged.only("audit.shadow_version", key=key)


def test_a_shadow_version_of_the_newest_head_stops_readers(forged: Forged) -> None:
    forged.bucket.shadow(head_key(6), forged.bucket.get(head_key(5)))
    for size in range(1, 6):
        forged.bucket.remove(head_key(size))
    with pytest.raises(IntegrityError) as refused:
        forged.open().head()
    assert refused.value.code == "audit.shadow_version"


@pytest.mark.parametrize("key", [record_key(4), head_key(6), head_key(2), tile_key(0, 0, 3)])
def test_a_delete_marker(forged: Forged, key: str) -> None:
    forged.bucket.hide(key)
    forged.only("audit.delete_marker", key=key)


def test_a_delete_marker_on_the_next_place_is_no_free_place(forged: Forged) -> None:
    forged.bucket.hide(record_key(6))
    with pytest.raises(IntegrityError) as refused:
        forged.note()
    assert refused.value.code == "audit.delete_marker"
    forged.only("audit.delete_marker", index=6)


def test_an_object_without_a_lock(forged: Forged) -> None:
    forged.bucket.objects[record_key(1)][0].mode = None
    forged.only("audit.unlocked", index=1, key=record_key(1))


def test_an_object_under_governance_only(forged: Forged) -> None:
    forged.bucket.objects[head_key(2)][0].mode = "GOVERNANCE"
    forged.only("audit.unlocked", key=head_key(2))


def test_a_record_without_its_lock_is_locked_by_the_next_writer(forged: Forged) -> None:
    die_after_record(forged)
    forged.bucket.objects[record_key(6)][0].mode = None
    assert forged.verify().ok
    head = forged.log.settle(now=forged.now, retention=RETENTION)
    assert (head.size, forged.bucket.objects[record_key(6)][0].mode) == (7, "COMPLIANCE")
    assert forged.verify().ok


def test_a_newest_head_without_its_lock_is_locked_by_the_next_writer(forged: Forged) -> None:
    forged.bucket.objects[head_key(6)][0].mode = None
    forged.only("audit.unlocked", key=head_key(6))
    forged.note()
    assert forged.verify().ok


@pytest.mark.parametrize("size", [4, 6])
def test_a_hidden_head_below_which_older_ones_verify_stops_readers(forged: Forged, size: int) -> None:
    """Else the log could be put back to any earlier head with a few delete markers."""
    for later in range(size, 7):
        forged.bucket.hide(head_key(later))
    with pytest.raises(IntegrityError) as refused:
        forged.open().head()
    assert refused.value.code == "audit.delete_marker"


def test_a_head_that_was_written_over_stops_readers(forged: Forged) -> None:
    forged.bucket.shadow(head_key(6), b"garbage")
    with pytest.raises(IntegrityError) as refused:
        forged.open().head()
    assert refused.value.code == "audit.shadow_version"


def test_what_never_was_a_head_stops_nobody(forged: Forged) -> None:
    forged.bucket.hide(head_key(7))
    forged.bucket.hide(head_key(4_000))
    forged.bucket.put_new(head_key(9_000), b"garbage", forged.now + RETENTION)
    forged.bucket.shadow(head_key(9_000), b"more garbage")
    assert forged.open().head().size == 6


def test_two_heads_of_one_size_with_good_signatures(forged: Forged) -> None:
    fork = note.sign(ORIGIN, 6, b"\x11" * 32, forged.key, forged.log_signer.sign_bytes)
    forged.bucket.shadow(head_key(6), fork)
    forged.only("audit.shadow_version", key=head_key(6))
    with pytest.raises(IntegrityError) as refused:
        forged.open().head()
    assert refused.value.code == "audit.shadow_version"


@pytest.mark.parametrize("mode", [None, "GOVERNANCE", "compliance", ""])
@pytest.mark.parametrize("key", [record_key(0), record_key(5), head_key(1), tile_key(0, 0, 4)])
def test_a_lock_that_is_none(forged: Forged, key: str, mode: str | None) -> None:
    forged.bucket.objects[key][0].mode = mode
    forged.only("audit.unlocked", key=key)


def test_a_lock_without_a_date(forged: Forged) -> None:
    forged.bucket.objects[record_key(2)][0].until = None
    forged.only("audit.unlocked", index=2, key=record_key(2))


def test_every_version_must_have_a_lock_of_its_own(forged: Forged) -> None:
    forged.bucket.shadow(record_key(1), b"over it")
    forged.bucket.shadow(record_key(1), b"over that")
    forged.bucket.objects[record_key(1)][1].mode = None
    report = forged.verify()
    assert codes(report) == ["audit.shadow_version", "audit.unlocked"]
    assert forged.bucket.objects[record_key(1)][1].version_id in report.problems[1].message


def test_an_expired_lock_is_told(forged: Forged) -> None:
    forged.bucket.objects[record_key(1)][0].until = forged.now - timedelta(seconds=1)
    report = forged.verify()
    assert report.ok
    assert [(one.code, one.index) for one in report.notes] == [("audit.lock_ended", 1)]


def test_a_lock_shorter_than_the_log_promises(forged: Forged) -> None:
    assert forged.verify(retention=RETENTION).ok
    forged.bucket.objects[record_key(3)][0].until = forged.now + RETENTION - timedelta(minutes=1)
    assert forged.verify().ok
    report = forged.only("audit.lock_short", index=3, key=record_key(3), retention=RETENTION)
    assert "audit renew" in report.problems[0].message


def test_a_head_and_a_tile_are_held_as_long_as_their_records(forged: Forged) -> None:
    for key in (head_key(6), tile_key(0, 0, 6)):
        forged.bucket.objects[key][0].until = forged.now + timedelta(days=1)
    report = forged.only("audit.lock_short", retention=RETENTION)
    assert {problem.key for problem in report.problems} == {head_key(6), tile_key(0, 0, 6)}
