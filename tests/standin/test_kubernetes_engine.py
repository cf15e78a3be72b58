"""The real engine, the offline project's stand-in and a real API server: the life of a small program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import click
import pytest

from lockstep.paths import here
from lockstep.standin import project
from lockstep.standin.kubernetes.cluster import Cluster
from lockstep.toolchain import Toolchain, ensure
from tests.support.clusters import clusters, tell

pytestmark = pytest.mark.e2e
STACK = "staging"
REGION = "eu-central-1"
PROGRAM = Template(
    """
import json
import pulumi
import pulumi_kubernetes as k8s

kubeconfig = json.dumps({"clusters": [{"name": "a"}], "contexts": [{"name": "a"}], "users": [{"name": "a"}]})
cluster = k8s.Provider("$region", cluster_identifier="$region", kubeconfig=$kubeconfig,
    enable_patch_force=$force)
inside = pulumi.ResourceOptions(provider=cluster)
space = k8s.core.v1.Namespace("models", opts=inside, metadata={
    "name": "$space", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}})
secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
          "seccompProfile": {"type": "RuntimeDefault"}}
k8s.apps.v1.Deployment("web", opts=inside, metadata={"namespace": space.metadata["name"]}, spec={
    "replicas": $replicas, "selector": {"matchLabels": {"app": "web"}},
    "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
        {"name": "web", "image": "registry.local/web@sha256:0", "securityContext": $security}]}}})
gateway = k8s.helm.v3.Release("eg", chart="gateway-helm", version="1.9.1", namespace=space.metadata["name"],
    skip_crds=True, opts=inside)
k8s.apiextensions.CustomResource("route", api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute",
    metadata={"name": "digits", "namespace": space.metadata["name"]}, spec={"rules": [{"backendRefs": [
        {"name": "digits-blue", "port": 8080, "weight": 100 - $green},
        {"name": "digits-green", "port": 8080, "weight": $green}]}]},
    opts=pulumi.ResourceOptions(provider=cluster, depends_on=[gateway]))
"""
)

DEFAULTS = {
    "region": REGION,
    "kubeconfig": "kubeconfig",
    "force": False,
    "space": "models",
    "replicas": 1,
    "security": "secure",
    "green": 5,
}


@dataclass(frozen=True)
class Engine:
    """The program in an offline project, and the engine on it."""

    offline: project.OfflineProject
    program: Path
    toolchain: Toolchain

    def write(self, **values: Any) -> None:
        (self.program / "__main__.py").write_text(PROGRAM.substitute({**DEFAULTS, **values}))

    def run(self, *words: str, fails: bool = False) -> str:
        said = subprocess.run(
            [str(self.toolchain.pulumi), "-C", str(self.offline.folder), *words],
            env=self.offline.environment(self.toolchain),
            capture_output=True,
            text=True,
            timeout=300,
        )
        text = said.stdout + said.stderr
        assert (said.returncode != 0) is fails, text
        return text


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    definitions = ["gateway-api-crds"]
    with clusters(tmp_path_factory.mktemp("clusters"), [REGION], definitions=definitions) as started:
        yield started[REGION]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    program = tmp_path / "program"
    program.mkdir()
    toolchain = ensure(lambda line: click.echo(line, err=True))
    made = project.make(here(), STACK, program=program, folder=tmp_path / "offline", config={})
    engine = Engine(made, program, toolchain)
    engine.run("stack", "init", STACK)
    return engine


def test_the_life_of_a_program(engine: Engine, cluster: Cluster) -> None:
    tell(engine.offline.account, {REGION: cluster})
    engine.write()
    assert "not validated" not in engine.run("preview", "--diff"), (
        "all of it was judged, the namespace foreseen"
    )
    engine.run("up", "--yes", "--skip-preview")
    live = cluster.api.get(cluster.api.kind("gateway.networking.k8s.io/v1", "HTTPRoute"), "models", "digits")
    assert live is not None
    assert [each["weight"] for each in live["spec"]["rules"][0]["backendRefs"]] == [95, 5]
    engine.run("preview", "--expect-no-changes")
    engine.run("refresh", "--yes", "--expect-no-changes")

    engine.write(green=50, replicas=2)
    assert "~ 2 to update" in engine.run("preview")
    engine.run("up", "--yes", "--skip-preview")
    live = cluster.api.get(cluster.api.kind("gateway.networking.k8s.io/v1", "HTTPRoute"), "models", "digits")
    assert live is not None and live["spec"]["rules"][0]["backendRefs"][1]["weight"] == 50

    engine.write(green=50, security="{'privileged': True}")
    assert 'violates PodSecurity "restricted:latest"' in engine.run("preview", fails=True)
    engine.write(green="'many'")
    engine.run("preview", fails=True)

    engine.run("destroy", "--yes", "--skip-preview")
    assert cluster.api.get(cluster.api.kind("v1", "Namespace"), "", "models") is None


def test_what_somebody_else_has_taken(engine: Engine, cluster: Cluster) -> None:
    """A refresh sees it; it is taken back only by a provider that was told to."""
    tell(engine.offline.account, {REGION: cluster})
    engine.write(space="taken")
    engine.run("up", "--yes", "--skip-preview")
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "digits", "namespace": "taken"},
        "spec": {"rules": [{"backendRefs": [{"name": "digits-green", "port": 8080, "weight": 1}]}]},
    }
    cluster.api.apply(route, "somebody", force=True)
    assert "~ 1 updated" in engine.run("refresh", "--yes", "--skip-preview")
    assert 'conflict with "somebody"' in engine.run("preview", fails=True)
    engine.write(space="taken", force=True)
    engine.run("up", "--yes", "--skip-preview")
    kind = cluster.api.kind("gateway.networking.k8s.io/v1", "HTTPRoute")
    live = cluster.api.get(kind, "taken", "digits")
    assert live is not None and len(live["spec"]["rules"][0]["backendRefs"]) == 2
    engine.run("destroy", "--yes", "--skip-preview")


def test_a_cluster_that_does_not_exist_yet(engine: Engine) -> None:
    """Its kubeconfig is not known; each object is named, and held against the SDK's types."""
    other = "pulumi.ResourceOptions(provider=k8s.Provider('other'))"
    unknown = f"k8s.core.v1.Namespace('x', opts={other}).id"
    engine.write(kubeconfig=unknown)
    said = engine.run("preview")
    for name in ("models", "web", "route"):
        assert any("not validated by a cluster" in line for line in _about(said, name)), said
    engine.write(kubeconfig=unknown, replicas="'many'")
    assert "spec.replicas must be an integer" in engine.run("preview", fails=True)


def _about(said: str, name: str) -> list[str]:
    """The lines of the diagnostics under a resource."""
    lines = said.splitlines()
    starts = [index for index, line in enumerate(lines) if line.strip().endswith(f"({name}):")]
    return [line for start in starts for line in lines[start : start + 4]]
