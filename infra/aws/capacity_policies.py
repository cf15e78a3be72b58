"""What the makers of nodes may do, and who may write into Karpenter's queue. Pure.

Everything that it starts carries the cluster's tag, and what does not carry it, it cannot end.
"""

from __future__ import annotations

from typing import Any

from infra.aws.roles import Document, allow, document

POOL_TAG = "karpenter.sh/nodepool"


def controller_policy(account: str, region: str, cluster: str, node_role: str, queue: str) -> Document:
    """The rights of the controller's pod, in one region and for one cluster."""
    ec2 = f"arn:aws:ec2:{region}"
    owned = f"kubernetes.io/cluster/{cluster}"
    starts = [f"{ec2}:*:{kind}/*" for kind in ("fleet", "instance", "volume", "network-interface")]
    templates = f"{ec2}:*:launch-template/*"
    requested = {
        "StringEquals": {
            f"aws:RequestTag/{owned}": "owned",
            "aws:RequestTag/eks:eks-cluster-name": cluster,
        },
        "StringLike": {f"aws:RequestTag/{POOL_TAG}": "*"},
    }
    marked = {
        "StringEquals": {f"aws:ResourceTag/{owned}": "owned"},
        "StringLike": {f"aws:ResourceTag/{POOL_TAG}": "*"},
    }
    given = [
        f"{ec2}::image/*",
        f"{ec2}::snapshot/*",
        f"{ec2}:*:security-group/*",
        f"{ec2}:*:subnet/*",
        f"{ec2}:*:capacity-reservation/*",
    ]
    profiles = f"arn:aws:iam::{account}:instance-profile/*"
    return document(
        allow(["ec2:RunInstances", "ec2:CreateFleet"], given, Sid="StartFrom"),
        allow(["ec2:RunInstances", "ec2:CreateFleet"], [templates], Sid="StartByTemplate", Condition=marked),
        allow(
            ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"],
            [*starts, templates, f"{ec2}:*:spot-instances-request/*"],
            Sid="StartMarked",
            Condition=requested,
        ),
        allow(
            ["ec2:CreateTags"],
            [*starts, templates, f"{ec2}:*:spot-instances-request/*"],
            Sid="MarkAtStart",
            Condition=_and(requested, "StringEquals", {"ec2:CreateAction": list(CREATIONS)}),
        ),
        allow(
            ["ec2:CreateTags"],
            [f"{ec2}:*:instance/*"],
            Sid="MarkOwn",
            Condition=_and(
                marked,
                "ForAllValues:StringEquals",
                {"aws:TagKeys": ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]},
            ),
        ),
        allow(
            ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            [f"{ec2}:*:instance/*", templates],
            Sid="EndOwn",
            Condition=marked,
        ),
        allow(list(READS), ["*"], Sid="Look", Condition={"StringEquals": {"aws:RequestedRegion": region}}),
        allow(["ssm:GetParameter"], [f"arn:aws:ssm:{region}::parameter/aws/service/*"], Sid="Images"),
        allow(["pricing:GetProducts"], ["*"], Sid="Prices"),
        allow(["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"], [queue], Sid="Interruptions"),
        allow(
            ["iam:PassRole"],
            [node_role],
            Sid="PassNodes",
            Condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        allow(
            ["iam:CreateInstanceProfile", "iam:TagInstanceProfile"],
            [profiles],
            Sid="MakeProfile",
            Condition={"StringEquals": {f"aws:RequestTag/{owned}": "owned"}},
        ),
        allow(
            [
                "iam:AddRoleToInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:DeleteInstanceProfile",
            ],
            [profiles],
            Sid="OwnProfile",
            Condition={"StringEquals": {f"aws:ResourceTag/{owned}": "owned"}},
        ),
        allow(["iam:GetInstanceProfile", "iam:ListInstanceProfiles"], [profiles], Sid="LookProfile"),
        allow(["eks:DescribeCluster"], [f"arn:aws:eks:{region}:{account}:cluster/{cluster}"], Sid="Cluster"),
    )


CREATIONS = ("RunInstances", "CreateFleet", "CreateLaunchTemplate")
READS = (
    "ec2:DescribeCapacityReservations",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribePlacementGroups",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
)


def autoscaler_policy(cluster: str) -> Document:
    """Sizes of the cluster's own groups, and a look at all."""
    owned = {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{cluster}": "owned"}}
    changes = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    looks = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
        "eks:DescribeNodegroup",
    ]
    return document(allow(changes, ["*"], Sid="OwnSizes", Condition=owned), allow(looks, ["*"], Sid="Look"))


def queue_policy(queue: str) -> Document:
    """EventBridge may send, and nobody by plain HTTP."""
    return document(
        allow(
            ["sqs:SendMessage"],
            [queue],
            Sid="Events",
            Principal={"Service": ["events.amazonaws.com", "sqs.amazonaws.com"]},
        ),
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["sqs:*"],
            "Resource": [queue],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )


def _and(condition: dict[str, Any], operator: str, values: dict[str, Any]) -> dict[str, Any]:
    """The condition with more under one operator."""
    return {**condition, operator: {**condition.get(operator, {}), **values}}
