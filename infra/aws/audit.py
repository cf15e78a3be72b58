"""The records: the audit bucket, its copy in another region, the trail of who touched them, and their keys.

All of it outlives the stack (see keeping.py). The order is what makes it safe: keys; the copy, which must be
ready before anything is copied to it; the trail; the audit bucket; the seals, each last over its own bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws import bucket as buckets
from infra.aws import texts
from infra.aws.ground import Ground
from infra.aws.keeping import Keeping, keeping
from infra.aws.key import Key, key
from infra.aws.policies import buckets as seals
from infra.aws.policies import keys, roles, trust
from infra.aws.policies.names import REPLICATION, Account, partition_of
from infra.aws.policies.statements import BUCKET, IDENTITY, KEY, TRUST
from infra.aws.trail import trail

MINUTES = 15
"""Within which S3 promises to have copied an object; it is the only promise that there is."""


@dataclass(frozen=True)
class Records:
    """resource: what a change waits for, because it is nothing without its record. keys: noun -> ARN, of
    those that sign and those that encrypt."""

    resource: pulumi.Resource
    bucket: str
    copy: str
    keys: Mapping[str, pulumi.Output[str]]

    @property
    def signing_key(self) -> pulumi.Output[str]:
        """Signs records: ECDSA P-256."""
        return self.keys[keys.RECORDS]

    @property
    def head_key(self) -> pulumi.Output[str]:
        """Signs heads: Ed25519."""
        return self.keys[keys.HEADS]


def audit_bucket(ground: Ground) -> Records:
    """First of all resources: without it nothing can be recorded, so nothing may change."""
    tree = pulumi.ComponentResource("lockstep:infra:Records", "records")
    replica = ground.cloud.replica
    here = keeping(ground, tree, ground.home)
    there = keeping(ground, tree, replica.region, _copy_provider(ground))
    name, settings = ground.settings.bucket, ground.settings
    bucket = buckets.bucket(here, "audit", name, locked=True)
    made = _keys(ground, here, there, bucket)
    arns = {noun: one.arn for noun, one in made.items()}

    copied = _copy(ground, there, arns[keys.COPY])
    watched = trail(ground, here, there, arns[keys.DATA])
    parts = buckets.settings(here, "audit", name, bucket, arns[keys.DATA])
    replication = _replication(ground, here, arns, bucket, [*parts, copied])
    buckets.policy(
        here, "audit", name, texts.of_names(ground, seals.audit, BUCKET), [*parts, replication, watched]
    )
    tree.register_outputs({})
    return Records(tree, settings.bucket, replica.bucket, arns)


def _copy_provider(ground: Ground) -> aws.Provider:
    """The stack's own; for a copy in another account, one that becomes the role that is there for it."""
    replica = ground.cloud.replica
    if replica.account in ("", ground.cloud.account):
        return ground.provider
    role = Account(partition_of(replica.region), replica.account, replica.region).copying
    return aws.Provider(
        "aws-copy",
        region=replica.region,
        allowed_account_ids=[replica.account],
        # A plain mapping would be sent with its keys as spelt here, which the provider does not know.
        assume_roles=[aws.ProviderAssumeRoleArgs(role_arn=role)],
        default_tags={"tags": ground.tags},
    )


def _keys(ground: Ground, here: Keeping, there: Keeping, after: pulumi.Resource) -> dict[str, Key]:
    """After the bucket: where an earlier stack left one, its name is taken, and no key is made in vain."""

    def signing(noun: str) -> pulumi.Output[str]:
        return texts.of_names(ground, lambda names: keys.signing(names.account, noun), KEY)

    data, copy = texts.of_names(ground, keys.data, KEY), texts.of_names(ground, keys.copy, KEY)
    made = {
        keys.RECORDS: (here, signing(keys.RECORDS), "Signs the records of the audit log"),
        keys.HEADS: (here, signing(keys.HEADS), "Signs the heads of the audit log"),
        keys.DATA: (here, data, "Encrypts the audit log"),
        keys.COPY: (there, copy, "Encrypts the copy of the audit log"),
    }
    return {
        noun: key(where, noun, policy, purpose, after=[after])
        for noun, (where, policy, purpose) in made.items()
    }


def _copy(ground: Ground, there: Keeping, encrypts: pulumi.Output[str]) -> pulumi.Resource:
    name = ground.cloud.replica.bucket
    made = buckets.bucket(there, "copy", name, locked=True)
    parts = buckets.settings(there, "copy", name, made, encrypts)
    return buckets.policy(there, "copy", name, texts.of_names(ground, seals.copy, BUCKET), parts)


def _replication(
    ground: Ground,
    here: Keeping,
    arns: Mapping[str, pulumi.Output[str]],
    bucket: pulumi.Resource,
    after: list[pulumi.Resource],
) -> pulumi.Resource:
    """Copies every version with its lock, and no deletion. The role waits for the bucket: see `_keys`."""
    settings, replica, name = ground.settings, ground.cloud.replica, ground.name(REPLICATION)
    trusts = texts.of_names(ground, trust.replication, TRUST)
    role = aws.iam.Role(
        "replication-role",
        name=name,
        assume_role_policy=trusts,
        permissions_boundary=ground.boundary,
        opts=here.options(name, after=[bucket], regional=False),
    )
    rights = texts.of_keys(ground, roles.replication, arns, IDENTITY)
    allowed = aws.iam.RolePolicy(
        "replication-rights",
        name=REPLICATION,
        role=name,
        policy=rights,
        opts=here.options(f"{name}:{REPLICATION}", after=[role], regional=False),
    )
    destination: aws.s3.BucketReplicationConfigRuleDestinationArgsDict = {
        "bucket": f"arn:{partition_of(replica.region)}:s3:::{replica.bucket}",
        "encryption_configuration": {"replica_kms_key_id": arns[keys.COPY]},
        "metrics": {"status": "Enabled", "event_threshold": {"minutes": MINUTES}},
        "replication_time": {"status": "Enabled", "time": {"minutes": MINUTES}},
    }
    if replica.account not in ("", ground.cloud.account):
        destination["account"] = replica.account
        destination["access_control_translation"] = {"owner": "Destination"}
    return aws.s3.BucketReplicationConfig(
        "audit-replication",
        region=here.region,
        bucket=settings.bucket,
        role=role.arn,
        rules=[
            {
                "id": "copy",
                "status": "Enabled",
                "priority": 0,
                "filter": {"prefix": ""},
                "delete_marker_replication": {"status": "Disabled"},
                "source_selection_criteria": {"sse_kms_encrypted_objects": {"status": "Enabled"}},
                "destination": destination,
            }
        ],
        opts=here.options(settings.bucket, after=[*after, allowed]),
    )
