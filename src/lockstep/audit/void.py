"""Putting on the record that what lies at a place of the log is no record.

Whoever can write to the bucket can put anything at the next place, where it would block every writer. It is
locked, so that it cannot vanish; its hash becomes a leaf, under a signed head; and a `void` record names its
index and digest. Each step follows from what lies in the bucket, so that a killed run is gone on with by
the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockstep.audit.bucket import Bucket, LostRace, Version
from lockstep.audit.layout import MAX_RECORD_BYTES, RECORD_PREFIX, number_of, record_key
from lockstep.audit.log import Log
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


def clear_markers(log: Log, start: int) -> list[str]:
    """Take away the delete markers from an index on: they hold nothing, and hide what is or may be there."""
    after = record_key(start - 1) if start else None
    markers = [
        one
        for one in log.bucket.versions(RECORD_PREFIX, after, REACH)
        if one.delete_marker and _is_place(one)
    ]
    for one in markers:
        log.bucket.delete(one.key, one.version_id)
    return [one.key for one in markers]


def _is_place(version: Version) -> bool:
    return number_of(version.key) is not None


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
