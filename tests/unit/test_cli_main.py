"""How a command ends: the words on stderr, the document on stdout, the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from lockstep.cli.__main__ import error_document, run, wants_json
from lockstep.cli.lazy import VERBS
from lockstep.errors import Cancelled, DeadlineExceeded, Denied, LockstepError, UsageError, Violation


def group(end: Callable[[], object]) -> click.Group:
    """A group with one verb, `act`, that ends as told."""

    @click.group()
    def some() -> None:
        pass

    @some.command()
    @click.option("--output", default="text")
    def act(output: str) -> object:
        return end()

    return some


def raising(error: BaseException) -> Callable[[], object]:
    def end() -> object:
        raise error

    return end


VIOLATION = Violation(code="step.size", message="5 to 80 is too far", remedy="go to 25", cell="digits/a")
ENDS = [
    (LockstepError("it broke", code="a.b", remedy="mend it"), 1, "a.b"),
    (UsageError("no such key", code="config.key", remedy="take it out"), 2, "config.key"),
    (Denied([VIOLATION]), 5, "gate.denied"),
    (Cancelled("stopped", code="engine.cancelled", remedy="go on"), 8, "engine.cancelled"),
    (DeadlineExceeded("too slow", code="lock.held", remedy="wait"), 9, "lock.held"),
    (KeyboardInterrupt(), 8, "cli.cancelled"),
    (click.Abort(), 8, "cli.cancelled"),
    (click.UsageError("no such option"), 2, "cli.usage"),
]


@pytest.mark.parametrize(("error", "code", "name"), ENDS)
def test_each_error_has_its_exit_code(
    error: BaseException, code: int, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["act"], group(raising(error))) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    if isinstance(error, LockstepError):
        assert shown.err.startswith("error: ")
        assert f"[{name}]" in shown.err
        assert error.message.split("\n")[0] in shown.err
        assert not error.remedy or f"next: {error.remedy}" in shown.err


@pytest.mark.parametrize(("error", "code", "name"), ENDS)
@pytest.mark.parametrize("words", [["--output", "json"], ["--output=json"]])
def test_each_error_is_one_document_when_json_is_asked_for(
    error: BaseException, code: int, name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["act", *words], group(raising(error))) == code
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "lockstep.error/1"
    assert document["error"]["code"] == name


def test_a_denial_carries_its_violations(capsys: pytest.CaptureFixture[str]) -> None:
    run(["act", "--output", "json"], group(raising(Denied([VIOLATION]))))
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["violations"] == [
        {"code": "step.size", "message": "5 to 80 is too far", "remedy": "go to 25", "cell": "digits/a"}
    ]
    run(["act"], group(raising(Denied([VIOLATION]))))
    text = capsys.readouterr().err
    assert "step.size (digits/a): 5 to 80 is too far" in text
    assert "remedy: go to 25" in text


def test_a_verb_that_ends_well_gives_zero() -> None:
    assert run(["act"], group(lambda: None)) == 0
    assert run(["act"], group(lambda: click.get_current_context().exit(7))) == 7


def test_debugging_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKSTEP_DEBUG", "1")
    run(["act"], group(raising(UsageError("no", code="a.b"))))
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_verb_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["no-such-verb"]) == 2
    assert "No such command 'no-such-verb'" in capsys.readouterr().err


def test_what_follows_two_dashes_is_no_option() -> None:
    assert wants_json(["x", "--output", "json"])
    assert not wants_json(["x", "--", "--output", "json"])
    assert not wants_json(["x", "json", "--output"])


def test_an_error_document_is_whole() -> None:
    assert json.loads(error_document("a.b", "no", "yes")) == {
        "schema": "lockstep.error/1",
        "error": {"code": "a.b", "message": "no", "remedy": "yes", "violations": []},
    }


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_help_imports_no_verb() -> None:
    said = python("-X", "importtime", "-m", "lockstep.cli", "--help")
    assert said.returncode == 0
    imported = {line.rsplit("|", 1)[-1].strip() for line in said.stderr.splitlines()}
    assert "lockstep.cli.lazy" in imported
    assert not {f"lockstep.cli.{verb}" for verb in VERBS} & imported
    assert not {"pulumi", "torch", "rich", "yaml", "bentoml", "lockstep.toolchain"} & imported
    for verb in ("doctor", "test", "completion"):
        assert f"  {verb} " in said.stdout


BUG = """
import sys
from lockstep.cli.__main__ import on_bug
sys.excepthook = on_bug
sys.argv = ["lockstep", *{words}]
raise ValueError("surprise")
"""


def test_a_bug_is_one_line_and_exit_code_one() -> None:
    said = python("-c", BUG.format(words=[]), LOCKSTEP_DEBUG="")
    assert said.returncode == 1
    assert "this is a bug in lockstep: ValueError: surprise" in said.stderr
    assert "Traceback" not in said.stderr
    assert "Traceback" in python("-c", BUG.format(words=[]), LOCKSTEP_DEBUG="1").stderr
    document = json.loads(python("-c", BUG.format(words=["--output=json"])).stdout)
    assert document["error"]["code"] == "cli.bug"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_launcher(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_LOCKSTEP_COMPLETE" in capsys.readouterr().out


def test_completion_knows_the_verbs() -> None:
    said = python(
        "-m",
        "lockstep.cli",
        _LOCKSTEP_COMPLETE="bash_complete",
        COMP_WORDS="lockstep do",
        COMP_CWORD="1",
    )
    assert "plain,doctor" in said.stdout
