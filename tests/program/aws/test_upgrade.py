"""A stack that an earlier program made, under today's: nothing that holds state is made anew.

goldens/state.json is the state of the first complete run, one region of it (tests.support.kept_state writes
it). It is replaced by that of the last released version, and never just to make this test pass: what is
replaced here would be replaced for whoever upgrades. A resource that only has another name needs an alias.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from lockstep.deploy import Engine, Touch
from lockstep.paths import Paths, here
from lockstep.standin import project, sample
from lockstep.targets import OFFLINE
from lockstep.toolchain import ensure
from lockstep.workspace import Workspace
from tests.support.kept_state import STATE

pytestmark = pytest.mark.e2e
STACK, REGION = "staging", "eu-central-1"
STATEFUL = {
    *("aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet", "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup"),
    *("aws:kms/key:Key", "aws:kms/alias:Alias", "aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"),
    *("aws:cloudtrail/trail:Trail", "aws:lb/loadBalancer:LoadBalancer", "aws:route53/record:Record"),
    *("kubernetes:karpenter.sh/v1:NodePool", "kubernetes:core/v1:Namespace"),
    *("kubernetes:gateway.networking.k8s.io/v1:Gateway", "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"),
    *("lockstep:index:PromotionGate", "lockstep:index:PromotionReceipt"),
}
"""What holds data, addresses or traffic."""
ADDED = [f"create Alias key-{REGION}"]
"""What that program did not declare and nothing stood for: the region's key had no name."""


def test_nothing_that_holds_state_is_made_anew(tmp_path: Path) -> None:
    known = {each["type"] for each in json.loads(STATE.read_text())["deployment"]["resources"]}
    assert known >= STATEFUL - {"aws:eks/nodeGroup:NodeGroup"}, "the golden has what this is about"
    anew = [touch for touch in upgraded(tmp_path) if touch.type in STATEFUL and touch.op != "update"]
    assert [str(touch) for touch in anew] == ADDED


def say(line: str) -> None:
    click.echo(line, err=True)


def upgraded(folder: Path) -> list[Touch]:
    """What today's program would do to that state."""
    toolchain = ensure(say)
    paths = Paths(root=here().root, state=folder)
    file = Workspace(paths, STACK).file
    settings = file.settings()
    made = sample.samples(folder / "sample", sorted(settings.table))
    config = one_region(sample.offline_config(settings, made), file.values())
    offline = project.make(paths, STACK, config=config, folder=folder)
    more = {**offline.variables, OFFLINE: str(folder / "sample")}
    for words in (["stack", "init", STACK], ["stack", "import", "--stack", STACK, "--file", str(STATE)]):
        command = [str(toolchain.pulumi), "-C", str(folder), *words]
        environment = {**offline.environment(toolchain), **more}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return Engine(offline.workspace, lambda: toolchain, say, more).preview()


def one_region(config: dict[str, Any], committed: dict[str, Any]) -> dict[str, Any]:
    models = config["lockstep:models"]
    return {
        **config,
        "lockstep:regions": [each for each in committed["lockstep:regions"] if each["name"] == REGION],
        "lockstep:models": {model: {REGION: places[REGION]} for model, places in models.items()},
    }
