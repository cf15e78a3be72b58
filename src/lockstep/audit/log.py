"""The half that writes: records at the head that they were decided on, covered before they count.

Appending costs the same whatever the size of the log. Several records may share one head (group commit):
each says so, so that a prefix of them that a dead writer left is completed, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from lockstep.audit import append as writing
from lockstep.audit.about import MAX_BATCH
from lockstep.audit.batches import of_one_batch
from lockstep.audit.bucket import Bucket, LostRace, Version, to_text
from lockstep.audit.clock import refuse_behind
from lockstep.audit.heads import sole_version
from lockstep.audit.layout import RECORD_PREFIX, head_key, number_of, record_key
from lockstep.audit.merkle import leaf_hash
from lockstep.audit.note import Head, NoteKey
from lockstep.audit.reader import Deleted, NotCounted, Reader, garbage
from lockstep.audit.record import PAYLOAD_TYPE, Record, complete, open_record, seal
from lockstep.canonical import canonical, parse
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence.keys import Trust
from lockstep.evidence.signer import HeadSigner, Sealer

LISTED = 256
"""For so many appends one listing says that no delete marker lies at the next place. A listing costs what
the bucket holds on some servers; a marker that is put there in between is found by verification."""


class BatchCut(LostRace):
    """Others took a place inside a batch. written: how many of its records are in the log, from its first."""

    def __init__(self, first: int, written: int, count: int) -> None:
        super().__init__(
            f"another writer came between the {count} records that were to begin at {first}: "
            f"{written} of them are in the log"
        )
        self.written = written


class Log(Reader):
    """A log to read and, with both signers, to append to. signer_record and signer_log: None to read."""

    def __init__(
        self,
        bucket: Bucket,
        origin: str,
        signer_record: Sealer | None,
        signer_log: HeadSigner | None,
        trust: Trust,
        log_keys: Sequence[NoteKey] | NoteKey,
        *,
        kept: Sequence[Head] = (),
    ) -> None:
        super().__init__(bucket, origin, trust, log_keys, kept=kept)
        self.trust = trust
        self._signer_record = signer_record
        self._signer_log = signer_log
        self._own: Record | None = None
        self._free = range(0)

    def append(
        self, draft: Mapping[str, Any], *, expect_size: int, now: datetime, retention: timedelta
    ) -> Record:
        """Append a record at the head that it was decided on, and return once a signed head covers it.

        draft: from `record.draft` or `drafts`; expect_size: the size of that head; now: the time of the
        record; retention: how long nobody can delete it. A record that a dead writer left is completed
        first. Raises LostRace `audit.stale_head` when the log is not (or no longer) of that size,
        LockstepError `audit.clock_behind` when its newest record is from later than `now`.
        """
        return self.append_batch([draft], expect_size=expect_size, now=now, retention=retention)[0]

    def append_batch(
        self, drafts: Sequence[Mapping[str, Any]], *, expect_size: int, now: datetime, retention: timedelta
    ) -> list[Record]:
        """Append records one after the other under one head; all are covered when it returns.

        Raises LostRace `audit.stale_head` if the log is not of that size: then nothing was written; BatchCut
        (same code) if others took a later place: then `written` of them are there, and will be covered.
        """
        if not 1 <= len(drafts) <= MAX_BATCH:
            raise UsageError(
                f"a batch has 1 to {MAX_BATCH} records, not {len(drafts)}",
                code="audit.batch_size",
                remedy="write several batches, each at the head that the one before it made",
            )
        records = self._seal_all(drafts, expect_size, now, self._signers()[0])
        until = now + retention
        self._require_newest(expect_size, now=now, retention=retention)
        refuse_behind(self._newest_readable(), now)
        for place, record in enumerate(records):
            try:
                writing.put_record(self.bucket, record_key(record.index), record.leaf, until)
            except LostRace:
                if place == 0:
                    raise
                raise BatchCut(expect_size, place, len(records)) from None
        self.cover([leaf_hash(record.leaf) for record in records], until)
        self._own = records[-1]
        return records

    def _newest_readable(self) -> Record | None:
        """The newest record that is one. Garbage that a head covers has no time; a void record speaks of it.

        Raises IntegrityError for a record that is gone or was changed.
        """
        for index in range(self._known()[0].size - 1, -1, -1):
            if self._own is not None and self._own.index == index:
                return self._own
            try:
                return self.read(index)
            except (NotCounted, Deleted):
                continue
            except IntegrityError as error:
                if error.code in ("audit.object_missing", "audit.changed_byte", "audit.tile_wrong"):
                    raise
        return None

    def settle(self, *, now: datetime, retention: timedelta) -> Head:
        """Complete what a dead writer left, if anything, and return the newest head.

        A writer calls this before it reads the state that it decides on; otherwise its append completes
        the record that was left and then fails, because the head that was decided on is not the newest.
        """
        head = self.head()
        if head.size:
            writing.ensure_locked(self.bucket, head_key(head.size), head.note, now + retention)
        try:
            left = self._left(head)
        except IntegrityError as error:
            if error.code != "audit.pending_many" or self.head().size == head.size:
                raise
            return self.settle(now=now, retention=retention)  # others went on since the head was read
        return head if not left else self._finish(head, left, now + retention)

    def head(self) -> Head:
        self._free = range(0)
        return super().head()

    def pending(self) -> Record | None:
        """The first verified record beyond the newest head, if a writer died before covering it."""
        head, _ = self._known()
        left = self._left(head)
        return left[0] if left else None

    def _signers(self) -> tuple[Sealer, HeadSigner]:
        if self._signer_record is None or self._signer_log is None:
            raise UsageError(
                "this log was opened to read",
                code="audit.read_only",
                remedy="a writer needs the deployer's and the log's signing keys",
            )
        return self._signer_record, self._signer_log

    def _seal_all(
        self, drafts: Sequence[Mapping[str, Any]], first: int, now: datetime, signer: Sealer
    ) -> list[Record]:
        """The signed records. The first is read back as any reader would, so that nothing is written that
        nobody believes; the others are signed alike."""
        owners = [person.name for person in self.trust.people.values() if signer.keyid in person.keys]
        batch = {"batch": {"first": first, "count": len(drafts)}} if len(drafts) > 1 else {}
        sealed: list[Record] = []
        for index, draft in enumerate(drafts, first):
            about = {**(draft.get("log") or {}), **batch}
            fields = complete(
                {**draft, "log": about or None},
                index=index,
                origin=self.origin,
                time=to_text(now),
                person=owners[0] if owners else "",
                keyid=signer.keyid,
            )
            payload = canonical(fields)
            leaf = seal(signer.sign(PAYLOAD_TYPE, payload))
            if not sealed:
                sealed.append(open_record(leaf, index, self.origin, self.trust))
                continue
            told = parse(payload)
            sealed.append(Record(index, told["kind"], told["time"], owners[0], signer.keyid, told, leaf))
        return sealed

    def _require_newest(self, size: int, *, now: datetime, retention: timedelta) -> None:
        """The log has this size and its next place is free. Raises LostRace."""
        known = self._head
        looked = known is not None and known.size == size and size in self._free
        # Whoever appended in between has written the next head, or its record, which the PUT will meet.
        if known is not None and looked and self.bucket.head(head_key(size + 1)) is None:
            writing.ensure_locked(self.bucket, head_key(size), known.note, now + retention)
            return
        head = self.settle(now=now, retention=retention)
        if head.size != size:
            raise LostRace(f"the log has {head.size} records, the decision was made at {size}")

    def _left(self, head: Head) -> list[Record]:
        """What lies beyond a head and is to be completed: one record, or records of one batch in a row.

        Raises IntegrityError for a delete marker, for garbage at the next place, and `audit.pending_many`
        for a second record that is of no batch with the first.
        """
        listed: dict[str, list[Version]] = {}
        after = record_key(head.size - 1) if head.size else None
        for version in self.bucket.versions(RECORD_PREFIX, after, MAX_BATCH + 1):
            listed.setdefault(version.key, []).append(version)
        left: list[Record] = []
        for index in range(head.size, head.size + MAX_BATCH):
            version_there = sole_version(record_key(index), listed.get(record_key(index), []))
            if version_there is None:
                self._free = _free_places(index, listed)
                break
            record = self._opened(version_there, index, required=not left)
            if record is None:
                break  # garbage after what a writer left: it is looked at when that is covered
            if left and not of_one_batch(left[-1], record):
                raise IntegrityError(
                    f"there is more than one record beyond the head {head.size}",
                    code="audit.pending_many",
                    remedy="no writer leaves two; run `./lockstep audit verify`",
                )
            left.append(record)
        return left

    def _opened(self, version: Version, index: int, *, required: bool) -> Record | None:
        try:
            leaf = self.bucket.get(version.key, version.version_id)
            return open_record(leaf, index, self.origin, self.trust)
        except IntegrityError as error:
            if required:
                raise garbage(index, error) from None
            return None

    def _finish(self, head: Head, left: Sequence[Record], retain_until: datetime) -> Head:
        """Complete what a writer left who died between its records and its head."""
        for record in left:
            writing.lock_until(self.bucket, record_key(record.index), record.leaf, retain_until)
        return self.cover([leaf_hash(record.leaf) for record in left], retain_until)

    def cover(self, leaves: Sequence[bytes], retain_until: datetime) -> Head:
        """Write the tiles and the head that cover further leaf hashes, whose objects are there and locked."""
        head, tiles = self._known()
        signer = self._signers()[1]
        larger = writing.grow(self.bucket, tiles, head, leaves, retain_until, over=self.over)
        key = NoteKey(self.origin, signer.public_raw)
        grown = writing.put_head(
            self.bucket, larger.size, larger.root(), key, signer.sign_bytes, retain_until, over=self.over
        )
        self._head, self._kept, self._tiles = grown, (grown,), larger
        return grown


def _free_places(first: int, listed: Collection[str]) -> range:
    """The places from `first` on of which a listing showed nothing."""
    taken = [number for number in map(number_of, listed) if number is not None and number >= first]
    return range(first, min([first + LISTED, *taken]))
