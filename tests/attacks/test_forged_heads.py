"""Heads that were taken away, put back, moved or forged, and whole logs that were exchanged."""

from __future__ import annotations

import pytest

from lockstep.audit import note
from lockstep.audit.layout import head_key
from lockstep.audit.record import PAYLOAD_TYPE, seal
from lockstep.canonical import canonical
from lockstep.errors import IntegrityError
from lockstep.evidence.keys import Signer
from tests.support.audit import (
    ORIGIN,
    RETENTION,
    codes,
    note_key,
)
from tests.support.forged import Forged, cut, replaced_record
from tests.support.memory import MemoryBucket


def test_a_cut_tail_shows_against_a_head_kept_elsewhere(forged: Forged) -> None:
    kept = forged.log.head()
    cut(forged, 4)
    assert forged.verify().ok, "a log alone cannot show it"
    report = forged.only("audit.cut_tail", index=4, head=kept)
    assert "records 4 to 5" in report.problems[0].message


def test_a_cut_tail_shows_to_a_process_that_saw_the_head(forged: Forged) -> None:
    forged.log.head()
    cut(forged, 4)
    with pytest.raises(IntegrityError) as refused:
        forged.log.head()
    assert refused.value.code == "audit.cut_tail"


def test_heads_cut_and_records_left(forged: Forged) -> None:
    for size in (5, 6):
        forged.bucket.remove(head_key(size))
    report = forged.verify()
    assert codes(report)[0] == "audit.pending_many"
    assert report.problems[0].index == 5


def test_a_head_dropped_from_the_middle(forged: Forged) -> None:
    forged.bucket.remove(head_key(3))
    forged.only("audit.head_missing", key=head_key(3))
    assert forged.open().head().size == 6, "a gap does not hide what comes after it"


def test_an_emptied_bucket_shows_against_a_head_kept_elsewhere(forged: Forged) -> None:
    kept = forged.log.head()
    forged.bucket.objects.clear()
    forged.only("audit.cut_tail", head=kept)


def test_heads_signed_by_a_strangers_key(forged: Forged) -> None:
    forged.key = note_key(Signer.generate())
    forged.only("audit.wrong_key", key=head_key(6))


def test_a_log_rewritten_from_scratch_with_other_keys(forged: Forged) -> None:
    kept = forged.log.head()
    other = Forged(MemoryBucket())
    other.story()
    forged.bucket.objects = other.bucket.objects
    report = forged.verify(head=kept)
    assert not report.ok
    assert codes(report) == ["audit.wrong_key"]


def test_another_stacks_log(forged: Forged) -> None:
    forged.origin = "lockstep/prod"
    forged.key = note_key(forged.log_signer, "lockstep/prod")
    forged.only("audit.wrong_origin", key=head_key(6))


def test_a_history_rewritten_with_the_logs_own_key_shows_against_a_kept_head(forged: Forged) -> None:
    kept = forged.log.head()
    fields = dict(forged.log.read(2).fields)
    fields["reason"] = "nothing happened here"
    leaf = seal(forged.deployer.sign(PAYLOAD_TYPE, canonical(fields)))
    replaced_record(forged, 2, leaf)
    assert forged.verify().ok, "who holds every key can rewrite a log"
    forged.only("audit.head_inconsistent", head=kept)


def test_a_fork_at_the_newest_head(forged: Forged) -> None:
    fork = note.sign(ORIGIN, 6, b"\x11" * 32, forged.key, forged.log_signer.sign_bytes)
    forged.bucket.overwrite(head_key(6), fork)
    forged.only("audit.head_inconsistent", key=head_key(6))


def test_a_head_of_a_future_size_signed_by_nobody(forged: Forged) -> None:
    forged.bucket.put_new(head_key(9_999_999_999), b"lockstep/local\n9\n", forged.now + RETENTION)
    forged.only("audit.head_malformed", key=head_key(9_999_999_999))
    assert forged.open().head().size == 6


def test_a_head_moved_to_another_size(forged: Forged) -> None:
    forged.bucket.put_new(head_key(9), forged.bucket.get(head_key(6)), forged.now + RETENTION)
    forged.only("audit.head_inconsistent", key=head_key(9))
