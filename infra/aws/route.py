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
from lockstep.table import SLOTS, Cell, is_withdrawn

TAKEN_BACK = {"pulumi.com/patchForce": "true"}
"""By this word the provider takes fields back that somebody else has written: an edited weight is to be
mended, and not to be a conflict."""


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
    nobody = kubernetes.apiextensions.CustomResource(
        route_name(model, place.region),
        api_version="gateway.envoyproxy.io/v1alpha1",
        kind="HTTPRouteFilter",
        metadata={"name": route_name(model, place.region), "namespace": place.namespace},
        spec={"directResponse": {"statusCode": 404}},
        opts=place.options(after=after),
    )
    made = pulumi.Output.all(warranted.cell, warranted.intent, warranted.record).apply(
        lambda parts: answering(
            http_route(model, place.region, whole(parts[0]), intent=int(parts[1]), record=parts[2])
        )
    )
    return kubernetes.apiextensions.CustomResource(
        route_name(model, place.region),
        api_version="gateway.networking.k8s.io/v1",
        kind="HTTPRoute",
        # Name and namespace are plain: with an unknown name a preview would show another route in its place.
        metadata={
            "name": route_name(model, place.region),
            "namespace": place.namespace,
            "labels": made.apply(lambda route: route["metadata"]["labels"]),
            "annotations": made.apply(lambda route: {**route["metadata"]["annotations"], **TAKEN_BACK}),
        },
        spec=made.apply(lambda route: route["spec"]),
        opts=place.options(after=[*after, warranted, nobody]),
    )


def whole(cell: Cell) -> Cell:
    """A cell as it was before it crossed the engine, which drops what is null."""
    return cell if is_withdrawn(cell) else {**dict.fromkeys(SLOTS), **cell}


def answering(route: dict[str, Any]) -> dict[str, Any]:
    """The route with a 404 where nobody serves: Envoy Gateway answers 500 for a rule without backends
    (docs/adr/0022), and a client would try again."""
    filters = {
        "type": "ExtensionRef",
        "extensionRef": {
            "group": "gateway.envoyproxy.io",
            "kind": "HTTPRouteFilter",
            "name": route["metadata"]["name"],
        },
    }
    rules = [
        rule if "backendRefs" in rule else {**rule, "filters": [*rule["filters"], filters]}
        for rule in route["spec"]["rules"]
    ]
    return {**route, "spec": {**route["spec"], "rules": rules}}
