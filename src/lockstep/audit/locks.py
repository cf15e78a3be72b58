"""When locks end, and what the log says about how long they last."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from lockstep.audit.about import Renewed
from lockstep.audit.bucket import Bucket
from lockstep.audit.layout import HEAD_PREFIX, record_key, size_with
from lockstep.audit.problem import Findings

SOON = timedelta(days=30)
"""A lock ends soon when less than this is left of it and less than a tenth of what it was made for."""


def ends_soon(end: datetime, now: datetime, length: timedelta) -> bool:
    """Whether a lock that was made for `length` should be renewed."""
    return end - now < min(SOON, length / 10)


def first_end(bucket: Bucket) -> datetime | None:
    """When the lock of the oldest head ends, in two requests: locks are made alike, so this one ends first.
    `audit verify` looks at all of them. None for a log without heads, or an oldest head without a lock."""
    oldest = bucket.versions(HEAD_PREFIX, limit=1)
    found = bucket.head(oldest[-1].key, oldest[-1].version_id) if oldest else None
    return found.locked_until() if found else None


def of_log(key: str, size: int) -> bool:
    """Whether a log of this size has this object."""
    least = size_with(key)
    return least is not None and least <= size


def judge_renewal(ends: Mapping[str, datetime], renewed: Renewed | None, findings: Findings) -> None:
    """Each object is locked for as long as the newest `renewed` record says."""
    if renewed is None:
        return
    for key, end in sorted(ends.items()):
        if of_log(key, renewed.size) and end < renewed.until:
            message = (
                f"the lock of {key} ends at {end:%Y-%m-%d %H:%M:%S} UTC, before the renewal's "
                f"{renewed.until:%Y-%m-%d %H:%M:%S}: run `./lockstep audit renew`, which goes on with it"
            )
            findings.add("audit.lock_short", message, key=key)
    if renewed.lapsed:
        message = (
            f"{renewed.lapsed} locks had ended before they were renewed: nothing protected these objects"
        )
        findings.add("audit.lock_lapsed", f"{message} in between")


def note_ends(
    ends: Mapping[str, datetime], size: int, newest_time: datetime | None, now: datetime, findings: Findings
) -> None:
    """Warn of the first lock to end, when that is soon. newest_time: of the newest record, whose lock tells
    for how long locks are made."""
    to_come = {key: end for key, end in ends.items() if end > now and of_log(key, size)}
    newest = ends.get(record_key(size - 1)) if size else None
    if not to_come or newest is None or newest_time is None:
        return
    key = min(to_come, key=lambda name: to_come[name])
    if ends_soon(to_come[key], now, newest - newest_time):
        message = (
            f"the lock of {key} ends at {to_come[key]:%Y-%m-%d %H:%M:%S} UTC: run `./lockstep audit renew`"
        )
        findings.add("audit.lock_ends_soon", message, key=key)
