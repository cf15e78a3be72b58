"""The records on the real engine and the stand-in's account: what a destroy leaves, and who takes it up."""

from __future__ import annotations

import json
import re
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


def engine(folder: Path, program: Path, config: dict[str, Any]) -> Engine:
    toolchain = ensure(lambda line: click.echo(line, err=True))
    made = Engine(project.make(here(), STACK, program=program, folder=folder, config=config), toolchain)
    made.run("stack", "init", STACK)
    return made


def kept(state: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What must outlive the stack -> its id."""
    return {name: each["id"] for name, each in state.items() if each.get("retainOnDelete")}


def test_what_a_destroy_leaves_is_taken_up_by_a_run_that_adopts(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__main__.py").write_text(PROGRAM)
    config = {
        **defaults(here().root / "Pulumi.yaml"),
        **yaml.safe_load((here().root / f"Pulumi.{STACK}.yaml").read_text())["config"],
        "lockstep:identity": {"repository": "acme/vision", "branch": "main"},
    }
    stack = engine(tmp_path / "offline", tmp_path / "program", config)
    stack.run("up", "--yes", "--skip-preview")
    before = kept(stack.state())
    for noun in ("audit", "copy", "trail", "registry"):
        assert f"aws:s3/bucket:Bucket::{noun}-bucket" in before
        assert f"aws:s3/bucketPolicy:BucketPolicy::{noun}-policy" in before
    for noun in ("records", "heads", "data", "copy"):
        assert f"aws:kms/key:Key::{noun}-key" in before
    stack.run("preview", "--expect-no-changes")

    stack.run("destroy", "--yes", "--skip-preview")
    assert stack.state() == {}
    said = stack.run("up", "--yes", "--skip-preview", fails=True)
    assert "BucketAlreadyOwnedByYou" in said, said
    # Several are, and which of them the engine meets first, it does not say.
    assert re.search(r"the bucket lockstep-[a-z0-9-]+ is left of an earlier stack of this name", said), said
    assert "next: ./lockstep up -s staging takes it over" in said
    made = [name for name in stack.state() if "aws:kms/" in name]
    assert made == [], "keys were made in vain: they would be kept, and nobody would know them"
    stack.run("destroy", "--yes", "--skip-preview")

    stack.run("up", "--yes", "--skip-preview", more=ADOPT)
    assert kept(stack.state()) == before, "the same things, none made anew"
    stack.run("preview", "--expect-no-changes")
    stack.run("preview", "--expect-no-changes", more=ADOPT)


def test_what_an_account_gets_once_is_there_for_whoever_has_lost_its_state(tmp_path: Path) -> None:
    program = here().root / "infra" / "bootstrap"
    once = engine(tmp_path / "offline", program, {"lockstep:region": "eu-central-1"})
    once.run("up", "--yes", "--skip-preview")
    before = kept(once.state())
    assert set(before) >= {
        "aws:iam/policy:Policy::boundary",
        "aws:s3/bucket:Bucket::state-bucket",
        "aws:s3/bucketPolicy:BucketPolicy::state-policy",
        "aws:kms/key:Key::state-key",
        "aws:kms/key:Key::secrets-key",
    }
    told = json.loads(once.run("stack", "output", "--json"))
    assert told["backend"].startswith("s3://lockstep-state-")
    assert told["secrets_provider"] == "awskms://alias/lockstep-secrets?region=eu-central-1"
    once.run("stack", "rm", "--force", "--yes", "--preserve-config", STACK)
    once.run("stack", "init", STACK)
    once.run("up", "--yes", "--skip-preview", more=ADOPT)
    assert kept(once.state()) == before
