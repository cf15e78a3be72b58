"""A bucket that outlives the stack: versioned, encrypted, closed to the public, owned by its account."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.aws.keeping import Keeping
from lockstep.audit.bucket import COMPLIANCE

NO_CUSTOMER_KEYS = "SSE-C"
LEFT_OVER = "BucketAlreadyOwnedByYou"
"""What AWS says where a bucket of this name is there and is the account's own."""


def bucket(
    keeping: Keeping, noun: str, name: str, *, locked: bool, after: Sequence[pulumi.Resource] = ()
) -> aws.s3.Bucket:
    """The bucket itself, under a name that is taken if an earlier stack left it. locked: with object lock,
    which is on from the start or never."""

    def explain(failed: pulumi.ErrorHookArgs) -> bool:
        """What to do where an earlier stack left it: a program cannot look before the engine does. Never asks
        for another try."""
        if any(LEFT_OVER in error for error in failed.errors):
            pulumi.log.error(
                f"the bucket {name} is left of an earlier stack of this name, with what lies in it "
                f"[stack.left_over]\n  next: {keeping.command} takes it over"
            )
        return False

    options = keeping.options(name, after=after)
    options.hooks = pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(f"{noun}-left-over", explain)])
    return aws.s3.Bucket(
        f"{noun}-bucket",
        region=keeping.region,
        bucket=name,
        object_lock_enabled=locked,
        opts=options,
    )


def settings(
    keeping: Keeping, noun: str, name: str, made: aws.s3.Bucket, key: pulumi.Input[str] | None
) -> list[pulumi.Resource]:
    """What every bucket is set to, for a policy to wait for. key: what it encrypts with; None: a key of the
    service."""
    by_default: aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgsDict
    by_default = {"sse_algorithm": "AES256"}
    if key is not None:
        by_default = {"sse_algorithm": "aws:kms", "kms_master_key_id": key}
    region, options, after = keeping.region, keeping.options, [made]
    return [
        aws.s3.BucketVersioning(
            f"{noun}-versioning",
            region=region,
            bucket=name,
            versioning_configuration={"status": "Enabled"},
            opts=options(name, after=after),
        ),
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{noun}-encryption",
            region=region,
            bucket=name,
            rules=[
                {
                    "apply_server_side_encryption_by_default": by_default,
                    "blocked_encryption_types": [NO_CUSTOMER_KEYS],
                    "bucket_key_enabled": key is not None,
                }
            ],
            opts=options(name, after=after),
        ),
        aws.s3.BucketOwnershipControls(
            f"{noun}-ownership",
            region=region,
            bucket=name,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=options(name, after=after),
        ),
        aws.s3.BucketPublicAccessBlock(
            f"{noun}-public-access",
            region=region,
            bucket=name,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=options(name, after=after),
        ),
    ]


def locked_by_default(
    keeping: Keeping, noun: str, name: str, days: int, after: Sequence[pulumi.Resource]
) -> pulumi.Resource:
    """A lock for objects whose writer sets none."""
    return aws.s3.BucketObjectLockConfiguration(
        f"{noun}-lock",
        region=keeping.region,
        bucket=name,
        object_lock_enabled="Enabled",
        rule={"default_retention": {"mode": COMPLIANCE, "days": days}},
        opts=keeping.options(name, after=after),
    )


def policy(
    keeping: Keeping, noun: str, name: str, text: pulumi.Input[str], after: Sequence[pulumi.Resource]
) -> aws.s3.BucketPolicy:
    """Last of all: once a seal is on, no other setting can be changed."""
    return aws.s3.BucketPolicy(
        f"{noun}-policy",
        region=keeping.region,
        bucket=name,
        policy=text,
        opts=keeping.options(name, after=after),
    )
