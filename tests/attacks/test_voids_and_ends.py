"""Attacks on a log's places, its batches, its end and its beginning. The forger has everything but the keys,
unless a test's name says otherwise; where it says so, the operator answers with a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lockstep.audit import prune as pruning
from lockstep.audit import renew as renewing
from lockstep.audit import void as voiding
from lockstep.audit.about import MAX_BATCH, batch_of, void_of
from lockstep.audit.bucket import LostRace
from lockstep.audit.export import ExportFolder, export
from lockstep.audit.layout import head_key, number_of, record_key, tile_key, tiles_between
from lockstep.audit.log import BatchCut, Log
from lockstep.audit.problem import Report
from lockstep.audit.reader import Deleted, NotCounted
from lockstep.audit.record import Record, draft
from lockstep.canonical import digest
from lockstep.errors import IntegrityError, LockstepError, UsageError
from tests.support.audit import BETTER, PLAIN, RETENTION, START, WHO, Writer, cell, codes, table
from tests.support.memory import MemoryBucket

GARBAGE = b"a stray upload"


class Kept(Writer):
    """A good log of six records, before the forger comes; `now` is the clock of log and bucket."""

    bucket: MemoryBucket

    def void(self, start: int = 6, reason: str = "stray upload") -> list[Record]:
        return voiding.void_all(
            self.log, start, reason, claimed=WHO, git=None, clock=lambda: self.now, retention=RETENTION
        )

    def at(self, moment: datetime) -> None:
        """Let the clocks go on to a moment."""
        self.ticks = int((moment - START).total_seconds())
        self.bucket.now = self.now

    def renew(self, length: timedelta = RETENTION, after: Callable[[int, int], None] | None = None) -> Any:
        plan = renewing.plan(self.log, now=self.now, length=length)
        if plan.due:
            renewing.renew(
                self.log, plan, claimed=WHO, git=None, now=self.now, retention=RETENTION, progress=after
            )
        return plan

    def prune(self, before: int, after: Callable[[int, int], None] | None = None) -> Any:
        plan = pruning.plan(self.log, before, now=self.now)
        pruning.prune(
            self.log, plan, "old", claimed=WHO, git=None, now=self.now, retention=RETENTION, progress=after
        )
        return plan

    def batch(self, count: int, size: int | None = None) -> list[Record]:
        self.ticks += 1
        size = self.log.head().size if size is None else size
        drafts = [draft("history", claimed=WHO, history_reason=f"{place}") for place in range(count)]
        return self.log.append_batch(drafts, expect_size=size, now=self.now, retention=RETENTION)


class Killed(Exception):
    """The process ends here."""


def killed_after(count: int) -> Callable[[int, int], None]:
    def tell(done: int, _total: int) -> None:
        if done == count:
            raise Killed

    return tell


@pytest.fixture
def kept() -> Kept:
    writer = Kept(MemoryBucket())
    writer.story()
    assert writer.verify().ok
    return writer


def put(kept: Kept, key: str, data: bytes) -> None:
    """What anybody who can write to the bucket can do: an object without a lock."""
    kept.bucket.objects.setdefault(key, []).insert(0, kept.bucket._new(data))


def good(report: Report) -> Report:
    assert report.ok, report.problems
    return report


# --- garbage at the next place


def test_garbage_blocks_writers_and_the_error_names_the_command(kept: Kept) -> None:
    put(kept, record_key(6), GARBAGE)
    for blocked in (kept.note, lambda: kept.log.settle(now=kept.now, retention=RETENTION)):
        with pytest.raises(IntegrityError) as refused:
            blocked()
        assert refused.value.code == "audit.malformed_record"
        assert "./lockstep audit void 6 " in refused.value.remedy


def test_a_void_puts_garbage_on_the_record_and_the_log_goes_on(kept: Kept) -> None:
    put(kept, record_key(6), GARBAGE)
    (made,) = kept.void()
    assert (made.index, made["reason"]) == (7, "stray upload")
    void = void_of(made)
    assert void is not None and (void.index, void.digest) == (6, digest(GARBAGE))
    stored = kept.bucket.objects[record_key(6)][0]
    assert (stored.mode, stored.data) == ("COMPLIANCE", GARBAGE)
    assert stored.until is not None and stored.until >= START + RETENTION
    assert good(kept.verify()).size == 8
    kept.change(table(cell(PLAIN, BETTER, 10), cell(PLAIN)))
    assert good(kept.verify(head=kept.log.head())).size == 10
    assert kept.void(0) == [], "a second run finds nothing to do"


def test_readers_skip_a_voided_place(kept: Kept) -> None:
    before = kept.log.state()
    put(kept, record_key(6), GARBAGE)
    kept.void()
    reader = kept.open()
    state = reader.state()
    assert (state.table, state.standing, state.size) == (before.table, before.standing, 8)
    assert [one.index for one in reader.tail(4)] == [4, 5, 7]
    newest = reader.newest({"outcome"})
    assert newest is not None and newest.index == 5
    with pytest.raises(NotCounted) as refused:
        reader.read(6)
    assert (refused.value.code, "record 7" in refused.value.message) == ("audit.void", True)


def test_an_outcome_is_found_beyond_a_voided_place(kept: Kept) -> None:
    to = table(cell(PLAIN, BETTER, 10), cell(PLAIN))
    made: list[Record] = []

    def intrude(draft_made: dict[str, Any]) -> Record:
        made.append(Writer.append(kept, draft_made))
        if len(made) == 1:
            put(kept, record_key(7), GARBAGE)
            kept.void(7)
        return made[-1]

    kept.append = intrude  # type: ignore[method-assign]
    kept.change(to)
    found = kept.open().outcome_of(6)
    assert found is not None and found.index == 9
    assert kept.open().state().table == to
    good(kept.verify())


def test_without_a_void_covered_garbage_stays_a_problem_with_a_next_step(kept: Kept) -> None:
    put(kept, record_key(6), GARBAGE)
    garbage = voiding.look(kept.log, 6)[0]
    voiding._cover(kept.log, garbage, kept.now + RETENTION)  # killed here
    report = kept.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.malformed_record", 6)]
    for read in (kept.open().state, lambda: kept.open().read(6), lambda: kept.open().tail(0)):
        with pytest.raises(IntegrityError) as refused:
            read()
        assert "audit void 6" in refused.value.remedy
    kept.void(6)  # a second run goes on
    assert good(kept.verify()).size == 8


class Mortal:
    """A bucket whose user is killed before write number `left`; `writes` counts them."""

    def __init__(self, bucket: MemoryBucket, left: int | None = None) -> None:
        self._bucket, self._left = bucket, left
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("put_new", "lock", "delete"):
            if self.writes == self._left:
                raise Killed
            self.writes += 1
        return getattr(self._bucket, name)


def log_on(writer: Writer, bucket: Any) -> Log:
    return Log(bucket, writer.origin, writer.deployer, writer.log_signer, writer.trust, writer.key)


def kill_at_each_write(kept: Kept, act: Callable[[Log], object]) -> Iterator[MemoryBucket]:
    """The bucket as it was when the writer died before its first, second, ... write."""
    whole = Mortal(kept.bucket.copy())
    act(log_on(kept, whole))
    assert whole.writes > 2
    for left in range(whole.writes):
        bucket = kept.bucket.copy()
        with pytest.raises(Killed):
            act(log_on(kept, Mortal(bucket, left)))
        yield bucket


def test_a_void_killed_before_any_write_is_gone_on_with(kept: Kept) -> None:
    put(kept, record_key(6), GARBAGE)
    put(kept, record_key(7), b"more")

    def act(log: Log) -> None:
        voiding.void_all(log, 6, "r", claimed=WHO, git=None, clock=lambda: kept.now, retention=RETENTION)

    for bucket in kill_at_each_write(kept, act):
        act(log_on(kept, bucket))
        good(kept.verify(bucket))
        voids = [void_of(one) for one in log_on(kept, bucket).tail(6)]
        assert [void.index for void in voids if void] == [6, 7]


def test_garbage_in_a_row_and_with_places_between(kept: Kept) -> None:
    for index in (6, 7, 9, 14):
        put(kept, record_key(index), b"garbage %d" % index)
    found = voiding.look(kept.log, 6)
    assert [one.index for one in found] == [6, 7, 9, 14]
    assert {one.code for one in found} == {"audit.malformed_record"}
    kept.void()
    good(kept.verify())
    kept.note(5)
    assert kept.void(0) == []


def test_garbage_too_large_to_hold_is_voided_by_its_digest(kept: Kept) -> None:
    data = b"x" * (3 << 20)
    put(kept, record_key(6), data)
    with pytest.raises(IntegrityError) as refused:
        kept.note()
    assert (refused.value.code, "audit void 6" in refused.value.remedy) == ("audit.object_too_large", True)
    (made,) = kept.void()
    void = void_of(made)
    assert void is not None and void.digest == digest(data)
    good(kept.verify())
    assert kept.open().state().size == 8
    kept.bucket.overwrite(record_key(6), data[:-1] + b"y")
    assert codes(kept.verify()) == ["audit.object_too_large"]


def test_other_logs_records_and_strangers_records_can_be_voided(kept: Kept) -> None:
    other = Writer(MemoryBucket())
    other.note(7)
    put(kept, record_key(6), other.bucket.get(record_key(6)))
    assert [one.code for one in voiding.look(kept.log, 6)] == ["evidence.unknown_key"]
    kept.void()
    good(kept.verify())


def test_garbage_below_a_marker_and_under_more_garbage(kept: Kept) -> None:
    put(kept, record_key(6), GARBAGE)
    put(kept, record_key(6), b"over it")
    kept.bucket.hide(record_key(6))
    cleared(kept, 6)
    (made,) = kept.void()
    void = void_of(made)
    assert void is not None and void.digest == digest(GARBAGE), "what was written first is what lies there"
    kept.note()
    assert kept.open().state().size == 9
    assert set(codes(kept.verify())) == {"audit.shadow_version", "audit.unlocked"}, (
        "of what was written over it"
    )


def test_a_delete_marker_on_the_next_place_is_taken_away(kept: Kept) -> None:
    kept.bucket.hide(record_key(6))
    with pytest.raises(IntegrityError):
        kept.note()
    assert cleared(kept, 6) == [record_key(6)]
    kept.note()
    good(kept.verify())


@pytest.mark.parametrize("key", [head_key(7), tile_key(0, 0, 7)])
def test_garbage_under_the_key_of_the_next_head_or_tile_is_taken_away(kept: Kept, key: str) -> None:
    put(kept, key, b"a stray upload")
    with pytest.raises(IntegrityError):
        kept.note()
    assert cleared(kept, 6) == [key]
    settled(kept)
    kept.note()
    assert good(kept.verify()).notes == ()


LOCKED_KEYS = [head_key(7), tile_key(0, 0, 7)]


def lock_there(kept: Kept, key: str) -> None:
    """Put garbage under a key, locked for longer than anybody wants to wait."""
    kept.bucket.put_new(key, GARBAGE, START + 10 * RETENTION)


def go_over(kept: Kept, log: Log) -> Record | None:
    log.over = True
    found = voiding.in_the_way(log)
    return voiding.go_over(
        log, found, "stray", claimed=WHO, git=None, clock=lambda: kept.now, retention=RETENTION
    )


@pytest.mark.parametrize("keys", [LOCKED_KEYS[:1], LOCKED_KEYS[1:], LOCKED_KEYS])
def test_what_is_locked_under_the_key_of_the_next_head_or_tile_is_gone_over(
    kept: Kept, keys: list[str]
) -> None:
    for key in keys:
        lock_there(kept, key)
    kept.log = kept.open()
    made = go_over(kept, kept.open())
    assert made is not None and made.index == 6
    assert all(key in made["history_reason"] for key in keys)
    kept.note(3)
    report = good(kept.verify())
    assert [(one.code, one.key) for one in report.notes] == [("audit.gone_over", key) for key in sorted(keys)]
    assert kept.open().state().size == 10


@pytest.mark.parametrize("key", LOCKED_KEYS)
def test_a_record_left_before_what_is_in_the_way_is_covered(kept: Kept, key: str) -> None:
    lock_there(kept, key)
    with pytest.raises(IntegrityError) as refused:
        kept.note()
    assert "audit void 6" in refused.value.remedy
    with pytest.raises(IntegrityError):
        kept.open().settle(now=kept.now, retention=RETENTION)
    assert go_over(kept, kept.open()) is None
    kept.log = kept.open()
    kept.note()
    assert kept.open().state().size == 8
    assert [one.code for one in good(kept.verify()).notes] == ["audit.gone_over"]


@pytest.mark.parametrize("key", LOCKED_KEYS)
def test_what_is_written_over_the_logs_own_version_is_no_obstacle_of_old(kept: Kept, key: str) -> None:
    lock_there(kept, key)
    go_over(kept, kept.open())
    kept.bucket.shadow(key, GARBAGE)
    assert "audit.shadow_version" in codes(kept.verify())
    kept.bucket.hide(key)
    assert "audit.delete_marker" in codes(kept.verify())


def test_the_newest_head_destroyed_below_the_bucket_is_written_again(kept: Kept) -> None:
    before = kept.bucket.get(head_key(6))
    kept.bucket.overwrite(head_key(6), GARBAGE)
    with pytest.raises(IntegrityError) as refused:
        kept.open().head()
    assert "audit void 5" in refused.value.remedy
    go_over(kept, kept.open())
    assert kept.bucket.get(head_key(6)) == before
    good(kept.verify())


def test_an_export_of_a_log_that_went_over_something_verifies(kept: Kept, tmp_path: Path) -> None:
    for key in LOCKED_KEYS:
        lock_there(kept, key)
    go_over(kept, kept.open())
    export(kept.bucket, tmp_path / "out", kept.open().head(), (kept.key,), {})
    copied = Kept(MemoryBucket(), kept.origin, kept.deployer, kept.log_signer)
    copied.bucket = ExportFolder(tmp_path / "out")  # type: ignore[assignment]
    copied.ticks = kept.ticks
    good(copied.verify())


def cleared(kept: Kept, start: int) -> list[str]:
    found = voiding.strays(kept.log, start)
    voiding.clear(kept.log, found)
    return [one.key for one in found]


def test_what_the_log_wrote_is_never_taken_away(kept: Kept) -> None:
    before = set(kept.bucket.objects)
    assert cleared(kept, 0) == []
    assert set(kept.bucket.objects) == before


def test_a_record_that_a_writer_left_is_completed_not_voided(kept: Kept) -> None:
    for bucket in kill_at_each_write(kept, lambda log: append(kept, log)):
        if bucket.objects.get(record_key(6)):
            break
    kept.bucket.objects = bucket.objects
    put(kept, record_key(7), GARBAGE)
    report = kept.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.malformed_record", 7)]
    kept.void(7)
    assert good(kept.verify()).size == 9
    assert kept.log.read(6).kind == "history"


def append(writer: Writer, log: Log, count: int = 1) -> None:
    drafts = [draft("history", claimed=WHO, history_reason=f"{place}") for place in range(count)]
    log.append_batch(drafts, expect_size=6, now=writer.now, retention=RETENTION)


def test_what_verifies_is_never_voided(kept: Kept) -> None:
    assert voiding.look(kept.log, 0) == []
    assert kept.void(0) == []
    with pytest.raises(UsageError) as refused:
        voiding.look(kept.log, 5000)
    assert refused.value.code == "audit.void_far"


def test_a_void_does_not_excuse_bytes_that_were_changed(kept: Kept) -> None:
    """By the operator's own hand: a record of the log is damaged, and somebody tries to void it."""
    kept.bucket.overwrite(record_key(3), GARBAGE)
    with pytest.raises(IntegrityError) as refused:
        kept.void(0)
    assert refused.value.code == "audit.changed_byte"
    wrong_void(kept, 3, GARBAGE)
    assert codes(kept.verify()) == ["audit.changed_byte"]


