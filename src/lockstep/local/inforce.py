"""Whether an Envoy does exactly what Lockstep gives it, beyond the weights that `live` reads.

The recorded weights can hold while a stranger gets the requests: another address behind a slot's name, a
mirror, a second listener. So everything in force that decides where a request goes is compared, field
for field, with what these cells and ports yield. Asked from Envoy; the files may say something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep.errors import UsageError
from lockstep.local import entrypoint, envoy
from lockstep.local.admin import Address, address_of, dump, making_sense, read_clusters, whose
from lockstep.local.httproute import http_route
from lockstep.local.live import Live, read_live
from lockstep.local.translate import ROUTE_TYPE, translate

Json = dict[str, Any]
_LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
_DURATION = re.compile(r"[0-9]+(\.[0-9]+)?s")


def gateway_strays(
    admin_port: int, folder: Path, *, name: str, port: int, services: Mapping[str, int]
) -> list[str]:
    """What a gateway has in force that Lockstep does not give it, each thing named; [] for a good one.

    services: name -> the port that the service of that name listens on. The cells themselves are taken as
    they are: whether they are the recorded ones is `live`'s to say. Raises Unavailable
    `route.gateway_silent`, `route.gateway_odd`.
    """
    bootstrap = envoy.gateway_bootstrap(name, port, admin_port, folder)
    reached = read_clusters(admin_port)
    with making_sense(whose(admin_port)):
        return [
            *bootstrap_strays(admin_port, bootstrap),
            *_cluster_strays(admin_port, services, reached),
            *_route_strays(read_live(admin_port), reached, _in_force(admin_port)),
        ]


def has_clusters(admin_port: int, meant: Sequence[Json]) -> bool:
    """Whether a gateway has exactly these clusters of its services in force."""
    clusters = dump(admin_port, "dynamic_active_clusters")
    with making_sense(whose(admin_port)):
        found = {item["cluster"]["name"]: item["cluster"] for item in clusters}
        return same(found, {one["name"]: {"@type": envoy.CLUSTER_TYPE, **one} for one in meant})


def entry_strays(
    admin_port: int, folder: Path, *, name: str, port: int, gateways: Mapping[str, Address]
) -> list[str]:
    """The same for an entry point; gateways: region -> where its gateway listens."""
    meant = entrypoint.entry_bootstrap(name, port, admin_port, folder)
    found = bootstrap_strays(admin_port, meant)
    with making_sense(whose(admin_port)):
        reached = _regions(admin_port)
    given = {region: [_words(address)] for region, address in gateways.items()}
    for region in sorted(given.keys() | reached.keys()):
        if given.get(region) != reached.get(region):
            found.append(f"region {region} goes to {' and '.join(reached.get(region, ['nobody']))}")
    return found


def same(in_force: object, meant: object) -> bool:
    """Whether a resource as Envoy prints it is the one that was meant, whatever the notation."""
    return bool(_plain(in_force) == _plain(meant))


def bootstrap_strays(admin_port: int, bootstrap: Json) -> list[str]:
    """What an Envoy was started with that this bootstrap does not say."""
    static = bootstrap["static_resources"]
    found = []
    meant = [{"@type": envoy.CLUSTER_TYPE, **one} for one in static.get("clusters", [])]
    with making_sense(whose(admin_port)):
        listeners = [item["listener"] for item in dump(admin_port, "static_listeners")]
        if not same(listeners, [{"@type": _LISTENER, **one} for one in static["listeners"]]):
            found.append("its listener")
        if not same([item["cluster"] for item in dump(admin_port, "static_clusters")], meant):
            found.append("its clusters")
    return found + ["a listener of a stranger" for _ in dump(admin_port, "dynamic_listeners")]


def _cluster_strays(
    admin_port: int, services: Mapping[str, int], reached: Mapping[str, Address]
) -> list[str]:
    found = []
    for item in dump(admin_port, "dynamic_active_clusters"):
        cluster = item["cluster"]
        name = str(cluster.get("name", ""))
        meant = envoy.service_cluster(name, envoy.LOOPBACK, services.get(name, 0))
        if not same(cluster, {"@type": envoy.CLUSTER_TYPE, **meant}):
            found.append(f"service {name} goes to {_words(reached.get(name))}")
    return found


def _in_force(admin_port: int) -> Json:
    configs = dump(admin_port, "dynamic_route_configs")
    return dict(configs[0]["route_config"]) if configs else {}


def _route_strays(live: Live, backends: Mapping[str, Address], config: Json) -> list[str]:
    """The routes in force that are not what their own cells yield; weights are not compared."""
    try:
        routes = [
            http_route(model, region, cell.declared, intent=cell.intent)
            for model, regions in live.cells.items()
            for region, cell in regions.items()
        ]
    except UsageError as error:
        return [f"a route that no cell yields: {error.message}"]
    meant = translate(routes, _reachable(backends, routes))
    if same({**config, "virtual_hosts": []}, {"@type": ROUTE_TYPE, **meant, "virtual_hosts": []}):
        given, wanted = (_by_name(each) for each in (config, meant))
        return [
            f"route {name}"
            for name in sorted(given.keys() | wanted.keys())
            if given.get(name) != wanted.get(name)
        ]
    return ["its route configuration"]


def _reachable(backends: Mapping[str, Address], routes: list[Json]) -> dict[str, Address]:
    """The services in force, and those that a route names: a missing one is said by its cluster."""
    named = {
        reference["name"]
        for route in routes
        for rule in route["spec"]["rules"]
        for reference in rule.get("backendRefs", [])
        if reference["weight"]
    }
    return {**dict.fromkeys(named, (envoy.LOOPBACK, 0)), **backends}


def _by_name(config: Json) -> dict[str, object]:
    found: dict[str, object] = {}
    for number, host in enumerate(config.get("virtual_hosts", [])):
        found[f"host {number}"] = _plain({**host, "routes": []})
        for place, route in enumerate(host.get("routes", [])):
            found[str(route.get("name", f"{number}.{place}"))] = (place, _weightless(_plain(route)))
    return found


def _weightless(route: Any) -> object:
    clusters = route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
    for cluster in clusters:
        cluster.pop("weight", None)
    return route


def _regions(admin_port: int) -> dict[str, list[str]]:
    """Region -> every address that an entry point knows for it."""
    found: dict[str, list[str]] = {}
    for item in dump(admin_port, "static_endpoint_configs&include_eds"):
        for group in item.get("endpoint_config", {}).get("endpoints", []):
            for each in group.get("lb_endpoints", []):
                endpoint = each.get("endpoint", {})
                words = _words(address_of(endpoint))
                found.setdefault(str(endpoint.get("hostname", "")), []).append(words)
    return found


def _words(address: Address | None) -> str:
    return "nobody" if address is None else f"{address[0]}:{address[1]}"


def _plain(value: object) -> Any:
    """A value in one notation: protobuf prints 64-bit numbers as text, durations in their own way, and
    leaves out what is the default."""
    if isinstance(value, dict):
        return {
            key: _plain(item) for key, item in value.items() if (key, item) != ("lb_policy", "ROUND_ROBIN")
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        if _DURATION.fullmatch(value):
            return float(value[:-1])
        return int(value) if value.isascii() and value.isdigit() else value
    return value
