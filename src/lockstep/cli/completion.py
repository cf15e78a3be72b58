"""`./lockstep completion`: the script that makes a shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print shell completion for bash, zsh or fish.

    It completes both `lockstep` and `./lockstep`, by asking the checkout whose launcher was typed.

    \b
    Examples:
      bash:  source <(./lockstep completion bash)
      zsh:   source <(./lockstep completion zsh)
      fish:  ./lockstep completion fish | source
    """
    from lockstep.cli.__main__ import NAME, cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(cli, {}, NAME, f"_{NAME.upper()}_COMPLETE").source())
