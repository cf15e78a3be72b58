"""`./lockstep check`: everything that is wrong with a stack, before any preview."""

from __future__ import annotations

import click

from lockstep.cli.output import emit, output_option
from lockstep.paths import here
from lockstep.workspace import LOCAL, Workspace


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
    lines = [str(each) for each in found] or [f"nothing is wrong with {stack}"]
    if len(found) > 1:
        lines.append(f"{len(found)} problems")
    emit(output, "check", document, lambda: "\n".join(lines))
    ctx.exit(2 if found else 0)
