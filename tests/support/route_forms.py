"""Envoy's route configuration in a form that two translators can be compared by.

Written from Envoy's documentation of its v3 routes, not from a translator: what a route answers, to
whom, by which shares, and when it gives up. A field that is not known here fails the test, so that no
difference hides in one that nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
Shares = tuple[tuple[str, Fraction], ...]
Resolve = Callable[[str], Shares]
"""Cluster name -> the backends behind it, each with its share of the cluster's requests."""

STREAM_IDLE_MS = Decimal(300_000)
"""Envoy's own limit of silence on a request, where neither listener nor route has another."""
ROUTE_TIMEOUT_MS = Decimal(15_000)
"""Envoy's own limit of a request, where a route has none."""
NEVER = Decimal("Infinity")

_ROUTE = {
    "name", "match", "metadata", "route", "direct_response",
    "request_headers_to_add", "request_headers_to_remove",
    "response_headers_to_add", "response_headers_to_remove",
}  # fmt: skip
_FORWARD = {
    "cluster", "weighted_clusters", "timeout", "idle_timeout", "request_mirror_policies",
    "prefix_rewrite", "regex_rewrite",
    # Not compared: repeats are a policy of the gateway, and websockets are nothing that we serve.
    "retry_policy", "upgrade_configs",
}  # fmt: skip
_MATCH = {"prefix", "path", "path_separated_prefix", "headers"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Entry:
    """One Envoy route.

    name: "<HTTPRoute>/<rule>/<match>"; path: kind and value; conditions: (header, kind, value);
    shares: of the requests, by backend; mirrors: copied part of the requests, by backend, and whether the
    copy keeps its Host; cut_ms: when a silent backend is given up; status: of an answer without a backend;
    headers: (side, action, name, value).
    """

    name: str
    path: tuple[str, str]
    conditions: frozenset[tuple[str, str, str]]
    shares: Shares
    mirrors: tuple[tuple[str, Fraction, bool], ...]
    cut_ms: Decimal | None
    status: int | None
    headers: frozenset[tuple[str, str, str, str]]
    rewrite: tuple[str, str, str] | None

    def takes(self, request: Request) -> bool:
        kind, value = self.path
        if kind == "path":
            here = request.path == value
        elif kind == "prefix":
            here = request.path.startswith(value)
        else:
            here = request.path == value or request.path.startswith(f"{value}/")
        sent = {":method": request.method, **{name.lower(): text for name, text in request.headers}}
        return here and all(_holds(sent.get(name), kind, text) for name, kind, text in self.conditions)

    def forwarded(self, path: str) -> str:
        """The path that the backend is asked for."""
        if self.rewrite is None:
            return path
        kind, pattern, new = self.rewrite
        if kind == "prefix":
            return new + path[len(self.path[1]) :]
        return re.sub(pattern, new, path)


def _holds(sent: str | None, kind: str, text: str) -> bool:
    if sent is None:
        return False
    return sent == text if kind == "exact" else re.fullmatch(text, sent) is not None


def first(entries: Sequence[Entry], request: Request) -> Entry | None:
    """The route that Envoy takes: the first one that matches."""
    return next((entry for entry in entries if entry.takes(request)), None)


def entries_of(config: Json, resolve: Resolve, name_of: Callable[[str], str]) -> list[Entry]:
    """Every route of a configuration for all hosts, in Envoy's order; name_of: its name -> ours."""
    hosts = config.get("virtual_hosts", [])
    assert [host["domains"] for host in hosts] in ([["*"]], []), config
    return [_entry(route, resolve, name_of) for host in hosts for route in host.get("routes", [])]


def _entry(route: Json, resolve: Resolve, name_of: Callable[[str], str]) -> Entry:
    _only(route, _ROUTE)
    forward = route.get("route")
    if forward is not None:
        _only(forward, _FORWARD)
    return Entry(
        name=name_of(route["name"]),
        path=_path(route["match"]),
        conditions=frozenset(_condition(header) for header in route["match"].get("headers", [])),
        shares=() if forward is None else _shares(forward, resolve),
        mirrors=() if forward is None else _mirrors(forward, resolve),
        cut_ms=None if forward is None else _cut(forward),
        status=None if forward is not None else int(route["direct_response"]["status"]),
        headers=frozenset(change for side in ("request", "response") for change in _changes(route, side)),
        rewrite=None if forward is None else _rewrite(forward),
    )


def _path(match: Json) -> tuple[str, str]:
    _only(match, _MATCH)
    [(kind, value)] = [(key, match[key]) for key in match if key != "headers"]
    return kind, value


def _condition(header: Json) -> tuple[str, str, str]:
    _only(header, {"name", "string_match"})
    [(kind, value)] = header["string_match"].items()
    return header["name"].lower(), *(("regex", value["regex"]) if kind == "safe_regex" else (kind, value))


def _shares(forward: Json, resolve: Resolve) -> Shares:
    if "cluster" in forward:
        return resolve(forward["cluster"])
    clusters = forward["weighted_clusters"]["clusters"]
    return together(
        [(resolve(cluster["name"]), int(cluster["weight"])) for cluster in clusters if cluster["weight"]]
    )


def together(parts: Sequence[tuple[Shares, int]]) -> Shares:
    """Backends of several weighted parts as shares of the whole."""
    whole = sum(weight for _, weight in parts)
    found: dict[str, Fraction] = {}
    for shares, weight in parts:
        for backend, share in shares:
            found[backend] = found.get(backend, Fraction(0)) + share * Fraction(weight, whole)
    return tuple(sorted(found.items()))


def _mirrors(forward: Json, resolve: Resolve) -> tuple[tuple[str, Fraction, bool], ...]:
    found = []
    for policy in forward.get("request_mirror_policies", []):
        _only(policy, {"cluster", "runtime_fraction", "disable_shadow_host_suffix_append"})
        part = _fraction(policy.get("runtime_fraction", {}).get("default_value", {"numerator": 100}))
        kept = bool(policy.get("disable_shadow_host_suffix_append", False))
        found += [(backend, part * share, kept) for backend, share in resolve(policy["cluster"]) if part]
    return tuple(sorted(found))


def _fraction(percent: Json) -> Fraction:
    _only(percent, {"numerator", "denominator"})
    wholes = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
    return Fraction(int(percent.get("numerator", 0)), wholes[percent.get("denominator", "HUNDRED")])


def _cut(forward: Json) -> Decimal:
    """Milliseconds after which a backend that says nothing is given up: the shorter of both limits."""
    limits = (_limit(forward, "timeout", ROUTE_TIMEOUT_MS), _limit(forward, "idle_timeout", STREAM_IDLE_MS))
    return min(limits)


def _limit(forward: Json, field: str, default: Decimal) -> Decimal:
    text = forward.get(field)
    return default if text is None else Decimal(text.removesuffix("s")) * 1000 or NEVER


def _changes(route: Json, side: str) -> list[tuple[str, str, str, str]]:
    added = route.get(f"{side}_headers_to_add", [])
    for one in added:
        _only(one, {"header", "append_action"})
    return [
        (
            side,
            one.get("append_action", "APPEND_IF_EXISTS_OR_ADD"),
            one["header"]["key"].lower(),
            one["header"]["value"],
        )
        for one in added
    ] + [(side, "REMOVE", name.lower(), "") for name in route.get(f"{side}_headers_to_remove", [])]


def _rewrite(forward: Json) -> tuple[str, str, str] | None:
    assert not {"prefix_rewrite", "regex_rewrite"} <= set(forward), forward
    if "prefix_rewrite" in forward:
        return "prefix", "", forward["prefix_rewrite"]
    if "regex_rewrite" in forward:
        return "regex", forward["regex_rewrite"]["pattern"]["regex"], forward["regex_rewrite"]["substitution"]
    return None


def _only(value: Mapping[str, Any], known: set[str]) -> None:
    assert set(value) <= known, f"not known to the comparison: {sorted(set(value) - known)} in {value}"


def differences(ours: Entry, theirs: Entry) -> list[str]:
    """What two routes of one name say differently, a line a field; rewrites are left to requests."""
    return [
        f"{ours.name} {field.name}: ours {getattr(ours, field.name)}, theirs {getattr(theirs, field.name)}"
        for field in fields(Entry)
        if field.name != "rewrite" and getattr(ours, field.name) != getattr(theirs, field.name)
    ]