def wrong_void(kept: Kept, index: int, data: bytes) -> None:
    about = {"void": {"index": index, "digest": digest(data)}}
    kept.append(draft("void", claimed=WHO, reason="by the holder of the keys", log=about))


def test_a_void_of_a_record_that_verifies_hides_nothing(kept: Kept) -> None:
    """By the holder of the deployer's key."""
    before = kept.log.state()
    wrong_void(kept, 5, kept.bucket.get(record_key(5)))
    report = kept.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.void_wrong", 6)]
    assert "which verifies" in report.problems[0].message
    assert kept.open().state().table == before.table
    assert kept.open().read(5).kind == "outcome"


def test_a_void_of_other_bytes_excuses_nothing(kept: Kept) -> None:
    put(kept, record_key(6), GARBAGE)
    voiding._cover(kept.log, voiding.look(kept.log, 6)[0], kept.now + RETENTION)
    wrong_void(kept, 6, b"other bytes")
    assert set(codes(kept.verify())) == {"audit.void_wrong", "audit.malformed_record"}
    with pytest.raises(IntegrityError):
        kept.open().state()


@pytest.mark.parametrize("index", [6, 7, 99])
def test_a_void_of_a_place_still_to_come(kept: Kept, index: int) -> None:
    wrong_void(kept, index, GARBAGE)
    report = kept.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.void_wrong", 6)]
    assert "not written yet" in report.problems[0].message
    put(kept, record_key(7), GARBAGE)
    with pytest.raises(IntegrityError):
        kept.note()


