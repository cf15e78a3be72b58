"""A Karpenter of our own: its rights, the queue that tells it of interruptions, and its chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.capacity_policies import controller_policy, queue_policy
from infra.aws.charts import charts
from infra.aws.cluster import NODE_POLICIES
from infra.aws.controllers import release
from infra.aws.kubernetes import Kubernetes
from infra.aws.roles import PODS, role, trust
from infra.aws.site import Site

ACCOUNT = "karpenter"
KEPT_SECONDS = 300
EVENTS = {
    "health": ("aws.health", "AWS Health Event"),
    "interruption": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "rebalance": ("aws.ec2", "EC2 Instance Rebalance Recommendation"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
}
"""What makes a node go, by the source and type under which EventBridge has it."""


@dataclass(frozen=True)
class Karpenter:
    """nodes: the role of the nodes that it makes. controller: alive until the last of them is gone."""

    nodes: aws.iam.Role
    controller: pulumi.Resource
    ready: tuple[pulumi.Resource, ...]


def karpenter(inside: Kubernetes, *, after: Sequence[pulumi.Resource]) -> Karpenter:
    site, made = inside.site, inside.cluster.resource
    nodes, node_rights = role(site, "gpu-nodes", trust("ec2.amazonaws.com"), managed=NODE_POLICIES)
    entry = aws.eks.AccessEntry(
        f"access-{site.region}-gpu-nodes",
        cluster_name=made.name,
        principal_arn=nodes.arn,
        type="EC2_LINUX",
        region=site.region,
        tags=site.tags("gpu-nodes"),
        opts=site.options(after=node_rights),
    )
    queue, told = _queue(site)
    rights = _identity(site, made, nodes, queue)
    values = {
        "replicas": 2,
        "settings": {
            "clusterName": made.name,
            "clusterEndpoint": made.endpoint,
            "interruptionQueue": queue.name,
            "featureGates": {"staticCapacity": True},
        },
    }
    controller = release(inside, "karpenter", values, after=[*after, entry, *rights, *told])
    return Karpenter(nodes, controller, (controller, entry))


def _identity(
    site: Site, made: aws.eks.Cluster, nodes: aws.iam.Role, queue: aws.sqs.Queue
) -> list[pulumi.Resource]:
    policy = pulumi.Output.all(site.ground.account, nodes.arn, queue.arn).apply(
        lambda parts: json.dumps(controller_policy(parts[0], site.region, site.cluster, parts[1], parts[2]))
    )
    taken, rights = role(site, "karpenter", trust(PODS, tagging=True), own=policy)
    return [
        *rights,
        aws.eks.PodIdentityAssociation(
            f"identity-{site.region}-karpenter",
            cluster_name=made.name,
            namespace=charts()["karpenter"]["namespace"],
            service_account=ACCOUNT,
            role_arn=taken.arn,
            region=site.region,
            tags=site.tags("karpenter"),
            opts=site.options(after=rights),
        ),
    ]


def _queue(site: Site) -> tuple[aws.sqs.Queue, list[pulumi.Resource]]:
    queue = aws.sqs.Queue(
        f"interruptions-{site.region}",
        name=site.name("interruptions"),
        message_retention_seconds=KEPT_SECONDS,
        sqs_managed_sse_enabled=True,
        region=site.region,
        tags=site.tags("interruptions"),
        opts=site.options(),
    )
    told: list[pulumi.Resource] = [
        aws.sqs.QueuePolicy(
            f"interruptions-{site.region}",
            queue_url=queue.url,
            policy=queue.arn.apply(lambda arn: json.dumps(queue_policy(arn))),
            region=site.region,
            opts=site.options(),
        )
    ]
    for name, (source, kind) in EVENTS.items():
        rule = aws.cloudwatch.EventRule(
            f"interruptions-{site.region}-{name}",
            name=site.name(name),
            event_pattern=json.dumps({"source": [source], "detail-type": [kind]}),
            region=site.region,
            tags=site.tags(name),
            opts=site.options(),
        )
        told.append(
            aws.cloudwatch.EventTarget(
                f"interruptions-{site.region}-{name}",
                rule=rule.name,
                arn=queue.arn,
                region=site.region,
                opts=site.options(),
            )
        )
    return queue, told
