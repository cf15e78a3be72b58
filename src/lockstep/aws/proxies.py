"""What Envoy itself routes, as each proxy of a gateway says, held against the HTTPRoutes. Pure.

A status of an HTTPRoute says what Envoy Gateway has taken, and not what its proxies do: one that hangs on an
older configuration goes on as it was told then. So a place is known only when every ready proxy says of it
what its HTTPRoute says.

Envoy Gateway makes one cluster of a rule's backends, each a locality `<rule>/backend/<index>` with its
weight; where a backend has nobody who answers, the weights stand on the route instead, and that share is
lost. An index is the place in the HTTPRoute's backendRefs; the intent in the header of every answer says
whether a proxy and the API server speak of the same HTTPRoute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockstep.local.httproute import INTENT_HEADER, path_prefix

if TYPE_CHECKING:
    from lockstep.gate.judge import Place

Json = dict[str, Any]
NAMESPACE = "envoy-gateway-system"
"""Where the proxies run: with the controller."""
LABELS = "app.kubernetes.io/component=proxy,gateway.envoyproxy.io/owning-gateway-name=lockstep"
PORT = 19010
"""On which a proxy shows what it routes; Envoy Gateway itself has 19000 to 19003."""
PATH = "/config_dump"
ROUTES, ENDPOINTS = "dynamic_route_configs", "dynamic_endpoint_configs"
"""The only parts that it shows. No part with a secret, and none that names one, is among them."""
SHOWN = 5
"""How many proxies an explanation names."""
HEALTHY = ("HEALTHY", "UNKNOWN")
"""Nobody checks our endpoints but Kubernetes, so Envoy takes those that it knows nothing against."""


@dataclass(frozen=True)
class Way:
    """Where requests of one rule go. prefix: of their path; weights: index in backendRefs -> weight, without
    those of 0, None for what leads to nobody; mirrors: how many copies are sent; intent: as answers say."""

    prefix: str
    weights: Mapping[int | None, int]
    mirrors: int
    intent: str


def is_ready(pod: Json) -> bool:
    """Whether requests are sent to a proxy."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def rule_of(route: Json) -> str:
    """What Envoy Gateway calls the only rule of an HTTPRoute."""
    about = route["metadata"]
    return f"httproute/{about.get('namespace', 'default')}/{about['name']}/rule/0"


def declared(model: str, route: Json) -> Way:
    """What an HTTPRoute of ours asks for."""
    (rule,) = route["spec"]["rules"]
    backends = rule.get("backendRefs") or []
    weights: dict[int | None, int] = {n: int(each.get("weight", 1)) for n, each in enumerate(backends)}
    filters = rule.get("filters") or []
    set_ = [header for each in filters for header in each.get("responseHeaderModifier", {}).get("set", [])]
    return Way(
        path_prefix(model),
        {index: weight for index, weight in weights.items() if weight},
        sum(each["type"] == "RequestMirror" for each in filters),
        next((str(header["value"]) for header in set_ if header["name"] == INTENT_HEADER), ""),
    )


def routed(routes: Json, endpoints: Json) -> dict[str, Way]:
    """Envoy's name of a route -> where its requests go. routes, endpoints: the two parts as Envoy says them.

    Raises KeyError, TypeError, ValueError for what Envoy does not say.
    """
    groups = {each["cluster_name"]: each for each in _configs(endpoints, "endpoint_config")}
    found: dict[str, Way] = {}
    for config in _configs(routes, "route_config"):
        for host in config.get("virtual_hosts") or []:
            for route in host.get("routes") or []:
                if route["name"] in found:
                    raise ValueError(f"two routes are called {route['name']}")
                found[route["name"]] = _way(route, groups)
    return found