def test_voided_garbage_that_is_changed_or_removed_is_found(kept: Kept) -> None:
    put(kept, record_key(6), GARBAGE)
    kept.void()
    kept.bucket.overwrite(record_key(6), b"other garbage")
    assert codes(kept.verify()) == ["audit.changed_byte"]
    kept.bucket.remove(record_key(6))
    assert codes(kept.verify()) == ["audit.record_missing"]


def test_a_false_story_around_a_voided_place_is_told(kept: Kept) -> None:
    """By the holder of the deployer's key: a void is no cover for what follows it."""
    put(kept, record_key(6), GARBAGE)
    kept.void()
    kept.change(table(cell(PLAIN, BETTER, 10), cell(PLAIN)))
    outcome = kept.log.read(9)
    kept.append({name: value for name, value in outcome.fields.items() if name not in ("index", "v")})
    assert set(codes(kept.verify())) == {"audit.outcome_wrong"}


# --- versions over the log's own


@pytest.mark.parametrize("key", [record_key(5), record_key(0), tile_key(0, 0, 6)])
def test_who_writes_over_an_object_or_hides_it_stops_no_reader(kept: Kept, key: str) -> None:
    before = kept.log.state()
    kept.bucket.shadow(key, b"y" * len(kept.bucket.get(key)))
    assert kept.open().state() == before
    assert [one.index for one in kept.open().tail(0)] == [0, 1, 2, 3, 4, 5]
    kept.bucket.hide(key)
    assert kept.open().state() == before
    assert set(codes(kept.verify())) == {"audit.shadow_version", "audit.delete_marker"}


