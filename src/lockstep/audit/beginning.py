"""Where a log begins whose oldest records were deleted on the record: the newest `pruned` record says it."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.audit.about import Pruned, pruned_of
from lockstep.audit.bucket import Bucket
from lockstep.audit.layout import record_key
from lockstep.audit.problem import Findings
from lockstep.audit.record import Record, RecordTrust, open_record
from lockstep.audit.survey import Survey
from lockstep.errors import IntegrityError


@dataclass(frozen=True)
class Beginning:
    """size: of the log up to where its records may be gone; by: the record that says so."""

    size: int = 0
    by: Record | None = None


def find_beginning(bucket: Bucket, origin: str, trust: RecordTrust, survey: Survey) -> Beginning:
    """From which record on a log must be whole; 0 for one with nothing missing or without a `pruned` record.

    What is found here is only believed because the walk that follows finds it under the signed heads.
    """
    there = survey.records()
    if len(there) == survey.size:
        return Beginning()
    for index in reversed(there):
        version = survey.original(record_key(index))
        try:
            data = bucket.get(version.key, version.version_id) if version is not None else b""
            record = open_record(data, index, origin, trust)
        except IntegrityError:
            continue
        pruned = pruned_of(record)
        if pruned is not None and pruned.size <= index:
            return Beginning(pruned.size, record)
    return Beginning()


def judge_pruning(record: Record, roots: dict[int, str], findings: Findings) -> None:
    """A `pruned` record names the root of what was deleted, and nothing that was not there yet."""
    pruned: Pruned | None = pruned_of(record)
    if pruned is None:
        return
    if pruned.size > record.index or roots.get(pruned.size) != pruned.root:
        message = f"record {record.index} says that {pruned.size} records were pruned under another root"
        findings.add("audit.prune_wrong", message, index=record.index)


def note_beginning(beginning: Beginning, survey: Survey, findings: Findings) -> None:
    """Say from where on the log was verified."""
    if beginning.by is None:
        return
    left = sum(index < beginning.size for index in survey.records())
    rest = f"; {left} of them are still there: run `./lockstep audit prune` again" if left else ""
    findings.add(
        "audit.pruned",
        f"the records below {beginning.size} were pruned, as record {beginning.by.index} of "
        f"{beginning.by.person} says; verified from record {beginning.size} on{rest}",
        index=beginning.by.index,
    )
