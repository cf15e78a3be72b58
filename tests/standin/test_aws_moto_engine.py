"""Both stacks, made and taken down by the real engine, with each call to AWS put to moto as well."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest
import yaml

from infra.config import defaults
from lockstep.paths import here
from lockstep.standin import project
from lockstep.standin.aws.moto_judge import FOLDER_VARIABLE
from lockstep.toolchain import ensure
from lockstep.workspace import COMPRESSED
from tests.support.moto import moto

__all__ = ["moto"]  # the fixture, where pytest finds it
pytestmark = pytest.mark.e2e
BAD = "LOCKSTEP_TEST_BAD"
PROGRAM = f"""
import json, os
import pulumi_aws as aws
from infra.config import load
from tests.support.whole_stack import whole_stack

ground = whole_stack(load(json.loads(os.environ["PULUMI_CONFIG"])))
if os.environ.get("{BAD}"):
    nobody = {{"Effect": "Allow", "Action": "s3:GetObject"}}
    text = json.dumps({{"Version": "2012-10-17", "Statement": [nobody]}})
    aws.iam.Policy("bad", policy=text, opts=ground.options())
"""


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_moto_takes_a_stack_as_the_engine_makes_it_and_takes_it_down(
    moto: Path, tmp_path: Path, stack: str
) -> None:
    toolchain = ensure(lambda line: click.echo(line, err=True))
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__main__.py").write_text(PROGRAM)
    config = {
        **defaults(here().root / "Pulumi.yaml"),
        **yaml.safe_load((here().root / f"Pulumi.{stack}.yaml").read_text())["config"],
        "lockstep:allow_destroy": True,
    }
    folder = tmp_path / "offline"
    made = project.make(here(), stack, program=tmp_path / "program", folder=folder, config=config)
    environment = {**made.environment(toolchain), FOLDER_VARIABLE: str(moto), COMPRESSED: "true"}

    def engine(*words: str, fails: bool = False, **more: str) -> str:
        command = [str(toolchain.pulumi), "-C", str(folder), *words]
        done = subprocess.run(command, env={**environment, **more}, capture_output=True, text=True)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    engine("stack", "init", stack)
    # A policy that names nobody and nothing: of the two, only moto knows that. And so moto was asked.
    said = engine("up", "--yes", "--skip-preview", "--non-interactive", fails=True, **{BAD: "1"})
    assert "MalformedPolicyDocument" in said
    engine("up", "--yes", "--skip-preview", "--non-interactive")
    engine("preview", "--expect-no-changes")
    engine("destroy", "--yes", "--skip-preview", "--non-interactive")
