"""A region's objects on a real API server with the real definitions: every one is taken as it is declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.aws.charts import charts
from infra.aws.controllers import MODELS
from infra.aws.definitions import chart, wanted
from infra.aws.entries import LOOK, MOVE
from infra.aws.ground import ground
from infra.aws.region import region
from lockstep.standin.kubernetes.cluster import Cluster
from lockstep.standin.kubernetes.definitions import wait
from tests.support.clouds import Registered, declare, quiet_engine, stack
from tests.support.clusters import clusters

__all__ = ["quiet_engine"]

REGION = "eu-central-1"
RESERVED = {"reservation": "cr-0123456789abcdef0", "instance_types": ["g6.xlarge"]}
WAYS: list[dict[str, Any]] = [
    {"by": "auto", "spot_percent": 50},
    {"by": "auto", **RESERVED},
    {"by": "karpenter", "spot_percent": 50, "sharing": "time-slicing", "slices": 4},
    {"by": "karpenter", "sharing": "mig", "slices": 7, "instance_types": ["p5.48xlarge"], "max": 9},
    {"by": "karpenter", **RESERVED},
    {"by": "managed"},
]
pytestmark = pytest.mark.usefixtures("quiet_engine")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With nothing but what EKS itself brings: Auto Mode's kinds, and so Karpenter's."""
    folder = tmp_path_factory.mktemp("clusters")
    with clusters(folder, [REGION], definitions=("karpenter-crds",)) as started:
        yield started[REGION]


def define(cluster: Cluster, by: str) -> None:
    """What the release of definitions brings, once."""
    for path in sorted((chart(wanted(by)) / "definitions").iterdir()):
        thing = json.loads(path.read_text())
        kind = cluster.api.kind(thing["apiVersion"], thing["kind"])
        if cluster.api.get(kind, "", thing["metadata"]["name"]) is None:
            cluster.api.apply(thing, "lockstep")
            wait(cluster.api, thing)


def as_object(each: Registered) -> dict[str, Any]:
    return {key: value for key, value in each.inputs.items() if not key.startswith("__")}


@pytest.mark.parametrize("capacity", WAYS, ids=lambda way: f"{way['by']}-{len(way)}-{way.get('sharing')}")
def test_every_object_is_taken_by_a_real_api_server(cluster: Cluster, capacity: dict[str, Any]) -> None:
    settings = stack("staging", capacity=capacity)
    registered = declare(lambda: region(ground(settings), REGION, after=[])).registered.values()
    objects = [
        each for each in registered if each.type.startswith("kubernetes:") and "helm.sh" not in each.type
    ]
    assert len(objects) > 10
    define(cluster, capacity["by"])
    for each in sorted(objects, key=lambda each: not each.type.endswith(":Namespace")):
        answer = cluster.api.apply(as_object(each), "lockstep", force=True)
        assert not answer.warnings, f"{each.key}: {answer.warnings}"


GATEWAY, MOVED = str(charts()["gateway"]["namespace"]), "gateway.networking.k8s.io"
RIGHTS = [
    (LOOK, "get", GATEWAY, "", "pods/proxy", True),
    (LOOK, "create", GATEWAY, "", "pods/proxy", False),
    (LOOK, "get", MODELS, "", "pods/proxy", False),
    (LOOK, "get", "kube-system", "", "pods/proxy", False),
    (LOOK, "get", GATEWAY, "", "services/proxy", False),
    (LOOK, "create", GATEWAY, "", "pods/exec", False),
    (LOOK, "list", GATEWAY, "", "pods", True),
    (LOOK, "get", GATEWAY, "", "secrets", False),
    (LOOK, "update", MODELS, MOVED, "httproutes", False),
    (MOVE, "update", MODELS, MOVED, "httproutes", True),
    (MOVE, "update", GATEWAY, MOVED, "httproutes", False),
    (MOVE, "get", GATEWAY, "", "pods/proxy", False),
]
"""Group, verb, namespace, API group, resource, and whether it may."""


def test_who_may_look_may_ask_the_gateway_s_pods_and_no_others(cluster: Cluster) -> None:
    registered = declare(lambda: region(ground(stack("staging")), REGION, after=[])).registered.values()
    for kind in ("/v1:Namespace", "rbac.authorization.k8s.io"):
        for each in registered:
            if kind in each.type:
                cluster.api.apply(as_object(each), "lockstep", force=True)
    wrong = [right for right in RIGHTS if may(cluster, *right[:5]) is not right[5]]
    assert not wrong


def may(cluster: Cluster, group: str, verb: str, namespace: str, api: str, what: str) -> bool:
    """What the API server itself says of one right of one group."""
    resource, _, sub = what.partition("/")
    asked = {"verb": verb, "namespace": namespace, "group": api, "resource": resource, "subresource": sub}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "ci", "groups": [group], "resourceAttributes": asked},
    }
    answer = cluster.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", None, body)
    return bool(answer.document["status"]["allowed"])
