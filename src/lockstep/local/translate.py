"""HTTPRoute objects to Envoy's route configuration. Pure.

The oracle is Envoy Gateway's own translator, which a test asks (what differs: docs/adr/0022): PathPrefix
becomes `path_separated_prefix`, and a prefix replaced by "/" becomes a regex rewrite (Envoy would
otherwise make "//" of it). What is not understood is refused with its place in the object
(`route.unsupported`), never ignored: a route that claims a match or filter and does not perform it would
send traffic where nobody decided.

Order: Gateway API precedence (exact path, longest prefix, method, most headers), then route name and
place in the route. Behind ours stand the gateway's own routes: `/healthz`, which is 200 while at
least one model is served here and 503 otherwise, and a 404 for the rest. A 404 that the gateway itself
decides carries `x-lockstep-unrouted`, by which the entry point knows to ask another region.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from lockstep.canonical import canonical, digest
from lockstep.local.httproute import ANNOTATION
from lockstep.local.routefilters import (
    Backends,
    Json,
    add_filter,
    check_filters,
    no_backend,
    once_each,
    only,
    unsupported,
)

ROUTES = "lockstep"
"""Name of the route configuration, and the namespace of its metadata."""
UNROUTED_HEADER = "x-lockstep-unrouted"
HEALTH_PATH = "/healthz"
ROUTE_TYPE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
_PATH = re.compile(r"(/(?!\.{0,2}/|\.{1,2}$)([-\w.~!$&'()*+,;=:@]|%(?!2[fF])[0-9A-Fa-f]{2})*)+", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SILENCE_S = 300
"""Envoy's own limit of silence on a request."""


def translate(routes: Sequence[Json], backends: Backends) -> Json:
    """Envoy's RouteConfiguration for a gateway: HTTPRoutes, and backend name -> (host, port).

    A backendRef of weight 0 whose backend is not there is left out; one with weight raises
    LockstepError `route.no_backend`. Raises UsageError `route.unsupported` for what is not understood.
    """
    found = [entry for route in sorted(routes, key=_name) for entry in _entries(route, backends)]
    found.sort(key=lambda entry: entry[0])
    ours = [route for _, route in found]
    serving = any("route" in route for route in ours)
    return {
        "name": ROUTES,
        "virtual_hosts": [
            {"name": ROUTES, "domains": ["*"], "routes": [*ours, _health(serving), _unknown()]}
        ],
    }


def discovery(kind: str, resources: Sequence[Json]) -> Json:
    """A DiscoveryResponse for Envoy's file subscription.

    Its version is a digest of what it says, because Envoy keeps the old version_info when a file with
    a new version has equal content: a counter would wait for ever.
    """
    body = [{"@type": kind, **resource} for resource in resources]
    return {"version_info": digest(canonical(body))[7:23], "resources": body}


def _name(route: Json) -> str:
    return str(route["metadata"]["name"])


def _entries(route: Json, backends: Backends) -> Iterator[tuple[tuple[int, ...], Json]]:
    """Every Envoy route of an HTTPRoute, each with its precedence."""
    only(route, {"apiVersion", "kind", "metadata", "spec"}, "")
    only(route["spec"], {"parentRefs", "rules"}, "spec")
    for number, rule in enumerate(route["spec"]["rules"]):
        at = f"spec.rules[{number}]"
        only(rule, {"matches", "filters", "backendRefs", "timeouts"}, at)
        check_filters(rule, at)
        for place, match in enumerate(rule.get("matches") or [{}]):
            precedence, condition = _match(match, f"{at}.matches[{place}]")
            prefix = match.get("path", {}).get("value", "/")
            yield (
                precedence,
                {
                    "name": f"{_name(route)}/{number}/{place}",
                    "match": condition,
                    "metadata": {"filter_metadata": {ROUTES: _metadata(route, match)}},
                    **_action(rule, prefix, backends, at),
                },
            )


def _metadata(route: Json, match: Json) -> Json:
    """What a reader of the live configuration needs besides the weights. `role` tells the route that
    stands for the cell from one for a segment of requests, which has conditions of its own."""
    notes, labels = route["metadata"].get("annotations", {}), route["metadata"].get("labels", {})
    said = {key: notes.get(ANNOTATION + key, "") for key in ("blue", "green", "withdraw", "intent", "weight")}
    said |= {key: labels.get(ANNOTATION + key, "") for key in ("model", "region")}
    return said | {"role": "segment" if set(match) - {"path"} else "cell"}


