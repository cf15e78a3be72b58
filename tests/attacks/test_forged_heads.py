"""Heads that were taken away, put back, moved or forged, and whole logs that were exchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.audit import note
from lockstep.audit.export import ExportFolder, export
from lockstep.audit.head_option import read_head
from lockstep.audit.layout import MAX_SIZE, head_key, record_key, tile_key
from lockstep.audit.merkle import EMPTY_ROOT
from lockstep.audit.note import Head
from lockstep.audit.record import PAYLOAD_TYPE, draft, seal
from lockstep.canonical import canonical
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence.keys import Signer
from tests.support.audit import (
    ORIGIN,
    RETENTION,
    WHO,
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


def grown_apart(forged: Forged, other: int, ours: int) -> Forged:
    """A second history from the same six records on, under the same keys: `other` records more there, `ours`
    here."""
    fork = Forged(forged.bucket.copy(), ORIGIN, forged.deployer, forged.log_signer, forged.ticks)
    fork.append(draft("history", claimed="somebody else", history_reason="another history"))
    fork.note(other - 1)
    forged.note(ours)
    return fork


@pytest.mark.parametrize(("other", "ours"), [(1, 1), (4, 1), (1, 4)])
def test_a_fork_shows_to_a_process_that_saw_the_other_history(forged: Forged, other: int, ours: int) -> None:
    fork = grown_apart(forged, other, ours)
    reader = forged.open()
    reader.head()
    forged.bucket.objects = fork.bucket.objects
    with pytest.raises(IntegrityError) as refused:
        reader.head()
    assert refused.value.code == ("audit.cut_tail" if other < ours else "audit.head_inconsistent")


def test_two_exports_of_a_fork_show_against_each_others_checkpoint(forged: Forged, tmp_path: Path) -> None:
    fork = grown_apart(forged, 3, 2)
    for name, one in (("ours", forged), ("theirs", fork)):
        export(one.bucket, tmp_path / name, one.log.head(), [one.key], {})
    ours = ExportFolder(tmp_path / "ours")
    theirs = ExportFolder(tmp_path / "theirs")
    checkpoint = read_head(str(tmp_path / "ours" / "checkpoint"), [forged.key], ORIGIN)
    assert forged.verify(ours, head=checkpoint).ok
    assert forged.verify(theirs).ok, "one history alone shows nothing"
    report = forged.verify(theirs, head=checkpoint)
    assert codes(report) == ["audit.head_inconsistent"]


def put_back(forged: Forged) -> Head:
    """The whole bucket as it was two records ago; returns the head that is gone."""
    older = forged.bucket.copy()
    forged.note(2)
    gone = forged.log.head()
    forged.bucket.objects = older.objects
    return gone


def test_an_older_copy_put_back_shows_against_a_kept_head(forged: Forged) -> None:
    gone = put_back(forged)
    assert forged.verify().ok, "every byte of an old copy is genuine"
    forged.only("audit.cut_tail", index=6, head=gone)
    forged.only("audit.cut_tail", index=6, kept=[gone])
    forged.only("audit.cut_tail", index=6, head=gone, kept=[forged.open().head(), gone])


def test_an_older_copy_put_back_stops_a_process_that_saw_the_newer_one(forged: Forged) -> None:
    put_back(forged)
    for _ in range(2):
        with pytest.raises(IntegrityError) as refused:
            forged.log.head()
        assert refused.value.code == "audit.cut_tail"


def test_nobody_appends_to_an_older_copy_who_knows_a_later_head(forged: Forged) -> None:
    gone = put_back(forged)
    before = set(forged.bucket.objects)
    knowing = forged.open(kept=[gone])
    made = draft("history", claimed=WHO, history_reason="as if nothing had been")
    with pytest.raises(IntegrityError) as refused:
        knowing.append(made, expect_size=6, now=forged.now, retention=RETENTION)
    assert refused.value.code == "audit.cut_tail"
    assert str(gone) in refused.value.remedy
    assert set(forged.bucket.objects) == before


def test_nobody_appends_to_another_history_than_the_one_that_was_kept(forged: Forged) -> None:
    fork = grown_apart(forged, 3, 1)
    with pytest.raises(IntegrityError) as refused:
        fork.open(kept=[forged.log.head()]).state()
    assert refused.value.code == "audit.head_inconsistent"


def test_a_changed_tile_cannot_make_a_fork_look_like_a_continuation(forged: Forged) -> None:
    """The old root must follow from the same hashes as the new one, not from a tile left lying there."""
    forged.note(250)
    fork = grown_apart(forged, 10, 1)
    kept = forged.log.head()
    for width in (2, 10):
        key = tile_key(0, 1, width)
        if key in fork.bucket.objects:
            ours = forged.bucket.get(tile_key(0, 1, 1))
            fork.bucket.overwrite(key, ours + fork.bucket.get(key)[32:])
    with pytest.raises(IntegrityError) as refused:
        fork.open(kept=[kept]).head()
    assert refused.value.code in ("audit.tile_wrong", "audit.head_inconsistent")


def huge(forged: Forged, size: int) -> bytes:
    return note.sign(ORIGIN, size, b"\x11" * 32, forged.key, forged.log_signer.sign_bytes)


def test_a_signed_head_of_the_largest_size_is_not_counted_up_to(forged: Forged) -> None:
    """Who holds the log's key signs a head of ten thousand million records: answered at once, and briefly."""
    forged.bucket.put_new(head_key(MAX_SIZE), huge(forged, MAX_SIZE), forged.now + RETENTION)
    forged.bucket.put_new(record_key(MAX_SIZE - 1), b"x", forged.now + RETENTION)
    report = forged.verify(head=Head(ORIGIN, MAX_SIZE - 7, "00" * 32))
    assert {"audit.record_missing", "audit.head_missing"} <= set(codes(report))
    assert len(report.problems) < 10, report.problems
    assert [one.index for one in report.problems if one.code == "audit.record_missing"] == [6]
    with pytest.raises(IntegrityError):
        forged.note()


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64, 10**400], ids=lambda size: str(size)[:20])
def test_a_head_of_a_size_that_no_log_can_have(forged: Forged, size: int) -> None:
    forged.bucket.overwrite(head_key(6), huge(forged, size))
    forged.only("audit.head_malformed", key=head_key(6))
    with pytest.raises(IntegrityError) as destroyed:
        forged.open().head()
    assert destroyed.value.code == "audit.head_malformed"
    with pytest.raises(UsageError) as refused:
        read_head(f"{size}:{'00' * 32}", [forged.key], ORIGIN)
    assert refused.value.code == "audit.bad_head"


def test_a_kept_head_of_no_records_with_a_root(forged: Forged) -> None:
    with pytest.raises(UsageError) as refused:
        read_head(f"0:{'00' * 32}", [forged.key], ORIGIN)
    assert refused.value.code == "audit.bad_head"
    assert forged.verify(head=read_head(f"0:{EMPTY_ROOT.hex()}", [forged.key], ORIGIN)).ok
