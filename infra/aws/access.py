"""What the groups of CI's roles may do inside a cluster, by RBAC: EKS's own policies are all or too much.

Who may only roll back can move weights and nothing else.
"""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from infra.aws.charts import charts
from infra.aws.controllers import MODELS
from infra.aws.entries import LOOK, MOVE
from infra.aws.kubernetes import Kubernetes

READ = ["get", "list", "watch"]
LOOKS = [
    k8s.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=READ)
    for group, resources in {
        "": ["configmaps", "events", "namespaces", "nodes", "pods", "serviceaccounts", "services"],
        "apiextensions.k8s.io": ["customresourcedefinitions"],
        "apps": ["*"],
        "autoscaling": ["*"],
        "discovery.k8s.io": ["endpointslices"],
        "eks.amazonaws.com": ["*"],
        "gateway.envoyproxy.io": ["*"],
        "gateway.networking.k8s.io": ["*"],
        "karpenter.k8s.aws": ["*"],
        "karpenter.sh": ["*"],
        "keda.sh": ["*"],
        "networking.k8s.io": ["*"],
        "policy": ["*"],
        "rbac.authorization.k8s.io": ["*"],
    }.items()
]
"""Everything that the program declares, and what became of it; no secret."""

MOVES = [
    k8s.rbac.v1.PolicyRuleArgs(
        api_groups=["gateway.networking.k8s.io"],
        resources=["httproutes"],
        verbs=[*READ, "patch", "update"],
    )
]

ASKS = [k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods/proxy"], verbs=["get"])]
"""A question to a pod by way of the API server. RBAC knows neither port nor path, and the proxies' names are
not known before: so it is in the gateway's namespace only, where nothing runs but proxies and their
controller."""


def rules(
    inside: Kubernetes, models: list[pulumi.Resource], *, controllers: list[pulumi.Resource]
) -> list[pulumi.Resource]:
    """What the groups may: look at everything in the cluster but secrets, ask Envoy what it routes, and move
    weights. controllers: the gateway's namespace is among them."""
    region = inside.site.region
    looks = k8s.rbac.v1.ClusterRole(
        f"look-{region}", metadata={"name": LOOK}, rules=LOOKS, opts=inside.options()
    )
    look = k8s.rbac.v1.ClusterRoleBinding(
        f"look-{region}",
        metadata={"name": LOOK},
        role_ref=_role("ClusterRole", LOOK),
        subjects=[_group(LOOK)],
        opts=inside.options(after=[looks]),
    )
    ask = _inside(inside, f"ask-{region}", LOOK, str(charts()["gateway"]["namespace"]), ASKS, controllers)
    move = _inside(inside, f"move-{region}", MOVE, MODELS, MOVES, models)
    return [look, ask, move]


def _inside(
    inside: Kubernetes,
    resource: str,
    group: str,
    namespace: str,
    allowed: list[k8s.rbac.v1.PolicyRuleArgs],
    after: list[pulumi.Resource],
) -> pulumi.Resource:
    """What a group may in one namespace."""
    role = k8s.rbac.v1.Role(
        resource,
        metadata={"name": group, "namespace": namespace},
        rules=allowed,
        opts=inside.options(after=after),
    )
    return k8s.rbac.v1.RoleBinding(
        resource,
        metadata={"name": group, "namespace": namespace},
        role_ref=_role("Role", group),
        subjects=[_group(group)],
        opts=inside.options(after=[role]),
    )


def _role(kind: str, name: str) -> k8s.rbac.v1.RoleRefArgs:
    return k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind=kind, name=name)


def _group(name: str) -> k8s.rbac.v1.SubjectArgs:
    return k8s.rbac.v1.SubjectArgs(api_group="rbac.authorization.k8s.io", kind="Group", name=name)