def doubts(
    region: str,
    places: Mapping[Place, Json | None],
    others: Iterable[Json],
    said: Mapping[str, dict[str, Way] | str],
) -> dict[Place, str]:
    """Why a place is not known, naming the proxies that say otherwise; one that all agree on is left out.

    places: each with its HTTPRoute, or None where it has none and so no proxy may have one; others:
    HTTPRoutes that the proxies may have besides. said: name of a ready proxy -> what it routes, or why it
    does not say.
    """
    if not said:
        return dict.fromkeys(places, f"no proxy of the gateway of {region} is ready")
    allowed = {_name(route) for route in (*places.values(), *others) if route is not None}
    everywhere = [
        f"{pod} {what}" if isinstance(what, str) else f"{pod} has routes that nobody declared: {strays}"
        for pod, what in sorted(said.items())
        if isinstance(what, str) or (strays := ", ".join(sorted(what.keys() - allowed)[:SHOWN]))
    ]
    found: dict[Place, str] = {}
    for place, route in places.items():
        against = everywhere + ([] if route is None else list(_differing(place[0], route, said)))
        if against:
            more = f", and {len(against) - SHOWN} more" if len(against) > SHOWN else ""
            found[place] = "; ".join(against[:SHOWN]) + more
    return found


def _differing(model: str, route: Json, said: Mapping[str, dict[str, Way] | str]) -> Iterator[str]:
    wanted = declared(model, route)
    names = [each["name"] for each in route["spec"]["rules"][0].get("backendRefs") or []]
    for pod, what in sorted(said.items()):
        if isinstance(what, str):
            continue
        way = what.get(_name(route))
        if way != wanted:
            yield f"{pod} {_words(way, names)}, and the route says: {_words(wanted, names)}"


def _name(route: Json) -> str:
    """Of the only match, for all hosts."""
    return f"{rule_of(route)}/match/0/*"


def _words(way: Way | None, names: list[str]) -> str:
    if way is None:
        return "has no such route"
    whole = sum(way.weights.values())
    ordered = sorted(way.weights.items(), key=lambda each: (each[0] is None, each[0]))  # who is lost, last
    shares = ", ".join(f"{weight * 100 / whole:g} % to {_backend(index, names)}" for index, weight in ordered)
    mirrored = f", {way.mirrors} mirrored" if way.mirrors else ""
    return f"{way.prefix} {shares or 'to nobody'}{mirrored} by record {way.intent or 'none'}"


def _backend(index: int | None, names: list[str]) -> str:
    if index is None:
        return "nobody who answers"
    return names[index] if 0 <= index < len(names) else f"a backend {index}"


def _configs(dump: Json, key: str) -> list[Json]:
    return [each[key] for each in dump.get("configs") or []]


def _way(route: Json, groups: Mapping[str, Json]) -> Way:
    match = route["match"]
    prefix = match.get("path_separated_prefix") if set(match) == {"path_separated_prefix"} else str(match)
    forward = route.get("route") or {}
    added = route.get("response_headers_to_add") or []
    intents = [each["header"]["value"] for each in added if each["header"]["key"] == INTENT_HEADER]
    return Way(
        str(prefix),
        _weights(route["name"].rpartition("/match/")[0], forward, groups) if forward else {},
        len(forward.get("request_mirror_policies") or []),
        str(intents[-1]) if intents else "",
    )


def _weights(rule: str, forward: Json, groups: Mapping[str, Json]) -> dict[int | None, int]:
    """Index of a backend -> weight. None stands for the share that reaches nobody."""
    found: dict[int | None, int] = {}
    if "weighted_clusters" in forward:
        parts = [(each["name"], each["weight"]) for each in forward["weighted_clusters"]["clusters"]]
        parts = [(name if _answers(_endpoints(groups, name)) else "", weight) for name, weight in parts]
    else:
        localities = groups.get(forward["cluster"], {}).get("endpoints") or []
        parts = [
            (each["locality"]["region"] if _answers([each]) else "", each.get("load_balancing_weight", 1))
            for each in localities
        ] or [("", 1)]
    for name, weight in parts:
        index = int(name.removeprefix(f"{rule}/backend/")) if name else None
        if int(weight):
            found[index] = found.get(index, 0) + int(weight)
    return found


def _endpoints(groups: Mapping[str, Json], cluster: str) -> list[Json]:
    return groups.get(cluster, {}).get("endpoints") or []


def _answers(localities: list[Json]) -> bool:
    """Whether anybody is there who takes requests."""
    everybody = [each for one in localities for each in one.get("lb_endpoints") or []]
    return any(each.get("health_status", "UNKNOWN") in HEALTHY for each in everybody)
