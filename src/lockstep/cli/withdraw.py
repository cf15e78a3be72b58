"""`./lockstep withdraw`: a model, or a region of it, leaves; by name, in two recorded updates."""

from __future__ import annotations

import click

from lockstep.cli.context import confirm_or_stop, dry_run_option, open_context, stack_option, timed
from lockstep.cli.output import emit, output_option
from lockstep.cli.up import record_history
from lockstep.rollout.plan import require_cell, withdrawn, without
from lockstep.table import short


@click.command(
    epilog="\b\nExamples:\n  ./lockstep withdraw digits --region local-b\n  ./lockstep withdraw digits --yes"
)
@click.argument("model")
@click.option("--region", "regions", multiple=True, help="Only this region; may be given again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@stack_option
@dry_run_option
@output_option
def command(model: str, regions: tuple[str, ...], yes: bool, stack: str, dry_run: bool, output: str) -> None:
    """Take MODEL out of service: first its routes answer 404, on the record; then its cells go."""
    context = open_context(stack)
    context.change.recover()
    table = context.settings.table
    chosen = regions or tuple(sorted(table.get(model, {})))
    require_cell(table, model, chosen[0] if chosen else "")
    state = context.ledger.state(fresh=True)
    first = withdrawn(table, model, chosen, {} if state is None else state.standing)
    named = {region: first[model][region]["withdraw"] for region in chosen}
    document = {"model": model, "withdrawn": named, "dry_run": dry_run}
    if not dry_run:
        confirm_or_stop(f"Take {model} out of {', '.join(chosen)}?", yes=yes)
        for number, step in enumerate((first, without(first, model, chosen)), 1):
            with timed(f"update {number} of 2"):
                context.change.apply(step, model=model)
        record_history(context)
    verb = "would be withdrawn" if dry_run else "is withdrawn"
    emit(
        output,
        "withdraw",
        document,
        lambda: "\n".join(f"{short(name)} {verb} from {region}" for region, name in named.items()),
    )
