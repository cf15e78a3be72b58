"""Verification: everything recomputed from what lies in the bucket, by rules alone.

Shares the format with the writer (`layout`, `note`, `record`, `state`) and nothing that builds or reads
the tree. Works on a running bucket, on its data folder and on an export, with everything else stopped.
The keys and the origin come from the reader, never from the log. What a log alone cannot show is a cut
tail: give a head that was kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from lockstep.audit import history
from lockstep.audit.beginning import find_beginning
from lockstep.audit.bucket import Bucket
from lockstep.audit.locks import judge_renewal, note_ends
from lockstep.audit.note import Head, NoteKey
from lockstep.audit.problem import Findings, Report
from lockstep.audit.recompute import Recomputed
from lockstep.audit.record import RecordTrust
from lockstep.audit.story import Story
from lockstep.audit.survey import judge_versions, take_survey
from lockstep.audit.walk import Progress, Walk


def verify(
    bucket: Bucket,
    origin: str,
    trust: RecordTrust,
    log_keys: Sequence[NoteKey],
    *,
    head: Head | None = None,
    kept: Sequence[Head] = (),
    history_dir: Path | None = None,
    now: datetime,
    retention: timedelta | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verify a whole log and say everything that is wrong with it, each problem naming its object.

    head: one kept elsewhere, which the log must contain; kept: more of them, which this machine kept;
    history_dir: Pulumi's history files to compare with what the records list; now: for locks that have
    ended; retention: for how long the reader's own config promises to hold each record; progress: called
    with (done, of).
    Raises Unavailable when the bucket cannot be read; what is wrong in it is never raised but reported.

    (0) list every version of every key; a key must be the one name of a record, head or tile
    (1) one version and no delete marker for each key
    (2) each version is locked in COMPLIANCE mode (what a dead writer left beyond the head is not yet), the
        log's own for as long as the log promises
    (3) each head has a good signature of a log key, the right origin, and the size of its name
    (4) each record up to the newest head is there, and its bytes give the root of every head; those that a
        `pruned` record says were deleted may be gone, their tiles may not
    (5) each record is canonical, signed by a deployer, and says its own index and origin; one that is not
        is named, with its bytes' digest, by a `void` record
    (6) each tile that an append of any size wrote is there and follows from the records; each size has its
        head, but for those inside a batch of records that got one head together
    (7) beyond the newest head: nothing, or what the next writer completes: one verified record, or
        verified records of one batch in a row
    (8) each head kept elsewhere is one of this log's
    (9) each outcome closes the open intent and carries what the records before it yield; no record is older
        than the one before it
    (10) each history file that a record lists is there with the same bytes
    (11) each lock lasts as long as the newest `renewed` record says
    """
    findings = Findings()
    survey = take_survey(bucket, origin, log_keys, now, findings)  # (0) (3)
    if survey.size == 0 and survey.heads_found:
        judge_versions(bucket, survey, now, findings)  # (1) (2)
        return Report(0, Recomputed().root().hex(), tuple(findings.problems), tuple(findings.notes))
    given = [*kept] if head is None else [head, *kept]
    beginning = find_beginning(bucket, origin, trust, survey)
    walk = Walk(bucket, origin, trust, survey, beginning, findings, {one.size for one in given})
    walk.records(progress)  # (4) (5) (6) (9)
    walk.beyond()  # (7)
    for one in given:
        walk.compare(one)  # (8)
    judge_versions(bucket, survey, now, findings)  # (1) (2)
    if retention is not None:
        survey.report_short_locks(walk.times, retention, findings)
    survey.report_unexpected(walk.tiles_seen, findings)
    if history_dir is not None:
        _compare_history(walk.story, history_dir, findings)  # (10)
    judge_renewal(survey.ends, walk.renewed, findings)  # (11)
    note_ends(survey.ends, survey.size, walk.newest_time, now, findings)
    newest = survey.heads[survey.size].root if survey.size else Recomputed().root().hex()
    problems, notes = tuple(findings.problems), tuple(findings.notes)
    return Report(survey.size, newest, problems, notes, beginning.size)


def _compare_history(story: Story, history_dir: Path, findings: Findings) -> None:
    for record in story.listings:
        for name, what in history.changed(history_dir, record["history"]):
            findings.add(
                "audit.history_edited",
                f"the history file {name}, listed by record {record.index}, {what}",
                index=record.index,
                key=name,
            )
