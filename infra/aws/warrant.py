"""The warrants that services and routes take their release and their cell from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from infra.aws.estate import Estate
from infra.aws.region import Place
from infra.resources import ReleaseWarrant, RouteWarrant
from lockstep.local.httproute import backend_name, route_name
from lockstep.table import Slot


def release_warrant(
    estate: Estate,
    place: Place,
    model: str,
    slot: Slot,
    allowed: pulumi.Output[dict[str, Any]],
    *,
    after: Sequence[pulumi.Resource],
) -> ReleaseWarrant:
    """`allowed` is the cell that the gate gave out, with the index of its intent."""
    return ReleaseWarrant(
        backend_name(model, place.region, slot),
        model=model,
        region=place.region,
        slot=slot,
        release=allowed[slot],
        intent=allowed["intent"],
        runtime=estate.settings.runtime,
        store=estate.store,
        **estate.settings.log,
        opts=pulumi.ResourceOptions(parent=place.component, depends_on=list(after)),
    )


def route_warrant(
    estate: Estate,
    place: Place,
    model: str,
    allowed: pulumi.Output[dict[str, Any]],
    *,
    after: Sequence[pulumi.Resource],
) -> RouteWarrant:
    return RouteWarrant(
        route_name(model, place.region),
        model=model,
        region=place.region,
        cell=allowed.apply(lambda cell: {key: value for key, value in cell.items() if key != "intent"}),
        intent=allowed["intent"],
        **estate.settings.log,
        opts=pulumi.ResourceOptions(parent=place.component, depends_on=list(after)),
    )
