"""What each role of CI may do: one looks, one builds, one only moves weights, one only reads proof.

All four carry the account's boundary, and so does every role that they make. None of them can change the
records' buckets and keys, another role of CI or the boundary: the person does who brought the stack up first.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.aws.policies import keys
from infra.aws.policies.actions import (
    BUCKET_LOOKS,
    BUILDS,
    GLOBAL_REGIONS,
    KEY_BUILDS,
    LINKED_TO,
    LOOKS,
    PASSED_TO,
    ROLE_BUILDS,
)
from infra.aws.policies.buckets import DAYS, IF_NONE_MATCH, LISTS, LOG_KEYS, MODE, READS, longest, shortest
from infra.aws.policies.names import SECRETS, STATE, Names
from infra.aws.policies.statements import Statement, allow
from lockstep.audit.bucket import COMPLIANCE
from lockstep.paths import PROJECT

Keys = Mapping[str, str]
"""Noun of a key (see keys.py) -> its ARN."""


def preview(names: Names, arns: Keys) -> list[Statement]:
    """Everything a preview reads: what is there, the state, the log and the releases. It writes nothing."""
    reads = [*_look(names), *_read_log(names, arns), *_read_releases(names), *_read_state(names)]
    return [*reads, *_see_to_copy(names)]


def rollback(names: Names, arns: Keys) -> list[Statement]:
    """A preview's rights, and to record and to keep the state. Weights move inside the clusters, whose own
    rules name this role; here it can make, change or delete nothing."""
    return [*preview(names, arns), *_append(names, arns), *_write_state(names)]


def apply(names: Names, arns: Keys) -> list[Statement]:
    """Rollback's rights, and to build what serves. The records and the roles of CI are not its to change."""
    return [*rollback(names, arns), *_publish(names), *_build(names)]


def review(names: Names, arns: Keys) -> list[Statement]:
    """The proof, and nothing else: the log, its copy, the trail, and the keys to verify with."""
    trail, account = names.trail, names.account
    return [
        *_read_log(names, arns),
        allow("ReadTrail", READS, names.objects(trail)),
        allow("ListTrail", LISTS, [account.bucket(trail)]),
        allow(
            "SeeTrails", ["cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus", "cloudtrail:LookupEvents"]
        ),
        allow("SeeSeals", ["s3:GetBucketPolicy", "s3:GetReplicationConfiguration"], _record_buckets(names)),
        allow("SeeKeys", ["kms:DescribeKey", "kms:GetKeyPolicy"], [arns[key] for key in sorted(arns)]),
    ]


def replication(names: Names, arns: Keys) -> list[Statement]:
    """What S3 needs to copy the log with its locks. No deletion and no tag travels."""
    source = ["s3:GetObjectLegalHold", "s3:GetObjectRetention"]
    versions = ["s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"]
    replicates = ["s3:ObjectOwnerOverrideToBucketOwner", "s3:ReplicateObject"]
    return [
        allow(
            "ReadRules",
            ["s3:GetReplicationConfiguration", "s3:ListBucket"],
            [names.account.bucket(names.audit)],
        ),
        allow("ReadVersions", [*source, *versions], names.objects(names.audit)),
        allow("Replicate", replicates, names.objects(names.copy)),
        allow("Decrypt", ["kms:Decrypt"], [arns[keys.DATA]], when=_through_s3(names.account.home)),
        allow(
            "Encrypt",
            ["kms:Encrypt", "kms:GenerateDataKey"],
            [arns[keys.COPY]],
            when=_through_s3(names.copy_region),
        ),
    ]


def _through_s3(region: str) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}


def _record_buckets(names: Names) -> list[str]:
    return [names.account.bucket(bucket) for bucket in (names.audit, names.copy, names.trail)]


def _look(names: Names) -> list[Statement]:
    return [
        allow("Look", LOOKS),
        allow("LookAtBuckets", BUCKET_LOOKS, [*_record_buckets(names), names.account.bucket(names.registry)]),
    ]


def _read_log(names: Names, arns: Keys) -> list[Statement]:
    buckets = (names.audit, names.copy)
    log = [arn for bucket in buckets for arn in names.objects(bucket, *LOG_KEYS)]
    return [
        allow("ReadLog", READS, log),
        allow("ListLog", LISTS, [names.account.bucket(bucket) for bucket in buckets]),
        allow("DecryptLog", ["kms:Decrypt"], [arns[keys.DATA]], when=_through_s3(names.account.home)),
        allow("DecryptCopy", ["kms:Decrypt"], [arns[keys.COPY]], when=_through_s3(names.copy_region)),
        allow("Verify", ["kms:GetPublicKey", "kms:Verify"], [arns[keys.RECORDS], arns[keys.HEADS]]),
    ]


