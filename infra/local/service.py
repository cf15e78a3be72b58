"""A model service: BentoML in an environment made from the release's own lock file."""

from collections.abc import Sequence
from typing import Any

import pulumi

from infra.local.ground import Ground
from infra.local.region import Place
from infra.resources import ModelService


def service(
    ground: Ground,
    place: Place,
    model: str,
    slot: str,
    allowed: pulumi.Output[dict[str, Any]],
    *,
    after: Sequence[pulumi.Resource],
) -> ModelService:
    """`allowed` is the cell that the gate gave out, with the index of its intent."""
    settings = ground.settings
    return ModelService(
        f"{model}-{place.region}-{slot}",
        model=model,
        region=place.region,
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
