"""The offline project: what is written, and the life of a stack in it on the real engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from lockstep.errors import UsageError
from lockstep.paths import Paths, here
from lockstep.standin import project
from lockstep.standin.aws.account import Account, Resource
from lockstep.standin.kept import Kept
from lockstep.toolchain import Toolchain, ensure

REGION = "eu-central-1"
PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config("test")
provider = aws.Provider("aws", region="eu-central-1")
opts = pulumi.ResourceOptions(provider=provider)
vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", opts=opts)
subnets = [
    aws.ec2.Subnet(f"net-{zone}", vpc_id=vpc.id, cidr_block=f"10.0.{number}.0/24",
                   availability_zone=f"eu-central-1{zone}", opts=opts)
    for number, zone in enumerate("abc")
]
nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
role = aws.iam.Role("role", assume_role_policy=nobody, opts=opts)
spec, usage = config.get("spec"), config.get("usage")
key = aws.kms.Key("key", customer_master_key_spec=spec, key_usage=usage, opts=opts)
cluster = aws.eks.Cluster(
    "cluster",
    role_arn=role.arn,
    vpc_config={config.get("subnets") or "subnet_ids": [subnet.id for subnet in subnets]},
    enabled_cluster_log_types=[config.get("logs") or "audit"],
    opts=opts,
)
secret = aws.sqs.Queue("queue", policy=config.require_secret("policy"), opts=opts)
pulumi.export("issuer", cluster.identities[0].oidcs[0].issuer)
pulumi.export("role", role.name)
"""


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return ensure(print)


