"""One forged log for each way to forge. The log is real, the bucket below it is in the forger's hand.

The forger has everything but the signing keys, unless a test's name says otherwise.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lockstep.audit import history, note
from lockstep.audit.append import put_head, put_record, put_tiles
from lockstep.audit.bucket import Bucket, LostRace
from lockstep.audit.drafts import draft_intent, draft_outcome
from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.audit.merkle import EMPTY_ROOT, Tiles, leaf_hash
from lockstep.audit.note import Head
from lockstep.audit.problem import Report
from lockstep.audit.record import PAYLOAD_TYPE, complete, draft, seal
from lockstep.canonical import canonical
from lockstep.errors import IntegrityError
from lockstep.evidence.keys import Signer
from tests.support.audit import (
    BETTER,
    ORIGIN,
    PLAIN,
    RETENTION,
    WHO,
    Writer,
    cell,
    codes,
    decision,
    note_key,
    table,
    trust_of,
)
from tests.support.memory import MemoryBucket


class Forged(Writer):
    """A good log of six records, before the forger comes."""

    bucket: MemoryBucket

    def only(self, code: str, *, index: int | None = None, key: str | None = None, **options: Any) -> Report:
        """Verification says this one thing, names the object, and names nothing else."""
        report = self.verify(**options)
        assert not report.ok
        assert set(codes(report)) == {code}, report.problems
        if index is not None:
            assert [problem.index for problem in report.problems] == [index]
        if key is not None:
            assert [problem.key for problem in report.problems] == [key]
        return report


@pytest.fixture
def forged() -> Forged:
    writer = Forged(MemoryBucket())
    writer.story()
    assert writer.verify().ok
    return writer


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_the_good_log_verifies(forged: Forged) -> None:
    report = forged.verify(head=forged.log.head())
    assert (report.ok, report.size, report.notes) == (True, 6, ())


@pytest.mark.parametrize("index", range(6))
def test_one_changed_byte_in_a_record(forged: Forged, index: int) -> None:
    leaf = forged.bucket.get(record_key(index))
    forged.bucket.overwrite(record_key(index), flip(leaf, len(leaf) // 2))
    forged.only("audit.changed_byte", index=index, key=record_key(index))
    with pytest.raises(IntegrityError) as refused:
        forged.open().read(index)
    assert refused.value.code == "audit.changed_byte"


def test_a_dropped_record(forged: Forged) -> None:
    forged.bucket.remove(record_key(3))
    forged.only("audit.record_missing", index=3, key=record_key(3))


def test_two_swapped_records(forged: Forged) -> None:
    first, second = forged.bucket.get(record_key(2)), forged.bucket.get(record_key(4))
    forged.bucket.overwrite(record_key(2), second)
    forged.bucket.overwrite(record_key(4), first)
    report = forged.verify()
    assert [(one.code, one.index) for one in report.problems] == [
        ("audit.changed_byte", 2),
        ("audit.changed_byte", 4),
    ]


def cut(forged: Forged, size: int) -> None:
    """Take away everything that was written after the log had this size."""
    keep = {record_key(i) for i in range(size)} | {head_key(i) for i in range(1, size + 1)}
    keep |= {tile_key(0, 0, width) for width in range(1, size + 1)}
    for key in list(forged.bucket.objects):
        if key not in keep:
            forged.bucket.remove(key)


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
    assert refused.value.code == "audit.head_inconsistent"


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


def test_records_signed_by_a_strangers_key(forged: Forged) -> None:
    trust = trust_of(Signer.generate(), forged.log_signer)
    forged.trust = trust
    report = forged.only("audit.wrong_key")
    assert [problem.index for problem in report.problems] == list(range(6))


def test_records_signed_by_a_person_without_the_role(forged: Forged) -> None:
    forged.trust = trust_of(forged.log_signer, forged.deployer)
    forged.only("audit.wrong_key")


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


def replaced_record(forged: Forged, index: int, leaf: bytes) -> None:
    """Rewrite history from an index on, as one can who also holds the log's signing key."""
    bucket = MemoryBucket()
    leaves = [forged.bucket.get(record_key(i)) for i in range(6)]
    leaves[index] = leaf
    size, root = 0, b""
    for place, one in enumerate(leaves):
        bucket.put_new(record_key(place), one, forged.now + RETENTION)
        root = grow(bucket, forged, size, root, one)
        size = place + 1
    forged.bucket.objects = bucket.objects


def grow(bucket: Bucket, forged: Forged, size: int, root: bytes, leaf: bytes) -> bytes:
    head = Head(ORIGIN, size, (root or EMPTY_ROOT).hex())
    until = forged.now + RETENTION
    grown = put_tiles(bucket, Tiles(size, bucket.get), head, leaf_hash(leaf), until)
    put_head(bucket, size + 1, grown, forged.key, forged.log_signer.sign_bytes, until)
    return grown


