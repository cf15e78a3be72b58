"""What another account's stacks may do in an account that keeps a copy of their log: make it, and look at it.

What the copy's own bucket and key refuse, they refuse this role as well, once they are sealed.
"""

from __future__ import annotations

from infra.aws.policies.names import Account
from infra.aws.policies.statements import Statement, allow
from lockstep.paths import PROJECT

BUCKETS = (
    "s3:CreateBucket",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
)
KEYS = (
    "kms:CreateAlias",
    "kms:CreateKey",
    "kms:DescribeKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:TagResource",
)
TRAILS = (
    "cloudtrail:AddTags",
    "cloudtrail:CreateTrail",
    "cloudtrail:GetEventSelectors",
    "cloudtrail:GetTrail",
    "cloudtrail:GetTrailStatus",
    "cloudtrail:ListTags",
    "cloudtrail:PutEventSelectors",
    "cloudtrail:StartLogging",
)


def copying(own: Account, bucket: str) -> list[Statement]:
    """Make a bucket, a key and a trail, and read how they are set. No object is read, and nothing deleted."""
    return [
        allow("MakeBucket", BUCKETS, [own.bucket(bucket)]),
        allow("MakeKey", KEYS),
        allow("SeeTrails", ["cloudtrail:DescribeTrails"]),
        allow("MakeTrail", TRAILS, [f"arn:{own.partition}:cloudtrail:*:{own.number}:trail/{PROJECT}-*"]),
    ]
