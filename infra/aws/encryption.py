"""One key a region: for the cluster's secrets, its logs and the network's."""

from __future__ import annotations

import json
from typing import Any

import pulumi_aws as aws

from infra.aws.keeping import keeping
from infra.aws.outliving import key_part
from infra.aws.roles import allow, document
from infra.aws.site import Site

DAYS_TO_REGRET = 30
"""How long a key that somebody schedules for deletion can be kept after all; the longest there is."""


def key_policy(account: str, region: str) -> dict[str, Any]:
    """The account's own policies say who uses the key; CloudWatch Logs may for the region's log groups."""
    usage = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    groups = f"arn:aws:logs:{region}:{account}:log-group:*"
    return document(
        allow(["kms:*"], ["*"], Sid="Account", Principal={"AWS": f"arn:aws:iam::{account}:root"}),
        allow(
            usage,
            ["*"],
            Sid="Logs",
            Principal={"Service": f"logs.{region}.amazonaws.com"},
            Condition={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        ),
    )


def region_key(site: Site) -> aws.kms.Key:
    """Retained on destroy: what it encrypted and somebody kept stays readable, and CI may delete no key. The
    next stack finds it by its alias and takes it over, or each destroy would leave one more."""
    kept = keeping(site.ground, site.component, site.region, part=key_part(site.region))
    found = kept.found_key(site.region).rsplit("/", 1)[-1] if kept.adopt else ""
    made = aws.kms.Key(
        f"key-{site.region}",
        description=f"Secrets and logs of {site.cluster}",
        enable_key_rotation=True,
        deletion_window_in_days=DAYS_TO_REGRET,
        policy=site.ground.account.apply(lambda account: json.dumps(key_policy(account, site.region))),
        region=site.region,
        tags=site.tags("key"),
        opts=kept.options(found, after=site.after, unreadable=("deletion_window_in_days",)),
    )
    aws.kms.Alias(
        f"key-{site.region}",
        region=site.region,
        name=kept.alias(site.region),
        target_key_id=made.key_id,
        opts=kept.options(kept.alias(site.region)),
    )
    return made