# --- batches


@pytest.mark.parametrize(("before", "count"), [(0, 2), (6, 3), (6, 250), (6, 251), (250, 600), (6, 1)])
def test_a_batch_has_one_head_and_the_tiles_of_its_end(before: int, count: int) -> None:
    kept = Kept(MemoryBucket())
    if before:
        kept.batch(before)
    made = kept.batch(count)
    assert [one.index for one in made] == list(range(before, before + count))
    if count > 1:
        batch = batch_of(made[0])
        assert batch is not None and (batch.first, batch.count) == (before, count)
    size = before + count
    numbers = {number_of(key) for key in kept.bucket.objects if key.startswith("head/")}
    assert numbers == {before, size} - {0}
    tiles = {key for key in kept.bucket.objects if key.startswith("tile/")}
    due = [*tiles_between(0, before), *tiles_between(before, size)]
    assert tiles == {tile_key(*one) for one in due}
    kept.note()
    assert good(kept.verify(head=kept.open().head())).size == size + 1
    assert kept.open().read(before).leaf == made[0].leaf


def test_a_batch_that_loses_its_first_place_wrote_nothing(kept: Kept) -> None:
    kept.note()
    before = set(kept.bucket.objects)
    with pytest.raises(LostRace):
        kept.batch(3, size=6)
    assert set(kept.bucket.objects) == before


