"""`./lockstep down`: a real `pulumi destroy`; the records stay."""

from __future__ import annotations

import click

from lockstep.cli.context import confirm_or_stop, dry_run_option, open_context, stack_option, timed
from lockstep.cli.output import emit, output_option
from lockstep.errors import Denied
from lockstep.ledger.ledger import destroy_not_allowed
from lockstep.rollout.change import require_withdrawn


@click.command(
    epilog="\b\nExamples:\n  ./lockstep down\n  ./lockstep down --yes\n  ./lockstep down --dry-run"
)
@stack_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@output_option
def command(stack: str, yes: bool, dry_run: bool, output: str) -> None:
    """Withdraw every model and stop every process of the stack. The audit records stay on disk."""
    context = open_context(stack)
    records = context.workspace.paths.stack(stack).bucket_data
    processes = sorted(context.local.alive())
    document = {"processes": processes, "records": str(records), "dry_run": dry_run}
    if not context.settings.allow_destroy:
        raise Denied([destroy_not_allowed(stack)], code="destroy.not_allowed")
    if not dry_run:
        confirm_or_stop(f"Withdraw everything and stop {len(processes)} processes?", yes=yes)
        with context.change.exclusive(), timed(f"destroying the stack {stack}"):
            context.engine.destroy()
            require_withdrawn(context.ledger)
    verb = "would stop" if dry_run else "stopped"
    emit(
        output,
        "down",
        document,
        lambda: f"{verb}: {', '.join(processes) or 'nothing was running'}\nthe records stay in {records}",
    )
