"""README.md: what it tells people to type is there, and so is each place that it sends them to."""

from __future__ import annotations

import re
from pathlib import Path

import click

from lockstep.cli.__main__ import cli
from lockstep.cli.lazy import VERBS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_command_in_the_readme_is_a_verb() -> None:
    named = set(re.findall(r"\./lockstep ([a-z]+)", README))
    assert named >= {"up", "tour", "status", "promote", "rollback", "audit", "test", "doctor", "env"}
    assert named <= set(VERBS)


def test_every_verb_is_in_the_readme() -> None:
    assert set(VERBS) - set(re.findall(r"\./lockstep ([a-z]+)", README)) == set()


def test_every_option_in_the_readme_is_one() -> None:
    context = click.Context(cli)
    for verb, rest in re.findall(r"\./lockstep ([a-z]+)([^`\n]*)", README):
        command = cli.get_command(context, verb)
        assert command is not None
        known = {option for param in command.params for option in param.opts}
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                sub = command.get_command(context, below)
                assert sub is not None
                known |= {option for param in sub.params for option in param.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (verb, rest)


def test_every_place_in_the_readme_is_there() -> None:
    places = re.findall(r"`((?:policies|infra|src|models|toolchain|docs)/[^`<]*)`", README)
    assert places
    for place in places:
        assert (ROOT / place).exists(), place
