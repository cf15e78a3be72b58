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
from lockstep.ledger.stack import Stack
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths, here
from lockstep.targets import declared_stack
from lockstep.workspace import Workspace

stack_option = click.option("--stack", "-s", default=LOCAL, show_default=True, help="Whose log.")


def paths_in_context() -> Paths:
    """The folders that the caller put into the context, or those of this checkout."""
    return click.get_current_context().find_object(Paths) or here()


def declared(stack: str, paths: Paths) -> Stack:
    """The stack, where its file says that it runs; on this machine where it has no file."""
    if not is_elsewhere(stack, paths):
        return LocalStack(paths, stack)
    return declared_stack(paths, stack, Workspace(paths, stack).file.settings())


def is_elsewhere(stack: str, paths: Paths) -> bool:
    """Whether the stack's file names another target than this machine; asks for nothing else in it, so that
    the log of a stack whose file is not good can be read."""
    file = Workspace(paths, stack).file
    return file.path.is_file() and file.target() not in ("", LOCAL)


def environment_of(stack: str, paths: Paths) -> str:
    """Whose people sign the stack's log."""
    return Workspace(paths, stack).file.settings().environment if is_elsewhere(stack, paths) else LOCAL


def open_to_read(stack: str, paths: Paths) -> OpenLog:
    if is_elsewhere(stack, paths):
        settings = Workspace(paths, stack).file.settings()
        audit = declared(stack, paths).open_log(
            environment=settings.environment, bucket=settings.bucket, write=False
        )
    else:
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

    settings = Workspace(paths, stack).file.settings()
    audit = declared_stack(paths, stack, settings).open_log(
        environment=settings.environment, bucket=settings.bucket, write=True
    )
    if audit is None:
        raise _absent(stack)
    who = {"claimed": claimed_actor(), "git": git_state(str(paths.root))}
    return Writing(audit, timedelta(days=settings.retention_days), who)


def _absent(stack: str) -> UsageError:
    return UsageError(f"the stack {stack} has no audit log yet", code="audit.absent", remedy="./lockstep up")