def test_a_batch_that_races_for_its_first_place_wrote_nothing(kept: Kept) -> None:
    class Faster(Mortal):
        """Somebody else takes the place between the look and the PUT."""

        def put_new(self, key: str, data: bytes, until: datetime) -> str:
            if key == record_key(6):
                kept.note()
            return kept.bucket.put_new(key, data, until)

    log = log_on(kept, Faster(kept.bucket))
    with pytest.raises(LostRace) as lost:
        append(kept, log, 3)
    assert not isinstance(lost.value, BatchCut)
    assert good(kept.verify()).size == 7


@pytest.mark.parametrize("count", [2, 5])
def test_a_batch_killed_before_any_write_is_completed_by_the_next_writer(kept: Kept, count: int) -> None:
    for bucket in kill_at_each_write(kept, lambda log: append(kept, log, count)):
        written = sum(key.startswith("record/") for key in bucket.objects) - 6
        report = good(kept.verify(bucket))
        covered = report.size - 6
        assert [one.code for one in report.notes] == ["audit.pending"] * (written - covered)
        log = log_on(kept, bucket)
        assert log.settle(now=kept.now, retention=RETENTION).size == 6 + written
        log.append(
            draft("history", claimed=WHO, history_reason="next"),
            expect_size=6 + written,
            now=kept.now,
            retention=RETENTION,
        )
        report = good(kept.verify(bucket))
        assert (report.size, report.notes) == (7 + written, ())
        reasons = [one["history_reason"] for one in log_on(kept, bucket).tail(6)]
        assert reasons == [*map(str, range(written)), "next"]


def test_a_batch_whose_beginning_another_writer_completed_goes_on(kept: Kept) -> None:
    """The writer was slow, not dead: its beginning got a head of its own, and nobody came between."""
    log = log_on(kept, Slow(kept.bucket, record_key(8), lambda: settled(kept)))
    append(kept, log, 4)
    assert {head_key(8), head_key(10)} <= set(kept.bucket.objects)
    kept.note()
    assert good(kept.verify()).size == 11


