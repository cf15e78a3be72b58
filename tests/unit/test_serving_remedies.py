"""Whoever cannot start a service, or cannot believe its evidence, is told what to do next."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "lockstep"
ERRORS = {"LockstepError", "UsageError", "IntegrityError", "Unavailable", "DeadlineExceeded"}
FILES = [*(SOURCE / "serving").glob("*.py"), SOURCE / "evidence" / "verified.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_error_has_a_next_step(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ERRORS]
    without = [call.lineno for call in made if not any(word.arg == "remedy" for word in call.keywords)]
    assert not without, f"{path.name}: errors without a remedy at lines {without}"
