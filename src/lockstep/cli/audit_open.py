"""How the `audit` verbs open a log: to read it, or to add to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from lockstep.audit.local import open_local
from lockstep.audit.opened import OpenLog
from lockstep.cli.output import say
from lockstep.errors import UsageError
from lockstep.evidence.keys import LOCAL
from lockstep.paths import Paths, here

stack_option = click.option("--stack", default=LOCAL, show_default=True, help="Whose log.")


def paths_in_context() -> Paths:
    """The folders that the caller put into the context, or those of this checkout."""
    return click.get_current_context().find_object(Paths) or here()


def open_to_read(stack: str, paths: Paths) -> OpenLog:
    audit = open_local(stack, paths)
    if audit is None:
        raise _absent(stack)
    if not audit.running:
        say("versitygw is not running: reading its data folder")
    return audit


@dataclass(frozen=True)
class Writing:
    """A log to add to. retention: of what is written; who: the claimed actor and the commit."""

    audit: OpenLog
    retention: timedelta
    who: dict[str, Any]


def open_to_write(stack: str, paths: Paths) -> Writing:
    """Raises Unavailable when the bucket does not answer."""
    from lockstep.ledger.circumstances import claimed_actor, git_state
    from lockstep.workspace import Workspace

    settings = Workspace(paths, stack).file.settings()
    audit = open_local(stack, paths, write=True, environment=settings.environment, bucket=settings.bucket)
    if audit is None:
        raise _absent(stack)
    who = {"claimed": claimed_actor(), "git": git_state(str(paths.root))}
    return Writing(audit, timedelta(days=settings.retention_days), who)


def _absent(stack: str) -> UsageError:
    return UsageError(f"the stack {stack} has no audit log yet", code="audit.absent", remedy="./lockstep up")
