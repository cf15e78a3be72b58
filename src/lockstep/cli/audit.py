"""`./lockstep audit`: read, verify and export the audit log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from lockstep.audit import export as exporting
from lockstep.audit.bucket import Bucket
from lockstep.audit.head_option import read_head
from lockstep.audit.kept import kept_heads
from lockstep.audit.keyring import Keyring, carried_keys, deployer_keys, read_keyring
from lockstep.audit.note import Head, NoteKey
from lockstep.audit.opened import keys_of_log
from lockstep.audit.problem import Problem, Report
from lockstep.audit.record import Record
from lockstep.audit.show import page
from lockstep.audit.unrecorded import unrecorded
from lockstep.audit.verify import verify
from lockstep.cli import audit_keep as keeping
from lockstep.cli.audit_open import declared, environment_of, open_to_read, paths_in_context, stack_option
from lockstep.cli.output import emit, output_option, say
from lockstep.errors import Unavailable, UsageError
from lockstep.evidence.keys import Trust, load_trust
from lockstep.evidence.pem import public_pem
from lockstep.paths import Paths, origin_of
from lockstep.workspace import Workspace

SHOWN_PROBLEMS = 20
QUIET_S = 2.0


@click.group("audit")
def command() -> None:
    """Read, verify, export and keep the audit log."""


for _verb in (keeping.void, keeping.renew, keeping.prune):
    command.add_command(_verb)


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
    log = open_to_read(stack, paths_in_context()).log
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
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="A verifier key, or a file with some, instead of this checkout's: the log's, and the deployers'.",
)
@stack_option
@output_option
def verify_command(
    folder: Path | None,
    head_text: str | None,
    history_text: str | None,
    keys: tuple[str, ...],
    stack: str,
    output: str,
) -> None:
    """Recompute the whole log and name everything that is wrong with it; exit 1 if anything is.

    With --from and --key it needs no checkout and no stack: an export, and the key that you got elsewhere.
    """
    paths = paths_in_context()
    bucket: Bucket = (
        exporting.ExportFolder(folder) if folder is not None else open_to_read(stack, paths).bucket
    )
    trusted = _trusted(keys, folder, stack, paths)
    report = verify(
        bucket,
        trusted.origin,
        trusted.trust,
        trusted.log_keys,
        head=read_head(head_text, trusted.log_keys, trusted.origin) if head_text else None,
        kept=_kept(folder, stack, paths, trusted),
        history_dir=_history_dir(history_text, stack, paths),
        now=datetime.now(UTC),
        retention=_promised(stack, paths) if folder is None else None,
        progress=_progress(),
    )
    report = replace(report, notes=(*report.notes, *trusted.notes))
    if folder is None and report.ok:
        report = replace(report, problems=_live_problems(stack, paths))
    emit(output, "audit.verify", report.as_json(), lambda: _report_text(report, bucket, head_text))
    if not report.ok:
        sys.exit(1)


@dataclass(frozen=True)
class _Trusted:
    """Whose signatures count in a verification."""

    origin: str
    trust: Trust
    log_keys: tuple[NoteKey, ...]
    notes: tuple[Problem, ...] = ()


def _trusted(keys: tuple[str, ...], folder: Path | None, stack: str, paths: Paths) -> _Trusted:
    """The keys that were given, else those of this checkout: never what the log brings along by itself.

    The log's key alone proves every byte; who signed each record is then told by the keys that the export
    carries, and a note says that these were not proven.
    """
    if not keys:
        trust = load_trust(paths.policies, environment_of(stack, paths))
        return _Trusted(origin_of(stack), trust, keys_of_log(trust, origin_of(stack)))
    ring = read_keyring(keys)
    if ring.deployers or folder is None:
        return _Trusted(ring.origin, ring.trust, ring.log_keys)
    ring = Keyring(ring.origin, ring.log_keys, carried_keys(folder))
    message = (
        "who signed each record is told by the keys in the export itself, which nothing proves: give the "
        "deployers' keys with --key, too (./lockstep audit key --deployers)"
    )
    notes = (Problem("audit.keys_from_export", message),)
    return _Trusted(ring.origin, ring.trust, ring.log_keys, notes)


def _kept(folder: Path | None, stack: str, paths: Paths, trusted: _Trusted) -> tuple[Head, ...]:
    """The heads that came along: an export's own checkpoint, or what this machine kept outside the bucket."""
    if folder is None:
        return kept_heads(paths, stack, trusted.origin)
    path = folder / "checkpoint"
    return (read_head(str(path), trusted.log_keys, trusted.origin),) if path.exists() else ()


def _promised(stack: str, paths: Paths) -> timedelta | None:
    """For how long this checkout's stack file promises to hold a record; None without such a file."""
    file = Workspace(paths, stack).file
    return timedelta(days=file.settings().retention_days) if file.path.is_file() else None


def _live_problems(stack: str, paths: Paths) -> tuple[Problem, ...]:
    """What a running stack serves otherwise than the record says; nothing for one that is down."""
    whose = declared(stack, paths)
    if not whose.answers:
        return ()
    try:
        recorded = open_to_read(stack, paths).log.state()
        settings = Workspace(paths, stack).file.settings()
        seen = whose.observe(recorded.table, settings.regions)
        found = unrecorded(seen.live, recorded)
        found += [
            Problem("audit.live_unknown", f"nobody can tell what {model} in {region} routes: {why}")
            for (model, region), why in sorted(seen.doubts.items())
        ]
        drift = whose.drift(
            recorded.table,
            bucket=settings.bucket,
            port=settings.port,
            regions=settings.regions,
            runtime=settings.runtime,
        )
    except (Unavailable, UsageError) as error:
        return (Problem(error.code, error.message),)
    return (*found, *(Problem("audit.live_drift", each.message) for each in drift if each.live))


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
    audit = open_to_read(stack, paths_in_context())
    head = audit.log.head()
    deployers = {keyid: public_pem(key) for keyid, key in audit.trust.keys_of("deployer").items()}
    signers = deployer_keys(audit.trust)
    count = exporting.export(audit.bucket, folder, head, audit.log_keys, deployers, signers=signers)
    document = {"folder": str(folder), "objects": count, "head": _head_json(head)}
    emit(
        output,
        "audit.export",
        document,
        lambda: f"{count} objects in {folder}, head {head}\nnext: ./lockstep audit verify --from {folder}",
    )


@command.command("key")
@click.option("--deployers", is_flag=True, help="The keys of those who may sign records, instead.")
@stack_option
@output_option
def key_command(deployers: bool, stack: str, output: str) -> None:
    """Print the log's verifier key in signed-note form: name+hash+key."""
    paths = paths_in_context()
    trust = load_trust(paths.policies, environment_of(stack, paths))
    keys = deployer_keys(trust) if deployers else list(keys_of_log(trust, origin_of(stack)))
    if not keys:
        raise UsageError(
            f"nobody in {trust.environment} signs {'records' if deployers else 'heads'} yet",
            code="keys.nobody",
            remedy="put who has the signing key into policies/data/roles.json; docs/aws.md says how",
        )
    document = {"keys": [str(key) for key in keys]}
    emit(output, "audit.key", document, lambda: "\n".join(str(key) for key in keys))