def test_a_history_rewritten_with_the_logs_own_key_shows_against_a_kept_head(forged: Forged) -> None:
    kept = forged.log.head()
    fields = dict(forged.log.read(2).fields)
    fields["reason"] = "nothing happened here"
    leaf = seal(forged.deployer.sign(PAYLOAD_TYPE, canonical(fields)))
    replaced_record(forged, 2, leaf)
    assert forged.verify().ok, "who holds every key can rewrite a log"
    forged.only("audit.head_inconsistent", head=kept)


def signed(forged: Forged, place: int, /, **changed: Any) -> bytes:
    fields = dict(forged.log.read(place).fields) | changed
    return seal(forged.deployer.sign(PAYLOAD_TYPE, canonical(fields)))


def test_a_record_from_another_stacks_log(forged: Forged) -> None:
    replaced_record(forged, 5, signed(forged, 5, origin="lockstep/prod"))
    forged.only("audit.wrong_origin", index=5)


def test_a_record_that_was_signed_for_another_place(forged: Forged) -> None:
    replaced_record(forged, 5, signed(forged, 5, index=4))
    forged.only("audit.wrong_index", index=5)


def test_a_record_that_names_another_signer(forged: Forged) -> None:
    actor = {"claimed": WHO, "proven": {"person": "bob", "keyid": forged.deployer.keyid}}
    replaced_record(forged, 5, signed(forged, 5, actor=actor))
    forged.only("audit.wrong_actor", index=5)


def whitespace(leaf: bytes) -> bytes:
    return leaf + b"\n"


def unordered(leaf: bytes) -> bytes:
    value = json.loads(leaf)
    return json.dumps(dict(sorted(value.items(), reverse=True)), separators=(",", ":")).encode()


def duplicated(leaf: bytes) -> bytes:
    return leaf[:-1] + b',"payloadType":"x"}'


def garbage(_leaf: bytes) -> bytes:
    return b"\x00garbage"


@pytest.mark.parametrize("damage", [whitespace, unordered, duplicated, garbage])
def test_bytes_that_are_no_canonical_record(forged: Forged, damage: Callable[[bytes], bytes]) -> None:
    replaced_record(forged, 5, damage(forged.bucket.get(record_key(5))))
    forged.only("audit.malformed_record", index=5)


def test_a_record_with_an_unknown_field(forged: Forged) -> None:
    replaced_record(forged, 5, signed(forged, 5, extra=1))
    forged.only("audit.malformed_record", index=5)


def test_a_payload_under_another_type(forged: Forged) -> None:
    envelope = json.loads(forged.bucket.get(record_key(5)))
    payload = base64.b64decode(envelope["payload"])
    replaced_record(forged, 5, seal(forged.deployer.sign("application/vnd.in-toto+json", payload)))
    forged.only("audit.wrong_key", index=5)


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


def test_a_changed_tile(forged: Forged) -> None:
    key = tile_key(0, 0, 6)
    forged.bucket.overwrite(key, flip(forged.bucket.get(key), 40))
    forged.only("audit.tile_wrong", key=key)
    with pytest.raises(IntegrityError):
        forged.note()


def test_a_dropped_tile(forged: Forged) -> None:
    forged.bucket.remove(tile_key(0, 0, 2))
    forged.only("audit.tile_wrong", key=tile_key(0, 0, 2))


