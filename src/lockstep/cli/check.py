"""`./lockstep check`: everything that is wrong with a stack, before any preview."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from lockstep.cli.output import emit, output_option
from lockstep.paths import here
from lockstep.workspace import LOCAL, Workspace

if TYPE_CHECKING:
    from lockstep.checks import Problem


def _text(stack: str, found: Sequence[Problem], notes: Sequence[str]) -> str:
    """Problems with the same next step stand together, above it."""
    lines = [f"note: {each}" for each in notes]
    for remedy, problems in groupby(found, lambda each: each.remedy):
        lines += [f"{each.message} [{each.code}]" for each in problems]
        lines.append(f"  next: {remedy}")
    if len(found) > 1:
        lines.append(f"{len(found)} problems")
    return "\n".join(lines if found else [*lines, f"nothing is wrong with {stack}"])


@click.command(epilog="\b\nExamples:\n  ./lockstep check staging\n  ./lockstep check prod --output json")
@click.argument("stack", default=LOCAL)
@output_option
@click.pass_context
def command(ctx: click.Context, stack: str, output: str) -> None:
    """Say everything that is wrong with STACK's file, this machine and the plan, all at once.

    Starts nothing. With credentials it asks where the clusters are, whether this machine reaches them, and
    what the quotas allow. Notes are what to know: quotas that the plan takes, promotions that go by surge.
    Exit code 2 if anything is wrong.
    """
    from lockstep.checks import notes, problems

    workspace = Workspace(here(), stack)
    found = problems(workspace, reach=True)
    told = [] if any(each.code == "config.invalid" for each in found) else notes(workspace, reach=True)
    document = {"stack": stack, "ok": not found, "problems": [vars(each) for each in found], "notes": told}
    emit(output, "check", document, lambda: _text(stack, found, told))
    ctx.exit(2 if found else 0)
