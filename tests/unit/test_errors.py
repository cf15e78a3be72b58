"""The one error tree: exit codes, words, and that every error says what to do next."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep import errors
from lockstep.errors import (
    Cancelled,
    DeadlineExceeded,
    Denied,
    IntegrityError,
    LockstepError,
    Unavailable,
    UsageError,
    Violation,
)

ROOT = Path(__file__).parents[2]
TREE = {
    LockstepError: 1,
    UsageError: 2,
    Denied: 5,
    Cancelled: 8,
    DeadlineExceeded: 9,
    IntegrityError: 1,
    Unavailable: 1,
}


def test_exit_codes_follow_pulumis_table() -> None:
    assert {kind: kind.exit_code for kind in TREE} == TREE


def test_there_are_no_other_kinds() -> None:
    found = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert {kind for kind in found if issubclass(kind, Exception)} == set(TREE)


def test_an_error_says_what_its_code_and_what_next() -> None:
    error = UsageError("no such key", code="config.key", remedy="take it out")
    assert str(error) == "no such key [config.key]\n  next: take it out"
    assert str(LockstepError("it broke", code="a.b")) == "it broke [a.b]"


def test_a_denial_lists_every_rule_that_said_no() -> None:
    first = Violation("step.size", "5 to 80 is too far", "go to 25", "digits/local-a")
    second = Violation("release.barred", "it was rolled back from", "retry it")
    denied = Denied([first, second])
    assert denied.violations == (first, second)
    assert denied.code == "gate.denied"
    text = str(denied)
    assert "step.size (digits/local-a): 5 to 80 is too far\n    remedy: go to 25" in text
    assert "release.barred: it was rolled back from\n    remedy: retry it" in text


def raised(path: Path) -> Iterator[ast.Call]:
    """Every place where an error of the tree is made with a fixed message."""
    names = {kind.__name__ for kind in TREE} - {"Denied"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


@pytest.mark.parametrize("folder", ["src/lockstep", "infra"])
def test_every_error_that_is_made_has_a_code(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        for call in raised(path):
            given = {keyword.arg for keyword in call.keywords}
            assert "code" in given, f"{path}:{call.lineno}"
