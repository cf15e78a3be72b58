"""`./lockstep preview`: what an update would touch, and what policy says to it."""

from __future__ import annotations

import click

from lockstep.cli.context import open_context, stack_option, timed
from lockstep.cli.output import emit, output_option
from lockstep.errors import Denied


@click.command(epilog="\b\nExamples:\n  ./lockstep preview\n  ./lockstep preview --output json")
@stack_option
@output_option
def command(stack: str, output: str) -> None:
    """Show what an update would do. Writes nothing; exits 5 if policy would refuse it."""
    context = open_context(stack)
    context.engine.ensure_stack()
    judged = context.ledger.judge(context.settings.table)
    from lockstep.ledger import waits

    if judged is not None and not judged[1].allow and not waits(*judged):
        raise Denied(judged[1].violations)
    with timed("previewing"):
        touched = context.engine.preview()
    emit(
        output,
        "preview",
        {"touched": [vars(touch) for touch in touched]},
        lambda: "\n".join(map(str, touched)) or "nothing would change",
    )
