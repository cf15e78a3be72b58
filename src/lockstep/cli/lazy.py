"""The verbs, and a click group that imports one only when it is used: most of a start is imports."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec

import click
from click.shell_completion import CompletionItem

VERBS: Mapping[str, str] = {
    "up": "Set up what is missing and bring the stack up.",
    "down": "Withdraw everything and stop it.",
    "env": 'Print what plain `pulumi` needs: eval "$(./lockstep env)".',
    "check": "Say all that is wrong with a stack, before any preview.",
    "preview": "Say what an update would do. Writes nothing.",
    "status": "Show declared and live weights, releases, health and records.",
    "promote": "Give a release a share of the traffic.",
    "rollback": "Go back to the standing release.",
    "retry": "Let a release in again that was rolled back from.",
    "withdraw": "Take a model or region out of traffic, then out of the stack.",
    "predict": "Send an image through the entry point.",
    "release": "Build, list, show and verify releases.",
    "audit": "Show, verify and export the audit log.",
    "tour": "See the whole story on real traffic, in a few minutes.",
    "doctor": "Say what is there and what is missing.",
    "test": "Run every check and test, as CI does.",
    "bench": "Measure against peers in the same run.",
    "completion": "Print shell completion for bash, zsh or fish.",
}
PACKAGE = "lockstep.cli"


class LazyGroup(click.Group):
    """Verb `x` is the attribute `command` of the module lockstep.cli.x."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for verb in VERBS if find_spec(f"{PACKAGE}.{verb}") is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = import_module(f"{PACKAGE}.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"{PACKAGE}.{cmd_name}.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs in the order in which a newcomer meets them, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb]) for verb in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        verbs = [verb for verb in self.list_commands(ctx) if verb.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(verb, help=VERBS[verb]) for verb in verbs] + options
