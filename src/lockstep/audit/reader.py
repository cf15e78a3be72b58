"""The half that only looks. A head is believed for its signature, a record for its signature and its place.

Reading finds the newest head in a handful of requests, whatever the size of the log. What a `void` record
names is skipped, and what a `pruned` record says was deleted is where reading ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from lockstep.audit.about import Pruned, Void, pruned_of, void_of
from lockstep.audit.bucket import Bucket, Version
from lockstep.audit.heads import newest_head, require_continued
from lockstep.audit.layout import MAX_RECORD_BYTES, MAX_SIZE, record_key
from lockstep.audit.merkle import EMPTY_ROOT, Tiles, leaf_hash, root_from_path
from lockstep.audit.note import Head, NoteKey
from lockstep.audit.record import Record, RecordTrust, open_record
from lockstep.audit.state import State, fold, resume
from lockstep.canonical import digest
from lockstep.errors import IntegrityError, LockstepError, UsageError

_LOOK_AGAIN = (
    "audit.changed_byte",
    "audit.object_missing",
    "audit.object_too_large",
    "audit.tile_wrong",
)
"""What a newer version over an object, or a delete marker, looks like."""


class NotCounted(LockstepError):
    """The object at an index is no record, and a `void` record says so. by: the index of that record."""

    def __init__(self, index: int, by: int) -> None:
        super().__init__(
            f"record {index} does not count: it never verified, and record {by} voids it",
            code="audit.void",
            remedy=f"`./lockstep audit show {by}` says who voided it and why",
        )


class Deleted(LockstepError):
    """A record that was pruned on the record. by: the index of the `pruned` record."""

    def __init__(self, index: int, by: int, pruned: Pruned) -> None:
        super().__init__(
            f"record {index} was pruned: record {by} says that those below {pruned.size} were deleted",
            code="audit.pruned",
            remedy=f"`./lockstep audit show {by}` says who did it and why; an export made before has it",
        )


class Reader:
    """One stack's audit log in one bucket.

    origin: the log's name, `lockstep/<stack>`; log_keys: whose heads are believed; kept: heads seen earlier,
    which the log must go on from.
    """

    def __init__(
        self,
        bucket: Bucket,
        origin: str,
        trust: RecordTrust,
        log_keys: Sequence[NoteKey] | NoteKey,
        *,
        kept: Sequence[Head] = (),
    ) -> None:
        self.bucket = bucket
        self.origin = origin
        self.log_keys = (log_keys,) if isinstance(log_keys, NoteKey) else tuple(log_keys)
        self._trust = trust
        self._kept = tuple(kept)
        self.over = False
        """Whether to go over what somebody put under the keys of the next head and tiles (`void`)."""
        self._head: Head | None = None
        self._tiles: Tiles | None = None

    def head(self) -> Head:
        """The newest head, verified and read again on every call; a log without records has size 0.

        Raises IntegrityError when the newest head is hidden or forged, or does not go on from those seen
        earlier, by this object or before it (`kept`); Unavailable when the bucket does not answer.
        """
        hint = max((kept.size for kept in self._kept), default=0)
        found = newest_head(self.bucket, self.log_keys, self.origin, hint, over=self.over)
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

        Raises UsageError `audit.no_such_record` beyond the head, NotCounted, Deleted, IntegrityError for
        what does not verify.
        """
        head, _ = self._known()
        if not 0 <= index < head.size:
            raise UsageError(
                f"there is no record {index}; the log has {head.size}",
                code="audit.no_such_record",
                remedy="`./lockstep audit show --last 10` lists the newest",
            )
        try:
            return self._open(index)
        except IntegrityError as error:
            if error.code == "audit.changed_byte":
                raise  # nothing excuses bytes that the heads were not signed over
            raise self._instead(index, error) from None

    def newest_first(self) -> Iterator[Record]:
        """The records that count, from the newest to the first, or to where the log was pruned."""
        head, _ = self._known()
        yield from self._down(head.size, 0)

    def _down(self, end: int, start: int) -> Iterator[Record]:
        for index in range(end - 1, start - 1, -1):
            try:
                yield self.read(index)
            except NotCounted:
                continue
            except Deleted:
                return

    def newest(self, kinds: Collection[str], *, before: int | None = None) -> Record | None:
        """The newest record of one of these kinds with an index below `before`; None without one."""
        head, _ = self._known()
        end = min(head.size, MAX_SIZE if before is None else before)
        return next((record for record in self._down(end, 0) if record.kind in kinds), None)

    def tail(self, start: int) -> list[Record]:
        """The records from `start` on that count, in order."""
        head, _ = self._known()
        return list(self._down(head.size, max(start, 0)))[::-1]

    def state(self) -> State:
        """What holds at the newest head: the newest outcome and what follows it, nothing older is read."""
        self.head()
        after: list[Record] = []
        for record in self.newest_first():
            if record.kind == "outcome":
                return fold(reversed(after), resume(record))
            after.append(record)
        return fold(reversed(after))

    def outcome_of(self, intent: int) -> Record | None:
        """The outcome that closed an intent; None while it is open."""
        head, _ = self._known()
        for index in range(intent + 1, head.size):
            try:
                record = self.read(index)
            except NotCounted:
                continue
            if record.kind == "outcome" and record["intent"] == intent:
                return record
            if record.kind == "intent":
                return None
        return None

    def root_of(self, size: int) -> str:
        """The root (hex) over the first `size` records, from tiles that give the newest head's root."""
        head, tiles = self._known()
        if tiles.root().hex() != head.root:
            raise IntegrityError(
                f"the tiles of the head {head.size} do not give its root",
                code="audit.tile_wrong",
                remedy="run `./lockstep audit verify` to see which tile was changed",
            )
        return tiles.range(0, size).hex()

    def _open(self, index: int) -> Record:
        return open_record(self._leaf(index), index, self.origin, self._trust)

    def _leaf(self, index: int) -> bytes:
        """The bytes that the newest head was signed over.

        Of several versions of a key the first is the log's own: who writes over an object, or hides it,
        is named by verification and stops no reader.
        """
        key = record_key(index)
        try:
            data = self.bucket.get(key)
            self.require_leaf(index, leaf_hash(data))
            return data
        except IntegrityError as error:
            if error.code not in _LOOK_AGAIN:
                raise
        head, _ = self._known()
        self._tiles = Tiles(head.size, self._first)
        data = self._first(key)
        self.require_leaf(index, leaf_hash(data))
        return data

    def require_leaf(self, index: int, leaf: bytes) -> None:
        """Raise IntegrityError `audit.changed_byte` unless the newest head was signed over this leaf hash."""
        head, tiles = self._known()
        root = root_from_path(leaf, index, head.size, tiles.inclusion(index))
        if root is None or root.hex() != head.root:
            raise IntegrityError(
                f"{record_key(index)} is not the record that the head {head.size} was signed over",
                code="audit.changed_byte",
                remedy="run `./lockstep audit verify`: the record, a tile or both were changed",
            )

    def _original(self, key: str) -> Version | None:
        """The version that was written first; None where nothing was."""
        written = [one for one in self.bucket.versions(key) if one.key == key and not one.delete_marker]
        return written[-1] if written else None

    def _first(self, key: str) -> bytes:
        version = self._original(key)
        return self.bucket.get(key, version.version_id if version else None)

    def _instead(self, index: int, error: IntegrityError) -> LockstepError:
        """What to say of an object that is no record: pruned, voided, or still a problem."""
        head, _ = self._known()
        if error.code == "audit.object_missing":
            for record in self._that_verify(range(head.size - 1, index, -1)):
                pruned = pruned_of(record)
                if pruned is not None and index < pruned.size:
                    return Deleted(index, record.index, pruned)
            return error
        for record in self._that_verify(range(index + 1, head.size)):
            void = void_of(record)
            if void is not None and void.index == index and self._names(void):
                return NotCounted(index, record.index)
        return garbage(index, error)

    def _that_verify(self, indexes: Iterable[int]) -> Iterator[Record]:
        for index in indexes:
            try:
                yield self._open(index)
            except IntegrityError:
                continue

    def _names(self, void: Void) -> bool:
        """Whether a void names the bytes that lie there. More bytes than a record may have: they count for
        nothing in any case, and only verification reads them all."""
        version = self._original(record_key(void.index))
        if version is None or version.size > MAX_RECORD_BYTES:
            return version is not None
        return digest(self.bucket.get(version.key, version.version_id)) == void.digest


def garbage(index: int, error: IntegrityError) -> IntegrityError:
    """The error for an object that is no record, with the next step."""
    return IntegrityError(
        f"what lies at {record_key(index)} is no record of this log: {error.message}",
        code=error.code,
        remedy=f'./lockstep audit void {index} --reason "who wrote it, if you know"',
    )
