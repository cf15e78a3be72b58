"""What a stack file may not say because of what is there already.

Read from the engine's state where that is a file of this checkout. A state that lies elsewhere is not
fetched: the gate says the same, later, from the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lockstep.checks.problem import Problem

if TYPE_CHECKING:
    from infra.config import Settings
    from lockstep.workspace import Workspace

GATE = "lockstep:index:PromotionGate"


def problems(workspace: Workspace, settings: Settings) -> Iterator[Problem]:
    gate = _gate(workspace)
    target, days = gate.get("target"), gate.get("retention_days")
    if isinstance(target, str) and target != settings.target:
        yield Problem(
            "stack.other_target",
            f"{workspace.stack} runs on {target}, and its file says {settings.target}",
            f"put lockstep:target: {target} back; another target is another stack (pulumi stack init)",
        )
    if isinstance(days, int | float) and settings.retention_days < days:
        yield Problem(
            "audit.shorter_retention",
            f"lockstep:audit.retention_days: {settings.retention_days} is less than the {round(days)} before",
            "put the longer time back: what was promised to readers of the log is not taken back",
        )


def _gate(workspace: Workspace) -> dict[str, Any]:
    """The gate's inputs in the engine's state; empty where there is none that can be read."""
    try:
        state = json.loads(workspace.state_file.read_bytes())
        resources = state["checkpoint"]["latest"]["resources"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    gates = [each for each in resources or [] if each.get("type") == GATE]
    return dict(gates[0].get("inputs", {})) if gates else {}
