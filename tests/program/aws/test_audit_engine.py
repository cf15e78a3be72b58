"""The records on the real engine and the stand-in's account: what a destroy leaves, and who takes it up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from infra.config import defaults
from lockstep.paths import here
from lockstep.standin import project
from lockstep.toolchain import Toolchain, ensure

pytestmark = pytest.mark.e2e
STACK = "staging"
ADOPT = {"LOCKSTEP_ADOPT": "1"}
PROGRAM = """
import json, os
from infra.aws.audit import audit_bucket
from infra.aws.estate import estate
from infra.aws.identity import identity
from infra.config import load

ground = estate(load(json.loads(os.environ["PULUMI_CONFIG"])))
identity(ground, audit_bucket(ground))
"""


@dataclass(frozen=True)
class Engine:
    offline: project.OfflineProject
    toolchain: Toolchain

    def run(self, *words: str, fails: bool = False, more: Mapping[str, str] | None = None) -> str:
        said = subprocess.run(
            [str(self.toolchain.pulumi), "-C", str(self.offline.folder), *words],
            env={**self.offline.environment(self.toolchain), **(more or {})},
            capture_output=True,
            text=True,
            timeout=300,
        )
        text = said.stdout + said.stderr
        assert (said.returncode != 0) is fails, text
        return text

    def state(self) -> dict[str, dict[str, Any]]:
        """What the stack has, by type and name."""
        resources = json.loads(self.run("stack", "export"))["deployment"].get("resources", [])
        return {each["urn"].split("::", 2)[2].rsplit("$", 1)[-1]: each for each in resources}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    program = tmp_path / "program"
    program.mkdir()
    (program / "__main__.py").write_text(PROGRAM)
    toolchain = ensure(lambda line: click.echo(line, err=True))
    config = {
        **defaults(here().root / "Pulumi.yaml"),
        **yaml.safe_load((here().root / f"Pulumi.{STACK}.yaml").read_text())["config"],
        "lockstep:identity": {"repository": "acme/vision", "branch": "main"},
    }
    made = project.make(here(), STACK, program=program, folder=tmp_path / "offline", config=config)
    engine = Engine(made, toolchain)
    engine.run("stack", "init", STACK)
    return engine


def kept(state: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What must outlive the stack -> its id."""
    return {name: each["id"] for name, each in state.items() if each.get("retainOnDelete")}


def test_what_a_destroy_leaves_is_taken_up_by_a_run_that_adopts(engine: Engine) -> None:
    engine.run("up", "--yes", "--skip-preview")
    before = kept(engine.state())
    for noun in ("audit", "copy", "trail", "registry"):
        assert f"aws:s3/bucket:Bucket::{noun}-bucket" in before
        assert f"aws:s3/bucketPolicy:BucketPolicy::{noun}-policy" in before
    for noun in ("records", "heads", "data", "copy"):
        assert f"aws:kms/key:Key::{noun}-key" in before
    engine.run("preview", "--expect-no-changes")

    engine.run("destroy", "--yes", "--skip-preview")
    assert engine.state() == {}
    said = engine.run("up", "--yes", "--skip-preview", fails=True)
    assert "BucketAlreadyOwnedByYou" in said
    made = [name for name in engine.state() if "aws:kms/" in name]
    assert made == [], "keys were made in vain: they would be kept, and nobody would know them"
    engine.run("destroy", "--yes", "--skip-preview")

    engine.run("up", "--yes", "--skip-preview", more=ADOPT)
    assert kept(engine.state()) == before, "the same things, none made anew"
    engine.run("preview", "--expect-no-changes")
    engine.run("preview", "--expect-no-changes", more=ADOPT)