def test_a_batch_that_is_cut_says_what_is_there(kept: Kept) -> None:
    def come_between() -> None:
        settled(kept)
        kept.note()

    log = log_on(kept, Slow(kept.bucket, record_key(8), come_between))
    with pytest.raises(BatchCut) as cut:
        append(kept, log, 4)
    assert cut.value.written == 2
    report = good(kept.verify())
    assert (report.size, report.notes) == (9, ())


class Slow(Mortal):
    """Something happens before one key is written."""

    def __init__(self, bucket: MemoryBucket, key: str, meanwhile: Callable[[], None]) -> None:
        super().__init__(bucket)
        self._key, self._meanwhile = key, meanwhile

    def put_new(self, key: str, data: bytes, until: datetime) -> str:
        if key == self._key:
            self._key = ""
            self._meanwhile()
        return self._bucket.put_new(key, data, until)


def settled(kept: Kept) -> None:
    kept.open().settle(now=kept.now, retention=RETENTION)


def test_a_head_dropped_outside_a_batch_is_found_inside_there_is_none(kept: Kept) -> None:
    kept.batch(4)
    kept.note(2)
    good(kept.verify())
    for size in (6, 10, 11):
        bucket = kept.bucket.copy()
        bucket.remove(head_key(size))
        report = kept.verify(bucket)
        assert [(one.code, one.key) for one in report.problems] == [("audit.head_missing", head_key(size))]


def test_a_head_after_a_batch_is_missed_even_where_the_next_record_cannot_be_read(kept: Kept) -> None:
    kept.batch(4)
    kept.note(2)
    kept.bucket.overwrite(record_key(10), GARBAGE)
    kept.bucket.remove(head_key(10))
    assert set(codes(kept.verify())) == {"audit.changed_byte", "audit.head_missing"}


@pytest.mark.parametrize("index", [6, 8, 9])
def test_a_record_changed_or_dropped_inside_a_batch_is_named(kept: Kept, index: int) -> None:
    kept.batch(4)
    kept.note()
    whole = kept.bucket.copy()
    kept.bucket.overwrite(record_key(index), GARBAGE)
    report = kept.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.changed_byte", index)]
    kept.bucket.objects = whole.objects
    kept.bucket.remove(record_key(index))
    report = kept.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.record_missing", index)]


def test_a_tile_that_a_batch_wrote_and_somebody_dropped(kept: Kept) -> None:
    kept.batch(600)
    kept.note()
    for tile in tiles_between(6, 606):
        bucket = kept.bucket.copy()
        bucket.remove(tile_key(*tile))
        report = kept.verify(bucket)
        assert [(one.code, one.key) for one in report.problems] == [("audit.tile_wrong", tile_key(*tile))]


def test_records_beyond_the_head_that_are_of_no_batch_are_not_a_batch(kept: Kept) -> None:
    kept.batch(3)
    kept.note()
    for size in (9, 10):
        kept.bucket.remove(head_key(size))
    report = kept.verify()
    assert [(one.code, one.index) for one in report.problems if one.code == "audit.pending_many"] == [
        ("audit.pending_many", 9)
    ]
    with pytest.raises(IntegrityError) as refused:
        kept.open().settle(now=kept.now, retention=RETENTION)
    assert refused.value.code == "audit.pending_many"


def test_a_batch_that_claims_what_was_before_it(kept: Kept) -> None:
    """By the holder of the deployer's key: a span that would excuse heads it has no part in."""
    kept.append(draft("history", claimed=WHO, log={"batch": {"first": 2, "count": 10}}))
    assert codes(kept.verify()) == ["audit.batch_wrong"]
    for size in (4, 6):
        bucket = kept.bucket.copy()
        bucket.remove(head_key(size))
        assert set(codes(kept.verify(bucket))) == {"audit.batch_wrong", "audit.head_missing"}


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_a_batch_has_a_size(kept: Kept, count: int) -> None:
    with pytest.raises(UsageError) as refused:
        kept.batch(count)
    assert refused.value.code == "audit.batch_size"


def test_open_writers_meet_at_one_place(kept: Kept) -> None:
    """Each goes on from what it knows, without a listing in between; none of them takes a taken place."""
    logs = [kept.open() for _ in range(3)]
    for log in logs:
        log.settle(now=kept.now, retention=RETENTION)
    won = []
    for log in logs:
        try:
            won += log.append_batch(
                [draft("history", claimed=WHO, history_reason="r")] * 2,
                expect_size=6,
                now=kept.now,
                retention=RETENTION,
            )
        except LostRace:
            continue
    assert [one.index for one in won] == [6, 7]
    good(kept.verify())


# --- locks that end


