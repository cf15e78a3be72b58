"""What an Envoy behind Envoy Gateway shows of HTTPRoutes of ours, computed from the routes.

For tests that need a proxy's answers and no traffic; tests/contract/test_envoy_window.py holds it against
Envoy Gateway's own translation in a real Envoy. Every backend has somebody who answers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lockstep.aws.live import GATEWAY
from lockstep.aws.proxies import ENDPOINTS, PATH, ROUTES, rule_of
from tests.support.loopback import Handler, served

Json = dict[str, Any]
KINDS = {"PathPrefix": "path_separated_prefix", "Exact": "path"}
ADDRESS = {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}}


def shown(routes: Iterable[Json], query: Mapping[str, str]) -> Json:
    """The answer to one question; the empty dump for any that is not asked for."""
    attached = [
        route
        for route in routes
        if any(parent["name"] == GATEWAY for parent in route["spec"].get("parentRefs") or [])
    ]
    if query.get("resource") == ROUTES:
        host = {"name": "all", "domains": ["*"], "routes": [_route(route) for route in attached]}
        return {"configs": [{"route_config": {"name": "all", "virtual_hosts": [host]}}]}
    if query.get("resource") == ENDPOINTS and "include_eds" in query:
        return {"configs": [{"endpoint_config": group} for route in attached for group in _groups(route)]}
    return {}


@contextlib.contextmanager
def serving(routes: Callable[[], Iterable[Json]]) -> Iterator[int]:
    """A port on loopback that answers as the proxy's own; routes: those that it goes by when it is asked."""

    class Admin(Handler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: one[0] for name, one in parse_qs(parts.query, keep_blank_values=True).items()}
            self.say(200 if parts.path == PATH else 404, shown(routes(), query))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Admin)
    with served(server):
        yield server.server_address[1]


def _route(route: Json) -> Json:
    (rule,) = route["spec"]["rules"]
    (match,) = rule["matches"]
    made: Json = {
        "name": f"{rule_of(route)}/match/0/*",
        "match": {KINDS[match["path"]["type"]]: match["path"]["value"]},
    }
    filters = rule.get("filters") or []
    headers = [header for each in filters for header in each.get("responseHeaderModifier", {}).get("set", [])]
    if headers:
        made["response_headers_to_add"] = [
            {"header": {"key": header["name"], "value": header["value"]}} for header in headers
        ]
    if not rule.get("backendRefs"):
        return {**made, "direct_response": {"status": 404}}
    forward: Json = {"cluster": rule_of(route)}
    mirrors = [f"{rule_of(route)}-mirror-{n}" for n, each in enumerate(filters) if "requestMirror" in each]
    if mirrors:
        forward["request_mirror_policies"] = [{"cluster": name} for name in mirrors]
    return {**made, "route": forward}


def _groups(route: Json) -> list[Json]:
    (rule,) = route["spec"]["rules"]
    if not rule.get("backendRefs"):
        return []
    localities = [
        {
            "locality": {"region": f"{rule_of(route)}/backend/{index}"},
            "lb_endpoints": [{"endpoint": ADDRESS, "health_status": "HEALTHY"}],
            "load_balancing_weight": backend["weight"],
        }
        for index, backend in enumerate(rule["backendRefs"])
        if backend["weight"]
    ]
    return [{"cluster_name": rule_of(route), "endpoints": localities}]
