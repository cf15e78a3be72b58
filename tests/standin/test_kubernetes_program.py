"""What the program writes to Kubernetes is accepted by a real API server with the real definitions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from infra.aws import capacity_pools
from infra.cloud import Capacity
from lockstep.deploy import Planned
from lockstep.local.httproute import http_route
from lockstep.paths import Paths, here
from lockstep.standin.kubernetes.cluster import Cluster
from lockstep.standin.kubernetes.plugin import KubernetesStandIn
from lockstep.standin.preview import preview
from lockstep.standin.provider import Call
from lockstep.standin.wire import UNKNOWNS
from lockstep.toolchain import ensure
from tests.support.clusters import clusters, tell

REGION = "eu-central-1"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clusters(tmp_path_factory.mktemp("clusters"), [REGION]) as started:
        yield started[REGION]


@pytest.fixture
def provider(cluster: Cluster, tmp_path: Path) -> KubernetesStandIn:
    tell(tmp_path, {REGION: cluster})
    made = KubernetesStandIn(tmp_path, None, "4")
    made.configure({"clusterIdentifier": f"arn:aws:eks:{REGION}:111122223333:cluster/lockstep"})
    return made


def accept(provider: KubernetesStandIn, kind: str, name: str, inputs: dict[str, Any]) -> None:
    call = Call(f"urn:pulumi:staging::lockstep::{kind}::{name}", kind, name)
    checked = provider.check(call, {}, inputs)
    assert checked.failures == [], checked.failures
    provider.create(call, checked.inputs)
    assert provider.warnings(call.urn) == []


def known(value: Any) -> Any:
    """With a word where a preview has none yet."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items()}
    if isinstance(value, list):
        return [known(item) for item in value]
    return "known-later" if isinstance(value, str) and value in UNKNOWNS else value


@pytest.mark.e2e
def test_every_object_of_a_region(provider: KubernetesStandIn, tmp_path: Path) -> None:
    """In the order of the engine. What a preview knows nothing about is judged below."""
    paths = Paths(root=here().root, state=tmp_path / "state")
    shown = preview(
        paths,
        "staging",
        lambda: ensure(lambda line: click.echo(line, err=True)),
        lambda line: click.echo(line, err=True),
    )
    objects = [each for each in shown.plan.resources if each.type.startswith("kubernetes:")]
    region = [each for each in objects if REGION in each.urn]
    assert len(objects) == 3 * len(region), "every region has the same objects"
    unknown = [each for each in region if is_unknown(each)]
    assert {each.type.rpartition(":")[2] for each in unknown} <= {"HTTPRoute", "NodeClass"}
    for each in region:
        if each not in unknown:
            accept(provider, each.type, each.name, known(each.inputs))
    assert any(each.type.endswith(":Deployment") for each in region), "the sample release has its service"


def is_unknown(planned: Planned) -> bool:
    """Whether nothing is known of the object but that it will be."""
    return any(str(planned.inputs.get(key)) in UNKNOWNS for key in ("spec", "metadata"))


@pytest.mark.parametrize("green", [0, 0.1, 5, 100])
def test_routes(provider: KubernetesStandIn, cluster: Cluster, green: float) -> None:
    cluster.namespace("routes")
    cell = {"blue": A, "green": B, "green_weight": green}
    route = http_route(f"digits-{str(green).replace('.', '-')}", REGION, cell, intent=7, record=A)
    about = {**route["metadata"], "namespace": "routes"}
    kind = "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"
    accept(provider, kind, about["name"], {**route, "metadata": about})


@pytest.mark.parametrize("reservation", [None, "cr-0123456789abcdef0"])
@pytest.mark.parametrize("spot", [0, 50])
@pytest.mark.parametrize("by", ["auto", "karpenter"])
def test_gpu_nodes(provider: KubernetesStandIn, by: str, spot: int, reservation: str | None) -> None:
    capacity = Capacity(
        by=by,
        instance_types=("g6.xlarge", "g6.2xlarge"),
        min=1,
        max=5,
        spot_percent=spot,
        reservation=reservation,
        sharing="none",
        slices=1,
    )
    suffix = f"{by}-{spot}-{'reserved' if reservation else 'plain'}"
    write = capacity_pools.auto_class if by == "auto" else capacity_pools.karpenter_class
    meant = capacity_pools.CLASSES[by]
    version = f"{meant['group']}/v1"
    spec = write(capacity, role="nodes", group="sg-0123", tag="lockstep")
    node_class = {"apiVersion": version, "kind": meant["kind"], "metadata": {"name": suffix}, "spec": spec}
    accept(provider, f"kubernetes:{version}:{meant['kind']}", suffix, node_class)
    for pool in capacity_pools.pools(capacity):
        spec = capacity_pools.node_pool(pool, capacity)
        thing = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "spec": spec}
        name = f"{pool.name}-{suffix}"
        accept(provider, "kubernetes:karpenter.sh/v1:NodePool", name, {**thing, "metadata": {"name": name}})
