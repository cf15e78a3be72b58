"""The trail: who read, wrote or tried to, in the audit bucket or its copy, and every change of rights."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.aws import bucket as buckets
from infra.aws import texts
from infra.aws.ground import Ground
from infra.aws.keeping import Keeping
from infra.aws.policies import buckets as seals
from infra.aws.policies import keys
from infra.aws.policies.names import bounded_name, partition_of
from infra.aws.policies.statements import BUCKET


def trail(ground: Ground, here: Keeping, there: Keeping, encrypts: pulumi.Output[str]) -> pulumi.Resource:
    """The trails and their bucket, which locks whatever is put into it: CloudTrail sets no locks itself."""
    settings = ground.settings
    name = bounded_name(settings.bucket, "-trail")
    made = buckets.bucket(here, "trail", name, locked=True)
    parts = buckets.settings(here, "trail", name, made, encrypts)
    lock = buckets.locked_by_default(here, "trail", name, settings.retention_days, parts)
    text = texts.of_names(ground, seals.trail, BUCKET)
    sealed = buckets.policy(here, "trail", name, text, [*parts, lock])
    copy = ground.cloud.replica.bucket
    own = _trail(here, "trail", keys.DATA, [settings.bucket, copy], name, encrypts, sealed)
    if there.provider is here.provider:
        return own
    # An account's trail sees the requests to its own buckets only.
    return _trail(there, "copy-trail", keys.COPY, [copy], name, None, own)


def _trail(
    keeping: Keeping,
    noun: str,
    key: str,
    watched: Sequence[str],
    into: str,
    encrypts: pulumi.Output[str] | None,
    after: pulumi.Resource,
) -> pulumi.Resource:
    """key: one that lies in the trail's account, which an adopting run reads off it."""
    partition, name, found = partition_of(keeping.region), keeping.prefix, ""
    if keeping.adopt:
        account = keeping.found_key(key).split(":")[4]
        found = f"arn:{partition}:cloudtrail:{keeping.region}:{account}:trail/{name}"
    objects = [f"arn:{partition}:s3:::{bucket}/" for bucket in watched]
    return aws.cloudtrail.Trail(
        noun,
        region=keeping.region,
        name=name,
        s3_bucket_name=into,
        kms_key_id=encrypts,
        is_multi_region_trail=True,
        include_global_service_events=True,
        enable_log_file_validation=True,
        advanced_event_selectors=[
            {
                "name": "Requests for records",
                "field_selectors": [
                    {"field": "eventCategory", "equals": ["Data"]},
                    {"field": "resources.type", "equals": ["AWS::S3::Object"]},
                    {"field": "resources.ARN", "starts_withs": objects},
                ],
            },
            {
                "name": "Changes of rights",
                "field_selectors": [{"field": "eventCategory", "equals": ["Management"]}],
            },
        ],
        opts=keeping.options(found, after=[after]),
    )
