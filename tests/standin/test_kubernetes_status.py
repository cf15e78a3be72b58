"""What absent controllers would say, on a real API server; and a cluster that does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.aws.live import is_programmed
from lockstep.errors import Unavailable
from lockstep.local.httproute import http_route
from lockstep.standin.kubernetes import controllers
from lockstep.standin.kubernetes.cluster import Cluster
from lockstep.standin.kubernetes.plugin import SKIPPED, KubernetesStandIn
from lockstep.standin.provider import Call, State
from tests.support.clusters import clusters, tell

REGION = "eu-central-1"
RELEASE = "sha256:" + "a" * 64
GATEWAYS = "gateway.networking.k8s.io/v1"
CLASS = {
    "apiVersion": GATEWAYS,
    "kind": "GatewayClass",
    "metadata": {"name": "lockstep"},
    "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
}
GATEWAY = {
    "apiVersion": GATEWAYS,
    "kind": "Gateway",
    "metadata": {"name": "lockstep", "namespace": "models"},
    "spec": {
        "gatewayClassName": "lockstep",
        "listeners": [{"name": "https", "port": 443, "protocol": "HTTP"}],
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": f"digits-{REGION}-blue", "namespace": "models"},
    "spec": {"ports": [{"port": 80}]},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models", "labels": {"a": "a"}}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clusters(tmp_path_factory.mktemp("c"), [REGION], definitions=["gateway-api-crds"]) as started:
        yield started[REGION]


@pytest.fixture
def made(cluster: Cluster, tmp_path: Path) -> Iterator[KubernetesStandIn]:
    """A provider whose cluster has nothing in it before, and nothing afterwards."""
    tell(tmp_path, {REGION: cluster})
    yield configured(tmp_path)
    controllers.clear(cluster.api)


def configured(folder: Path) -> KubernetesStandIn:
    provider = KubernetesStandIn(folder, None, "4")
    provider.configure({"clusterIdentifier": f"{REGION} of today", "skipUpdateUnreachable": "true"})
    return provider


def call(thing: dict[str, Any]) -> Call:
    version = thing["apiVersion"] if "/" in thing["apiVersion"] else "core/v1"
    token = f"kubernetes:{version}:{thing['kind']}"
    name = thing["metadata"]["name"]
    return Call(f"urn:pulumi:staging::lockstep::{token}::{name}", token, name)


def create(provider: KubernetesStandIn, thing: dict[str, Any]) -> dict[str, Any]:
    return provider.create(call(thing), provider.check(call(thing), {}, thing).inputs)[1]


def route() -> dict[str, Any]:
    made = http_route("digits", REGION, {"blue": RELEASE, "green": None, "green_weight": 0}, intent=0)
    return {**made, "metadata": {**made["metadata"], "namespace": "models"}}


def conditions(live: dict[str, Any]) -> dict[str, str]:
    (parent,) = live["status"]["parents"]
    return {each["type"]: each["status"] for each in parent["conditions"]}


def test_a_gateway_of_no_class_is_not_programmed(made: KubernetesStandIn) -> None:
    create(made, NAMESPACE)
    assert not is_programmed([create(made, GATEWAY)])


def test_a_route_is_taken_by_a_gateway_that_is_there_with_services_that_are_there(
    made: KubernetesStandIn,
) -> None:
    create(made, NAMESPACE)
    create(made, CLASS)
    first = create(made, route())
    assert conditions(first) == {"Accepted": "False", "ResolvedRefs": "False"}
    assert is_programmed([create(made, GATEWAY)])
    create(made, SERVICE)
    again = made.update(call(route()), "models/x", State(route(), first), route())
    assert conditions(again) == {"Accepted": "True", "ResolvedRefs": "True"}


def test_a_cluster_that_is_gone_takes_its_objects_along(made: KubernetesStandIn, cluster: Cluster) -> None:
    for thing in (NAMESPACE, CLASS, GATEWAY, SERVICE):
        create(made, thing)
    controllers.clear(cluster.api)
    api = cluster.api
    for thing in (NAMESPACE, CLASS):
        kind = api.kind(thing["apiVersion"], thing["kind"])  # type: ignore[arg-type]
        assert api.get(kind, "", thing["metadata"]["name"]) is None  # type: ignore[index]


def test_what_is_there_in_an_unreachable_cluster_is_left_and_nothing_is_made(
    made: KubernetesStandIn, tmp_path: Path
) -> None:
    create(made, NAMESPACE)
    old = State(NAMESPACE, NAMESPACE)
    (tmp_path / "faults.json").write_text(json.dumps({"unreachable": [REGION]}))
    provider = configured(tmp_path)
    wanted = {**NAMESPACE, "metadata": {"name": "models", "labels": {"a": "b"}}}
    checked = provider.check(call(wanted), NAMESPACE, wanted)
    assert checked.inputs == NAMESPACE
    assert provider.diff(call(wanted), "models", old, checked.inputs).paths == {}
    assert provider.warnings(call(wanted).urn) == [SKIPPED]
    with pytest.raises(Unavailable, match="is namespaced"):  # of a custom kind only the cluster knows that
        provider.diff(call(route()), "models/x", State(route(), route()), route())
    for act in (provider.create, lambda one, _: provider.read(one, "models", old)):
        with pytest.raises(Unavailable) as caught:
            act(call(wanted), wanted)
        assert caught.value.code == "kubernetes.unreachable"
