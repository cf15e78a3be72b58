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


def _text(stack: str, found: Sequence[Problem]) -> str:
    """Problems with the same next step stand together, above it."""
    lines: list[str] = []
    for remedy, problems in groupby(found, lambda each: each.remedy):
        lines += [f"{each.message} [{each.code}]" for each in problems]
        lines.append(f"  next: {remedy}")
    if len(found) > 1:
        lines.append(f"{len(found)} problems")
    return "\n".join(lines) or f"nothing is wrong with {stack}"


@click.command(epilog="\b\nExamples:\n  ./lockstep check staging\n  ./lockstep check prod --output json")
@click.argument("stack", default=LOCAL)
@output_option
@click.pass_context
def command(ctx: click.Context, stack: str, output: str) -> None:
    """Say everything that is wrong with STACK's file, this machine and the plan, all at once.

    Asks no account and starts nothing. Exit code 2 if anything is wrong.
    """
    from lockstep.checks import problems

    found = problems(Workspace(here(), stack))
    document = {"stack": stack, "ok": not found, "problems": [vars(each) for each in found]}
    emit(output, "check", document, lambda: _text(stack, found))
    ctx.exit(2 if found else 0)
