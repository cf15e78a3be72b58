"""What a real API server gives back of the program's own objects reads as the cells that they were made from.

No controller runs there, so the test says what Envoy Gateway and the Deployment's controller would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.aws import proxies
from lockstep.aws.stack import VACANT, AwsStack
from lockstep.errors import Unavailable
from lockstep.paths import Paths
from lockstep.standin.kubernetes import status
from lockstep.standin.kubernetes.api import MERGE, Api
from lockstep.standin.kubernetes.cluster import Cluster
from tests.support import kube
from tests.support.clusters import clusters_with_proxies, start_proxy

REGION, NAMESPACE, MANAGER = "eu-central-1", "models", "lockstep-test"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CELL = {"blue": A, "green": B, "green_weight": 12.5}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("cluster")
    with clusters_with_proxies(root, [REGION], definitions=("gateway-api-crds",)) as started:
        started[REGION].namespace(NAMESPACE)
        started[REGION].namespace(proxies.NAMESPACE, level="baseline")
        start_proxy(started[REGION].api, "envoy-0", status.ADDRESS)
        yield started[REGION]


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AwsStack:
    access = cluster.access
    said = {"server": f"https://{access.host}:{access.port}", "token": access.token, "ca": access.authority}
    (tmp_path / "clusters.json").write_text(json.dumps({REGION: said}))
    monkeypatch.setenv("LOCKSTEP_CLUSTERS", str(tmp_path / "clusters.json"))
    return AwsStack(Paths(tmp_path, tmp_path), "staging", REGION, "staging")


def put(api: Api, thing: Json, status: Any = None) -> Json:
    """Apply it, and then its controller's status of the generation that it got."""
    thing["metadata"]["namespace"] = NAMESPACE
    made = api.apply(thing, MANAGER, force=True).document
    if status is None:
        return made
    path = api.kind(thing["apiVersion"], thing["kind"]).path(NAMESPACE, thing["metadata"]["name"])
    said = {"status": status(made["metadata"]["generation"])}
    return api.request("PATCH", f"{path}/status", {}, said, MERGE).document


def timed(condition: Json) -> Json:
    return {**condition, "message": "", "lastTransitionTime": "2026-11-21T00:00:00Z"}


def taken(generation: int) -> Json:
    reference = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "lockstep"}
    conditions = [timed(kube.condition(kind, generation)) for kind in ("Accepted", "ResolvedRefs")]
    parent = {"controllerName": kube.CONTROLLER, "parentRef": reference, "conditions": conditions}
    return {"parents": [parent]}


def programmed(generation: int) -> Json:
    return {"conditions": [timed(kube.condition(kind, generation)) for kind in ("Accepted", "Programmed")]}


def rolled_out(generation: int) -> Json:
    available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    return {
        "observedGeneration": generation,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "conditions": [available],
    }


def front() -> Json:
    listener = {"name": "https", "port": 443, "protocol": "HTTP"}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "lockstep"},
        "spec": {"gatewayClassName": "lockstep", "listeners": [listener]},
    }


def service(slot: str, release: str) -> Json:
    made = {**kube.deployment("digits", REGION, slot, release), "apiVersion": "apps/v1"}
    del made["status"], made["metadata"]["generation"]
    labels = made["metadata"]["labels"]
    container = {**made["spec"]["template"]["spec"]["containers"][0], "image": "sample.invalid/serving"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    made["spec"] = {"selector": {"matchLabels": labels}, "template": template}
    return made


def test_a_region_is_read_back_as_it_was_placed(cluster: Cluster, stack: AwsStack) -> None:
    api, place = cluster.api, ("digits", REGION)
    recorded = {"digits": {REGION: CELL}}
    assert stack.observe(recorded, [REGION]).live == {place: None}, "no gateway answers yet"
    put(api, front(), programmed)
    assert stack.observe(recorded, [REGION]).live == {place: VACANT}
    assert stack.observe({}, [REGION]).live == {}

    put(api, kube.written("digits", REGION, CELL))
    assert stack.observe(recorded, [REGION]).live == {place: None}, "Envoy Gateway has not taken it yet"
    for cell in (CELL, {**CELL, "green_weight": 100}, dict(VACANT), {"withdraw": A}, CELL):
        put(api, kube.written("digits", REGION, cell), taken)
        assert stack.observe(recorded, [REGION]).live == {place: cell}
    put(api, kube.written("digits", REGION, {**CELL, "green_weight": 50}))
    assert stack.observe(recorded, [REGION]).live == {place: None}, "what it took is not the newest"

    for slot, release in (("blue", A), ("green", B)):
        put(api, service(slot, release))
    assert stack.observe(recorded, [REGION]).serving == {place: {"blue": None, "green": None}}
    for slot, release in (("blue", A), ("green", B)):
        put(api, service(slot, release), rolled_out)
    assert stack.observe(recorded, [REGION]).serving == {place: {"blue": A, "green": B}}

    put(api, {**kube.written("faces", REGION, CELL), "metadata": {"name": "stranger"}}, taken)
    with pytest.raises(Unavailable, match="stranger is none that we write"):
        stack.observe(recorded, [REGION])
