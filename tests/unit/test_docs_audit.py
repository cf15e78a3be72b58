"""docs/audit.md: its commands are real, and it names every problem code that verification has."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from lockstep.cli.__main__ import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "audit.md").read_text()
COMMANDS = re.findall(r"\./lockstep ([a-z]+)(?: ([a-z]+))?([^`\n#|]*)", PAGE)
CHECKS = (
    "verify",
    "survey",
    "uncounted",
    "batches",
    "beginning",
    "locks",
    "clock",
    "story",
    "unrecorded",
    "record",
    "note",
)


@pytest.mark.parametrize(("verb", "below", "rest"), sorted(set(COMMANDS)))
def test_every_command_is_one(verb: str, below: str, rest: str) -> None:
    context = click.Context(cli)
    command = cli.get_command(context, verb)
    assert command is not None
    if isinstance(command, click.Group):
        command = command.get_command(context, below)
        assert command is not None, below
    known = {option for param in command.params for option in param.opts}
    assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_every_problem_is_explained() -> None:
    found = set()
    for name in CHECKS:
        text = (ROOT / "src" / "lockstep" / "audit" / f"{name}.py").read_text()
        found |= set(re.findall(r'"(audit\.[a-z_]+)"', text))
        found |= {f"audit.{what}" for what in re.findall(r'_(?:wrong|misplaced)\(\s*"([a-z_]+)"', text)}
    assert found - {"audit.bad_key", "audit.object_missing"} <= set(re.findall(r"`(audit\.[a-z_]+)`", PAGE))


def test_the_readme_sends_people_there() -> None:
    assert "docs/audit.md" in (ROOT / "README.md").read_text()
