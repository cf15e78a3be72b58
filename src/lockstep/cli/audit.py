"""`./lockstep audit`: read, verify and export the audit log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from lockstep.audit import export as exporting
from lockstep.audit.bucket import Bucket
from lockstep.audit.head_option import read_head
from lockstep.audit.kept import kept_heads
from lockstep.audit.local import LocalAudit, keys_of_log, open_local
from lockstep.audit.note import Head, NoteKey
from lockstep.audit.problem import Problem, Report
from lockstep.audit.record import Record
from lockstep.audit.show import page
from lockstep.audit.unrecorded import unrecorded
from lockstep.audit.verify import verify
from lockstep.cli.output import emit, output_option, say
from lockstep.errors import Unavailable, UsageError
from lockstep.evidence.keys import LOCAL, load_trust
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths, here, origin_of
from lockstep.workspace import Workspace

SHOWN_PROBLEMS = 20
QUIET_S = 2.0

stack_option = click.option("--stack", default=LOCAL, show_default=True, help="Whose log.")


@click.group("audit")
def command() -> None:
    """Read, verify and export the audit log."""


def _paths() -> Paths:
    """The folders that the caller put into the context, or those of this checkout."""
    return click.get_current_context().find_object(Paths) or here()


def _open(stack: str, paths: Paths) -> LocalAudit:
    audit = open_local(stack, paths)
    if audit is None:
        raise UsageError(
            f"the stack {stack} has no audit log yet", code="audit.absent", remedy="./lockstep up"
        )
    if not audit.running:
        say("versitygw is not running: reading its data folder")
    return audit


@command.command("show")
@click.argument("index", type=click.IntRange(min=0), required=False)
@click.option("--last", type=click.IntRange(min=1), help="The newest N records, oldest first.")
@stack_option
@output_option
def show(index: int | None, last: int | None, stack: str, output: str) -> None:
    """Show record INDEX, the last N records, or (without either) the newest step."""
    if index is not None and last is not None:
        raise UsageError(
            "INDEX and --last exclude each other", code="usage.options", remedy="give one of them"
        )
    log = _open(stack, _paths()).log
    head = log.head()
    if index is not None:
        records = [log.read(index)]
    elif last is not None:
        records = log.tail(head.size - last)
    else:
        newest = log.newest({"intent", "denied", "rollback", "retry"})
        records = log.tail(newest.index if newest else 0)
    outcomes = {record.index: log.outcome_of(record.index) for record in records if record.kind == "intent"}

    def text() -> str:
        pages = [page(record, head, outcomes.get(record.index)) for record in records]
        return "\n\n".join(pages) or "The log is empty."

    document = {"head": _head_json(head), "records": [_record_json(record) for record in records]}
    emit(output, "audit.show", document, text)


def _head_json(head: Head) -> dict[str, object]:
    return {"origin": head.origin, "size": head.size, "root": head.root}


def _record_json(record: Record) -> dict[str, object]:
    proven = {"person": record.person, "keyid": record.keyid}
    return {"leaf": record.digest, "signed_by": proven, "record": dict(record.fields)}


@command.command("verify")
@click.option("--from", "folder", type=click.Path(path_type=Path), help="An export, instead of the bucket.")
@click.option("--head", "head_text", help="A head kept elsewhere: a file, or SIZE:ROOT as `up` prints it.")
@click.option("--history", "history_text", help="Compare Pulumi's history files: a folder, or `auto`.")
@stack_option
@output_option
def verify_command(
    folder: Path | None, head_text: str | None, history_text: str | None, stack: str, output: str
) -> None:
    """Recompute the whole log and name everything that is wrong with it; exit 1 if anything is."""
    paths = _paths()
    bucket: Bucket = exporting.ExportFolder(folder) if folder is not None else _open(stack, paths).bucket
    trust = load_trust(paths.policies, LOCAL)
    log_keys = keys_of_log(trust, origin_of(stack))
    report = verify(
        bucket,
        origin_of(stack),
        trust,
        log_keys,
        head=read_head(head_text, log_keys, origin_of(stack)) if head_text else None,
        kept=_kept(folder, stack, paths, log_keys),
        history_dir=_history_dir(history_text, stack, paths),
        now=datetime.now(UTC),
        retention=_promised(stack, paths) if folder is None else None,
        progress=_progress(),
    )
    if folder is None and report.ok:
        report = replace(report, problems=_live_problems(stack, paths))
    emit(output, "audit.verify", report.as_json(), lambda: _report_text(report, bucket, head_text))
    if not report.ok:
        sys.exit(1)


def _kept(folder: Path | None, stack: str, paths: Paths, log_keys: Sequence[NoteKey]) -> tuple[Head, ...]:
    """The heads that came along: an export's own checkpoint, or what this machine kept outside the bucket."""
    if folder is None:
        return kept_heads(paths, stack, origin_of(stack))
    path = folder / "checkpoint"
    return (read_head(str(path), log_keys, origin_of(stack)),) if path.exists() else ()


