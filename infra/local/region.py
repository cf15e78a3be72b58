"""A region is an Envoy gateway; the entry point is an Envoy in front of all of them."""

from collections.abc import Sequence

import pulumi

from infra.config import Settings
from infra.resources import EntryPoint, Gateway


def gateway(settings: Settings, region: str, *, after: Sequence[pulumi.Resource]) -> Gateway:
    return Gateway(
        f"gateway-{region}",
        region=region,
        port=settings.port,
        environment=settings.environment,
        bucket=settings.bucket,
        retention_days=settings.retention_days,
        opts=pulumi.ResourceOptions(depends_on=list(after), delete_before_replace=True),
    )


def entry_point(settings: Settings, *, after: Sequence[pulumi.Resource]) -> EntryPoint:
    return EntryPoint(
        "entry",
        port=settings.port,
        regions=list(settings.regions),
        opts=pulumi.ResourceOptions(depends_on=list(after), delete_before_replace=True),
    )
