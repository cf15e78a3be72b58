"""Extending the locks of a log before they end.

A `renewed` record says first until when everything that the log holds will be locked; then each lock is
extended, those that end first first. A killed run is gone on with by the next one: what the newest
`renewed` record says and the bucket does not hold yet is what is left to do, and what verification reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lockstep.audit.about import renewed_of
from lockstep.audit.bucket import Bucket, to_text
from lockstep.audit.locks import of_log
from lockstep.audit.log import Log
from lockstep.audit.record import Record, draft
from lockstep.errors import IntegrityError

SLACK = timedelta(days=1)
"""A lock that ends less than this before what is asked for is left alone: a second run has nothing to do."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Lock:
    """The lock of one object of the log. end: None where there is none."""

    key: str
    version_id: str
    end: datetime | None

    def lasts(self, until: datetime) -> bool:
        return self.end is not None and self.end >= until


@dataclass(frozen=True)
class Renewal:
    """What is to be done. due: the locks to extend; record: whether a `renewed` record comes first (else the
    newest one says it already); earliest: when the first lock of the log ends; lapsed: how many have ended.
    """

    size: int
    until: datetime
    due: tuple[Lock, ...]
    record: bool
    earliest: datetime | None
    lapsed: int

    def as_json(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "until": to_text(self.until),
            "objects": len(self.due),
            "earliest_end": to_text(self.earliest) if self.earliest else None,
            "lapsed": self.lapsed,
            "goes_on": bool(self.due) and not self.record,
        }


def plan(log: Log, *, now: datetime, length: timedelta) -> Renewal:
    """What it takes to have everything in the log locked for `length` from now."""
    size = log.head().size
    locks = locks_of(log.bucket, size)
    ends = [lock.end for lock in locks if lock.end is not None]
    lapsed = sum(not lock.lasts(now) for lock in locks)
    earliest = min(ends, default=None)
    target = _next_midnight(now + length)
    newest = log.newest({"renewed"})
    last = renewed_of(newest) if newest is not None else None
    left: tuple[Lock, ...] = ()
    if last is not None:
        left = tuple(one for one in locks if of_log(one.key, last.size) and not one.lasts(last.until))
        others = [one for one in locks if one not in left and not one.lasts(target - SLACK)]
        if left and not others and last.until >= target - SLACK:
            return Renewal(last.size, last.until, left, False, earliest, lapsed)
    if all(lock.lasts(target - SLACK) for lock in locks) and not left:
        return Renewal(size, target, (), False, earliest, lapsed)
    due = tuple(lock for lock in locks if not lock.lasts(target))
    return Renewal(size, target, due, True, earliest, lapsed)


def renew(
    log: Log,
    renewal: Renewal,
    *,
    claimed: str,
    git: Mapping[str, Any] | None,
    now: datetime,
    retention: timedelta,
    progress: Progress | None = None,
) -> Record | None:
    """Do it; the record that was written, None where an earlier one said it already.

    Raises LostRace if the log has grown since the plan, IntegrityError `audit.unlocked` for an object that
    the bucket does not lock.
    """
    made = None
    if renewal.record:
        said = {"size": renewal.size, "until": to_text(renewal.until), "lapsed": renewal.lapsed}
        made = log.append(
            draft("renewed", claimed=claimed, git=git, log={"renewed": said}),
            expect_size=renewal.size,
            now=now,
            retention=max(retention, renewal.until - now),
        )
    for done, lock in enumerate(_soonest_first(renewal.due), 1):
        log.bucket.lock(lock.key, lock.version_id, renewal.until)
        found = log.bucket.head(lock.key, lock.version_id)
        until = found.locked_until() if found else None
        if until is None or until < renewal.until:
            raise IntegrityError(
                f"the bucket did not extend the lock of {lock.key}: it ends {until or 'never began'}",
                code="audit.unlocked",
                remedy="run `./lockstep audit verify`, then `./lockstep audit renew` again",
            )
        if progress is not None:
            progress(done, len(renewal.due))
    return made


def locks_of(bucket: Bucket, size: int) -> list[Lock]:
    """The lock of each object that a log of this size has; of several versions the one written first."""
    first: dict[str, str] = {}
    for version in bucket.versions(""):
        if not version.delete_marker and of_log(version.key, size):
            first[version.key] = version.version_id  # the newest of a key is listed first
    found = []
    for key, version_id in first.items():
        looked = bucket.head(key, version_id)
        found.append(Lock(key, version_id, looked.locked_until() if looked else None))
    return found


def _soonest_first(locks: Sequence[Lock]) -> list[Lock]:
    return sorted(locks, key=lambda lock: lock.end or datetime.min.replace(tzinfo=UTC))


def _next_midnight(moment: datetime) -> datetime:
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if day == moment else day + timedelta(days=1)
