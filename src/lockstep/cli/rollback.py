"""`./lockstep rollback`: back to the release that stood before, in all regions at once."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click

from lockstep.cli.context import Context, dry_run_option, open_context, stack_option, timed
from lockstep.cli.output import emit, output_option, say
from lockstep.cli.up import record_history
from lockstep.errors import LockstepError, UsageError
from lockstep.rollout.plan import Rollback, rollback, slot_of
from lockstep.table import SLOTS, Table, short, slot_share


@click.command(
    epilog="\b\nExamples:\n  ./lockstep rollback digits\n"
    '  ./lockstep rollback digits --reason "mislabels sevens"\n  ./lockstep rollback digits --dry-run'
)
@click.argument("model")
@click.option("--reason", default="rolled back by hand", show_default=True, help="Why; goes into the record.")
@stack_option
@dry_run_option
@output_option
def command(model: str, reason: str, stack: str, dry_run: bool, output: str) -> None:
    """Move MODEL's traffic back to the release that stood before; weights only, one recorded update.

    The release left behind is barred until `./lockstep retry`.
    """
    context = open_context(stack)
    with nullcontext() if dry_run else context.change.exclusive():
        if not dry_run and context.ledger.state(fresh=True) is not None:
            context.engine.require_alone()  # or the open intent is of an update that runs
            context.ledger.close_interrupted("found open by a rollback")
        state = context.ledger.state(fresh=True)
        if state is None or state.open_intent is not None:
            raise UsageError(
                "an intent is open" if state else "there is no record to go back by",
                code="rollback.not_settled",
                remedy="run it without --dry-run, which closes it first" if state else "run `./lockstep up`",
            )
        back = rollback(state.table, model, state.standing, state.former)
        require_healthy(context, model, state.table, back)
        entry = history_entry(context, back.target)
        why = _no_history(context)
        say(_plan_words(model, back, entry, why))
        if not dry_run:
            record_decision(context, back, reason, entry)
            with timed("rolling back"):
                context.change.apply(back.target, model=model)
            record_history(context)
    head = str(context.ledger.head())
    document: dict[str, Any] = {
        "model": model,
        "release": back.release,
        "regions": list(back.regions),
        "target": back.target,
        "history": entry,
        "history_reason": why,
        "dry_run": dry_run,
        "head": head,
    }
    done = f"{model}: {short(back.release)} has no traffic and is barred until retried\nlog head {head}"
    emit(output, "rollback", document, lambda: "nothing was changed" if dry_run else done)


def record_decision(context: Context, back: Rollback, reason: str, entry: dict[str, str] | None) -> None:
    """The `rollback` record comes first: from it on, steps to its target count as steps to what stands."""
    from lockstep.audit.drafts import draft_rollback

    state = context.ledger.settle()
    before = "" if entry is None else f" (target declared before in {entry['name']} sha256:{entry['sha256']})"
    made = draft_rollback(
        state,
        digest=back.release,
        target=back.target,
        reason=reason + before,
        **context.ledger.circumstances(),
    )
    context.ledger.append(made, at=state.size)


def require_healthy(context: Context, model: str, table: Table, back: Rollback) -> None:
    """Halt rather than go back, where the release to leave answers and the one to go back to does not."""
    serving = context.ledger.look(context.ledger.state(), context.settings.table).serving
    for region in back.regions:
        answers = serving.get((model, region), {})
        cell = back.target[model][region]
        wanted = next(slot for slot in SLOTS if slot_share(cell, slot) > 0)
        leaving = slot_of(table[model][region], back.release)
        if answers.get(wanted) != cell[wanted] and leaving and answers.get(leaving) == back.release:
            raise LockstepError(
                f"{short(cell[wanted])} does not answer in {wanted} of {region}: traffic would be lost",
                code="rollback.target_not_ready",
                remedy="run `./lockstep up`, which starts what is declared, then roll back",
            )


def history_entry(context: Context, target: Table) -> dict[str, str] | None:
    """Name and SHA-256 of the newest `pulumi stack history` file whose config declares the target table.

    None where no update ever declared exactly that: a rollback may join what was declared apart; and where
    the engine's history is no folder of this machine.
    """
    if _no_history(context) is not None:
        return None
    from infra.config import defaults, load
    from lockstep.audit import history

    for file in history.updates(context.workspace.paths.history(context.workspace.stack)):
        try:
            config = history.read(file).get("config", {})
            known = load({**defaults(context.workspace.paths.root / "Pulumi.yaml"), **config})
        except (UsageError, ValueError):
            continue  # an entry of another version of the config, or damaged: `audit verify` names those
        if known.table == target:
            return {"name": file.name, "sha256": history.sha256(file)}
    return None


def _no_history(context: Context) -> str | None:
    """Why there are no history files to compare with; None where there are, or may come to be, some."""
    folder = context.ledger.stack.history
    return folder if isinstance(folder, str) else None


def _plan_words(model: str, back: Rollback, entry: dict[str, str] | None, why: str | None) -> str:
    lines = [f"rolling back {model}: {short(back.release)} goes to 0 % in {', '.join(back.regions)}"]
    for region in back.regions:
        cell = back.target[model][region]
        slot = next(slot for slot in SLOTS if slot_share(cell, slot) > 0)
        lines.append(
            f"  {region}: {short(cell[slot])} in {slot} takes all traffic; both releases stay in place"
        )
    by_record = f"{why or 'no single history entry'}: the table is from the record"
    lines.append(f"  declared before by {entry['name']}" if entry else f"  {by_record}")
    return "\n".join(lines)
