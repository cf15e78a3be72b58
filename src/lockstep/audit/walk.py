"""One pass over a log's records, for a verification: steps (4) to (9) of `verify.verify`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from lockstep.audit.about import Renewed, renewed_of
from lockstep.audit.batches import Batches, of_one_batch
from lockstep.audit.beginning import Beginning, judge_pruning, note_beginning
from lockstep.audit.bucket import Bucket, from_text
from lockstep.audit.clock import Clock
from lockstep.audit.layout import MAX_RECORD_BYTES, RECORD_PREFIX, head_key, number_of, record_key, tile_of
from lockstep.audit.note import Head
from lockstep.audit.problem import Findings
from lockstep.audit.recompute import Recomputed, digests, leaf
from lockstep.audit.record import Record, RecordTrust, open_record
from lockstep.audit.story import Story
from lockstep.audit.survey import Survey
from lockstep.audit.uncounted import Uncounted
from lockstep.errors import IntegrityError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Object:
    """What lies at the place of a record. data: None when there is more of it than a record may have."""

    leaf: bytes
    digest: str
    data: bytes | None


class Walk:
    """One pass over the records, from the first to what lies beyond the newest head."""

    def __init__(
        self,
        bucket: Bucket,
        origin: str,
        trust: RecordTrust,
        survey: Survey,
        beginning: Beginning,
        findings: Findings,
        wanted: Collection[int],
    ) -> None:
        self._bucket = bucket
        self._origin = origin
        self._trust = trust
        self._survey = survey
        self._findings = findings
        self._beginning = beginning
        self._wanted = wanted
        self._tree: Recomputed | None = Recomputed()
        self._roots: dict[int, str] = {0: Recomputed().root().hex()}
        self._due: dict[tuple[int, int], str] = {}
        self._batches = Batches(findings)
        self._clock = Clock(findings)
        self.story = Story(findings, beginning.size)
        self._uncounted = Uncounted(findings, self.story.excuse)
        self.times: dict[int, datetime] = {}
        self.tiles_seen: set[str] | None = set()
        self.renewed: Renewed | None = None
        self.newest_time: datetime | None = None

    def records(self, progress: Progress | None) -> None:
        """Steps (4), (5), (6) and (9): every record up to the newest head, and every gap among them."""
        following = 0
        for index in [*self._survey.records(), self._survey.size]:
            while following < index:
                following = self._gap(following, index)
            if index < self._survey.size:
                self._record(index)
                following = index + 1
                if progress is not None:
                    progress(following, self._survey.size)
        self._close()

    def _gap(self, first: int, after: int) -> int:
        """Records that are gone: one whose leaf hash a tile still has, or else all up to `after`, whose bytes
        nothing here tells any more. Returns the index to go on from."""
        committed = self._committed(first)
        if committed is not None and first < self._beginning.size:
            self._grow(committed, first)
            return first + 1
        last = after - 1 if committed is None else first
        names = (
            f"record {first} ({record_key(first)}) is" if first == last else f"records {first} to {last} are"
        )
        message = f"{names} gone"
        self._findings.add("audit.record_missing", message, index=first, key=record_key(first))
        if committed is None:
            self._tree = self.tiles_seen = None
        else:
            self._grow(committed, first)
        self._uncounted.lose(first)
        if first >= self._beginning.size:
            self._tell(first, None)
        return last + 1

    def _record(self, index: int) -> None:
        """Steps (4), (5), (6) and (9) for one record."""
        key = record_key(index)
        found = self._object(key)
        committed = self._committed(index)
        record = None
        if found is None:
            self._uncounted.lose(index)  # it cannot be read, which has been said
        elif committed is not None and found.leaf != committed and self._fits(committed, index):
            self._findings.add(
                "audit.changed_byte" if found.data is not None else "audit.object_too_large",
                f"record {index} ({key}) is not the record that was signed over: its bytes were changed",
                index=index,
                key=key,
            )
            self._uncounted.lose(index)
            found = None
        else:
            record = self._open(found, index)
        if record is not None and record.kind == "outcome" and self._tree is not None:
            self._roots[index] = self._tree.root().hex()  # where a `pruned` record may say that a log begins
        if found is None and committed is None:
            self._tree = self.tiles_seen = None
        self._grow(found.leaf if found else committed or b"", index)
        if index >= self._beginning.size:
            self._tell(index, record)

    def _tell(self, index: int, record: Record | None) -> None:
        """What a record says, about the fleet and about the log."""
        self._batches.add(index, record)
        self.story.add(index, record)
        version = self._survey.original(record_key(index))
        if record is not None and version is not None:
            self._clock.add(record, version.key, version.written)
            self._uncounted.judge(record)
            judge_pruning(record, self._roots, self._findings)
            self.renewed = renewed_of(record) or self.renewed
            self.times[index] = self.newest_time = from_text(record.time)

    def _close(self) -> None:
        """What only the whole log can tell: what no void names, and heads that no batch explains."""
        self._clock.close()
        self._uncounted.report()
        for first, last in self._survey.heads_gone(self._beginning.size, self._batches.inside_all()):
            names = head_key(first) + (f" to {head_key(last)} are" if first < last else " is")
            self._findings.add("audit.head_missing", f"{names} gone", key=head_key(first))
        note_beginning(self._beginning, self._survey, self._findings)

    def _object(self, key: str) -> _Object | None:
        version = self._survey.original(key)
        if version is None:
            return None
        try:
            if version.size > MAX_RECORD_BYTES:
                return _Object(*digests(self._bucket.chunks(key, version.version_id)), None)
            data = self._bucket.get(key, version.version_id)
        except IntegrityError as error:
            self._cannot_read(key, error)
            return None
        return _Object(*digests([data]), data)

    def _committed(self, index: int) -> bytes | None:
        """The leaf hash of a record as its tile has it, to tell a changed record from a changed head."""
        return self._survey.tile_entry(self._bucket, index)

    def _fits(self, committed: bytes, index: int) -> bool:
        """Whether the heads were signed over this leaf hash rather than over what lies there now."""
        head = self._survey.heads.get(index + 1)
        return head is None or self._tree is None or self._tree.root_with(committed).hex() == head.root

    def _cannot_read(self, key: str, error: IntegrityError) -> None:
        gone = error.code == "audit.object_missing" and key.startswith(RECORD_PREFIX)
        code = "audit.record_missing" if gone else error.code
        self._findings.add(code, error.message, index=number_of(key), key=key)

    def _grow(self, leaf_hash: bytes, index: int) -> None:
        """Step (6) and the heads of step (4); nothing once a leaf is unknown: no later root can be known."""
        if self._tree is None or self.tiles_seen is None:
            return
        for key, expected in self._tree.add(leaf_hash):
            self.tiles_seen.add(key)
            self._tile(key, expected, index)
        size = self._tree.size
        if self._survey.original(head_key(size)) is not None:
            for key in self._due.values():
                self._findings.add("audit.tile_wrong", f"{key} is gone", index=index, key=key)
            self._due.clear()
        head = self._survey.heads.get(size)
        if head is None and size not in self._wanted and size > self._beginning.size:
            return
        root = self._roots[size] = self._tree.root().hex()
        if head is not None and head.root != root:
            self._findings.add(
                "audit.head_inconsistent",
                f"{head.size} records give the root {root[:16]}..., "
                f"the head of that size was signed over {head.root[:16]}...",
                index=index,
                key=self._survey.head_name(size),
            )

    def _tile(self, key: str, expected: bytes, index: int) -> None:
        """Step (6): a tile that is there is right; one that is not was due if no wider one came before the
        next head."""
        level, place, _ = tile_of(key) or (0, 0, 0)
        self._due.pop((level, place), None)
        if self._survey.original(key) is None:
            self._due[level, place] = key
        elif not self._finds(key, expected):
            message = f"{key} does not follow from the records"
            self._findings.add("audit.tile_wrong", message, index=index, key=key)

    def _finds(self, key: str, expected: bytes) -> bool:
        """Whether a version of the tile is right; the oldest such is the log's own."""
        for version in reversed(self._survey.objects[key]):
            if version.delete_marker:
                continue
            try:
                data = self._bucket.get(key, version.version_id)
            except IntegrityError as error:
                self._cannot_read(key, error)
                continue
            if data == expected:
                self._survey.own[key] = version
                return True
        return False

    def _open(self, found: _Object, index: int) -> Record | None:
        """The record that verifies; what does not is held until a void names it."""
        try:
            return self._opened(found, index)
        except IntegrityError as error:
            code = "audit.wrong_key" if error.code.startswith("evidence.") else error.code
            self._uncounted.hold(index, found.digest, code, error.message)
            return None

    def _opened(self, found: _Object, index: int) -> Record:
        if found.data is None:
            raise IntegrityError(
                f"it has more than {MAX_RECORD_BYTES} bytes, which no record has",
                code="audit.object_too_large",
            )
        return open_record(found.data, index, self._origin, self._trust)

    def beyond(self) -> None:
        """Step (7)."""
        before: Record | None = None
        for index in self._survey.records_beyond():
            record = self._beyond(index)
            first = index == self._survey.size
            follows = before is not None and before.index == index - 1 and record is not None
            if record is None:
                pass
            elif first or (follows and before is not None and of_one_batch(before, record)):
                self._findings.add(
                    "audit.pending",
                    f"record {index} is written and not yet covered by a head; the next writer completes it",
                    index=index,
                    key=record_key(index),
                )
                self._tell(index, record)
                if self._tree is not None and self.tiles_seen is not None:
                    self.tiles_seen |= {name for name, _ in self._tree.add(leaf(record.leaf))}
                before = record
            else:
                self._findings.add(
                    "audit.pending_many",
                    f"record {index} lies beyond the newest head ({self._survey.size}): heads are gone",
                    index=index,
                    key=record_key(index),
                )

    def _beyond(self, index: int) -> Record | None:
        found = self._object(record_key(index))
        if found is None:
            return None
        try:
            return self._opened(found, index)
        except IntegrityError as error:
            code = "audit.wrong_key" if error.code.startswith("evidence.") else error.code
            message = (
                f"record {index}: {error.message}; `./lockstep audit void {index}` puts it on the record"
            )
            self._findings.add(code, message, index=index, key=record_key(index))
            return None

    def compare(self, head: Head) -> None:
        """Step (8)."""
        if head.size > self._survey.size:
            self._findings.add(
                "audit.cut_tail",
                f"the log had {head.size} records when the given head was signed; "
                f"now it ends after {self._survey.size}: records {self._survey.size} to {head.size - 1} "
                "are cut off",
                index=self._survey.size,
                key=record_key(self._survey.size),
            )
            return
        signed = self._survey.heads.get(head.size)
        root = self._roots.get(head.size, signed.root if signed else head.root)
        if root != head.root:
            self._findings.add(
                "audit.head_inconsistent",
                f"the first {head.size} records are not those of the given head: this is another history",
                key=self._survey.head_name(head.size),
            )
