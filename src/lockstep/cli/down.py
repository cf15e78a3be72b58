"""`./lockstep down`: a real `pulumi destroy`; the records stay, unless `--purge` takes them as well."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import click

from lockstep.cli.context import (
    Context,
    confirm_or_stop,
    dry_run_option,
    open_context,
    stack_option,
    step_line,
    timed,
)
from lockstep.cli.output import emit, output_option, say
from lockstep.errors import Denied, LockstepError, UsageError
from lockstep.ledger.ledger import destroy_not_allowed
from lockstep.paths import cache
from lockstep.rollout.change import require_withdrawn


@click.command(
    epilog="\b\nExamples:\n  ./lockstep down\n  ./lockstep down --yes\n  ./lockstep down --dry-run\n"
    "  ./lockstep down --purge"
)
@stack_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--purge", is_flag=True, help="Remove all that `up` made here, with the audit records.")
@dry_run_option
@output_option
def command(stack: str, yes: bool, purge: bool, dry_run: bool, output: str) -> None:
    """Withdraw every model and stop every process of the stack. The audit records stay on disk.

    With --purge nothing stays but the Python environment and the per-user cache: state, releases, keys and
    records are gone for good. Export the records first (`./lockstep audit export`).
    """
    context = open_context(stack)
    if purge:
        _purge(context, yes=yes, dry_run=dry_run, output=output)
        return
    cloud = context.settings.cloud
    records = _kept(context)
    processes = sorted(context.local.alive())
    document = {"processes": processes, "records": records, "dry_run": dry_run}
    if not context.settings.allow_destroy:
        raise Denied([destroy_not_allowed(stack)], code="destroy.not_allowed")
    if not dry_run:
        what = f"stop {len(processes)} processes" if cloud is None else "delete all that serves it"
        confirm_or_stop(f"Withdraw everything and {what}?", yes=yes)
        _destroy(context)
    verb = "would stop" if dry_run else "stopped"
    if cloud is None:
        told = f"{verb}: {', '.join(processes) or 'nothing was running'}"
    else:
        told = f"{stack} {'would be' if dry_run else 'is'} withdrawn and deleted"
    emit(output, "down", document, lambda: f"{told}\nthe records stay in {records}")


def _kept(context: Context) -> str:
    """Where the records are after a destroy."""
    stack, settings = context.workspace.stack, context.settings
    if settings.cloud is None:
        return str(context.workspace.paths.stack(stack).bucket_data)
    copy = settings.cloud.replica
    return (
        f"s3://{settings.bucket} ({settings.home}) and s3://{copy.bucket} ({copy.region}); "
        f"the next ./lockstep up -s {stack} takes them over, and the log goes on"
    )


def _destroy(context: Context) -> None:
    with context.change.exclusive(), timed(f"destroying the stack {context.workspace.stack}"):
        context.engine.destroy()
        # Read anew: what was opened before speaks to a server that the destroy has stopped.
        require_withdrawn(replace(context).ledger)


def _purge(context: Context, *, yes: bool, dry_run: bool, output: str) -> None:
    """Show what goes, ask, destroy where that is possible, and remove. A stack that is half up, broken or
    gone is purged all the same: that is when people do it."""
    from lockstep.local.purge import Purge

    stack = context.workspace.stack
    if context.workspace.in_cloud:
        raise UsageError(
            f"{stack} is not on this machine, and what locks its records lets nobody remove them",
            code="down.purge_cloud",
            remedy=f"./lockstep down -s {stack} deletes what serves it",
        )
    if _forbids(context):
        raise Denied([destroy_not_allowed(stack)], code="destroy.not_allowed")
    purge = Purge(context.workspace.paths, context.local)
    document = {
        "dry_run": dry_run,
        "processes": sorted(context.local.alive()),
        "log": _log(context),
        "removes": [str(path) for path in purge.places()],
        "stays": [str(context.workspace.paths.root / ".venv"), str(cache())],
    }
    if dry_run:
        emit(output, "purge", document, lambda: _told(document, "would remove"))
        return
    if not yes:
        say(_told(document, "would remove"))
        _confirm(stack)
    if document["processes"]:
        _try_destroy(context)
    with timed(f"purging the stack {stack}"), purge.alone():
        purge.stop()
        purge.remove()
    emit(output, "purge", document, lambda: _told(document, "removed"))


def _forbids(context: Context) -> bool:
    """Whether the stack file says no; one that is not there, or broken, forbids only in so many words."""
    try:
        return not context.settings.allow_destroy
    except LockstepError:
        path = context.workspace.file.path
        text = path.read_text(errors="replace") if path.is_file() else ""
        return re.search(r"allow_destroy:\s*(false|no|off)\b", text, re.IGNORECASE) is not None


def _log(context: Context) -> dict[str, Any]:
    """How many records go, and the last head; or why nobody can say."""
    try:
        head = context.ledger.head()
    except LockstepError as error:
        return {"records": None, "head": None, "problem": error.message}
    return {"records": 0 if head is None else head.size, "head": head and str(head), "problem": None}


def _try_destroy(context: Context) -> None:
    """A withdrawal on the record, where the stack can still make one."""
    from lockstep.toolchain import find

    if find() is None:
        step_line("the outside programs are not there, so nothing can be withdrawn: stopping the processes")
        return
    try:
        _destroy(context)
    except LockstepError as error:
        if error.code in ("change.locked", "engine.locked", "engine.cancelled"):
            raise
        step_line(f"the destroy failed, so the processes are just stopped: {error.message}")


def _confirm(stack: str) -> None:
    """The name must be typed: a `y` comes too easily."""
    if not sys.stdin.isatty():
        raise click.UsageError("A purge cannot be taken back. Nobody is there to ask: pass --yes.")
    typed = click.prompt(f"Type the stack's name ({stack}) to remove all this for good", err=True)
    if typed.strip() != stack:
        raise click.Abort


def _told(document: dict[str, Any], verb: str) -> str:
    log, processes = document["log"], document["processes"]
    count = "unreadable" if log["records"] is None else log["records"]
    lines = [f"processes  {', '.join(processes) or 'none is running'}", f"records    {count}"]
    if log["head"]:
        lines.append(f"last head  {log['head']}")
    if log["problem"]:
        lines.append(f"           {log['problem']}")
    if verb != "removed" and log["records"]:
        lines.append("           keep them: ./lockstep audit export DIR, and keep the head elsewhere")
    lines += [f"{verb}:", *(f"  {path}" for path in document["removes"] or ["nothing: there is none of it"])]
    environment, shared = document["stays"]
    lines += [
        "stays, and how to remove it:",
        f"  this checkout's Python environment   rm -rf '{environment}'",
        f"  programs shared by all checkouts     rm -rf '{shared}'",
    ]
    return "\n".join(lines)