def test_a_lock_about_to_end_is_noted_and_renewed(kept: Kept) -> None:
    kept.at(START + RETENTION - timedelta(days=20))
    report = good(kept.verify())
    assert [one.code for one in report.notes] == ["audit.lock_ends_soon"]
    plan = kept.renew()
    assert plan.record and plan.lapsed == 0
    assert len(plan.due) == 6 + 6 + 6
    report = good(kept.verify())
    assert (report.notes, report.size) == ((), 7)
    assert all(
        one[0].until is not None and one[0].until >= plan.until for one in kept.bucket.objects.values()
    )
    again = kept.renew()
    assert (again.due, kept.verify().size) == ((), 7), "a second run does nothing"


def test_a_renewal_that_was_killed_is_reported_and_gone_on_with(kept: Kept) -> None:
    kept.at(START + RETENTION - timedelta(days=20))
    with pytest.raises(Killed):
        kept.renew(after=killed_after(5))
    report = kept.verify()
    assert set(codes(report)) == {"audit.lock_short"} and len(report.problems) == 13
    plan = renewing.plan(kept.log, now=kept.now, length=RETENTION)
    assert (plan.record, len(plan.due)) == (False, 13)
    kept.renew()
    assert good(kept.verify()).size == 7


def test_a_lock_that_is_shorter_than_the_log_says_is_named(kept: Kept) -> None:
    kept.at(START + RETENTION - timedelta(days=20))
    kept.renew()
    kept.bucket.objects[record_key(2)][0].until = START + RETENTION
    report = kept.verify()
    assert [(one.code, one.key) for one in report.problems] == [("audit.lock_short", record_key(2))]


def test_a_lock_that_had_ended_is_locked_again_and_the_log_says_so(kept: Kept) -> None:
    kept.at(START + RETENTION + timedelta(days=3))
    report = good(kept.verify())
    assert {one.code for one in report.notes} == {"audit.lock_ended"} and len(report.notes) == 18
    plan = kept.renew()
    assert plan.lapsed == 18
    report = good(kept.verify())
    assert [one.code for one in report.notes] == ["audit.lock_lapsed"]
    assert "18 locks had ended" in report.notes[0].message


def test_records_after_a_renewal_are_renewed_by_the_next(kept: Kept) -> None:
    kept.renew(2 * RETENTION)
    kept.note()
    plan = renewing.plan(kept.log, now=kept.now, length=2 * RETENTION)
    assert plan.record and {number_of(lock.key) for lock in plan.due if "tile" not in lock.key} == {7, 8}
    kept.renew(2 * RETENTION)
    assert renewing.plan(kept.log, now=kept.now, length=2 * RETENTION).due == ()
    good(kept.verify())


# --- a beginning that was deleted


@pytest.fixture
def old(kept: Kept) -> Kept:
    """Ten records, the first of which nothing refers to any more and nothing locks any more."""
    kept.change(table(cell(PLAIN, BETTER, 10), cell(PLAIN)))
    kept.change(table(cell(PLAIN, BETTER, 20), cell(PLAIN, BETTER)))
    kept.at(START + RETENTION + timedelta(seconds=100))
    return kept


def test_the_oldest_records_go_on_the_record_and_the_rest_verifies(old: Kept) -> None:
    head, state = old.log.head(), old.log.state()
    plan = old.prune(3)
    assert {one.key for one in plan.due} == {record_key(i) for i in range(3)} | {head_key(1), head_key(2)}
    assert not {one.key for one in plan.due} & set(old.bucket.objects)
    report = good(old.verify(head=head))
    assert (report.size, report.since) == (11, 3)
    assert [one.code for one in report.notes if one.code != "audit.lock_ended"] == ["audit.pruned"]
    assert (old.open().state().table, old.open().state().standing) == (state.table, state.standing)


def test_who_reads_below_the_beginning_is_told_by_which_record(old: Kept) -> None:
    old.prune(3)
    with pytest.raises(Deleted) as refused:
        old.open().read(2)
    assert (refused.value.code, "record 10" in refused.value.message) == ("audit.pruned", True)
    assert [one.index for one in old.open().tail(0)] == list(range(3, 11))
    assert old.open().newest({"rollback"}) is None
    old.change(table(cell(PLAIN, BETTER, 30), cell(PLAIN, BETTER)))
    good(old.verify())


def test_nothing_is_deleted_while_a_lock_lasts(old: Kept) -> None:
    old.bucket.objects[head_key(2)][0].until = old.now + timedelta(days=1)
    before = set(old.bucket.objects)
    with pytest.raises(LockstepError) as refused:
        old.prune(3)
    assert refused.value.code == "audit.still_locked"
    assert set(old.bucket.objects) == before


