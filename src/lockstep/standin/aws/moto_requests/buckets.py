"""S3. Locks are put and not relied on: moto lets them be weakened."""

from __future__ import annotations

from typing import Any

from lockstep.standin.aws.moto_requests.asked import Ask, Request, capital

FIRST = "us-east-1"
"""The region that a bucket is in when its request names none; S3 refuses to be told it."""
SPELLED = {
    "id": "ID",
    "kmsMasterKeyId": "KMSMasterKeyID",
    "replicaKmsKeyId": "ReplicaKmsKeyID",
    "sseAlgorithm": "SSEAlgorithm",
}


def _bucket(ask: Ask) -> None:
    region = ask.get("region")
    ask(
        "s3",
        "create_bucket",
        Bucket=ask.get("bucket"),
        CreateBucketConfiguration=None if region == FIRST else {"LocationConstraint": region},
        ObjectLockEnabledForBucket=ask.get("objectLockEnabled"),
    )


def _policy(ask: Ask) -> None:
    ask("s3", "put_bucket_policy", Bucket=ask.get("bucket"), Policy=ask.text("policy"))


def _versioning(ask: Ask) -> None:
    wanted = {"Status": ask.values["versioningConfiguration"]["status"]}
    ask("s3", "put_bucket_versioning", Bucket=ask.get("bucket"), VersioningConfiguration=wanted)


def _encryption(ask: Ask) -> None:
    rules = [
        {**rule, "blockedEncryptionTypes": _blocked(rule.get("blockedEncryptionTypes"))}
        for rule in ask.values["rules"]
    ]
    wanted = {"Rules": capital(rules, SPELLED)}
    ask("s3", "put_bucket_encryption", Bucket=ask.get("bucket"), ServerSideEncryptionConfiguration=wanted)


def _blocked(types: list[str] | None) -> dict[str, Any] | None:
    return {"encryptionType": types} if types else None


def _ownership(ask: Ask) -> None:
    wanted = {"Rules": [capital(ask.values["rule"])]}
    ask("s3", "put_bucket_ownership_controls", Bucket=ask.get("bucket"), OwnershipControls=wanted)


def _public_access(ask: Ask) -> None:
    keys = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    wanted = capital({key: ask.get(key) for key in keys})
    ask("s3", "put_public_access_block", Bucket=ask.get("bucket"), PublicAccessBlockConfiguration=wanted)


def _lock(ask: Ask) -> None:
    wanted = capital({"objectLockEnabled": ask.get("objectLockEnabled"), "rule": ask.get("rule")})
    ask("s3", "put_object_lock_configuration", Bucket=ask.get("bucket"), ObjectLockConfiguration=wanted)


def _lifecycle(ask: Ask) -> None:
    wanted = {"Rules": capital(ask.values["rules"], SPELLED)}
    ask("s3", "put_bucket_lifecycle_configuration", Bucket=ask.get("bucket"), LifecycleConfiguration=wanted)


def _replication(ask: Ask) -> None:
    wanted = {"Role": ask.get("role"), "Rules": capital(ask.values["rules"], SPELLED)}
    ask("s3", "put_bucket_replication", Bucket=ask.get("bucket"), ReplicationConfiguration=wanted)


SETTINGS: dict[str, Request] = {
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _lifecycle,
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _lock,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _ownership,
    "aws:s3/bucketPolicy:BucketPolicy": _policy,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _public_access,
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": _replication,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _encryption,
    "aws:s3/bucketVersioning:BucketVersioning": _versioning,
}
"""What is put over what was there, the first time as later."""
CREATES: dict[str, Request] = {"aws:s3/bucket:Bucket": _bucket, **SETTINGS}
UPDATES = SETTINGS
DELETES: dict[str, Request] = {
    "aws:s3/bucket:Bucket": lambda ask: ask("s3", "delete_bucket", Bucket=ask.get("bucket")),
    "aws:s3/bucketPolicy:BucketPolicy": lambda ask: ask(
        "s3", "delete_bucket_policy", Bucket=ask.get("bucket")
    ),
}
