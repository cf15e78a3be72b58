"""What a real kube-apiserver makes of objects, through the stand-in, in previews and in updates."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.aws.access import LOOKS
from lockstep.errors import LockstepError
from lockstep.paths import here
from lockstep.standin.kubernetes import access, objects
from lockstep.standin.kubernetes.cluster import Cluster
from lockstep.standin.kubernetes.plugin import KubernetesStandIn
from lockstep.standin.provider import Call, State
from lockstep.standin.wire import UNKNOWN, Values
from tests.support.clusters import clusters, tell

SECURE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
ROUTE = "gateway.networking.k8s.io/v1"
CHANGES = ("create", "update", "patch", "delete", "deletecollection")


def call(thing: Values, *, preview: bool = False) -> Call:
    version = thing["apiVersion"] if "/" in thing["apiVersion"] else f"core/{thing['apiVersion']}"
    token = f"kubernetes:{version}:{thing['kind']}"
    name = thing["metadata"]["name"]
    return Call(f"urn:pulumi:staging::lockstep::{token}::{name}", token, name, preview)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clusters(tmp_path_factory.mktemp("clusters"), ["eu-central-1"]) as started:
        yield started["eu-central-1"]


@pytest.fixture
def provider(cluster: Cluster, tmp_path: Path) -> KubernetesStandIn:
    return configured(cluster, tmp_path)


def configured(cluster: Cluster, folder: Path, **config: str) -> KubernetesStandIn:
    tell(folder, {"eu-central-1": cluster})
    made = KubernetesStandIn(folder, None, "4")
    made.configure({"clusterIdentifier": "arn:aws:eks:eu-central-1:1:cluster/a", **config})
    return made


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of the test's own, with pods held to `restricted`."""
    name = f"t-{abs(hash(request.node.nodeid)) % 10**10}"
    cluster.namespace(name)
    yield name


def deployment(namespace: str, *, security: Values | None = None, **container: Any) -> Values:
    labels = {"app": "web"}
    one = {"name": "web", "image": "registry.local/web@sha256:0", "securityContext": security or SECURE}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{**one, **container}]}},
        },
    }


def route(namespace: str, green: int) -> Values:
    backends = [
        {"name": "digits-blue", "port": 8080, "weight": 100 - green},
        {"name": "digits-green", "port": 8080, "weight": green},
    ]
    return {
        "apiVersion": ROUTE,
        "kind": "HTTPRoute",
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {
            "parentRefs": [{"name": "entry"}],
            "rules": [{"backendRefs": backends, "timeouts": {"request": "5s"}}],
        },
    }


def made(provider: KubernetesStandIn, thing: Values) -> tuple[str, State]:
    """Checked, previewed and created, as the engine does it."""
    checked = provider.check(call(thing), {}, thing)
    assert checked.failures == []
    provider.create(call(thing, preview=True), checked.inputs)
    identity, outputs = provider.create(call(thing), checked.inputs)
    return identity, State(checked.inputs, outputs)


def refusal(provider: KubernetesStandIn, thing: Values) -> str:
    """What a preview and an update say alike; nothing is kept."""
    said = []
    for preview in (True, False):
        with pytest.raises(LockstepError) as caught:
            provider.create(call(thing, preview=preview), thing)
        said.append(caught.value.message)
        assert provider.read(call(thing), objects.identity_of(thing), State()) is None
    assert "was not successfully created by the Kubernetes API server" in said[1]
    assert said[0] == said[1]
    return said[0]


def test_an_object_lives(provider: KubernetesStandIn, namespace: str) -> None:
    thing = deployment(namespace)
    identity, state = made(provider, thing)
    assert identity == f"{namespace}/web"
    assert state.outputs["metadata"]["uid"]
    assert provider.diff(call(thing), identity, state, state.inputs).paths == {}

    more = json.loads(json.dumps(state.inputs))
    more["spec"]["replicas"] = 3
    assert provider.diff(call(thing), identity, state, more).paths == {"spec.replicas": False}
    previewed = provider.update(call(thing, preview=True), identity, state, more)
    assert previewed["spec"]["replicas"] == 3 and "status" not in previewed
    found = provider.read(call(thing), identity, state)
    assert found is not None and found.state.outputs["spec"]["replicas"] == 1, "a preview changes nothing"
    outputs = provider.update(call(thing), identity, state, more)
    assert outputs["spec"]["replicas"] == 3
    provider.delete(call(thing), identity, State(more, outputs))
    assert provider.read(call(thing), identity, state) is None


def test_an_unknown_field(provider: KubernetesStandIn, namespace: str) -> None:
    said = refusal(provider, deployment(namespace, imagePullPolice="Always"))
    assert ".spec.template.spec.containers" in said and "imagePullPolice" in said


