"""`./lockstep env`: the variables under which plain `pulumi` works on this checkout."""

from __future__ import annotations

import shlex

import click

from lockstep.cli.context import open_context, stack_option
from lockstep.cli.output import emit, output_option


@click.command(
    epilog='\b\nExamples:\n  eval "$(./lockstep env)"\n  pulumi preview\n  pulumi up\n  pulumi stack history'
)
@stack_option
@output_option
def command(stack: str, output: str) -> None:
    """Print shell exports for plain `pulumi`, after making ready whatever is missing."""
    context = open_context(stack)
    context.engine.ensure_stack()
    variables = context.workspace.environment(context.toolchain)
    emit(
        output,
        "env",
        {"environment": variables},
        lambda: "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
    )
