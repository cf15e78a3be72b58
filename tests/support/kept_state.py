"""The state of a stack as an earlier program left it, kept to be held against today's program.

LOCKSTEP_KEEP_STATE=1 ./lockstep test -- tests/e2e/test_aws_life.py   writes it anew: once a released version.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATE = Path(__file__).parents[1] / "program" / "aws" / "goldens" / "state.json"
VARIABLE = "LOCKSTEP_KEEP_STATE"
KEPT = (
    "urn",
    "custom",
    "id",
    "type",
    "inputs",
    "outputs",
    "parent",
    "provider",
    "retainOnDelete",
    "deletedWith",
)
"""What the engine needs to compare; times and the order of dependencies are worked out again."""


def keep_if_asked(export: Callable[[], str], *, without: str) -> None:
    """Write the golden from an export with secrets shown; without one of two regions, which are alike."""
    if os.environ.get(VARIABLE) != "1":
        return
    exported: list[dict[str, Any]] = json.loads(export())["deployment"]["resources"]
    resources = [
        {key: each[key] for key in KEPT if key in each} for each in exported if without not in each["urn"]
    ]
    lines = ",\n".join(json.dumps(each, sort_keys=True) for each in resources)
    lines = re.sub(r"file:///[^\"]*", "file:///store", lines)  # of whoever kept it
    manifest = json.dumps({"time": "0001-01-01T00:00:00Z", "magic": "", "version": ""})
    STATE.write_text(
        f'{{"version": 3, "deployment": {{"manifest": {manifest}, "resources": [\n{lines}\n]}}}}\n'
    )
