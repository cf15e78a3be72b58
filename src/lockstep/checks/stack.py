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


def problems(workspace: Workspace) -> list[Problem]:
    """Every problem of one stack. Asks no account and starts nothing."""
    from lockstep.checks import cloud, machine, recorded

    found: list[Problem] = []
    settings = _settings(workspace, found)
    in_cloud = workspace.file.target() == "aws"
    if in_cloud:
        found += cloud.places(workspace.file.values())
    if settings is not None and settings.cloud is not None:
        found += cloud.plan(settings.cloud, settings.regions, settings.table)
    if settings is not None:
        found += recorded.problems(workspace, settings)
    if in_cloud:
        found += machine.problems(workspace)
    return found


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
