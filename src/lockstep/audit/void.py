"""Putting on the record that what lies at a place of the log is no record.

Whoever can write to the bucket can put anything at the next place, where it would block every writer. It is
locked, so that it cannot vanish; its hash becomes a leaf, under a signed head; and a `void` record names its
index and digest. Each step follows from what lies in the bucket, so that a killed run is gone on with by
the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockstep.audit.bucket import Bucket, LostRace, Version
from lockstep.audit.layout import (
    HEAD_PREFIX,
    MAX_RECORD_BYTES,
    RECORD_PREFIX,
    head_key,
    number_of,
    record_key,
    size_with,
    tile_key,
    tiles_between,
)
from lockstep.audit.log import Log
from lockstep.audit.note import open_note
from lockstep.audit.reader import Deleted, NotCounted
from lockstep.audit.record import Record, draft, open_record
from lockstep.errors import IntegrityError, UsageError

REACH = 1000
"""How far beyond the newest head garbage is looked for. What lies further is met when the log gets there."""
_NEVER = ("audit.changed_byte", "audit.object_missing", "audit.tile_wrong")
"""What no void excuses: bytes that are not those that the heads were signed over."""


@dataclass(frozen=True)
class Garbage:
    """An object at the place of a record that does not verify. version: the one that was written first."""

    index: int
    version: Version
    digest: str
    leaf: bytes
    code: str
    why: str

    def as_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "key": self.version.key,
            "size": self.version.size,
            "digest": self.digest,
            "code": self.code,
            "why": self.why,
        }


def look(log: Log, start: int) -> list[Garbage]:
    """Everything from an index on that does not verify and that no record voids yet.

    Raises IntegrityError for bytes that differ from what the heads were signed over: no void excuses them.
    """
    head = log.head()
    if start > head.size + REACH:
        raise UsageError(
            f"place {start} is further than {REACH} beyond the end of the log, at {head.size}",
            code="audit.void_far",
            remedy="what lies there blocks nobody; it can be voided when the log gets there",
        )
    found = [_covered(log, index) for index in range(start, head.size)]
    found += [_beyond(log, version) for version in _first_versions(log.bucket, max(start, head.size))]
    return [one for one in found if one is not None]


def void_all(
    log: Log,
    start: int,
    reason: str,
    *,
    claimed: str,
    git: Mapping[str, Any] | None,
    clock: Callable[[], datetime],
    retention: timedelta,
) -> list[Record]:
    """Void everything that `look` finds, places between included; the void records that were written.

    Another writer in between is no failure: what lies in the bucket is looked at again.
    """
    written: list[Record] = []
    while found := look(log, start):
        head, now = log.head(), clock()
        next_place = [one for one in found if one.index == head.size]
        if next_place:
            _cover(log, next_place[0], now + retention)
            continue
        drafts = _drafts(found, head.size, reason, {"claimed": claimed, "git": git})
        try:
            made = log.append_batch(drafts, expect_size=head.size, now=now, retention=retention)
        except LostRace:
            continue
        written += [record for record in made if record.kind == "void"]
    return written


def _drafts(found: list[Garbage], size: int, reason: str, who: dict[str, Any]) -> list[dict[str, Any]]:
    """What to write at a free place: the void of everything that is covered, else what fills the places up to
    the next garbage, so that it can be covered."""
    covered = [one for one in found if one.index < size]
    if covered:
        return [
            draft("void", **who, reason=reason, log={"void": {"index": one.index, "digest": one.digest}})
            for one in covered
        ]
    why = f"fills the places before {found[0].index}, where an object lies that does not verify"
    return [draft("history", **who, history_reason=why)] * (found[0].index - size)


def strays(log: Log, start: int) -> list[Version]:
    """What nothing protects, nobody needs, and is in the way of a writer or reader, from an index on.

    Delete markers at the places of records hold nothing, and hide what is or may be there. Unlocked objects
    under the keys of heads and tiles still to be written are not the log's: it writes these with the same
    bytes whoever does it, and one that a dead writer left is written again. What somebody has locked there
    stays: the log goes over it (`go_over`).
    """
    versions = log.bucket.versions("")
    size = _size(log, versions)
    found = []
    for one in versions:
        number = number_of(one.key)
        if one.key.startswith(RECORD_PREFIX):
            due = one.delete_marker and number is not None and number >= start
        else:
            due = (size_with(one.key) or 0) > size and not _is_locked(log.bucket, one)
        found += [one] if due else []
    return found


def clear(log: Log, found: Sequence[Version]) -> None:
    """Take strays away."""
    for one in found:
        log.bucket.delete(one.key, one.version_id)


def in_the_way(log: Log) -> list[str]:
    """The keys that the next record's tiles and head need, and under which something lies already: nothing of
    the log's, as long as no writer left a record. It is locked, or `strays` would have named it."""
    size = log.head().size
    try:
        if log.pending() is not None:
            return []
    except IntegrityError:
        pass  # what lies at the next place is no record, so no writer got as far as its tiles and head
    keys = [head_key(size + 1), *(tile_key(*tile) for tile in tiles_between(size, size + 1))]
    return [key for key in keys if log.bucket.head(key) is not None]


