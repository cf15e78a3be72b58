"""A route on a region's cluster: the HTTPRoute of one cell, with the record that allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.aws.estate import Estate
from infra.aws.region import Place
from infra.aws.warrant import route_warrant
from lockstep.local.httproute import http_route, route_name


def route(
    estate: Estate,
    place: Place,
    model: str,
    allowed: pulumi.Output[dict[str, Any]],
    *,
    after: Sequence[pulumi.Resource],
) -> pulumi.Resource:
    """`allowed` is the cell that the gate gave out, with the index of its intent.

    The weights come out of a warrant, which refuses a cell that no signed record explains; the object carries
    the digest of that record, so that whoever reads the cluster alone can hold it against the log.
    """
    warranted = route_warrant(estate, place, model, allowed, after=after)
    made = pulumi.Output.all(warranted.cell, warranted.intent, warranted.record).apply(
        lambda parts: http_route(model, place.region, parts[0], intent=parts[1], record=parts[2])
    )
    return kubernetes.apiextensions.CustomResource(
        route_name(model, place.region),
        api_version="gateway.networking.k8s.io/v1",
        kind="HTTPRoute",
        metadata=made.apply(lambda route: {**route["metadata"], "namespace": place.namespace}),
        spec=made.apply(lambda route: route["spec"]),
        opts=place.options(after=[*after, warranted]),
    )
