"""Envoy Gateway's own translation of HTTPRoutes, many gateways in one call of its `egctl`.

Each gateway gets a namespace of its own, so that equal names do not meet, and each backend a Service with
an address of its own: whatever Envoy Gateway calls a cluster, its address says whose it is.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click

from lockstep.toolchain import judges
from tests.support.route_forms import Entry, Shares, entries_of, together

Json = dict[str, Any]
_FIRST_ADDRESS = int(IPv4Address("10.0.0.1"))
_CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "eg"},
    "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
}


@dataclass(frozen=True)
class Gateway:
    """HTTPRoutes that share one gateway, and the names of the services that it knows."""

    routes: tuple[Json, ...]
    backends: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(
            f"{one['metadata']['name']}: {json.dumps(one['spec']['rules'])}" for one in self.routes
        )


def binary() -> Path:
    """The pinned egctl; built first where it is missing."""
    return judges.ensure(["egctl"], lambda line: click.echo(line, err=True))["egctl"]


def translated(egctl: Path, gateways: Sequence[Gateway]) -> list[list[Entry]]:
    """What Envoy Gateway makes of each gateway."""
    owners: dict[str, str] = {}
    documents: list[Json] = [_CLASS]
    for number, gateway in enumerate(gateways):
        documents += _documents(gateway, f"g{number}", owners)
    said = configured(egctl, documents)
    return [_entries(said[f"g{number}/lockstep"], f"g{number}", owners) for number in range(len(gateways))]


def refusal(egctl: Path, route: Json) -> str:
    """Why Envoy Gateway refuses an HTTPRoute as invalid; "" when it takes it."""
    try:
        translated(egctl, [Gateway((route,), ())])
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    return ""


def configured(egctl: Path, documents: Sequence[Json]) -> dict[str, Json]:
    """`<namespace>/<name>` of each gateway -> the configuration of its Envoys, as they would show it."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        path = Path(folder) / "gateways.yaml"
        path.write_text("\n---\n".join(json.dumps(document) for document in documents))
        argv = [
            "experimental",
            "translate",
            "--from",
            "gateway-api",
            "--to",
            "xds",
            "-t",
            "all",
            "-o",
            "json",
        ]
        done = subprocess.run([egctl, *argv, "-f", path], capture_output=True, text=True, check=True)
    found: dict[str, Json] = json.loads(done.stdout)["xds"]
    return found


def _documents(gateway: Gateway, space: str, owners: dict[str, str]) -> list[Json]:
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    documents: list[Json] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}},
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "lockstep", "namespace": space},
            "spec": {"gatewayClassName": "eg", "listeners": [listener]},
        },
    ]
    for name in gateway.backends:
        address = str(IPv4Address(_FIRST_ADDRESS + len(owners)))
        owners[address] = name
        documents.append(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": space},
                "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
            }
        )
    return documents + [
        {**route, "metadata": {**route["metadata"], "namespace": space}} for route in gateway.routes
    ]


def _entries(said: Json, space: str, owners: Mapping[str, str]) -> list[Entry]:
    dumps: Json = {}
    for part in _snake(said)["configs"]:
        dumps |= {key: value for key, value in part.items() if key.startswith("dynamic_")}
    endpoints = {
        one["endpoint_config"]["cluster_name"]: one["endpoint_config"]
        for one in dumps.get("dynamic_endpoint_configs", [])
    }
    clusters = {one["cluster"]["name"]: one["cluster"] for one in dumps.get("dynamic_active_clusters", [])}

    def resolve(name: str) -> Shares:
        return _behind(clusters[name], endpoints, owners)

    def name_of(name: str) -> str:
        found = re.fullmatch(rf"httproute/{space}/(.+)/rule/(\d+)/match/(\d+)/\*", name)
        assert found is not None, name
        return f"{found[1]}/{found[2]}/{found[3]}"

    [routes] = [one["route_config"] for one in dumps["dynamic_route_configs"]]
    return entries_of(routes, resolve, name_of)


def _behind(cluster: Json, endpoints: Mapping[str, Json], owners: Mapping[str, str]) -> Shares:
    """The backends of a cluster; Envoy Gateway puts each in a locality, and its weight there."""
    [policy] = cluster["load_balancing_policy"]["policies"]
    assert (
        "locality_weighted_lb_config"
        in policy["typed_extension_config"]["typed_config"]["locality_lb_config"]
    )
    where = endpoints[cluster["eds_cluster_config"].get("service_name", cluster["name"])]
    parts = []
    for locality in where["endpoints"]:
        sockets = [one["endpoint"]["address"]["socket_address"] for one in locality["lb_endpoints"]]
        [backend] = {owners[socket["address"]] for socket in sockets}
        parts.append((((backend, Fraction(1)),), int(locality.get("load_balancing_weight", 1))))
    return together(parts)


def _snake(value: Any) -> Any:
    """JSON names of fields as in the protocol's text, which ours are written in."""
    if isinstance(value, dict):
        return {re.sub("[A-Z]", lambda big: f"_{big[0].lower()}", k): _snake(v) for k, v in value.items()}
    return [_snake(one) for one in value] if isinstance(value, list) else value
