"""What a stack file may not say because of what is there already.

`check` reads the engine's state where that is a file of this checkout. A state that lies elsewhere is fetched
by the update itself, which asks the same before it changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lockstep.checks.problem import Problem
from lockstep.jsontext import from_json

if TYPE_CHECKING:
    from infra.config import Settings
    from lockstep.workspace import Workspace

GATE = "lockstep:index:PromotionGate"


def problems(workspace: Workspace, settings: Settings) -> Iterator[Problem]:
    """Of a state that is a file of this checkout."""
    try:
        state = from_json(workspace.state_file.read_bytes())
        resources = state["checkpoint"]["latest"]["resources"] or []
        yield from taken_back(workspace.stack, settings, resources)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return  # there is none that can be read


def taken_back(stack: str, settings: Settings, resources: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """What the stack's resources in the engine's state have and these settings would take back."""
    gate: Mapping[str, Any] = next((each for each in resources if each.get("type") == GATE), {})
    inputs = gate.get("inputs", {})
    target, days = inputs.get("target"), inputs.get("retention_days")
    if isinstance(target, str) and target != settings.target:
        yield Problem(
            "stack.other_target",
            f"{stack} runs on {target}, and its file says {settings.target}",
            f"put lockstep:target: {target} back; another target is another stack (pulumi stack init)",
        )
    if isinstance(days, int | float) and settings.retention_days < days:
        yield Problem(
            "audit.shorter_retention",
            f"lockstep:audit.retention_days: {settings.retention_days} is less than the {round(days)} before",
            "put the longer time back: what was promised to readers of the log is not taken back",
        )
