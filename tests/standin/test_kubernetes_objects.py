"""Names, differences and settings of the stand-in for `kubernetes`: nothing here asks a cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UsageError
from lockstep.standin.kubernetes import access, objects, pods, release, settings
from lockstep.standin.kubernetes.api import Access
from lockstep.standin.kubernetes.plugin import KubernetesStandIn
from lockstep.standin.provider import Call, State
from lockstep.standin.wire import UNKNOWN

URN = "urn:pulumi:staging::lockstep::kubernetes:apps/v1:Deployment::web"
CALL = Call(URN, "kubernetes:apps/v1:Deployment", "web")
ARN = "arn:aws:eks:eu-central-1:111122223333:cluster/lockstep"


def deployment(**spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "models"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def test_a_name_is_made_once_and_kept() -> None:
    """A new name at every update would replace the object every time."""
    first = objects.named(CALL, {}, {"apiVersion": "apps/v1", "kind": "Deployment"})
    name = first["metadata"]["name"]
    assert name.startswith("web-")
    changed = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 3}}
    assert objects.named(CALL, first, changed)["metadata"]["name"] == name
    assert objects.named(CALL, {}, changed)["metadata"]["name"] != name, "a replacement stands beside the old"


def test_a_given_name_is_left_alone() -> None:
    given = {"metadata": {"name": "x"}}
    assert objects.named(CALL, {}, given) is given


def test_an_identity_there_and_back() -> None:
    assert objects.identity_of(deployment()) == "models/web"
    assert objects.split_identity("models/web") == ("models", "web")
    assert objects.split_identity("nodes") == ("", "nodes")


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a[0].b"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"a": {"x/y": "1"}}, {"a": {}}, ['a["x/y"]']),
        ({"a": "known"}, {"a": UNKNOWN}, ["a"]),
    ],
)
def test_differences(before: Any, after: Any, paths: list[str]) -> None:
    assert list(objects.differences(before, after)) == paths
    for path in paths:
        assert objects.at(before, path) != objects.at(after, path)


@pytest.mark.parametrize(
    ("path", "replaced"),
    [
        ("spec.replicas", False),
        ("spec.selector.matchLabels.app", True),
        ("spec.selectorOther", False),
        ("metadata.name", True),
        ("metadata.namespace", True),
        ("metadata.labels.app", False),
    ],
)
def test_what_replaces_a_deployment(path: str, replaced: bool) -> None:
    assert objects.replaces(deployment(), path) is replaced


def test_what_the_server_has_added_is_no_difference(tmp_path: Path) -> None:
    inputs = deployment()
    live = deployment(replicas=1, strategy={"type": "RollingUpdate"})
    live["metadata"] = {**live["metadata"], "uid": "1", "resourceVersion": "7"}
    old = State(inputs, objects.outputs_of(live, inputs, "m"))
    provider = KubernetesStandIn(tmp_path, None, "4")
    assert provider.diff(CALL, "models/web", old, inputs).paths == {}
    assert provider.diff(CALL, "models/web", old, deployment(replicas=2)).paths == {"spec.replicas": False}


def test_what_somebody_else_has_changed_is_one(tmp_path: Path) -> None:
    inputs = deployment(replicas=2)
    old = State(inputs, objects.outputs_of(deployment(replicas=5), inputs, "m"))
    change = KubernetesStandIn(tmp_path, None, "4").diff(CALL, "models/web", old, inputs)
    assert change.paths == {"spec.replicas": False}


def test_a_pod_that_a_controller_would_make() -> None:
    pod = pods.pod_of(deployment())
    assert pod is not None
    assert pod["metadata"] == {"labels": {"app": "web"}, "name": "web-0", "namespace": "models"}
    assert pod["spec"]["containers"][0]["image"] == "b"
    assert pods.pod_of({"kind": "Service", "metadata": {"name": "a"}, "spec": {}}) is None


def test_unknown_settings_are_named_so_that_objects_are_asked_about(tmp_path: Path) -> None:
    """The engine asks a provider with unknown settings nothing, and accepts every object."""
    provider = KubernetesStandIn(tmp_path, None, "4")
    checked = provider.check_config({"kubeconfig": UNKNOWN, "clusterIdentifier": "prod-eu"})
    assert not isinstance(checked, list)
    assert checked.inputs == {"clusterIdentifier": "prod-eu", settings.UNKNOWN_KEYS: "kubeconfig"}
    provider.configure(checked.inputs)
    provider.check(CALL, {}, deployment())
    assert provider.warnings(URN) == [
        "not validated by a cluster: the provider's kubeconfig is not known yet"
    ]


def test_without_a_cluster_each_object_is_named(tmp_path: Path) -> None:
    provider = KubernetesStandIn(tmp_path, None, "4")
    provider.configure({"clusterIdentifier": ARN})
    provider.check(CALL, {}, deployment())
    assert any("none runs" in text for text in provider.warnings(URN))


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"kubeconfg": "x"}, "kubeconfg"),
        ({"enableServerSideApply": "false"}, "enableServerSideApply"),
        ({"upsertExistingObjects": "yes"}, "upsertExistingObjects"),
        ({"namespace": 3}, "namespace"),
        ({"kubeconfig": '{"clusters": [1], "contexts": [1]}'}, "kubeconfig"),
        ({"kubeconfig": '{"clusters": '}, "kubeconfig"),
    ],
)
def test_settings_that_are_refused(config: dict[str, Any], key: str) -> None:
    assert [failure.path for failure in settings.problems(config)] == [key]


def test_settings_as_the_sdk_sends_them() -> None:
    kubeconfig = json.dumps({"clusters": [1], "contexts": [1], "users": [1]})
    config = {"kubeconfig": kubeconfig, "clusterIdentifier": ARN, "enableServerSideApply": "true"}
    assert settings.problems(config) == []
    assert settings.read({**config, "enableConfigMapMutable": "true"}).mutable == {"ConfigMap"}


def test_a_provider_means_the_cluster_of_its_region(tmp_path: Path) -> None:
    one, other = Access("127.0.0.1", 1, "t", ""), Access("127.0.0.1", 2, "u", "")
    assert access.find(tmp_path, {"clusterIdentifier": ARN}) is None
    access.write(tmp_path, {"eu-central-1": one, "us-east-1": other})
    assert (tmp_path / access.NAME).stat().st_mode & 0o077 == 0, "it holds tokens"
    meant = access.find(tmp_path, {"clusterIdentifier": ARN})
    assert meant is not None and (meant.name, meant.access) == ("eu-central-1", one)


@pytest.mark.parametrize(
    "said", [{}, {"context": "elsewhere"}, {"clusterIdentifier": ARN, "context": "us-east-1-x"}]
)
def test_an_object_is_never_judged_by_a_neighbour(tmp_path: Path, said: dict[str, str]) -> None:
    one = Access("127.0.0.1", 1, "t", "")
    access.write(tmp_path, {"eu-central-1": one, "us-east-1": one})
    with pytest.raises(UsageError) as caught:
        access.find(tmp_path, said)
    assert caught.value.code == "standin.no_cluster"


def test_a_kind_that_is_not_the_resources(tmp_path: Path) -> None:
    checked = KubernetesStandIn(tmp_path, None, "4").check(CALL, {}, {**deployment(), "kind": "StatefulSet"})
    assert any(failure.path == "kind" for failure in checked.failures)


def test_a_patch_resource_is_not_taken(tmp_path: Path) -> None:
    call = Call(URN, "kubernetes:apps/v1:DeploymentPatch", "web")
    assert KubernetesStandIn(tmp_path, None, "4").check(call, {}, deployment()).failures


def test_the_sdks_types_where_no_server_runs(tmp_path: Path) -> None:
    """All that is wrong at once, with its path; names are meant for a person."""
    provider = KubernetesStandIn(tmp_path, None, "4")
    thing = deployment(replicas="three")
    thing["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    reasons = [failure.reason for failure in provider.check(CALL, {}, thing).failures]
    assert any(reason.startswith("spec.replicas must be an integer") for reason in reasons)
    assert any("did you mean 'imagePullPolicy'" in reason for reason in reasons)
    assert len(reasons) == 2


def test_of_a_custom_resource_the_frame(tmp_path: Path) -> None:
    token = "kubernetes:keda.sh/v1alpha1:ScaledObject"
    call = Call("urn:pulumi:staging::lockstep::x::s", token, "s")
    provider = KubernetesStandIn(tmp_path, None, "4")
    frame = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": {"anything": [1]}}
    assert provider.check(call, {}, {**frame, "metadata": {"name": "s"}}).failures == []
    wrong = provider.check(call, {}, {**frame, "metadata": {"nam": "s"}}).failures
    assert [failure.path for failure in wrong] == ["metadata.nam"]


def test_a_release_is_typed(tmp_path: Path) -> None:
    call = Call("urn:pulumi:staging::lockstep::x::eg", "kubernetes:helm.sh/v3:Release", "eg")
    wrong = KubernetesStandIn(tmp_path, None, "4").check(call, {}, {"skipCrd": True}).failures
    assert {failure.path for failure in wrong} == {"skipCrd", "chart"}


def test_no_module_shadows_pythons_own() -> None:
    """The engine starts a plugin with its folder first on the path, so `types.py` ends it at once."""
    folder = Path(access.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & sys.stdlib_module_names


@pytest.mark.parametrize(
    ("inputs", "brought"),
    [
        ({"chart": "oci://docker.io/envoyproxy/gateway-helm"}, ["gateway-api-crds", "envoy-gateway-crds"]),
        ({"chart": "gateway-helm", "skipCrds": True}, []),
        ({"chart": "gateway-helm", "values": {"crds": {"enabled": False}}}, []),
        ({"chart": "gateway-crds-helm", "skipCrds": True}, []),
        (
            {"chart": "gateway-crds-helm", "values": {"crds": {"gatewayAPI": {"enabled": True}}}},
            ["gateway-api-crds"],
        ),
        ({"chart": "keda", "skipCrds": True}, ["keda-crds"]),
        ({"chart": "keda", "values": {"crds": {"install": False}}}, []),
        ({"chart": "karpenter", "skipCrds": True}, []),
        ({"chart": "something-else"}, []),
    ],
)
def test_the_definitions_that_a_chart_brings(inputs: dict[str, Any], brought: list[str]) -> None:
    assert release.brings(inputs) == brought


def test_definitions_that_nobody_gave(tmp_path: Path) -> None:
    access.write(tmp_path, {}, {"keda-crds": tmp_path})
    assert access.definitions(tmp_path, ["keda-crds"]) == [tmp_path]
    with pytest.raises(UsageError, match="karpenter-crds"):
        access.definitions(tmp_path, ["karpenter-crds"])
