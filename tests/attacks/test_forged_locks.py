"""Locks, versions and delete markers in the hand of the forger: object lock keeps bytes, not their sight."""

from __future__ import annotations

import pytest

from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.errors import IntegrityError
from tests.support.audit import (
    RETENTION,
)
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
