"""`./lockstep audit void`, `renew` and `prune`: what keeps a log usable over years, each on the record."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from lockstep.audit import prune as pruning
from lockstep.audit import renew as renewing
from lockstep.audit import void as voiding
from lockstep.audit.void import Garbage
from lockstep.cli.audit_open import is_elsewhere, open_to_write, paths_in_context, stack_option
from lockstep.cli.context import confirm_or_stop, dry_run_option
from lockstep.cli.output import emit, output_option, say
from lockstep.errors import UsageError
from lockstep.workspace import Workspace

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
SAY_EVERY_S = 1.0


@click.command(
    "void", epilog='\b\nExamples:\n  ./lockstep audit void 7 --reason "stray upload of 2026-11-20"'
)
@click.argument("index", type=click.IntRange(min=0))
@click.option("--reason", required=True, help="Where it comes from, if you know; goes into the record.")
@yes_option
@stack_option
@dry_run_option
@output_option
def void(index: int, reason: str, yes: bool, stack: str, dry_run: bool, output: str) -> None:
    """Put on the record that what lies at INDEX, and after it, is no record of this log.

    Only what does not verify can be voided. It stays where it is, locked and under a signed head; the log
    goes on after it.
    """
    writing = open_to_write(stack, paths_in_context())
    log, clock = writing.audit.log, functools.partial(datetime.now, UTC)
    log.over = True  # nothing is written before it was asked about
    strays = voiding.strays(log, index)
    cleared = [one.key for one in strays]
    if strays and not dry_run:
        confirm_or_stop(f"Take away what is unlocked and no part of the log: {', '.join(cleared)}?", yes=yes)
        voiding.clear(log, strays)
    passed = voiding.in_the_way(log)
    if passed and not dry_run:
        confirm_or_stop(f"Go over what somebody locked under {', '.join(passed)}?", yes=yes)
    found = voiding.look(log, index)
    garbage = [one.as_json() for one in found]
    document: dict[str, Any] = {"dry_run": dry_run, "garbage": garbage, "cleared": cleared, "records": []}
    document["passed"] = passed
    if found and not dry_run:
        say(_listed(found))
        confirm_or_stop(f"Void {len(found)} of these places?", yes=yes)
        written = voiding.void_all(
            log, index, reason, **writing.who, clock=clock, retention=writing.retention
        )
        document["records"] = [record.index for record in written]
    elif not dry_run:
        made = voiding.go_over(log, passed, reason, **writing.who, clock=clock, retention=writing.retention)
        document["records"] = [] if made is None else [made.index]
    document["head"] = str(log.head())
    emit(output, "audit.void", document, lambda: _void_text(found, document, index))


def _listed(found: list[Garbage]) -> str:
    return "\n".join(
        f"  {one.version.key}: {one.version.size} bytes, {one.digest[:19]}...: {one.why} [{one.code}]"
        for one in found
    )


def _void_text(found: list[Garbage], document: dict[str, Any], index: int) -> str:
    verb = "would be taken away" if document["dry_run"] else "taken away"
    cleared = [f"{verb}, unlocked and no part of the log: {key}" for key in document["cleared"]]
    over = "would be gone over" if document["dry_run"] else "gone over"
    cleared += [f"{over}, locked and no part of the log: {key}" for key in document["passed"]]
    if found and document["dry_run"]:
        cleared.append(f"would be voided:\n{_listed(found)}")
    elif found:
        cleared.append(f"{len(found)} places are void, by records {document['records']}\nnext: ./lockstep up")
    return "\n".join(cleared) or f"everything from {index} on verifies, or is void already: nothing to do"


@click.command(
    "renew", epilog="\b\nExamples:\n  ./lockstep audit renew --dry-run\n  ./lockstep audit renew --days 365"
)
@click.option(
    "--days", type=click.IntRange(1, 36500), help="Locked for so long from now (default: retention_days)."
)
@stack_option
@dry_run_option
@output_option
def renew(days: int | None, stack: str, dry_run: bool, output: str) -> None:
    """Extend the lock of everything in the log, before the locks end.

    Safe to run again: what is locked for long enough is left alone, and a killed run is gone on with.
    """
    _require_sealed_days(stack, days)
    writing = open_to_write(stack, paths_in_context())
    length = timedelta(days=days) if days is not None else writing.retention
    now = datetime.now(UTC)
    plan = renewing.plan(writing.audit.log, now=now, length=length)
    document = {"dry_run": dry_run, "record": None, **plan.as_json()}
    if not dry_run and plan.due:
        made = renewing.renew(
            writing.audit.log,
            plan,
            **writing.who,
            now=now,
            retention=writing.retention,
            progress=_told("locked"),
        )
        document["record"] = made.index if made else None
    emit(output, "audit.renew", document, lambda: _renew_text(plan, dry_run))


def _renew_text(plan: renewing.Renewal, dry_run: bool) -> str:
    first = f"; the first lock ends {plan.earliest:%Y-%m-%d %H:%M} UTC" if plan.earliest else ""
    if not plan.due:
        return f"every lock lasts long enough{first}"
    lapsed = f"\n{plan.lapsed} locks had ended: nothing protected these objects since" if plan.lapsed else ""
    verb = "would be" if dry_run else "are"
    before = first if dry_run else ""
    return f"{len(plan.due)} objects {verb} locked until {plan.until:%Y-%m-%d %H:%M} UTC{before}{lapsed}"


@click.command(
    "prune", epilog='\b\nExamples:\n  ./lockstep audit prune --before 5120 --reason "kept for ten years"'
)
@click.option(
    "--before", type=click.IntRange(min=1), required=True, help="An outcome: the first record to stay."
)
@click.option("--reason", required=True, help="Why they may go; goes into the record.")
@yes_option
@stack_option
@dry_run_option
@output_option
def prune(before: int, reason: str, yes: bool, stack: str, dry_run: bool, output: str) -> None:
    """Delete the records below an outcome, once their locks have ended, with a record that says so.

    Make an export first if anybody may still ask: what is deleted is gone.
    """
    _require_unsealed(stack)
    writing = open_to_write(stack, paths_in_context())
    log, now = writing.audit.log, datetime.now(UTC)
    plan = pruning.plan(log, before, now=now)
    document = {"dry_run": dry_run, "record": None, **plan.as_json()}
    if not dry_run and (plan.due or plan.record):
        confirm_or_stop(f"Delete {len(plan.due)} objects for good?", yes=yes)
        made = pruning.prune(
            log, plan, reason, **writing.who, now=now, retention=writing.retention, progress=_told("deleted")
        )
        document["record"] = made.index if made else None
    verb = "would be" if dry_run else "are"
    emit(
        output,
        "audit.prune",
        document,
        lambda: f"{len(plan.due)} objects {verb} deleted; the log begins at record {before}",
    )


def _require_sealed_days(stack: str, days: int | None) -> None:
    """The seal of a bucket on AWS takes locks of one length, whoever asks. Said before a `renewed` record
    promises another. Raises UsageError `audit.sealed_days`."""
    paths = paths_in_context()
    if days is None or not is_elsewhere(stack, paths):
        return
    sealed = Workspace(paths, stack).file.settings().retention_days
    if days != sealed:
        raise UsageError(
            f"the policy of {stack}'s audit bucket takes locks of {sealed} days, and {days} were asked for",
            code="audit.sealed_days",
            remedy=f"./lockstep audit renew -s {stack} takes {sealed}; docs/aws.md says how the account's "
            "root user lets another lockstep:audit.retention_days in",
        )


def _require_unsealed(stack: str) -> None:
    """Raises UsageError `audit.sealed` where nobody can delete a record, not even when its lock is over."""
    if is_elsewhere(stack, paths_in_context()):
        raise UsageError(
            f"the policy of {stack}'s audit bucket lets nobody delete a record, however old",
            code="audit.sealed",
            remedy=f"the log stays whole; ./lockstep audit export DIR -s {stack} makes a copy to hand on",
        )


def _told(what: str) -> Callable[[int, int], None]:
    said = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            say(f"{what} {done} of {total} objects")

    return tell
