"""Time never goes backwards along the log. Pure.

A record says its own time, and nothing but the order of the records can be held against it. So a writer
whose clock is behind the newest record is refused, and verification names a record that is older than the
one before it. What a bucket says about when an object was written is compared too, and is a note only: a
bucket that was copied from a backup says the time of the copy, and on one's own disk anybody can set it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from lockstep.audit.bucket import from_text, to_text
from lockstep.audit.problem import Findings
from lockstep.audit.record import Record
from lockstep.errors import LockstepError

APART = timedelta(minutes=15)
"""How far a record's time and the bucket's may be apart; S3 refuses requests dated further off than this."""


def refuse_behind(newest: Record | None, now: datetime) -> None:
    """Raise LockstepError `audit.clock_behind` when `now` is before the newest record's time."""
    if newest is None or from_text(newest.time) <= now:
        return
    behind = from_text(newest.time) - now
    raise LockstepError(
        f"this machine's clock says {to_text(now)}, record {newest.index} was written at {newest.time}: "
        "a record is never dated back",
        code="audit.clock_behind",
        remedy=f"set the clock, which is {behind.total_seconds():.3f} s behind at least, and run it again",
    )


class Clock:
    """Follows the times of the records, in order, and reports what cannot be."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._newest: Record | None = None
        self._apart: list[int] = []

    def add(self, record: Record, key: str, written: datetime | None) -> None:
        """The next record that verifies. written: when the bucket says that its object was written."""
        time = from_text(record.time)
        if self._newest is not None and time < from_text(self._newest.time):
            self._findings.add(
                "audit.dated_back",
                f"record {record.index} says {record.time}, which is before record {self._newest.index} "
                f"({self._newest.time})",
                index=record.index,
                key=key,
            )
        else:
            self._newest = record
        if written is not None and abs(written - time) > APART:
            self._apart.append(record.index)

    def close(self) -> None:
        """One note for all records whose object was written at another time than they say."""
        if self._apart:
            self._findings.add(
                "audit.written_apart",
                f"{len(self._apart)} records, the first of them {self._apart[0]}, are more than "
                f"{APART.total_seconds() / 60:.0f} minutes from when the bucket says they were written: "
                "so it is after a restore from a backup, and where records were dated back",
                index=self._apart[0],
            )
