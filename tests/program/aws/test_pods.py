"""What a pod may do and what it is made of: read off the objects, not off the code that makes them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from infra.aws import pods
from infra.cloud import Service
from lockstep.local.httproute import SERVICE_PORT

RELEASE, IMAGE = "sha256:" + "a" * 64, "registry.example/serving@sha256:" + "b" * 64


def pod(**changes: Any) -> pods.Pod:
    service = Service(gpus=1, cpu=2, memory_gib=8, min=2, max=6, in_flight=16, jurisdictions=())
    values = {
        "name": "digits-eu-central-1-blue",
        "namespace": "models",
        "model": "digits",
        "region": "eu-central-1",
        "slot": "blue",
        "release": RELEASE,
        "image": IMAGE,
        "store": "s3://releases?region=eu-central-1",
        "runtime": "onnx",
        "service": service,
        "vpc": "10.16.0.0/16",
    }
    return pods.Pod(**{**values, **changes})


def containers(made: pods.Pod) -> list[dict[str, Any]]:
    spec = pods.deployment(made)["spec"]["template"]["spec"]
    return [*spec["initContainers"], *spec["containers"]]


def test_nothing_in_a_pod_can_become_root_or_write_to_its_image() -> None:
    for container in containers(pod()):
        context = container["securityContext"]
        assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_server_cannot_write_where_the_release_lies() -> None:
    fetch, server = containers(pod())
    mounts = {mount["mountPath"]: mount for mount in server["volumeMounts"]}
    assert mounts["/release"]["readOnly"] is True
    assert any(mount["mountPath"] == "/release" for mount in fetch["volumeMounts"])


def test_both_steps_are_told_the_same_release_and_the_image_is_by_digest() -> None:
    for container in containers(pod()):
        assert container["args"][container["args"].index("--release") + 1] == RELEASE
        assert container["image"] == IMAGE


def test_no_token_of_the_cluster_lies_in_a_pod() -> None:
    spec = pods.deployment(pod())["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_a_model_without_gpus_asks_for_none_and_one_with_gets_what_it_asks() -> None:
    assert containers(pod())[1]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    plain = Service(gpus=0, cpu=1, memory_gib=4, min=1, max=2, in_flight=8, jurisdictions=())
    assert "nvidia.com/gpu" not in containers(pod(service=plain))[1]["resources"]["limits"]


def test_the_number_of_replicas_is_the_scalers_alone() -> None:
    assert "replicas" not in pods.deployment(pod())["spec"]
    spec = pods.scaler(pod())["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 6)
    assert spec["scaleTargetRef"]["name"] == pod().name
    assert spec["fallback"]["replicas"] == 6  # a scaler that cannot read scales out, not in


def test_a_pod_is_ready_when_its_model_has_answered_and_not_before() -> None:
    server = containers(pod())[1]
    assert (
        server["startupProbe"]["httpGet"]["path"] == server["readinessProbe"]["httpGet"]["path"] == "/readyz"
    )
    assert server["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_a_release_that_phones_home_reaches_nobody() -> None:
    spec = pods.network_policy(pod())["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    reached: dict[int, list[str]] = {}
    for rule in spec["egress"]:
        blocks = [to["ipBlock"]["cidr"] for to in rule["to"] if "ipBlock" in to]
        reached |= {port["port"]: blocks for port in rule["ports"]}
    assert reached == {
        pods.DNS: [*pods.RESOLVERS, "10.16.0.0/16"],
        80: [pods.POD_IDENTITY],
        443: ["10.16.0.0/16"],
    }
    assert not any(ip_network(block).is_global for blocks in reached.values() for block in blocks)
    assert all(rule["ports"] and rule["to"] for rule in spec["egress"])  # an empty list means everybody


def test_only_the_gateway_and_the_scaler_reach_a_pod() -> None:
    (rule,) = pods.network_policy(pod())["spec"]["ingress"]
    names = [each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in rule["from"]]
    assert names == [pods.GATEWAY_NAMESPACE, pods.SCALER_NAMESPACE]
    assert rule["ports"] == [{"protocol": "TCP", "port": pods.PORT}]


def test_everything_finds_the_same_pods() -> None:
    made = pod()
    labels = pods.deployment(made)["spec"]["template"]["metadata"]["labels"]
    selectors = [
        pods.deployment(made)["spec"]["selector"]["matchLabels"],
        pods.service(made)["spec"]["selector"],
        pods.disruption_budget(made)["spec"]["selector"]["matchLabels"],
        pods.network_policy(made)["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == made.selector for selector in selectors)
    assert made.selector.items() <= labels.items()
    other = pod(name="digits-eu-central-1-green", slot="green")
    assert other.selector != made.selector


def test_the_service_has_the_port_that_routes_name() -> None:
    (port,) = pods.service(pod())["spec"]["ports"]
    assert port["port"] == SERVICE_PORT
    assert port["targetPort"] in {each["name"] for each in containers(pod())[1]["ports"]}


@pytest.mark.parametrize("verb", ["Put", "Delete", "Create", "Update", "*"])
def test_the_role_of_a_pod_only_reads(verb: str) -> None:
    statements = pods.role_policy("releases")["Statement"]
    for statement in statements:
        assert statement["Effect"] == "Allow"
        assert not any(verb in action for action in statement["Action"])
        assert "*" not in [*statement["Resource"]]


@pytest.mark.parametrize(("cpu", "said"), [(2, "2"), (0.5, "500m"), (1.5, "1500m"), (0.1, "100m")])
def test_cpus_are_written_as_an_api_server_writes_them(cpu: float, said: str) -> None:
    """2000m would be read back as 2, and be a change that never ends."""
    assert pods.cpu_quantity(cpu) == said