def test_a_wrong_type(provider: KubernetesStandIn, namespace: str) -> None:
    thing = deployment(namespace)
    thing["spec"]["replicas"] = "three"
    assert ".spec.replicas" in refusal(provider, thing)


def test_a_value_that_no_type_forbids(provider: KubernetesStandIn, namespace: str) -> None:
    """A selector that misses its own pods: only a server's validation knows."""
    thing = deployment(namespace)
    thing["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    assert "selector" in refusal(provider, thing)


def test_an_unknown_field_of_a_custom_resource(provider: KubernetesStandIn, namespace: str) -> None:
    thing = route(namespace, 5)
    thing["spec"]["rules"][0]["backendRefs"][0]["wait"] = 1
    assert ".wait" in refusal(provider, thing)


def test_a_missing_definition_says_which(provider: KubernetesStandIn, namespace: str) -> None:
    thing = {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": namespace},
    }
    assert provider.create(call(thing, preview=True), thing) == ("", thing), "it may be made by this update"
    assert any("Widget" in text for text in provider.warnings(call(thing).urn))
    with pytest.raises(LockstepError, match=r'no matches for kind "Widget" in version "example\.org/v1"'):
        provider.create(call(thing), thing)


def test_weights_are_accepted_and_read_back(provider: KubernetesStandIn, namespace: str) -> None:
    identity, state = made(provider, route(namespace, 5))
    found = provider.read(call(route(namespace, 5)), identity, state)
    assert found is not None
    rules = found.state.outputs["spec"]["rules"]
    assert [backend["weight"] for backend in rules[0]["backendRefs"]] == [95, 5]
    assert found.state.inputs == state.inputs, "nobody has changed what was declared"


def test_what_somebody_has_changed_is_seen_by_a_refresh(
    provider: KubernetesStandIn, cluster: Cluster, namespace: str
) -> None:
    identity, state = made(provider, route(namespace, 5))
    cluster.api.apply(route(namespace, 50), "somebody", force=True)
    found = provider.read(call(route(namespace, 5)), identity, state)
    assert found is not None
    change = provider.diff(call(route(namespace, 5)), identity, found.state, state.inputs)
    assert set(change.paths) == {f"spec.rules[0].backendRefs[{slot}].weight" for slot in (0, 1)}


def test_an_import_takes_what_is_there(provider: KubernetesStandIn, namespace: str) -> None:
    identity, state = made(provider, route(namespace, 5))
    found = provider.read(call(route(namespace, 5)), identity, State())
    assert found is not None
    assert found.state.inputs["spec"] == state.outputs["spec"]
    assert "uid" not in found.state.inputs["metadata"]


def test_the_same_quantity_written_otherwise_is_no_change(
    provider: KubernetesStandIn, namespace: str
) -> None:
    """The server writes 1000m as 1; the program goes on saying 1000m."""
    thing = deployment(namespace, resources={"limits": {"cpu": "1000m", "memory": "1Gi"}})
    identity, state = made(provider, thing)
    limits = state.outputs["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["cpu"] == "1"
    assert provider.diff(call(thing), identity, state, state.inputs).paths == {}


def test_a_field_that_is_no_longer_declared_goes(provider: KubernetesStandIn, namespace: str) -> None:
    thing = deployment(namespace)
    thing["metadata"]["annotations"] = {"team": "vision"}
    identity, state = made(provider, thing)
    less = deployment(namespace)
    assert provider.diff(call(less), identity, state, less).paths == {"metadata.annotations": False}
    assert "annotations" not in provider.update(call(less), identity, state, less)["metadata"]


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_pods_that_would_be_refused(provider: KubernetesStandIn, namespace: str, kind: str) -> None:
    """A real cluster accepts the workload and never starts its pods."""
    thing = deployment(namespace, security={"privileged": True})
    if kind == "CronJob":
        template = thing["spec"]["template"]
        template["spec"]["restartPolicy"] = "Never"
        thing = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": thing["metadata"],
            "spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": template}}},
        }
    said = refusal(provider, thing)
    assert 'violates PodSecurity "restricted:latest"' in said and "privileged" in said