def test_a_record_and_its_tiles_changed_together(forged: Forged) -> None:
    leaf = forged.bucket.get(record_key(3))
    changed = flip(leaf, len(leaf) // 2)
    forged.bucket.overwrite(record_key(3), changed)
    for width in (4, 5, 6):
        data = bytearray(forged.bucket.get(tile_key(0, 0, width)))
        data[96:128] = leaf_hash(changed)
        forged.bucket.overwrite(tile_key(0, 0, width), bytes(data))
    report = forged.verify()
    named = {(one.code, one.key) for one in report.problems}
    assert ("audit.head_inconsistent", head_key(4)) in named
    with pytest.raises(IntegrityError) as refused:
        forged.open().read(3)
    assert refused.value.code == "audit.changed_byte"


@pytest.mark.parametrize(
    "key", ["record/7", "record/0000000006x", "head/0000000000", "tile/0/x000/001", "other"]
)
def test_a_name_that_is_none(forged: Forged, key: str) -> None:
    forged.bucket.put_new(key, b"x", forged.now + RETENTION)
    forged.only("audit.foreign_object", key=key)


def test_an_object_without_a_lock(forged: Forged) -> None:
    forged.bucket.objects[record_key(1)][0].mode = None
    forged.only("audit.unlocked", index=1, key=record_key(1))


def test_an_object_under_governance_only(forged: Forged) -> None:
    forged.bucket.objects[head_key(2)][0].mode = "GOVERNANCE"
    forged.only("audit.unlocked", key=head_key(2))


def test_a_record_too_large_to_read(forged: Forged) -> None:
    forged.bucket.overwrite(record_key(5), b"x" * (2 << 20))
    report = forged.verify()
    assert "audit.object_too_large" in codes(report)


def test_an_outcome_that_marks_what_its_intent_did_not_announce(forged: Forged) -> None:
    leaf = signed(forged, 5, marked={"digits": {"local-a": BETTER}})
    replaced_record(forged, 5, leaf)
    assert "audit.outcome_wrong" in codes(forged.verify())


def test_an_outcome_that_carries_a_false_standing_release(forged: Forged) -> None:
    false = {"digits": {"local-a": BETTER, "local-b": PLAIN}}
    replaced_record(forged, 5, signed(forged, 5, standing=false))
    forged.only("audit.fold_wrong", index=5)


def test_an_outcome_that_forgets_a_barred_release(forged: Forged) -> None:
    forged.change(table(cell(PLAIN, BETTER, 0), cell(PLAIN)), "step")
    assert forged.log.state().barred == (BETTER,)
    state = forged.log.state()
    intent = forged.append(
        draft_intent(
            claimed=WHO, from_=state.table, to=state.table, change="step", decision=decision(), marked={}
        )
    )
    made = draft_outcome(
        forged.log.state(), intent, live=state.table, ready={}, result="complete", claimed=WHO
    )
    forged.append(made | {"barred": []})
    forged.only("audit.fold_wrong", index=9)


def test_a_second_outcome_for_one_intent(forged: Forged) -> None:
    outcome = {name: value for name, value in forged.log.read(5).fields.items() if name not in ("index", "v")}
    forged.append(outcome)
    forged.only("audit.outcome_wrong", index=6)


def test_an_intent_over_an_open_intent(forged: Forged) -> None:
    state = forged.log.state()
    for _ in range(2):
        forged.append(
            draft_intent(
                claimed=WHO, from_=state.table, to=state.table, change="step", decision=decision(), marked={}
            )
        )
    forged.only("audit.outcome_wrong", index=7)


def listed(forged: Forged, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stamp in (1, 2):
        (folder / f"local-{stamp}.history.json").write_text(f'{{"n":{stamp}}}')
    files = history.newer(folder, [])
    forged.append(draft("history", claimed=WHO, history=files))


def test_an_edited_history_file(forged: Forged, tmp_path: Path) -> None:
    listed(forged, tmp_path)
    assert forged.verify(history_dir=tmp_path).ok
    (tmp_path / "local-1.history.json").write_text('{"n":9}')
    report = forged.only("audit.history_edited", index=6, key="local-1.history.json", history_dir=tmp_path)
    assert "other bytes" in report.problems[0].message


def test_a_removed_history_file(forged: Forged, tmp_path: Path) -> None:
    listed(forged, tmp_path)
    (tmp_path / "local-2.history.json").unlink()
    report = forged.only("audit.history_edited", index=6, key="local-2.history.json", history_dir=tmp_path)
    assert "missing" in report.problems[0].message


def test_a_record_beyond_the_head_is_pending_and_the_next_writer_completes_it(forged: Forged) -> None:
    die_after_record(forged)
    report = forged.verify()
    assert report.ok
    assert [(one.code, one.index) for one in report.notes] == [("audit.pending", 6)]
    with pytest.raises(LostRace):
        forged.note()  # it decided on a head that did not cover the record
    assert forged.log.head().size == 7
    forged.note()
    assert (forged.log.head().size, forged.verify().ok, forged.verify().notes) == (8, True, ())


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


def test_a_writer_that_died_between_tiles_and_head(forged: Forged) -> None:
    die_after_record(forged)
    leaf = forged.bucket.get(record_key(6))
    before = forged.log.head()
    put_tiles(forged.bucket, Tiles(6, forged.bucket.get), before, leaf_hash(leaf), forged.now + RETENTION)
    assert forged.verify().ok
    forged.log.settle(now=forged.now, retention=RETENTION)
    assert (forged.log.head().size, forged.verify().ok) == (7, True)


def die_after_record(forged: Forged, index: int = 6) -> None:
    made = draft("history", claimed=WHO, history_reason="the writer dies now")
    fields = complete(
        made,
        index=index,
        origin=ORIGIN,
        time="2026-11-21T03:00:00.000000Z",
        person="local-deployer",
        keyid=forged.deployer.keyid,
    )
    leaf = seal(forged.deployer.sign(PAYLOAD_TYPE, canonical(fields)))
    put_record(forged.bucket, record_key(index), leaf, forged.now + timedelta(days=1))


def test_two_records_beyond_the_head(forged: Forged) -> None:
    die_after_record(forged, 6)
    die_after_record(forged, 7)
    forged.only("audit.pending_many", index=7)
    with pytest.raises(IntegrityError) as refused:
        forged.note()
    assert refused.value.code == "audit.pending_many"


def test_garbage_at_the_next_place(forged: Forged) -> None:
    forged.bucket.put_new(record_key(6), b"garbage", forged.now + RETENTION)
    forged.only("audit.malformed_record", index=6)
    with pytest.raises(IntegrityError):
        forged.note()


@pytest.mark.parametrize("size", [5, 7, 20])
def test_a_decision_made_on_another_head_is_not_written(forged: Forged, size: int) -> None:
    before = set(forged.bucket.objects)
    made = draft("history", claimed=WHO, history_reason="late")
    with pytest.raises(LostRace) as lost:
        forged.log.append(made, expect_size=size, now=forged.now, retention=RETENTION)
    assert (lost.value.code, set(forged.bucket.objects)) == ("audit.stale_head", before)