def _promised(stack: str, paths: Paths) -> timedelta | None:
    """For how long this checkout's stack file promises to hold a record; None without such a file."""
    file = Workspace(paths, stack).file
    return timedelta(days=file.settings().retention_days) if file.path.is_file() else None


def _live_problems(stack: str, paths: Paths) -> tuple[Problem, ...]:
    """What a running stack routes without a record; nothing for one that is down."""
    local = LocalStack(paths, stack)
    if not local.alive():
        return ()
    try:
        return tuple(unrecorded(local.live(), _open(stack, paths).log.state()))
    except Unavailable as error:
        return (Problem(error.code, error.message),)


def _history_dir(text: str | None, stack: str, paths: Paths) -> Path | None:
    if text is None:
        return None
    return paths.history(stack) if text == "auto" else Path(text)


def _progress() -> Callable[[int, int], None]:
    started = time.monotonic()
    said = started

    def tell(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - started > QUIET_S and now - said > 1:
            said = now
            say(f"verified {done} of {total} records")

    return tell


def _report_text(report: Report, bucket: Bucket, head: str | None) -> str:
    lines = [f"{report.size} records in {bucket.where}", f"root {report.root}"]
    lines += [f"note: {note.message}" for note in report.notes[:SHOWN_PROBLEMS]]
    if report.ok:
        lines.append(
            "Everything verifies: bytes, signatures, tree, tiles, heads, locks, and the story they tell."
        )
        if head is None:
            lines.append("A cut tail shows only against a head kept elsewhere: --head SIZE:ROOT.")
        return "\n".join(lines)
    lines.append(f"{len(report.problems)} problem{'' if len(report.problems) == 1 else 's'}:")
    lines += [f"  {problem}" for problem in report.problems[:SHOWN_PROBLEMS]]
    if len(report.problems) > SHOWN_PROBLEMS:
        lines.append(f"  and {len(report.problems) - SHOWN_PROBLEMS} more (--output json lists all)")
    return "\n".join(lines)


@command.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@stack_option
@output_option
def export_command(folder: Path, stack: str, output: str) -> None:
    """Write a plain copy of the log to FOLDER, enough to verify it offline."""
    audit = _open(stack, _paths())
    head = audit.log.head()
    deployers = {keyid: exporting.public_pem(key) for keyid, key in audit.trust.keys_of("deployer").items()}
    count = exporting.export(audit.bucket, folder, head, audit.log_keys, deployers)
    document = {"folder": str(folder), "objects": count, "head": _head_json(head)}
    emit(
        output,
        "audit.export",
        document,
        lambda: f"{count} objects in {folder}, head {head}\nnext: ./lockstep audit verify --from {folder}",
    )


@command.command("key")
@stack_option
@output_option
def key_command(stack: str, output: str) -> None:
    """Print the log's verifier key in signed-note form: name+hash+key."""
    keys = keys_of_log(load_trust(_paths().policies, LOCAL), origin_of(stack))
    document = {"keys": [str(key) for key in keys]}
    emit(output, "audit.key", document, lambda: "\n".join(str(key) for key in keys))