def looking(cluster: Cluster, folder: Path, namespace: str) -> KubernetesStandIn:
    """As somebody with the rights of the group that only looks."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "l", "namespace": namespace},
    }
    rules = [
        {"apiGroups": rule.api_groups, "resources": rule.resources, "verbs": rule.verbs} for rule in LOOKS
    ]
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "look"}, "rules": rules}
    bound = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"look-{namespace}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "look"},
        "subjects": [{"kind": "ServiceAccount", "name": "l", "namespace": namespace}],
    }
    for each in (account, role, bound):
        cluster.api.apply(each, "test", force=True)
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/l/token"
    token = cluster.api.request("POST", path, body=wanted).document["status"]["token"]
    provider = configured(cluster, folder)
    access.write(folder, {"eu-central-1": dataclasses.replace(cluster.access, token=token)})
    provider.configure({"clusterIdentifier": "arn:aws:eks:eu-central-1:1:cluster/a"})
    return provider


def test_a_preview_by_who_may_only_look_shows_what_is_declared(
    provider: KubernetesStandIn, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    """A dry run needs the rights of the real thing, which nobody gets for a preview."""
    identity, state = made(provider, route(namespace, 5))
    looks = looking(cluster, tmp_path / "looks", namespace)
    more = route(namespace, 50)
    assert looks.diff(call(more), identity, state, more).paths.keys() == {
        f"spec.rules[0].backendRefs[{slot}].weight" for slot in (0, 1)
    }
    assert looks.update(call(more, preview=True), identity, state, more) == more
    assert looks.create(call(deployment(namespace), preview=True), deployment(namespace))[1]["spec"]
    for thing in (more, deployment(namespace)):
        assert any("cannot patch resource" in text for text in looks.warnings(call(thing).urn))
    for change in (
        lambda: looks.update(call(more), identity, state, more),
        lambda: looks.create(call(deployment(namespace)), deployment(namespace)),
        lambda: looks.delete(call(more), identity, state),
    ):
        with pytest.raises(LockstepError, match=r"cannot (patch|delete) resource"):
            change()
    found = looks.read(call(more), identity, state)
    assert found is not None and found.state.inputs == state.inputs, "it was changed"


def test_who_only_looks_sees_every_kind_that_the_program_declares_and_changes_none(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    looking(cluster, tmp_path, namespace)
    tree = here().root / "tests" / "program" / "aws" / "goldens" / "prod.tree.txt"
    declared = set(re.findall(r"kubernetes:([\w.]+):(\w+)", tree.read_text())) - {("helm.sh", "Release")}
    served = [kind for version in cluster.api.groups() for kind in cluster.api.kinds(version).values()]
    known = {(kind.version.rpartition("/")[0] or "core", kind.name): kind for kind in served}
    assert declared and declared <= known.keys(), "every kind is served"

    def allowed(group: str, plural: str, verb: str) -> bool:
        about = {"group": group.replace("core", ""), "resource": plural, "verb": verb, "namespace": namespace}
        spec = {"user": f"system:serviceaccount:{namespace}:l", "resourceAttributes": about}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(cluster.api.request("POST", path, body=asked).document["status"]["allowed"])

    for group, kind in sorted(declared):
        plural = known[group, kind].plural
        assert all(allowed(group, plural, verb) for verb in ("get", "list", "watch")), f"{kind} is not seen"
        assert not any(allowed(group, plural, verb) for verb in CHANGES), f"{kind} can be changed"
    assert not allowed("core", "secrets", "get")


def test_a_namespace_that_a_preview_has_only_foreseen(provider: KubernetesStandIn) -> None:
    """Its objects are judged all the same, at its own level of Pod Security."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "to-come", "labels": labels}}
    provider.create(call(space, preview=True), space)
    _, previewed = provider.create(call(deployment("to-come"), preview=True), deployment("to-come"))
    assert previewed["metadata"]["namespace"] == "to-come"
    refused = deployment("to-come", security={"privileged": True})
    with pytest.raises(LockstepError, match="violates PodSecurity"):
        provider.create(call(refused, preview=True), refused)
    with pytest.raises(LockstepError, match=r'namespaces \\?"to-come\\?" not found'):
        provider.create(call(deployment("to-come")), deployment("to-come"))


def test_what_is_not_known_yet_is_not_validated(provider: KubernetesStandIn, namespace: str) -> None:
    thing = deployment(namespace, image=UNKNOWN)
    assert provider.create(call(thing, preview=True), thing) == ("", thing)
    assert any("not known yet" in text for text in provider.warnings(call(thing).urn))


def test_what_is_there_already(provider: KubernetesStandIn, cluster: Cluster, tmp_path: Path) -> None:
    """The provider refuses it, unless it was told to take it over: a renamed resource would delete itself."""
    cluster.namespace("taken")
    thing = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "taken"}}
    provider.create(call(thing, preview=True), thing)
    with pytest.raises(LockstepError, match="already exists"):
        provider.create(call(thing), thing)
    adopting = configured(cluster, tmp_path, upsertExistingObjects="true")
    assert adopting.create(call(thing), thing)[0] == "taken"


def test_a_replacement_is_previewed_beside_what_it_replaces(
    provider: KubernetesStandIn, namespace: str
) -> None:
    identity, state = made(provider, deployment(namespace))
    other = deployment(namespace)
    other["spec"]["selector"] = {"matchLabels": {"app": "web2"}}
    other["spec"]["template"]["metadata"]["labels"] = {"app": "web2"}
    change = provider.diff(call(other), identity, state, other)
    assert change.replaces == ["spec.selector.matchLabels.app"] and change.delete_before_replace
    _, previewed = provider.create(call(other, preview=True), other)
    assert previewed["metadata"]["name"] == "web"


