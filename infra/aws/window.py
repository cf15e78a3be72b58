"""A window into each proxy: a port on which Envoy shows what it routes, and shows nothing else. Pure.

Envoy's admin port tells everything and can stop the process, so it stays on the pod's own loopback. A
listener of the bootstrap leads two exact questions to it: for the routes, and for the endpoints behind them.
Every other path, method or question finds no route and is answered 404. Who asks comes by way of the API
server (`access`).
"""

from __future__ import annotations

from typing import Any

from lockstep.aws.proxies import ENDPOINTS, PATH, PORT, ROUTES

Json = dict[str, Any]
NAME = "lockstep-window"
ADMIN_PORT = 19000
"""Envoy Gateway's own choice, on the pod's loopback."""
_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def bootstrap() -> Json:
    """What is added to the bootstrap that Envoy Gateway writes."""
    parts = {"clusters": _admin(), "listeners": _listener()}
    return {
        "type": "JSONPatch",
        "jsonPatches": [
            {"op": "add", "path": f"/static_resources/{part}/-", "value": value}
            for part, value in parts.items()
        ],
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _admin() -> Json:
    endpoint = {"endpoint": {"address": _address("127.0.0.1", ADMIN_PORT)}}
    return {
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": NAME, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _question(part: str, *also: Json) -> Json:
    """A route for one part of the dump; Envoy's admin, too, takes the first where a parameter is repeated."""
    named = {"name": "resource", "string_match": {"exact": part}}
    return {
        "match": {
            "path": PATH,
            "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
            "query_parameters": [named, *also],
        },
        "route": {"cluster": NAME, "timeout": "5s"},
    }


def _listener() -> Json:
    questions = [_question(ROUTES), _question(ENDPOINTS, {"name": "include_eds", "present_match": True})]
    host = {"name": NAME, "domains": ["*"], "routes": questions}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": NAME,
        "normalize_path": True,
        "common_http_protocol_options": {"idle_timeout": "30s"},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        "route_config": {"name": NAME, "virtual_hosts": [host]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "name": NAME,
        "address": _address("0.0.0.0", PORT),
        "bypass_overload_manager": True,
        "filter_chains": [chain],
    }
