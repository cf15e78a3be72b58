"""Deleting the oldest records of a log once their locks have ended, on the record.

A `pruned` record with the size and root of what goes is written first. Tiles stay: every later root is
still recomputed. A killed run is gone on with by the next one, without another record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockstep.audit.about import pruned_of
from lockstep.audit.bucket import Version, to_text
from lockstep.audit.layout import HEAD_PREFIX, RECORD_PREFIX, number_of
from lockstep.audit.log import Log
from lockstep.audit.record import Record, draft
from lockstep.audit.state import State
from lockstep.errors import LockstepError, UsageError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pruning:
    """What is to be done. head: the size of the log it was planned on; root: in hex, of the first `size`
    records; due: the versions to delete, oldest first; record: whether a `pruned` record comes first."""

    head: int
    size: int
    root: str
    due: tuple[Version, ...]
    record: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "before": self.size,
            "root": self.root,
            "objects": len(self.due),
            "goes_on": bool(self.due) and not self.record,
        }


def plan(log: Log, before: int, *, now: datetime) -> Pruning:
    """What it takes to have the log begin at the outcome `before`.

    Raises UsageError `audit.prune_not_outcome`, `audit.prune_needed` (something in force refers to an older
    record), LockstepError `audit.still_locked` while one lock of what would go has not ended.
    """
    state = log.state()
    head = log.head()
    record = log.read(before)
    if record.kind != "outcome":
        older = next(
            (one.index for one in log.newest_first() if one.kind == "outcome" and one.index < before), 0
        )
        raise UsageError(
            f"record {before} is no outcome but {record.kind}: the state cannot go on from it",
            code="audit.prune_not_outcome",
            remedy=f"name an outcome; the nearest older one is {older}",
        )
    oldest = _oldest_needed(state)
    if before > oldest:
        raise UsageError(
            f"record {oldest} is still needed: what is in force refers to it",
            code="audit.prune_needed",
            remedy=f"name an outcome that is not younger than {oldest}",
        )
    due = tuple(
        version
        for version in sorted(_objects(log), key=lambda one: (number_of(one.key) or 0, one.key))
        if (number_of(version.key) or 0) < before
    )
    _require_ended(log, due, now)
    newest = log.newest({"pruned"})
    said = pruned_of(newest) if newest is not None else None
    root = log.root_of(before)
    return Pruning(head.size, before, root, due, said is None or said.size < before)


def prune(
    log: Log,
    pruning: Pruning,
    reason: str,
    *,
    claimed: str,
    git: Mapping[str, Any] | None,
    now: datetime,
    retention: timedelta,
    progress: Progress | None = None,
) -> Record | None:
    """Do it; the record that was written, None where an earlier one said it already. Nothing is deleted
    before a signed head covers that record. Raises LostRace if the log has grown since the plan."""
    made = None
    if pruning.record:
        said = {"size": pruning.size, "root": pruning.root}
        made = log.append(
            draft("pruned", claimed=claimed, git=git, reason=reason, log={"pruned": said}),
            expect_size=pruning.head,
            now=now,
            retention=retention,
        )
    for done, version in enumerate(pruning.due, 1):
        log.bucket.delete(version.key, version.version_id)
        if progress is not None:
            progress(done, len(pruning.due))
    return made


def _objects(log: Log) -> list[Version]:
    found = [*log.bucket.versions(RECORD_PREFIX), *log.bucket.versions(HEAD_PREFIX)]
    return [version for version in found if number_of(version.key) is not None]


def _oldest_needed(state: State) -> int:
    """The oldest record that something in force refers to."""
    needed = [index for regions in state.cell_intent.values() for index in regions.values()]
    needed += [one["since"] for regions in state.promotion.values() for one in regions.values()]
    if state.newest_outcome is not None:
        needed.append(state.newest_outcome.index)
    if state.open_intent is not None:
        needed.append(state.open_intent.index)
    return min(needed, default=0)


def _require_ended(log: Log, due: tuple[Version, ...], now: datetime) -> None:
    ends = []
    for version in due:
        found = None if version.delete_marker else log.bucket.head(version.key, version.version_id)
        until = found.locked_until() if found else None
        if until is not None and until > now:
            ends.append(until)
    if ends:
        raise LockstepError(
            f"{len(ends)} of the {len(due)} objects to delete are still locked, the last one until "
            f"{to_text(max(ends))[:19]} UTC",
            code="audit.still_locked",
            remedy="name an older outcome, or wait: nobody can delete them before",
        )
