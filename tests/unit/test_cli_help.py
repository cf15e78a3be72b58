"""The help of every command, as one golden file: an option that comes, goes or changes is a diff."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockstep.cli.__main__ import NAME, cli
from lockstep.cli.lazy import VERBS
from tests.support.goldens import require_same

GOLDEN = Path(__file__).parent / "goldens" / "help.txt"


def contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """The command and everything under it, in the order in which its help lists them."""
    size = {"terminal_width": 100, "max_content_width": 100}
    context = click.Context(command, info_name=name, parent=parent, **{**command.context_settings, **size})
    yield context
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            below = command.get_command(context, verb)
            assert below is not None
            yield from contexts(below, verb, context)


def every() -> list[click.Context]:
    return list(contexts(cli, NAME, None))


def pages() -> str:
    return "\n".join(f"$ {context.command_path} --help\n{context.get_help()}\n" for context in every())


def test_help_is_the_golden_one() -> None:
    """In a process of its own: a command that other tests ran alone keeps the help options it had there."""
    script = "import sys; from tests.unit.test_cli_help import pages; sys.stdout.write(pages())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    require_same(GOLDEN, done.stdout)


def test_the_list_of_verbs_says_what_each_verbs_own_help_says() -> None:
    group = click.Context(cli, info_name=NAME)
    for verb in cli.list_commands(group):
        command = cli.get_command(group, verb)
        assert command is not None
        assert VERBS[verb].endswith(".")
        assert command.help, verb


def test_every_command_explains_itself_and_every_option_has_words() -> None:
    for context in every():
        assert context.command.help, context.command_path
        for parameter in context.command.params:
            if isinstance(parameter, click.Option) and parameter.name not in ("model",):
                assert parameter.help, f"{context.command_path} {parameter.opts}"


CHANGES = ("up", "down", "promote", "rollback", "retry", "withdraw")


@pytest.mark.parametrize("verb", CHANGES)
def test_whatever_changes_something_has_a_dry_run(verb: str) -> None:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    assert "dry_run" in {parameter.name for parameter in command.params}


@pytest.mark.parametrize("verb", [*CHANGES, "status", "predict", "preview", "env", "doctor"])
def test_whatever_has_a_result_gives_it_as_json_too(verb: str) -> None:
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    assert "output" in {parameter.name for parameter in command.params}