def _match(match: Json, at: str) -> tuple[tuple[int, ...], Json]:
    only(match, {"path", "headers", "method"}, at)
    kind, value = _path(match, f"{at}.path")
    once_each([header["name"] for header in match.get("headers", [])], f"{at}.headers")
    headers = [_header(header, f"{at}.headers[{i}]") for i, header in enumerate(match.get("headers", []))]
    if match.get("method", "GET") not in _METHODS:
        raise unsupported(f"{at}.method", match["method"])
    if "method" in match:
        headers.append({"name": ":method", "string_match": {"exact": match["method"]}})
    condition: Json = {"headers": headers} if headers else {}
    trimmed = value.rstrip("/")
    if kind == "Exact":
        condition["path"] = value
    else:
        condition |= {"path_separated_prefix": trimmed} if trimmed else {"prefix": "/"}
    return (kind != "Exact", -len(value), "method" not in match, -len(headers)), condition


def _path(match: Json, at: str) -> tuple[str, str]:
    """Kind and value of a match's path. One that no request can have (normalised before it is matched) is
    refused, as the API does."""
    path = match.get("path", {})
    only(path, {"type", "value"}, at)
    kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    if kind not in ("Exact", "PathPrefix"):
        raise unsupported(f"{at}.type", kind)
    if _PATH.fullmatch(value) is None:
        raise unsupported(f"{at}.value", value)
    return kind, value


def _header(header: Json, at: str) -> Json:
    only(header, {"type", "name", "value"}, at)
    kind = header.get("type", "Exact")
    if kind == "Exact":
        return {"name": header["name"], "string_match": {"exact": header["value"]}}
    if kind == "RegularExpression":
        return {"name": header["name"], "string_match": {"safe_regex": {"regex": header["value"]}}}
    raise unsupported(f"{at}.type", kind)


def _action(rule: Json, prefix: str, backends: Backends, at: str) -> Json:
    """What Envoy does with a matched request: forward it by weight, or answer 404 itself."""
    forward: Json = {}
    modifiers: Json = {}
    for number, one in enumerate(rule.get("filters", [])):
        add_filter(one, prefix, backends, f"{at}.filters[{number}]", forward, modifiers)
    clusters = _clusters(rule.get("backendRefs", []), backends, at)
    if not clusters:
        return _answer("route.withdrawn", "this region does not serve the model now", modifiers)
    forward["weighted_clusters"] = {"clusters": clusters}
    forward |= _limits(rule.get("timeouts", {}), f"{at}.timeouts")
    # A request that reached no service is tried again on a new connection; one that did is not.
    forward["retry_policy"] = {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 1,
    }
    return {**modifiers, "route": forward}


def _clusters(references: Sequence[Json], backends: Backends, at: str) -> list[Json]:
    clusters = []
    for number, reference in enumerate(references):
        place = f"{at}.backendRefs[{number}]"
        only(reference, {"name", "port", "weight"}, place)
        name, weight = reference["name"], reference.get("weight", 1)
        if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= 1_000_000:
            raise unsupported(f"{place}.weight", weight)
        if name in backends:
            clusters.append({"name": name, "weight": weight})
        elif weight:
            raise no_backend(name, place)
    if clusters and not any(cluster["weight"] for cluster in clusters):
        raise unsupported(f"{at}.backendRefs", "weights that are all 0")
    return clusters


def _limits(timeouts: Json, at: str) -> Json:
    """A Gateway API duration (GEP-2257) as Envoy's seconds; no timeout where none is given.

    Envoy's limit of silence is lifted where it would end a request before its timeout.
    """
    only(timeouts, {"request"}, at)
    text = timeouts.get("request", "0s")
    if _DURATION.fullmatch(text) is None:
        raise unsupported(f"{at}.request", text)
    seconds = sum(int(n) * _SECONDS[unit] for n, unit in re.findall(r"([0-9]+)(ms|h|m|s)", text))
    limit = {"timeout": f"{seconds:.3f}s"}
    return limit if 0 < seconds <= _SILENCE_S else {**limit, "idle_timeout": "0s"}


def _answer(code: str, message: str, modifiers: Json) -> Json:
    """The gateway's own 404, in the JSON form of the services' refusals."""
    mark = {"header": {"key": UNROUTED_HEADER, "value": code}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    kind = {
        "header": {"key": "content-type", "value": "application/json"},
        "append_action": mark["append_action"],
    }
    body = json.dumps({"error": {"code": code, "message": message}})
    return {
        **modifiers,
        "response_headers_to_add": [*modifiers.get("response_headers_to_add", []), mark, kind],
        "direct_response": {"status": 404, "body": {"inline_string": body}},
    }


def _health(serving: bool) -> Json:
    return {
        "name": "health",
        "match": {"path": HEALTH_PATH},
        "direct_response": {"status": 200 if serving else 503},
    }


def _unknown() -> Json:
    answer = _answer("route.unknown", "no model is served at this path", {})
    return {"name": "unknown", "match": {"prefix": "/"}, **answer}
