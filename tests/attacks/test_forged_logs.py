"""One forged log for each way to forge. The log is real, the bucket below it is in the forger's hand.

The forger has everything but the signing keys, unless a test's name says otherwise.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.audit import history
from lockstep.audit.append import grow
from lockstep.audit.bucket import LostRace
from lockstep.audit.drafts import draft_intent, draft_outcome
from lockstep.audit.layout import head_key, record_key, tile_key
from lockstep.audit.merkle import Tiles, leaf_hash
from lockstep.audit.record import draft
from lockstep.errors import IntegrityError
from lockstep.evidence.keys import Signer
from tests.support.audit import (
    BETTER,
    PLAIN,
    RETENTION,
    WHO,
    cell,
    codes,
    decision,
    table,
    trust_of,
)
from tests.support.forged import Forged, die_after_record, flip, replaced_record, signed


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


def test_records_signed_by_a_strangers_key(forged: Forged) -> None:
    trust = trust_of(Signer.generate(), forged.log_signer)
    forged.trust = trust
    report = forged.only("audit.wrong_key")
    assert [problem.index for problem in report.problems] == list(range(6))


def test_records_signed_by_a_person_without_the_role(forged: Forged) -> None:
    forged.trust = trust_of(forged.log_signer, forged.deployer)
    forged.only("audit.wrong_key")


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


def test_a_changed_tile(forged: Forged) -> None:
    key = tile_key(0, 0, 6)
    forged.bucket.overwrite(key, flip(forged.bucket.get(key), 40))
    forged.only("audit.tile_wrong", key=key)
    forged.log = forged.open()  # one that has not the good bytes in mind
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
    folder = tmp_path / "local"
    listed(forged, folder)
    assert forged.verify(history_dir=folder).ok
    (folder / "local-1.history.json").write_text('{"n":9}')
    report = forged.only("audit.history_edited", index=6, key="local-1.history.json", history_dir=folder)
    assert "other bytes" in report.problems[0].message


def test_a_removed_history_file(forged: Forged, tmp_path: Path) -> None:
    folder = tmp_path / "local"
    listed(forged, folder)
    (folder / "local-2.history.json").unlink()
    report = forged.only("audit.history_edited", index=6, key="local-2.history.json", history_dir=folder)
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


def test_a_writer_that_died_between_tiles_and_head(forged: Forged) -> None:
    die_after_record(forged)
    leaf = forged.bucket.get(record_key(6))
    before = forged.log.head()
    grow(forged.bucket, Tiles(6, forged.bucket.get), before, [leaf_hash(leaf)], forged.now + RETENTION)
    assert forged.verify().ok
    forged.log.settle(now=forged.now, retention=RETENTION)
    assert (forged.log.head().size, forged.verify().ok) == (7, True)


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
