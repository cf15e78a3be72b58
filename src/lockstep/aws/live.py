"""What a cluster's objects say is in force: cells of its HTTPRoutes, releases of its Deployments. Pure.

A route counts when Envoy Gateway says of its newest generation that it is accepted and its backends resolve;
before that nobody can tell what is routed, and the place does not answer. Weights are the spec's own, which
`proxies` holds against Envoy's; the annotations say only which release each slot holds. What is attached to
our gateway and is none of our routes makes the region odd, as on one machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstep.errors import Unavailable, UsageError
from lockstep.local.httproute import (
    ANNOTATION,
    backend_name,
    cell_in_force,
    path_prefix,
    route_cell,
    route_name,
)
from lockstep.table import SLOTS, Cell, Slot

if TYPE_CHECKING:
    from lockstep.gate.judge import Place

Json = dict[str, Any]
GATEWAY = "lockstep"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
SERVER = "server"
"""The container that serves; its arguments name the release that its init step fetched and it verified."""
HEALTH = "healthz"
"""The route by which Envoy itself answers health checks."""
FILTERS = frozenset({"ResponseHeaderModifier", "URLRewrite", "RequestMirror"})


def cells_of(region: str, gateways: Sequence[Json], routes: Iterable[Json]) -> dict[Place, Cell | None]:
    """Place -> the cell in force; None for a route that is not known to be.

    Raises Unavailable `route.gateway_odd` for routes on our gateway that are not ours.
    """
    attached = [route for route in routes if _parents(route) and not _is_health(route)]
    programmed = is_programmed(gateways)
    cells: dict[Place, Cell | None] = {}
    for route in attached:
        try:
            model, cell = _cell(region, route)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise odd(region, f"route {_name(route)} is none that we write: {error}") from None
        if (model, region) in cells:
            raise odd(region, f"two routes claim {model}")
        cells[(model, region)] = cell if programmed and _is_in_force(route) else None
    return cells


def routes_of(region: str, routes: Iterable[Json]) -> tuple[dict[Place, Json], list[Json]]:
    """The routes on our gateway, where `cells_of` found nothing odd: by place, and those of no place."""
    attached = [route for route in routes if _parents(route)]
    placed = {
        (str(route["metadata"]["labels"][ANNOTATION + "model"]), region): route
        for route in attached
        if not _is_health(route)
    }
    return placed, [route for route in attached if _is_health(route)]


def serving_of(region: str, deployments: Iterable[Json]) -> dict[Place, dict[str, str | None]]:
    """Place -> slot -> the release that all of its pods serve; None while a rollout is not done."""
    found: dict[Place, dict[str, str | None]] = {}
    for deployment in deployments:
        labels = deployment.get("metadata", {}).get("labels") or {}
        model, slot = labels.get(ANNOTATION + "model"), labels.get(ANNOTATION + "slot")
        if slot not in SLOTS or _name(deployment) != backend_name(str(model), region, slot):
            continue
        release = _release(deployment) if _is_rolled_out(deployment) else None
        found.setdefault((str(model), region), dict.fromkeys(SLOTS))[slot] = release
    return found


def odd(region: str, why: str) -> Unavailable:
    return Unavailable(
        f"the gateway of {region} is not as Lockstep left it: {why}",
        code="route.gateway_odd",
        remedy="remove it; `./lockstep up` with the recorded table writes our own routes again",
    )


def _name(item: Json) -> str:
    return str(item.get("metadata", {}).get("name", "(unnamed)"))


def _parents(route: Json) -> list[Json]:
    parents = route.get("spec", {}).get("parentRefs") or []
    return [parent for parent in parents if parent.get("name") == GATEWAY]


def _is_health(route: Json) -> bool:
    """Whether it is the one for health checks, and leads nowhere else."""
    rules = route.get("spec", {}).get("rules") or []
    exact = [{"path": {"type": "Exact", "value": f"/{HEALTH}"}}]
    return _name(route) == HEALTH and all(
        rule.get("matches") == exact and not rule.get("backendRefs") for rule in rules
    )


def _cell(region: str, route: Json) -> tuple[str, Cell]:
    """Model and cell of one route of ours; raises for any other."""
    model = str(route["metadata"]["labels"][ANNOTATION + "model"])
    if _name(route) != route_name(model, region):
        raise ValueError(f"it is about {model} and not called {route_name(model, region)}")
    (rule,) = route["spec"]["rules"]
    (match,) = rule["matches"]
    if match != {"path": {"type": "PathPrefix", "value": path_prefix(model)}}:
        raise ValueError(f"it matches {match}")
    backends = rule.get("backendRefs") or []
    # Without backends an answer of Envoy's own stands in for them: 404, as on one machine.
    allowed = FILTERS if backends else FILTERS | {"ExtensionRef"}
    kinds = {each["type"] for each in rule.get("filters") or []}
    if not kinds <= allowed:
        raise ValueError(f"it has filters of its own: {', '.join(sorted(kinds - allowed))}")
    slots: Mapping[str, Slot] = {backend_name(model, region, slot): slot for slot in SLOTS}
    weights = {slots[backend["name"]]: int(backend.get("weight", 1)) for backend in backends}
    return model, cell_in_force(route_cell(route), weights)


def _is_in_force(route: Json) -> bool:
    generation = route["metadata"].get("generation")
    ours = [
        status
        for status in (route.get("status") or {}).get("parents") or []
        if status.get("controllerName") == CONTROLLER and status.get("parentRef", {}).get("name") == GATEWAY
    ]
    return bool(ours) and all(
        _holds(status, "Accepted", generation) and _holds(status, "ResolvedRefs", generation)
        for status in ours
    )


def is_programmed(gateways: Iterable[Json]) -> bool:
    """Whether our gateway is there, and Envoy has what it says."""
    return any(
        _name(gateway) == GATEWAY
        and _holds(gateway.get("status") or {}, "Programmed", gateway["metadata"].get("generation"))
        for gateway in gateways
    )


def _holds(status: Json, kind: str, generation: object) -> bool:
    """Whether a condition is true of this very generation."""
    return any(
        condition.get("type") == kind
        and condition.get("status") == "True"
        and condition.get("observedGeneration") == generation
        for condition in status.get("conditions") or []
    )


def _is_rolled_out(deployment: Json) -> bool:
    status, generation = deployment.get("status") or {}, deployment["metadata"].get("generation")
    available = any(
        condition.get("type") == "Available" and condition.get("status") == "True"
        for condition in status.get("conditions") or []
    )
    total = status.get("replicas", 0)
    whole = total > 0 and total == status.get("updatedReplicas") and status.get("readyReplicas", 0) > 0
    return available and whole and status.get("observedGeneration") == generation


def _release(deployment: Json) -> str | None:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    for container in containers:
        arguments = container.get("args") or []
        if container.get("name") == SERVER and "--release" in arguments[:-1]:
            return str(arguments[arguments.index("--release") + 1])
    return None