def _append(names: Names, arns: Keys) -> list[Statement]:
    """Objects that are new, and locks within the stack's bounds: what the bucket enforces, said again here,
    so that neither document alone is what keeps the log."""
    log = names.objects(names.audit, *LOG_KEYS)
    locked = {
        "StringEquals": {MODE: COMPLIANCE},
        "NumericGreaterThanEquals": {DAYS: str(shortest(names.retention_days))},
        "NumericLessThanEquals": {DAYS: str(longest(names.retention_days))},
    }
    new = {**locked, "Null": {IF_NONE_MATCH: "false"}}
    return [
        allow("Append", ["s3:PutObject"], log, when=new),
        allow("Lock", ["s3:PutObjectRetention"], log, when=locked),
        allow("EncryptLog", ["kms:GenerateDataKey"], [arns[keys.DATA]], when=_through_s3(names.account.home)),
        # In which algorithm, each key says itself.
        allow("Sign", ["kms:Sign"], [arns[noun] for noun in keys.ALGORITHMS]),
    ]


def _see_to_copy(names: Names) -> list[Statement]:
    """A copy in another account is seen through a role there."""
    if names.copy_account == names.account:
        return []
    return [allow("SeeToCopy", ["sts:AssumeRole"], [names.copy_account.copying])]


def _read_releases(names: Names) -> list[Statement]:
    return [allow("ReadReleases", ["s3:GetObject"], names.objects(names.registry))]


def _publish(names: Names) -> list[Statement]:
    """Releases go in; that none goes out, or over another, is the bucket's own rule."""
    writes = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"]
    return [
        allow("Publish", writes, names.objects(names.registry)),
        allow("SeeUploads", ["s3:ListBucketMultipartUploads"], [names.account.bucket(names.registry)]),
    ]


def _aliased(*nouns: str) -> dict[str, dict[str, list[str]]]:
    return {
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": [f"alias/{PROJECT}-{noun}" for noun in nouns]}
    }


def _read_state(names: Names) -> list[Statement]:
    account = names.account
    state = account.bucket(account.state_bucket)
    return [
        allow("ReadState", ["s3:GetObject"], [f"{state}/*"]),
        allow("ListState", ["s3:ListBucket"], [state]),
        allow("OpenState", ["kms:Decrypt"], [account.keys(account.home)], when=_aliased(STATE, SECRETS)),
    ]


def _write_state(names: Names) -> list[Statement]:
    """The engine deletes its lock when it is done; versions stay (the bucket's own rule)."""
    account = names.account
    objects = [f"{account.bucket(account.state_bucket)}/*"]
    encrypts = ["kms:Encrypt", "kms:GenerateDataKey"]
    return [
        allow("WriteState", ["s3:DeleteObject", "s3:PutObject"], objects),
        allow("SealState", encrypts, [account.keys(account.home)], when=_aliased(STATE, SECRETS)),
    ]


def _build(names: Names) -> list[Statement]:
    account = names.account
    regions = sorted({*names.regions, *GLOBAL_REGIONS})
    own = [account.iam(f"{kind}/{names.prefix}-*") for kind in ("role", "policy", "instance-profile")]
    cluster_keys = [account.keys(region) for region in names.regions]
    here = {"StringEquals": {"aws:RequestedRegion": regions}}
    for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    return [
        allow("Build", BUILDS, when=here),
        allow("BuildKeys", KEY_BUILDS, when=here),
        allow("LendKeys", ["kms:CreateGrant"], cluster_keys, when=for_aws),
        allow("BuildRoles", ROLE_BUILDS, own),
        allow(
            "PassRoles",
            ["iam:PassRole"],
            own[:1],
            when={"StringEquals": {"iam:PassedToService": list(PASSED_TO)}},
        ),
        allow(
            "LinkRoles",
            ["iam:CreateServiceLinkedRole"],
            [account.iam("role/aws-service-role/*")],
            when={"StringEquals": {"iam:AWSServiceName": list(LINKED_TO)}},
        ),
    ]
