"""Reading and appending. A head is believed for its signature, a record for its signature and its place.

Reading finds the newest head in a handful of requests, whatever the size of the log; so does appending.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from lockstep.audit import append as writing
from lockstep.audit.bucket import Bucket, LostRace, Version, to_text
from lockstep.audit.clock import refuse_behind
from lockstep.audit.heads import newest_head, require_continued, sole_version
from lockstep.audit.layout import MAX_SIZE, head_key, record_key
from lockstep.audit.merkle import EMPTY_ROOT, Tiles, leaf_hash, root_from_path
from lockstep.audit.note import Head, NoteKey
from lockstep.audit.record import PAYLOAD_TYPE, Record, complete, open_record, seal
from lockstep.audit.state import State, fold, resume
from lockstep.canonical import canonical
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence.keys import Signer, Trust


class Log:
    """One stack's audit log in one bucket.

    origin: the log's name, `lockstep/<stack>`; signer_record and signer_log: needed to append, None to
    read; log_keys: whose heads are believed; kept: heads seen earlier, which the log must go on from.
    """

    def __init__(
        self,
        bucket: Bucket,
        origin: str,
        signer_record: Signer | None,
        signer_log: Signer | None,
        trust: Trust,
        log_keys: Sequence[NoteKey] | NoteKey,
        *,
        kept: Sequence[Head] = (),
    ) -> None:
        self.bucket = bucket
        self.origin = origin
        self.trust = trust
        self.log_keys = (log_keys,) if isinstance(log_keys, NoteKey) else tuple(log_keys)
        self._signer_record = signer_record
        self._signer_log = signer_log
        self._kept = tuple(kept)
        self._head: Head | None = None
        self._tiles: Tiles | None = None
        self._own: Record | None = None

    def head(self) -> Head:
        """The newest head, verified and read again on every call; a log without records has size 0.

        Raises IntegrityError when the newest head is hidden or forged, or does not go on from those seen
        earlier, by this object or before it (`kept`); Unavailable when the bucket does not answer.
        """
        hint = max((kept.size for kept in self._kept), default=0)
        found = newest_head(self.bucket, self.log_keys, self.origin, hint)
        head = found or Head(self.origin, 0, EMPTY_ROOT.hex())
        tiles = self._tiles
        if tiles is None or tiles.size != head.size:
            tiles = Tiles(head.size, self.bucket.get)
        for before in self._kept:
            require_continued(before, head, tiles)
        self._head, self._tiles, self._kept = head, tiles, (head,)
        return head

    @property
    def seen(self) -> Head | None:
        """The newest head that this object has read or written; asks nobody."""
        return self._head

    def _known(self) -> tuple[Head, Tiles]:
        head = self._head or self.head()
        return head, self._tiles or Tiles(head.size, self.bucket.get)

    def read(self, index: int) -> Record:
        """The record at an index, verified: its signature, its place, and its inclusion in the head.

        Raises UsageError `audit.no_such_record` beyond the head, IntegrityError for what does not verify.
        """
        head, tiles = self._known()
        if not 0 <= index < head.size:
            raise UsageError(
                f"there is no record {index}; the log has {head.size}",
                code="audit.no_such_record",
                remedy="`./lockstep audit show --last 10` lists the newest",
            )
        leaf = self.bucket.get(record_key(index))
        root = root_from_path(leaf_hash(leaf), index, head.size, tiles.inclusion(index))
        if root is None or root.hex() != head.root:
            raise IntegrityError(
                f"{record_key(index)} is not the record that the head {head.size} was signed over",
                code="audit.changed_byte",
                remedy="run `./lockstep audit verify`: the record, a tile or both were changed",
            )
        return open_record(leaf, index, self.origin, self.trust)

    def newest(self, kinds: Collection[str], *, before: int | None = None) -> Record | None:
        """The newest record of one of these kinds with an index below `before`; None without one."""
        head, _ = self._known()
        for index in range(min(head.size, MAX_SIZE if before is None else before) - 1, -1, -1):
            record = self.read(index)
            if record.kind in kinds:
                return record
        return None

    def tail(self, start: int) -> list[Record]:
        """The records from `start` on, in order."""
        head, _ = self._known()
        return [self.read(index) for index in range(max(start, 0), head.size)]

    def state(self) -> State:
        """What holds at the newest head: the newest outcome and what follows it, nothing older is read."""
        head = self.head()
        after: list[Record] = []
        for index in range(head.size - 1, -1, -1):
            record = self.read(index)
            if record.kind == "outcome":
                return fold(reversed(after), resume(record))
            after.append(record)
        return fold(reversed(after))

    def outcome_of(self, intent: int) -> Record | None:
        """The outcome that closed an intent; None while it is open."""
        head, _ = self._known()
        for index in range(intent + 1, head.size):
            record = self.read(index)
            if record.kind == "outcome" and record["intent"] == intent:
                return record
            if record.kind == "intent":
                return None
        return None

    def pending(self) -> Record | None:
        """The one verified record beyond the newest head, if a writer died after writing it."""
        head, _ = self._known()
        version = self._place(head.size)
        if version is None:
            return None
        leaf = self.bucket.get(version.key, version.version_id)
        return open_record(leaf, head.size, self.origin, self.trust)

    def _place(self, index: int) -> Version | None:
        """The version that lies at an index; None for a free place. A delete marker is no free place."""
        key = record_key(index)
        return sole_version(key, [one for one in self.bucket.versions(key) if one.key == key])

    def append(
        self, draft: Mapping[str, Any], *, expect_size: int, now: datetime, retention: timedelta
    ) -> Record:
        """Append a record at the head that it was decided on, and return once a signed head covers it.

        draft: from `record.draft` or `drafts`; expect_size: the size of that head; now: the time of the
        record; retention: how long nobody can delete it. A record that a dead writer left is completed
        first. Raises LostRace `audit.stale_head` when the log is not (or no longer) of that size,
        LockstepError `audit.clock_behind` when its newest record is from later than `now`.
        """
        signers = self._signers()
        head = self.settle(now=now, retention=retention)
        if head.size != expect_size:
            raise LostRace(f"the log has {head.size} records, the decision was made at {expect_size}")
        refuse_behind(self._newest_readable(), now)
        leaf = self._seal(draft, expect_size, now, signers[0])
        record = open_record(leaf, expect_size, self.origin, self.trust)
        writing.put_record(self.bucket, record_key(expect_size), leaf, now + retention)
        self._cover(leaf, now + retention)
        self._own = record
        return record

    def _newest_readable(self) -> Record | None:
        """The newest record that is one. Garbage that a head covers has no time; a void record speaks of it.

        Raises IntegrityError for a record that is gone or was changed.
        """
        for index in range(self._known()[0].size - 1, -1, -1):
            if self._own is not None and self._own.index == index:
                return self._own
            try:
                return self.read(index)
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
        return head if self.pending() is None else self._finish(head, now + retention)

    def _signers(self) -> tuple[Signer, Signer]:
        if self._signer_record is None or self._signer_log is None:
            raise UsageError(
                "this log was opened to read",
                code="audit.read_only",
                remedy="a writer needs the deployer's and the log's signing keys",
            )
        return self._signer_record, self._signer_log

    def _seal(self, draft: Mapping[str, Any], index: int, now: datetime, signer: Signer) -> bytes:
        owners = [person.name for person in self.trust.people.values() if signer.keyid in person.keys]
        record = complete(
            draft,
            index=index,
            origin=self.origin,
            time=to_text(now),
            person=owners[0] if owners else "",
            keyid=signer.keyid,
        )
        return seal(signer.sign(PAYLOAD_TYPE, canonical(record)))

    def _finish(self, head: Head, retain_until: datetime) -> Head:
        """Complete what a writer left who died between its record and its head."""
        key = record_key(head.size)
        if self.bucket.versions(record_key(head.size + 1)):
            # Others may have gone on since the head was read; a second record needs the first one's head.
            newer = self.head()
            if newer.size > head.size:
                return newer
            raise IntegrityError(
                f"there is more than one record beyond the head {head.size}",
                code="audit.pending_many",
                remedy="no writer leaves two; run `./lockstep audit verify`",
            )
        leaf = self.bucket.get(key)
        writing.ensure_locked(self.bucket, key, leaf, retain_until)
        return self._cover(leaf, retain_until)

    def _cover(self, leaf: bytes, retain_until: datetime) -> Head:
        """Write the tiles and the head that cover one more leaf."""
        head, tiles = self._known()
        signer = self._signers()[1]
        root = writing.put_tiles(self.bucket, tiles, head, leaf_hash(leaf), retain_until)
        key = NoteKey(self.origin, signer.public_raw)
        grown = writing.put_head(self.bucket, head.size + 1, root, key, signer.sign_bytes, retain_until)
        self._head, self._kept = grown, (grown,)
        self._tiles = Tiles(grown.size, self.bucket.get)
        return grown
