"""A model service: BentoML in an environment made from the release's own lock file."""

from collections.abc import Sequence
from typing import Any

import pulumi

from infra.config import Settings
from infra.resources import ModelService


def service(
    settings: Settings,
    model: str,
    region: str,
    slot: str,
    allowed: pulumi.Output[dict[str, Any]],
    *,
    after: Sequence[pulumi.Resource],
) -> ModelService:
    """`allowed` is the cell that the gate gave out, with the index of its intent."""
    return ModelService(
        f"{model}-{region}-{slot}",
        model=model,
        region=region,
        slot=slot,
        release=allowed[slot],
        runtime=settings.runtime,
        store=settings.store,
        port=settings.port,
        intent=allowed["intent"],
        environment=settings.environment,
        bucket=settings.bucket,
        retention_days=settings.retention_days,
        opts=pulumi.ResourceOptions(depends_on=list(after), delete_before_replace=True),
    )
