"""A region as the engine is told of it, by the failure that each promise guards against.

Property names and types are held against the real SDKs by the mocks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import json
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from infra.aws import entry
from infra.aws.definitions import chart, wanted
from infra.aws.gateway import HEALTH_PATH
from infra.aws.ground import ground
from infra.aws.kubernetes import unvalidated
from infra.aws.region import region
from infra.aws.site import Site
from tests.support.clouds import Recorder, Registered, declare, quiet_engine, stack

__all__ = ["quiet_engine"]

WAYS = ("auto", "karpenter", "managed")
REGION = "eu-central-1"
pytestmark = pytest.mark.usefixtures("quiet_engine")


@cache
def made(by: str = "auto", name: str = "staging", **more: str) -> Recorder:
    """One region of a stack, with what comes before and after it in the program."""
    sections: dict[str, Any] = {"capacity": {"by": by, "spot_percent": 50}}
    if "nat" in more:
        sections["network"] = {"nat": more["nat"]}
    if "repository" in more:
        sections["identity"] = {"repository": more["repository"]}
    settings = stack(name, **sections)

    def build() -> None:
        base = ground(settings)
        gate = pulumi.CustomResource("test:index:Gate", "gate")
        place = region(base, REGION, after=[gate])
        service = pulumi.CustomResource("test:index:Service", "service", opts=place.options(after=[gate]))
        front = entry.entry_point(base, {REGION: place})
        after = [place.gateway, *front.resources, service]
        route = pulumi.CustomResource("test:index:Route", "route", opts=place.options(after=after))
        depends = pulumi.ResourceOptions(depends_on=[gate, route, *front.resources])
        pulumi.CustomResource("test:index:Receipt", "receipt", opts=depends)

    return declare(build)


def every(by: str = "") -> Iterator[Registered]:
    for way in WAYS:
        if way.startswith(by):
            yield from made(way).registered.values()


@pytest.mark.parametrize("by", WAYS)
def test_what_is_destroyed_first_is_what_needs_the_rest(by: str) -> None:
    """Receipt, routes, gateway and services, GPU nodes, controllers, cluster, network: each is gone before
    the next, or the next one's deletion hangs or leaves nodes, interfaces and load balancers behind."""
    stack = made(by)
    pools = [
        each
        for each in [*stack.of(":NodePool"), *stack.of("nodeGroup:NodeGroup")]
        if "system" not in each.name
    ]
    assert pools
    order = [
        [stack.named("receipt")],
        [stack.named("route")],
        [stack.named(f"gateway-{REGION}", "v1:Gateway"), stack.named("service")],
        pools,
        stack.of("v3:Release"),
        stack.of("cluster:Cluster"),
        [*(stack.named(f"subnet-{REGION}-az{number}") for number in (1, 2, 3)), *stack.of("vpc:Vpc")],
    ]
    for earlier, later in itertools.pairwise(order):
        for one in earlier:
            for other in later:
                assert stack.waits_for(one, other), f"{one.key} may outlive {other.key}"


@pytest.mark.parametrize(
    ("dry_run", "offline", "known", "warned"),
    [(True, False, False, 1), (True, False, True, 0), (False, False, False, 0), (True, True, False, 0)],
)
def test_a_preview_says_what_no_cluster_has_validated(
    monkeypatch: pytest.MonkeyPatch, dry_run: bool, offline: bool, known: bool, warned: int
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry_run)
    monkeypatch.setattr("infra.aws.kubernetes.standing_in", lambda: offline)
    monkeypatch.setattr(pulumi.log, "warn", lambda line, resource: said.append(f"{resource}: {line}"))

    async def is_known() -> bool:
        return known

    site: Any = SimpleNamespace(region=REGION, component="region")
    endpoint: Any = SimpleNamespace(is_known=is_known)
    asyncio.run(unvalidated(site, endpoint))
    assert len(said) == warned
    assert all(each.startswith(f"region: the cluster of {REGION} does not exist yet") for each in said)