def test_the_bucket_itself_refuses_to_delete_what_is_locked(old: Kept) -> None:
    plan = pruning.plan(old.log, 3, now=old.now)
    old.bucket.now = START
    with pytest.raises(IntegrityError) as refused:
        old.bucket.delete(plan.due[0].key, plan.due[0].version_id)
    assert refused.value.code == "audit.still_locked"


def test_a_log_begins_at_an_outcome_that_nothing_in_force_is_older_than(old: Kept) -> None:
    for before, code in ((4, "audit.prune_not_outcome"), (9, "audit.prune_needed")):
        with pytest.raises(UsageError) as refused:
            old.prune(before)
        assert refused.value.code == code


def test_a_pruning_that_was_killed_is_gone_on_with(old: Kept) -> None:
    for count in range(1, 5):
        bucket = old.bucket.copy()
        writer = Kept(bucket, old.origin, old.deployer, old.log_signer, old.ticks)
        with pytest.raises(Killed):
            writer.prune(3, after=killed_after(count))
        report = good(writer.verify())
        assert [one.code for one in report.notes if one.code != "audit.lock_ended"] == ["audit.pruned"]
        plan = writer.prune(3)
        assert (plan.record, len(plan.due)) == (False, 5 - count)
        assert good(writer.verify()).size == 11, "one record, not two"


def test_a_pruning_again_further_on(old: Kept) -> None:
    old.prune(1)
    old.prune(3)
    report = good(old.verify())
    assert (report.size, report.since) == (12, 3)


@pytest.mark.parametrize("index", [0, 2])
def test_records_gone_without_a_record_stay_missing(old: Kept, index: int) -> None:
    old.bucket.remove(record_key(index))
    report = old.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.record_missing", index)]
    with pytest.raises(IntegrityError) as refused:
        old.open().read(index)
    assert refused.value.code == "audit.object_missing"


def test_more_is_gone_than_the_record_says(old: Kept) -> None:
    old.prune(3)
    whole = old.bucket.copy()
    old.bucket.remove(record_key(4))
    report = old.verify()
    assert [(one.code, one.index) for one in report.problems] == [("audit.record_missing", 4)]
    old.bucket.objects = whole.copy().objects
    old.bucket.remove(head_key(5))
    assert codes(old.verify()) == ["audit.head_missing"]
    old.bucket.objects = whole.copy().objects
    old.bucket.remove(tile_key(0, 0, 2))
    report = old.verify()
    assert report.ok or codes(report) == ["audit.tile_wrong"]


def test_another_history_below_the_beginning_does_not_pass(old: Kept) -> None:
    """By the holder of the deployer's key: a pruning that names another root."""
    about = {"pruned": {"size": 3, "root": "ab" * 32}}
    old.append(draft("pruned", claimed=WHO, reason="r", log=about))
    assert codes(old.verify()) == ["audit.prune_wrong"]
    for index in range(3):
        old.bucket.remove(record_key(index))
    assert codes(old.verify()) == ["audit.prune_wrong"]


def test_the_tiles_below_the_beginning_cannot_be_changed(old: Kept) -> None:
    old.prune(3)
    for width in range(1, 12):
        stored = old.bucket.objects.get(tile_key(0, 0, width))
        if stored:
            stored[0].data = b"\x00" * 32 + stored[0].data[32:]
    assert "audit.head_inconsistent" in codes(old.verify())


def test_a_pruning_signed_by_a_stranger_excuses_nothing(old: Kept) -> None:
    stranger = Kept(old.bucket.copy(), log_signer=old.log_signer)
    about = {"pruned": {"size": 3, "root": stranger.log.root_of(3)}}
    stranger.append(draft("pruned", claimed=WHO, reason="r", log=about))
    for index in range(3):
        stranger.bucket.remove(record_key(index))
    report = old.verify(stranger.bucket)
    assert {one.index for one in report.problems if one.code == "audit.record_missing"} == {0, 1, 2}


def test_an_export_of_a_kept_log_verifies_as_the_bucket_does(old: Kept, tmp_path: Path) -> None:
    put(old, record_key(10), b"x" * (2 << 20))
    old.void(10)
    old.prune(3)
    old.renew()
    export(old.bucket, tmp_path / "out", old.log.head(), [old.key], {})
    copy = ExportFolder(tmp_path / "out")
    assert old.verify(copy) == old.verify()
    good(old.verify(copy))
    (tmp_path / "out" / record_key(5)).unlink()
    assert codes(old.verify(copy)) == ["audit.record_missing"]