@pytest.fixture
def checkout(tmp_path: Path) -> Paths:
    """A checkout with a stack that has a secret and a key of its own."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "Pulumi.yaml").write_text((here().root / "Pulumi.yaml").read_text())
    stack = {
        "secretsprovider": "awskms://alias/x",
        "encryptedkey": "abc",
        "config": {"lockstep:target": "aws", "lockstep:token": {"secure": "v1:abc"}, "lockstep:a": [1]},
    }
    (root / "Pulumi.staging.yaml").write_text(yaml.safe_dump(stack))
    return Paths(root, root / ".lockstep")


def test_the_project_is_the_checkouts_with_the_stand_ins_as_plugins(checkout: Paths) -> None:
    made = project.make(checkout, "staging")
    written = yaml.safe_load((made.folder / "Pulumi.yaml").read_text())
    committed = yaml.safe_load((checkout.root / "Pulumi.yaml").read_text())
    assert written["name"] == committed["name"]
    assert written["config"] == committed["config"]
    assert written["main"] == str(checkout.root / "infra")
    plugins = {plugin["name"]: Path(plugin["path"]) for plugin in written["plugins"]["providers"]}
    assert plugins["lockstep"] == checkout.root / "src/lockstep/provider"
    assert (plugins["aws"] / "PulumiPlugin.yaml").is_file()


def test_the_committed_project_means_the_real_providers() -> None:
    committed = yaml.safe_load((here().root / "Pulumi.yaml").read_text())
    named = {plugin["name"] for plugin in committed["plugins"]["providers"]}
    assert named.isdisjoint(project.PROVIDERS)


def test_secrets_and_their_key_stay_behind_and_the_callers_words_come_over_it(checkout: Paths) -> None:
    made = project.make(checkout, "staging", config={"lockstep:a": [2]})
    written = yaml.safe_load((made.folder / "Pulumi.staging.yaml").read_text())
    assert written == {
        "config": {"lockstep:target": "aws", "lockstep:token": "offline", "lockstep:a": [2]},
    }
    assert "v1:abc" in (checkout.root / "Pulumi.staging.yaml").read_text()


def test_its_state_lies_in_its_folder_wherever_the_stack_runs(
    checkout: Paths, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://the-state-of-others")
    made = project.make(checkout, "staging")
    assert made.environment(toolchain)["PULUMI_BACKEND_URL"].startswith(f"file://{made.folder}/")


def test_making_it_again_keeps_its_own_key_and_account(checkout: Paths) -> None:
    made = project.make(checkout, "staging")
    before = (made.folder / "passphrase").read_text()
    (made.account / "aws.jsonl").write_text("")
    stack = made.folder / "Pulumi.staging.yaml"
    stack.write_text(stack.read_text() + "encryptionsalt: v1:own\n")
    again = project.make(checkout, "staging")
    assert (again.folder / "passphrase").read_text() == before
    assert (again.account / "aws.jsonl").exists()
    assert yaml.safe_load(stack.read_text())["encryptionsalt"] == "v1:own"
    assert (made.folder / "passphrase").stat().st_mode & 0o777 == 0o600


def test_a_stack_without_a_file_is_refused(checkout: Paths) -> None:
    with pytest.raises(UsageError, match=r"Pulumi\.nowhere\.yaml"):
        project.make(checkout, "nowhere")


def test_a_stand_in_without_a_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(project.STATE_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=project.STATE_VARIABLE):
        project.state_folder()


@dataclass
class Engine:
    """The real engine on an offline project whose program is the test's."""

    made: project.OfflineProject
    environment: dict[str, str]

    def run(self, *arguments: str, fails: bool = False) -> str:
        said = subprocess.run(
            [self.environment["PULUMI"], "-C", str(self.made.folder), *arguments, "--non-interactive"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (said.returncode != 0) is fails, said.stdout + said.stderr
        return said.stdout + said.stderr

    def up(self, *, fails: bool = False) -> str:
        return self.run("up", "--yes", "--skip-preview", fails=fails)

    def set(self, key: str, value: str) -> None:
        self.run("config", "set", f"test:{key}", value)

    def unset(self, key: str) -> None:
        self.run("config", "rm", f"test:{key}")

    def resources(self) -> dict[str, Any]:
        """Name in the stack -> what the engine has in its state."""
        state = json.loads(self.run("stack", "export"))["deployment"].get("resources", [])
        return {each["urn"].rsplit("::", 1)[-1]: each for each in state}

    def kept(self) -> dict[str, Resource]:
        with Kept(self.made.account / "aws.jsonl").open() as entries:
            return {each.urn.rsplit("::", 1)[-1]: each for each in Account(entries)}


@pytest.fixture
def engine(tmp_path: Path, toolchain: Toolchain) -> Iterator[Engine]:
    program = tmp_path / "program"
    program.mkdir()
    (program / "__main__.py").write_text(PROGRAM)
    made = project.make(here(), "test", config={"test:x": "1"}, program=program, folder=tmp_path / "work")
    environment = {**os.environ, **made.environment(toolchain), "PULUMI": str(toolchain.pulumi)}
    running = Engine(made, environment)
    running.run("stack", "init", "test")
    running.run("config", "set", "--secret", "test:policy", "{}")
    yield running
    assert [each for each in psutil.process_iter(["cmdline"]) if str(made.folder) in str(each.info)] == []


@pytest.mark.e2e
def test_the_life_of_a_stack(engine: Engine) -> None:
    # A preview knows what it can know, and touches nothing.
    preview = engine.run("preview", "--diff")
    assert "vpcId           : [unknown]" in preview
    assert engine.kept() == {}

    # A nested property that the SDK does not have.
    engine.set("subnets", "subnet_idz")
    assert "did you mean 'subnetIds'?" in engine.run("preview", fails=True)
    engine.unset("subnets")

    up = engine.up()
    assert "oidc.eks.eu-central-1.amazonaws.com" in up
    made = engine.resources()
    assert made["cluster"]["outputs"]["arn"].startswith("arn:aws:eks:eu-central-1:123456789012:cluster/")
    assert "ciphertext" in made["queue"]["outputs"]["policy"]  # a secret stays one
    assert "unchanged" in engine.run("preview", "--expect-no-changes")

    # An update that fails leaves what was there, and goes through when nothing is in its way.
    fault = {"type": "aws:eks/cluster:Cluster", "call": "update", "code": "ServerException"}
    (engine.made.account / "faults.json").write_text(json.dumps({"fail": [fault]}))
    engine.set("logs", "api")
    assert "[ServerException]" in engine.up(fails=True)
    assert engine.resources()["cluster"]["inputs"]["enabledClusterLogTypes"] == ["audit"]
    (engine.made.account / "faults.json").unlink()
    engine.up()
    assert engine.kept()["cluster"].outputs["enabledClusterLogTypes"] == ["api"]
    assert engine.resources()["cluster"]["id"] == made["cluster"]["id"]

    # A change that replaces: a new key, then the old one goes.
    engine.set("spec", "ECC_NIST_P256")
    engine.set("usage", "SIGN_VERIFY")
    assert "key replace" in engine.run("preview")
    engine.up()
    assert engine.kept()["key"].id not in ("", made["key"]["id"])

    # What somebody deletes by hand is seen by a refresh, and made again.
    queue = engine.kept()["queue"]
    with Kept(engine.made.account / "aws.jsonl").open() as entries:
        Account(entries).drop(queue)
    engine.run("refresh", "--yes", "--skip-preview")
    assert "queue" not in engine.resources()
    engine.up()

    # A region that does not answer.
    (engine.made.account / "faults.json").write_text(json.dumps({"unreachable": [REGION]}))
    assert f"endpoint of {REGION}" in engine.run("refresh", "--yes", "--skip-preview", fails=True)
    (engine.made.account / "faults.json").unlink()

    # Somebody else's nodes hold the cluster; the network waits for it.
    cluster = engine.kept()["cluster"]
    nodes = Resource(
        "aws:eks/nodeGroup:NodeGroup",
        REGION,
        "theirs",
        "urn::theirs",
        {},
        {"clusterName": cluster.outputs["name"], "arn": "arn:theirs"},
    )
    with Kept(engine.made.account / "aws.jsonl").open() as entries:
        Account(entries).put(nodes)
    assert "[ResourceInUseException]" in engine.run("destroy", "--yes", "--skip-preview", fails=True)
    assert {"cluster", "net", "net-a"} <= engine.kept().keys()
    with Kept(engine.made.account / "aws.jsonl").open() as entries:
        Account(entries).drop(nodes)
    engine.run("destroy", "--yes", "--skip-preview")
    assert engine.kept() == {}
