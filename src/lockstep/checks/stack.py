"""All that is wrong with a stack: its file, the plan that it makes, this machine, what is there already.

Each part is looked at whatever the others say, so that nobody mends a stack one error at a time. Only what
cannot be looked at without another part is left out until that one is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lockstep.checks.problem import Problem
from lockstep.errors import UsageError

if TYPE_CHECKING:
    from infra.config import Settings
    from lockstep.workspace import Workspace


def problems(workspace: Workspace, *, reach: bool = False) -> list[Problem]:
    """Every problem of one stack. Starts nothing, and asks no account.

    reach: ask the account, if there are credentials, where the clusters are, and whether this machine reaches
    them. Not before an update: a region that does not answer must not hold up a rollback in the others.
    """
    from lockstep.checks import cloud, machine, recorded

    found: list[Problem] = []
    settings = _settings(workspace, found)
    in_cloud = workspace.file.target() == "aws"
    if in_cloud:
        found += cloud.places(workspace.file.values())
    if settings is not None and settings.cloud is not None:
        found += cloud.plan(settings, settings.cloud)
    if settings is not None:
        found += recorded.problems(workspace, settings)
    if in_cloud:
        lacking = machine.problems(workspace)
        if reach and settings is not None and settings.cloud and not machine.no_credentials(lacking):
            found += cloud.reach(settings, settings.cloud)
        found += lacking
    return found


def is_readable(workspace: Workspace) -> bool:
    """Whether the stack file makes settings, so that there is a plan to judge."""
    return _settings(workspace, []) is not None


def notes(workspace: Workspace, *, reach: bool = False) -> list[str]:
    """What is to be known of a stack that has nothing wrong with it.

    reach: ask the account, if there are credentials, for its quotas.
    """
    settings = workspace.file.settings()
    if settings.cloud is None:
        return []
    from infra.aws import plan_rules
    from lockstep.boto import has_credentials
    from lockstep.checks import cloud

    known = cloud.quotas(settings, settings.cloud) if reach and has_credentials() else {}
    return plan_rules.notes(settings, settings.cloud, known)


def _settings(workspace: Workspace, found: list[Problem]) -> Settings | None:
    """The stack file's settings; None with its problems said."""
    try:
        return workspace.file.settings()
    except UsageError as error:
        found += _each(error)
        return None


def _each(error: UsageError) -> Iterator[Problem]:
    """One problem a line of an error that lists several."""
    first, *rest = error.message.split("\n")
    for line in rest or [first]:
        yield Problem(error.code, line.strip(), error.remedy)
