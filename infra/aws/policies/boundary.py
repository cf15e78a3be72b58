"""The boundary: what no role of CI, and no role that one of them makes, can do, whatever its policies say.

It is made once for an account, before any stack. Without it, who may make a role could make one that may do
everything, and use that.
"""

from __future__ import annotations

from infra.aws.policies.names import CI_ROLES, REPLICATION, Account
from infra.aws.policies.statements import Statement, allow, deny
from lockstep.paths import PROJECT

SERVICES = (
    "acm:*",
    "autoscaling:*",
    "cloudtrail:Describe*",
    "cloudtrail:Get*",
    "cloudtrail:List*",
    "cloudtrail:LookupEvents",
    "ec2:*",
    "ecr:*",
    "eks:*",
    "eks-auth:*",
    "elasticloadbalancing:*",
    "events:*",
    "globalaccelerator:*",
    "iam:Get*",
    "iam:List*",
    "kms:*",
    "logs:*",
    "pricing:GetProducts",
    "route53:*",
    "s3:*",
    "servicequotas:Get*",
    "servicequotas:List*",
    "sqs:*",
    "ssm:GetParameter*",
    "sts:GetCallerIdentity",
    "tag:GetResources",
)
CHANGES = (
    "iam:Add*",
    "iam:Attach*",
    "iam:Create*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:PassRole",
    "iam:Put*",
    "iam:Remove*",
    "iam:Set*",
    "iam:Tag*",
    "iam:Untag*",
    "iam:Update*",
)
GIVES_RIGHTS = (
    "iam:AttachRolePolicy",
    "iam:CreateRole",
    "iam:PutRolePermissionsBoundary",
    "iam:PutRolePolicy",
)
LOSES = (
    "kms:DeleteImportedKeyMaterial",
    "kms:ScheduleKeyDeletion",
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObjectVersion",
)


def boundary(account: Account) -> list[Statement]:
    """The services that a stack is made of, and roles of its own name; nothing of users, so no credential
    that lives long. No role without this boundary, no hand on the roles of CI or on this, no loss of data or
    keys."""
    kinds = ("role", "policy", "instance-profile")
    own = [account.iam(f"{kind}/{PROJECT}-*") for kind in kinds]
    linked = account.iam("role/aws-service-role/*")
    of_ci = [account.iam(f"role/{PROJECT}-*-{role}") for role in (*CI_ROLES, REPLICATION)]
    unbounded = {"StringNotEquals": {"iam:PermissionsBoundary": account.boundary}}
    anywhere = f"arn:{account.partition}:iam::*:role/{PROJECT}-*"
    return [
        allow("Services", SERVICES),
        allow("Roles", ["iam:*"], [*own, linked]),
        allow("Become", ["sts:AssumeRole", "sts:TagSession"], [anywhere]),
        deny("NotTheirOwnRights", CHANGES, [*of_ci, account.boundary]),
        deny("NoRoleWithoutBoundary", GIVES_RIGHTS, when=unbounded),
        deny("NoBoundaryTakenOff", ["iam:DeleteRolePermissionsBoundary"]),
        deny("NoLoss", LOSES),
    ]
