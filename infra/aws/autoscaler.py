"""What grows and shrinks managed node groups between their least and most: without it they stay at least."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from infra.aws.capacity_policies import autoscaler_policy
from infra.aws.charts import charts
from infra.aws.controllers import release
from infra.aws.kubernetes import Kubernetes
from infra.aws.roles import PODS, role, trust

NAME = "autoscaler"


def autoscaler(inside: Kubernetes, *, after: Sequence[pulumi.Resource]) -> k8s.helm.v3.Release:
    """The controller and its rights over the node groups of this cluster alone, which EKS tags as its own."""
    site, made = inside.site, inside.cluster.resource
    taken, rights = role(
        site, NAME, trust(PODS, tagging=True), own=pulumi.Output.from_input(_policy(site.cluster))
    )
    identity = aws.eks.PodIdentityAssociation(
        f"identity-{site.region}-{NAME}",
        cluster_name=made.name,
        namespace=charts()[NAME]["namespace"],
        service_account=NAME,
        role_arn=taken.arn,
        region=site.region,
        tags=site.tags(NAME),
        opts=site.options(after=rights),
    )
    values = {
        "cloudProvider": "aws",
        "awsRegion": site.region,
        "autoDiscovery": {"clusterName": site.cluster},
        "rbac": {"serviceAccount": {"name": NAME}},
        "replicaCount": 2,
        "extraArgs": {"balance-similar-node-groups": True, "expander": "least-waste"},
    }
    return release(inside, NAME, values, after=[*after, identity])


def _policy(cluster: str) -> str:
    return json.dumps(autoscaler_policy(cluster))
