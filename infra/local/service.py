"""A model service: BentoML in an environment made from the release's own lock file."""

from collections.abc import Sequence

import pulumi

from infra.config import Settings
from infra.resources import ModelService


def service(
    settings: Settings,
    model: str,
    region: str,
    slot: str,
    release: pulumi.Input[str],
    *,
    after: Sequence[pulumi.Resource],
) -> ModelService:
    """`release` must come from the gate's output."""
    return ModelService(
        f"{model}-{region}-{slot}",
        model=model,
        region=region,
        slot=slot,
        release=release,
        runtime=settings.runtime,
        store=settings.store,
        port=settings.port,
        opts=pulumi.ResourceOptions(depends_on=list(after), delete_before_replace=True),
    )
