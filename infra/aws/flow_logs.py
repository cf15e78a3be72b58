"""Who talked to whom in a region's network, kept for as long as declared."""

from __future__ import annotations

import json

import pulumi_aws as aws

from infra.aws.roles import allow, document, role, trust
from infra.aws.site import Site

SECONDS = 60
"""The shortest aggregation that there is: an incident is looked at by the minute."""


def flow_logs(site: Site, vpc: aws.ec2.Vpc, key: aws.kms.Key) -> None:
    """All traffic, accepted and refused, into an encrypted log group."""
    group = aws.cloudwatch.LogGroup(
        f"flow-{site.region}",
        name=f"/lockstep/{site.cluster}/flow",
        retention_in_days=site.ground.cloud.network.flow_log_days,
        kms_key_id=key.arn,
        region=site.region,
        tags=site.tags("flow"),
        opts=site.options(),
    )
    write = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    writer, rights = role(
        site,
        "flow",
        trust("vpc-flow-logs.amazonaws.com"),
        own=group.arn.apply(lambda arn: json.dumps(document(allow(write, [arn, f"{arn}:*"])))),
    )
    aws.ec2.FlowLog(
        f"flow-{site.region}",
        vpc_id=vpc.id,
        traffic_type="ALL",
        log_destination_type="cloud-watch-logs",
        log_destination=group.arn,
        iam_role_arn=writer.arn,
        max_aggregation_interval=SECONDS,
        region=site.region,
        tags=site.tags("flow"),
        opts=site.options(after=rights),
    )
