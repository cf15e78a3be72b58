"""`./lockstep withdraw`: a model, or a region of it, leaves; by name, in two recorded updates."""

from __future__ import annotations

from contextlib import nullcontext

import click

from lockstep.cli.context import confirm_or_stop, dry_run_option, open_context, stack_option, timed
from lockstep.cli.output import emit, output_option
from lockstep.cli.up import record_history
from lockstep.rollout.plan import withdrawn, without
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
    with nullcontext() if dry_run else context.change.exclusive():
        table = context.settings.table
        chosen = regions or tuple(sorted(table.get(model, {})))
        state = context.ledger.state(fresh=True)
        first = withdrawn(table, model, chosen, {} if state is None else state.standing)
        named = {region: first[model][region]["withdraw"] for region in chosen}
        if not dry_run:
            confirm_or_stop(f"Take {model} out of {', '.join(chosen)}?", yes=yes)
            recorded = None if state is None else state.table
            steps = [step for step in (first, without(first, model, chosen)) if step != recorded]
            for number, step in enumerate(steps, 1):
                with timed(f"update {number} of {len(steps)}"):
                    context.change.apply(step, model=model)
            record_history(context)
    document = {"model": model, "withdrawn": named, "dry_run": dry_run}
    verb = "would be withdrawn" if dry_run else "is withdrawn"
    emit(
        output,
        "withdraw",
        document,
        lambda: "\n".join(f"{short(name)} {verb} from {region}" for region, name in named.items()),
    )
