"""A route: one model's weights in one region's gateway."""

from collections.abc import Sequence
from typing import Any

import pulumi

from infra.local.ground import Ground
from infra.local.region import Place
from infra.resources import Route


def route(
    ground: Ground,
    place: Place,
    model: str,
    allowed: pulumi.Output[dict[str, Any]],
    *,
    after: Sequence[pulumi.Resource],
) -> Route:
    """`allowed` is the cell that the gate gave out, with the index of its intent."""
    settings = ground.settings
    return Route(
        f"{model}-{place.region}",
        model=model,
        region=place.region,
        cell=allowed.apply(lambda cell: {key: value for key, value in cell.items() if key != "intent"}),
        intent=allowed.apply(lambda cell: cell["intent"]),
        environment=settings.environment,
        bucket=settings.bucket,
        retention_days=settings.retention_days,
        opts=pulumi.ResourceOptions(depends_on=list(after), delete_before_replace=True),
    )