@pytest.mark.parametrize("by", WAYS)
def test_nodes_that_nobody_drained_do_not_outlive_their_cluster(by: str) -> None:
    """The engine does not delete what goes with the cluster, and Karpenter's nodes do not go with it."""
    for each in made(by).registered.values():
        if not each.type.startswith("kubernetes:"):
            continue
        if each.type.endswith((":NodePool", "NodeClass")):
            assert not each.deleted_with, f"{each.key} would be forgotten with its nodes running"
        elif not each.retained:
            assert each.deleted_with.endswith(f"cluster-{REGION}"), (
                f"{each.key} would have to be deleted by hand"
            )


def test_everything_of_a_region_hangs_under_its_component_and_after_the_gate() -> None:
    outside = {"aws", "gate", "receipt", f"region-{REGION}"}
    for by in WAYS:
        stack = made(by)
        gate = stack.named("gate")
        for each in stack.registered.values():
            if each.name in outside or each.name.startswith("entry"):
                continue
            assert each.parent.endswith(f"region-{REGION}"), f"{each.key} hangs under {each.parent!r}"
            assert stack.waits_for(each, gate), f"{each.key} starts before the gate has allowed anything"


def test_no_resource_lands_where_somebody_s_profile_points() -> None:
    """Every AWS resource but those of global services names its region, and every one its provider."""
    everywhere = ("aws:iam/", "aws:route53/")
    for each in every():
        if each.type.startswith("aws:") and not each.type.startswith(everywhere):
            assert each.inputs.get("region") == REGION, each.key
        if each.type.startswith(("aws:", "kubernetes:")):
            assert each.provider, f"{each.key} would use a default provider"


def test_no_node_has_a_public_address() -> None:
    for by in WAYS:
        stack = made(by)
        assert not any(each.inputs["mapPublicIpOnLaunch"] for each in stack.of("subnet:Subnet"))
        private = {f"subnet-{REGION}-az{number}-id" for number in (1, 2, 3)}
        for each in [*stack.of("cluster:Cluster"), *stack.of("nodeGroup:NodeGroup")]:
            subnets = each.inputs.get("vpcConfig", each.inputs)["subnetIds"]
            assert set(subnets) == private
        ways = {each.inputs["routeTableId"]: each.inputs for each in stack.of("route:Route")}
        for number in (1, 2, 3):
            assert "gatewayId" not in ways[f"routes-{REGION}-az{number}-id"]


@pytest.mark.parametrize(("nat", "gateways"), [("none", 0), ("region", 1), ("zone", 3)])
def test_nat_is_as_declared_and_with_one_a_zone_no_zone_leaves_by_another(nat: str, gateways: int) -> None:
    stack = made("auto", nat=nat)
    assert len(stack.of("natGateway:NatGateway")) == gateways
    out = {
        each.name: each.inputs["natGatewayId"]
        for each in stack.of("route:Route")
        if "natGatewayId" in each.inputs
    }
    assert len(out) == (3 if gateways else 0)
    assert len(set(out.values())) == gateways


def test_the_subnets_are_the_plan_s_in_zones_that_mean_the_same_in_every_account() -> None:
    subnets = made().of("subnet:Subnet")
    assert len(subnets) == 6
    whole = ipaddress.IPv4Network("10.16.0.0/16")
    for each in subnets:
        assert ipaddress.IPv4Network(each.inputs["cidrBlock"]).subnet_of(whole)
        assert each.inputs["availabilityZoneId"].startswith("euc1-az")
        assert "availabilityZone" not in each.inputs


def test_the_default_security_group_lets_nothing_through() -> None:
    (closed,) = made().of("DefaultSecurityGroup")
    assert closed.inputs["ingress"] == []
    assert closed.inputs["egress"] == []


def test_only_clients_come_from_anywhere_and_only_by_https() -> None:
    for each in every():
        if each.inputs.get("cidrIpv4") == "0.0.0.0/0":
            assert each.name == f"gateway-{REGION}-in"
            assert (each.inputs["fromPort"], each.inputs["toPort"]) == (443, 443)