def go_over(
    log: Log,
    keys: Sequence[str],
    reason: str,
    *,
    claimed: str,
    git: Mapping[str, Any] | None,
    clock: Callable[[], datetime],
    retention: timedelta,
) -> Record | None:
    """Write the log's own versions over what somebody locked under these keys, and say so in a record.

    log: one that goes over things (`Log.over`). A record that a writer left before a head that was in the way
    is covered, too. None where that was all.
    """
    head = log.settle(now=clock(), retention=retention)
    if not keys:
        return None
    why = f"goes over what somebody locked under {', '.join(keys)}"
    made = draft("history", claimed=claimed, git=git, reason=reason, history_reason=why)
    return log.append(made, expect_size=head.size, now=clock(), retention=retention)


def _size(log: Log, versions: Sequence[Version]) -> int:
    """The size of the newest head that verifies, whatever else lies under the keys of heads."""
    heads = [one for one in versions if one.key.startswith(HEAD_PREFIX) and not one.delete_marker]
    for one in reversed(heads):
        try:
            head = open_note(log.bucket.get(one.key, one.version_id), log.log_keys, log.origin)
        except IntegrityError:
            continue
        if head.size == number_of(one.key):
            return head.size
    return 0


def _is_locked(bucket: Bucket, version: Version) -> bool:
    found = None if version.delete_marker else bucket.head(version.key, version.version_id)
    return found is not None and found.locked_until() is not None


def _first_versions(bucket: Bucket, start: int) -> Iterator[Version]:
    """The version that was written first, at each taken place from `start` on."""
    after = record_key(start - 1) if start else None
    first: dict[str, Version] = {}
    for version in bucket.versions(RECORD_PREFIX, after, REACH):
        number = number_of(version.key)
        if number is not None and number < start + REACH and not version.delete_marker:
            first[version.key] = version  # the newest of a key is listed first
    yield from (first[key] for key in sorted(first))


def _covered(log: Log, index: int) -> Garbage | None:
    try:
        log.read(index)
    except (NotCounted, Deleted):
        return None
    except IntegrityError as error:
        if error.code in _NEVER:
            raise
        version = next(_first_versions(log.bucket, index))
        made = _garbage(log.bucket, index, version, error)
        log.require_leaf(index, made.leaf)
        return made
    return None


def _beyond(log: Log, version: Version) -> Garbage | None:
    index = number_of(version.key) or 0
    try:
        if version.size <= MAX_RECORD_BYTES:
            open_record(log.bucket.get(version.key, version.version_id), index, log.origin, log.trust)
            return None
        raise IntegrityError(f"it has {version.size} bytes, no record does", code="audit.object_too_large")
    except IntegrityError as error:
        return _garbage(log.bucket, index, version, error)


def _garbage(bucket: Bucket, index: int, version: Version, error: IntegrityError) -> Garbage:
    plain, leaf = hashlib.sha256(), hashlib.sha256(b"\x00")
    for data in bucket.chunks(version.key, version.version_id):
        plain.update(data)
        leaf.update(data)
    return Garbage(index, version, f"sha256:{plain.hexdigest()}", leaf.digest(), error.code, error.message)


def _cover(log: Log, garbage: Garbage, retain_until: datetime) -> None:
    """Lock it, then sign a head over it."""
    key, version_id = garbage.version.key, garbage.version.version_id
    found = log.bucket.head(key, version_id)
    until = found.locked_until() if found else None
    if until is None or until < retain_until:
        log.bucket.lock(key, version_id, retain_until)
    log.cover([garbage.leaf], retain_until)