def test_a_namespace_takes_all_with_it(provider: KubernetesStandIn, cluster: Cluster) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short-lived"}}
    identity, state = made(provider, space)
    made(provider, route("short-lived", 5))
    provider.delete(call(space), identity, state)
    assert provider.read(call(space), identity, state) is None
    made(provider, space)
    assert provider.read(call(route("short-lived", 5)), "short-lived/digits", State()) is None


def test_a_finalizer_that_nobody_takes_away(provider: KubernetesStandIn, namespace: str) -> None:
    thing = route(namespace, 5)
    thing["metadata"]["finalizers"] = ["example.org/kept"]
    identity, state = made(provider, thing)
    with pytest.raises(LockstepError, match=r"example\.org/kept"):
        provider.delete(call(thing), identity, state)


def test_a_controller_does_not_go_before_what_it_looks_after(
    provider: KubernetesStandIn, namespace: str
) -> None:
    token = "kubernetes:helm.sh/v3:Release"
    release = Call(f"urn:pulumi:staging::lockstep::{token}::eg", token, "eg")
    inputs = {"chart": "oci://docker.io/envoyproxy/gateway-helm", "version": "1.9.1", "namespace": namespace}
    checked = provider.check(release, {}, inputs)
    identity, outputs = provider.create(release, checked.inputs)
    assert outputs["status"]["status"] == "deployed"
    routed, state = made(provider, route(namespace, 5))
    with pytest.raises(LockstepError, match=f"HTTPRoute {namespace}/digits") as caught:
        provider.delete(release, identity, State(checked.inputs, outputs))
    assert caught.value.code == "kubernetes.orphans"
    provider.delete(call(route(namespace, 5)), routed, state)
    try:  # other tests of this server may have routes of their own
        provider.delete(release, identity, State(checked.inputs, outputs))
    except LockstepError as later:
        assert f"{namespace}/" not in later.message


def test_a_node_class_is_there_as_long_as_a_pool_names_it(provider: KubernetesStandIn) -> None:
    requirement = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]}
    pool = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "gpu"},
        "spec": {
            "template": {
                "spec": {
                    "nodeClassRef": {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "gpu"},
                    "requirements": [requirement],
                }
            }
        },
    }
    nodes = {
        "apiVersion": "eks.amazonaws.com/v1",
        "kind": "NodeClass",
        "metadata": {"name": "gpu"},
        "spec": {
            "role": "nodes",
            "subnetSelectorTerms": [{"id": "subnet-1"}],
            "securityGroupSelectorTerms": [{"id": "sg-1"}],
            "ephemeralStorage": {"size": "200Gi"},
        },
    }
    classed, class_state = made(provider, nodes)
    pooled, pool_state = made(provider, pool)
    with pytest.raises(LockstepError, match="NodePool gpu"):
        provider.delete(call(nodes), classed, class_state)
    provider.delete(call(pool), pooled, pool_state)
    provider.delete(call(nodes), classed, class_state)


def test_a_load_balancer_has_a_name_where_the_provider_waits_for_it(
    provider: KubernetesStandIn, namespace: str
) -> None:
    balanced = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "entry", "namespace": namespace},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 443}], "selector": {"app": "entry"}},
    }
    _, previewed = provider.create(call(balanced, preview=True), balanced)
    assert "status" not in previewed, "nobody knows it before it is there"
    _, state = made(provider, balanced)
    host = state.outputs["status"]["loadBalancer"]["ingress"][0]["hostname"]
    assert host.endswith(".elb.eu-central-1.amazonaws.com")

    gateway = {
        "apiVersion": ROUTE,
        "kind": "Gateway",
        "metadata": {"name": "entry", "namespace": namespace, "annotations": {"pulumi.com/waitFor": "x"}},
        "spec": {
            "gatewayClassName": "eg",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    }
    _, state = made(provider, gateway)
    assert state.outputs["status"]["addresses"][0]["value"].endswith(".amazonaws.com")


def test_a_server_that_is_gone(tmp_path: Path, cluster: Cluster) -> None:
    gone = access.Access("127.0.0.1", 1, "t", cluster.access.authority)
    access.write(tmp_path, {"eu-central-1": gone})
    provider = KubernetesStandIn(tmp_path, None, "4")
    provider.configure({"clusterIdentifier": "eu-central-1"})
    with pytest.raises(LockstepError) as caught:
        provider.create(call(route("x", 5)), route("x", 5))
    assert caught.value.code == "kubernetes.unreachable"
