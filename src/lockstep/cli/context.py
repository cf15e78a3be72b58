"""What most verbs open first: the workspace, its ledger, its engine, and a line of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import click

from lockstep.cli.output import is_tty, say
from lockstep.ledger import Ledger
from lockstep.local.stack import LocalStack
from lockstep.paths import here
from lockstep.targets import declared_stack
from lockstep.workspace import LOCAL, Workspace

if TYPE_CHECKING:
    from infra.config import Settings
    from lockstep.deploy import Engine
    from lockstep.rollout.change import Change
    from lockstep.toolchain import Toolchain

stack_option = click.option(
    "--stack", "-s", default=LOCAL, show_default=True, envvar="PULUMI_STACK", help="Which stack."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")


@dataclass(frozen=True)
class Context:
    workspace: Workspace

    @property
    def settings(self) -> Settings:
        """Read again each time: commands rewrite the stack file."""
        return self.workspace.file.settings()

    @cached_property
    def local(self) -> LocalStack:
        """The stack's processes on this machine; a stack elsewhere has none."""
        return LocalStack(self.workspace.paths, self.workspace.stack)

    @cached_property
    def ledger(self) -> Ledger:
        settings = self.settings
        return Ledger(
            declared_stack(self.workspace.paths, self.workspace.stack, settings),
            environment=settings.environment,
            bucket=settings.bucket,
            retention_days=settings.retention_days,
            store_url=settings.release_store,
            opa_url=settings.opa_url,
        )

    @cached_property
    def toolchain(self) -> Toolchain:
        from lockstep.workspace import prepare

        return prepare(self.workspace, say)

    @cached_property
    def engine(self) -> Engine:
        from lockstep.deploy import Engine

        return Engine(self.workspace, lambda: self.toolchain, step_line)

    @cached_property
    def change(self) -> Change:
        from lockstep.rollout.change import Change

        return Change(self.workspace, self.engine, self.ledger, step_line)


def open_context(stack: str) -> Context:
    return Context(Workspace(here(), stack))


def step_line(message: str) -> None:
    """One thing that is being done, for the person watching."""
    say(f"  {message}")


@contextmanager
def timed(message: str) -> Iterator[None]:
    """Say what is going on, with a moving clock on a terminal and a plain closing line elsewhere."""
    started = time.monotonic()
    if is_tty():
        from rich.console import Console

        with Console(stderr=True).status(message):
            yield
    else:
        say(message)
        yield
    say(f"{message}: {time.monotonic() - started:.1f} s")


def confirm_or_stop(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be taken back; never hangs where nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to ask: pass --yes.")
    click.confirm(question, abort=True)


Progress = Callable[[str], None]
