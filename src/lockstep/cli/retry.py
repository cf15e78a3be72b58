"""`./lockstep retry`: let a release that was rolled back from try again, on the record."""

from __future__ import annotations

import click

from lockstep.cli.context import dry_run_option, open_context, stack_option
from lockstep.cli.output import emit, output_option
from lockstep.errors import UsageError
from lockstep.table import short


@click.command(epilog='\b\nExamples:\n  ./lockstep retry sha256:1f2e --reason "the labels were fixed"')
@click.argument("release")
@click.option("--reason", required=True, help="Why it may try again; goes into the record.")
@stack_option
@dry_run_option
@output_option
def command(release: str, reason: str, stack: str, dry_run: bool, output: str) -> None:
    """Unbar RELEASE (a digest or its beginning). Moves no traffic."""
    from lockstep.audit.drafts import draft_retry

    context = open_context(stack)
    state = context.ledger.state(fresh=True)
    barred = (
        []
        if state is None
        else [
            d for d in state.barred if d.removeprefix("sha256:").startswith(release.removeprefix("sha256:"))
        ]
    )
    if state is None or len(barred) != 1:
        known = "none" if state is None or not state.barred else ", ".join(map(short, state.barred))
        raise UsageError(
            f"{release} does not name one barred release",
            code="retry.not_barred",
            remedy=f"barred releases: {known}",
        )
    document = {"release": barred[0], "reason": reason, "dry_run": dry_run}
    if not dry_run:
        made = draft_retry(state, digest=barred[0], reason=reason, **context.ledger.circumstances())
        document["record"] = context.ledger.append(made, at=state.size).index
    emit(
        output,
        "retry",
        document,
        lambda: f"{short(barred[0])} {'would be' if dry_run else 'is'} free to be promoted again",
    )