def test_nobody_reaches_the_control_plane_but_from_inside_or_from_a_declared_block() -> None:
    (cluster,) = made().of("cluster:Cluster")
    reach = cluster.inputs["vpcConfig"]
    assert reach["endpointPrivateAccess"] is True
    assert reach["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in reach


def test_a_cluster_gives_its_maker_nothing_and_keeps_its_secrets_and_logs() -> None:
    for by in WAYS:
        (cluster,) = made(by).of("cluster:Cluster")
        assert cluster.inputs["accessConfig"] == {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": False,
        }
        assert cluster.inputs["encryptionConfig"]["resources"] == ["secrets"]
        assert len(cluster.inputs["enabledClusterLogTypes"]) == 5
        assert cluster.inputs["deletionProtection"] is True
        groups = {each.inputs["name"]: each for each in made(by).of("LogGroup")}
        logs = groups[f"/aws/eks/{cluster.inputs['name']}/cluster"]
        assert made(by).waits_for(cluster, logs), "EKS would make the group itself, to be kept for ever"
        for each in groups.values():
            assert each.inputs["retentionInDays"] == 30
            assert each.inputs["kmsKeyId"]


def test_the_key_outlives_the_stack_and_the_first_deployer_keeps_his_rights() -> None:
    assert made().named(f"key-{REGION}", ":Key").retained
    assert made().named(f"access-{REGION}-deployer").ignored == ("principalArn",)


def test_who_may_only_roll_back_moves_weights_and_nothing_else() -> None:
    stack = made(repository="owner/name")
    let_in = {each.inputs["principalArn"].rsplit("/", 1)[1]: each for each in stack.of("AccessEntry")}
    assert set(let_in) == {
        "deployer",
        "lockstep-staging-apply",
        "lockstep-staging-preview",
        "lockstep-staging-rollback",
    }
    admins = {each.inputs["principalArn"].rsplit("/", 1)[1] for each in stack.of("AccessPolicyAssociation")}
    assert admins == {"deployer", "lockstep-staging-apply"}
    groups = let_in["lockstep-staging-rollback"].inputs["kubernetesGroups"]
    bound = {
        subject["name"]: each.inputs["roleRef"]["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for each in stack.of(f":{kind}")
        for subject in each.inputs["subjects"]
    }
    granted = [
        rule
        for each in [*stack.of(":Role"), *stack.of(":ClusterRole")]
        if each.type.startswith("kubernetes:")
        and each.inputs["metadata"]["name"] in [bound[group] for group in groups]
        for rule in each.inputs["rules"]
    ]
    changes = [rule for rule in granted if not set(rule["verbs"]) <= {"get", "list", "watch"}]
    assert [rule["resources"] for rule in changes] == [["httproutes"]]
    assert not any({"secrets", "*"} & set(rule["resources"]) for rule in granted if rule["apiGroups"] == [""])
    assert not [each for each in made().of("AccessEntry") if each.name != f"access-{REGION}-deployer"]


def test_managed_groups_have_somebody_who_grows_them_and_may_touch_no_other_group() -> None:
    chart = made("managed").named(f"autoscaler-{REGION}")
    assert chart.inputs["values"]["autoDiscovery"] == {"clusterName": f"lockstep-staging-{REGION}"}
    policy = json.loads(made("managed").named(f"role-autoscaler-{REGION}-own").inputs["policy"])
    changing = [each for each in policy["Statement"] if "autoscaling:SetDesiredCapacity" in each["Action"]]
    owned = f"aws:ResourceTag/k8s.io/cluster-autoscaler/lockstep-staging-{REGION}"
    assert [each["Condition"]["StringEquals"] for each in changing] == [{owned: "owned"}]


def test_the_certificate_s_proof_stays_for_the_other_regions() -> None:
    proof = made().named(f"certificate-{REGION}-proof")
    assert proof.retained
    assert proof.inputs["allowOverwrite"] is True


def test_no_token_is_in_the_state() -> None:
    provider = made().named(f"kubernetes-{REGION}")
    config = json.loads(provider.inputs["kubeconfig"])
    (user,) = config["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["args"][:2] == ["eks", "get-token"]
    assert provider.inputs["enableServerSideApply"] == "true"


def test_a_cluster_that_was_replaced_is_another_one() -> None:
    identity = made().named(f"kubernetes-{REGION}").inputs["clusterIdentifier"]
    assert "2026-01-01" in identity  # when it was made, which no second cluster of the name shares


def test_models_run_restricted_and_closed() -> None:
    for by in WAYS:
        models = made(by).named(f"namespace-{REGION}-models").inputs["metadata"]
        assert models["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        closed = made(by).named(f"closed-{REGION}-models").inputs
        assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        assert closed["metadata"]["namespace"] == models["name"]


def test_network_policies_are_enforced_however_nodes_are_made() -> None:
    told = made("auto").named(f"policies-{REGION}").inputs["data"]
    assert told == {"enable-network-policy-controller": "true"}
    for by in ("karpenter", "managed"):
        plugin = made(by).named(f"addon-{REGION}-vpc-cni").inputs
        assert json.loads(plugin["configurationValues"]) == {"enableNetworkPolicy": "true"}


def test_charts_are_pinned_and_bring_no_definitions() -> None:
    releases = [each for each in every() if each.type.endswith("v3:Release")]
    assert {each.name.removesuffix(f"-{REGION}") for each in releases} >= {"gateway", "keda", "karpenter"}
    for each in releases:
        assert each.inputs.get("version") or each.inputs["chart"].startswith("../"), each.key
        assert each.inputs["skipCrds"] is True
        assert each.inputs["atomic"] is True


def test_definitions_outlive_the_stack_and_are_there_before_the_charts_that_need_them() -> None:
    """Whoever takes a definition away takes every object of its kind with it, in the whole cluster."""
    for by in WAYS:
        stack = made(by)
        release = stack.named(f"definitions-{REGION}")
        assert release.retained
        assert all(stack.waits_for(each, release) for each in stack.of("v3:Release") if each != release)


def test_the_chart_of_definitions_has_every_kind_kept_and_short_enough_for_a_release() -> None:
    folder = chart(wanted("karpenter"))
    found = [json.loads(path.read_text()) for path in (folder / "definitions").iterdir()]
    kinds = {each["spec"]["names"]["kind"] for each in found}
    assert kinds >= {"HTTPRoute", "Gateway", "EnvoyProxy", "HTTPRouteFilter", "ScaledObject", "NodePool"}
    assert "NodePool" not in str(list((chart(wanted("auto")) / "definitions").iterdir()))
    assert all(each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for each in found)
    assert sum(len(json.dumps(each)) for each in found) < 1_000_000
    assert (
        made().named(f"definitions-{REGION}").inputs["chart"].startswith("../.lockstep/charts/definitions-")
    )


def test_clients_speak_tls_and_envoy_answers_health_checks_where_they_are_sent() -> None:
    stack = made()
    (listener,) = stack.of("listener:Listener")
    assert (listener.inputs["protocol"], listener.inputs["port"]) == ("TLS", 443)
    assert listener.inputs["certificateArn"]
    route = stack.named(f"health-{REGION}-route").inputs["spec"]
    (rule,) = route["rules"]
    assert rule["matches"][0]["path"]["value"] == HEALTH_PATH == entry.HEALTH_PATH


def test_the_load_balancer_reaches_pods_where_a_controller_registers_them_and_else_nodes() -> None:
    for by, kind, port in (("auto", "ip", 10443), ("karpenter", "instance", 30443)):
        stack = made(by)
        (targets,) = stack.of("targetGroup:TargetGroup")
        assert (targets.inputs["targetType"], targets.inputs["port"]) == (kind, port)
        assert stack.named(f"gateway-{REGION}-nodes", "IngressRule").inputs["fromPort"] == port
    binding = made("auto").named(f"gateway-{REGION}-pods").inputs["spec"]
    assert binding["targetType"] == "ip"
    assert made("auto").of("targetGroup:TargetGroup")[0].inputs["tags"]["eks:eks-cluster-name"]
    assert made("managed").of("autoscaling/attachment:Attachment")


def test_roles_of_a_stack_with_ci_carry_the_boundary() -> None:
    for each in made("karpenter", repository="owner/name").of("role:Role"):
        assert each.inputs["permissionsBoundary"].endswith("policy/lockstep-boundary"), each.key
    assert all("permissionsBoundary" not in each.inputs for each in made().of("role:Role"))


def test_names_of_roles_fit_in_the_longest_region() -> None:
    for each in every():
        if each.type.endswith("role:Role"):
            longest = each.inputs["name"].replace(REGION, "ap-southeast-1")
            assert len(longest) <= 64, longest


def test_a_name_never_holds_a_place_in_a_list() -> None:
    assert not [each.name for each in every() if each.name[-2:] in ("-0", "[0")]
    assert Site.name.__doc__
