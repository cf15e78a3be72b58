"""Our Envoy configuration against Envoy Gateway's own, for the same HTTPRoutes.

Equal for both: which requests a route takes, the backends' shares of them, what is mirrored, when a
silent backend is given up, which headers change, which path the backend is asked for, and which of
several routes goes first. Where we differ on purpose, the difference is named here and in docs/adr/0022.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings

from lockstep.errors import LockstepError, UsageError
from lockstep.local.httproute import http_route
from lockstep.local.translate import translate
from tests.support import egctl
from tests.support.egctl import Gateway
from tests.support.route_forms import NEVER, Entry, Request, Shares, differences, entries_of, first
from tests.support.route_strategies import REGION, RELEASES, gateways, requests_for

Json = dict[str, Any]
GATEWAYS = 32
"""Gateways in one call of egctl, each with up to six routes."""
OWN_HEADERS = {"x-lockstep-unrouted", "content-type"}
"""What the gateway's own 404 says besides the route's headers."""

pytestmark = pytest.mark.timeout(1800)  # the first run builds egctl


@pytest.fixture(scope="session")
def judge() -> Path:
    return egctl.binary()


def ours(gateway: Gateway) -> list[Entry]:
    """Our routes for the gateway, without the gateway's own that stand behind them."""

    def resolve(name: str) -> Shares:
        return ((name, Fraction(1)),)

    known = {name: ("127.0.0.1", 1) for name in gateway.backends}
    entries = entries_of(translate(gateway.routes, known), resolve, str)
    assert [entry.name for entry in entries[-2:]] == ["health", "unknown"]
    return entries[:-2]


def as_the_api_has_it(entry: Entry, rule: Json) -> Entry:
    """One of our routes with what we do differently on purpose taken away (docs/adr/0022)."""
    if not rule.get("backendRefs"):
        # Withdrawn: our 404 says that another region may be asked; Envoy Gateway says 500.
        assert entry.status == 404
        plain = frozenset(change for change in entry.headers if change[2] not in OWN_HEADERS)
        return replace(entry, status=500, headers=plain)
    if "request" not in rule.get("timeouts", {}):
        # No timeout asked for: we have none, Envoy Gateway leaves Envoy's own.
        assert entry.cut_ms == NEVER
        return replace(entry, cut_ms=Decimal(15_000))
    return entry


def rule_of(gateway: Gateway, entry: Entry) -> Json:
    route, number, _ = entry.name.rsplit("/", 2)
    [found] = [one for one in gateway.routes if one["metadata"]["name"] == route]
    rule: Json = found["spec"]["rules"][int(number)]
    return rule


def match_of(gateway: Gateway, entry: Entry) -> Json:
    match: Json = rule_of(gateway, entry).get("matches", [{}])[int(entry.name.rsplit("/", 1)[1])]
    return match


def disagreements(gateway: Gateway, theirs: list[Entry]) -> list[str]:
    mine = ours(gateway)
    meant = {entry.name: as_the_api_has_it(entry, rule_of(gateway, entry)) for entry in mine}
    said = {entry.name: entry for entry in theirs}
    if set(meant) != set(said):
        return [f"only one of both has the routes {sorted(set(meant) ^ set(said))}"]
    found = [line for name in meant for line in differences(meant[name], said[name])]
    for request in requests_for(mine):
        found += taken_wrongly(gateway, request, mine, precedence, "ours")
        found += taken_wrongly(gateway, request, theirs, their_precedence, "theirs")
        took = first(mine, request)
        if took is not None and took.shares:
            found += asked_wrongly(rule_of(gateway, took), request, took, said[took.name])
    return found


Order = Callable[[Entry], tuple[int, ...]]


def taken_wrongly(
    gateway: Gateway, request: Request, entries: list[Entry], order: Order, whose: str
) -> list[str]:
    """Each side has to take the route that its order puts first; the orders differ in one thing."""

    def rank(entry: Entry) -> tuple[Any, ...]:
        route, rule, match = entry.name.rsplit("/", 2)
        path = match_of(gateway, entry).get("path", {}).get("value", "/")
        return entry.path[0] != "path", -len(path), *order(entry), route, int(rule), int(match)

    took = first(entries, request)
    best = min((entry for entry in entries if entry.takes(request)), key=rank, default=None)
    names = [None if entry is None else entry.name for entry in (took, best)]
    return [] if took is best else [f"{request}: {whose} takes {names[0]}, and not {names[1]}"]


def precedence(entry: Entry) -> tuple[int, ...]:
    """The Gateway API's order of routes for one path: a method, then most headers."""
    named = sum(header == ":method" for header, _, _ in entry.conditions)
    return -named, -len(entry.conditions)


def their_precedence(entry: Entry) -> tuple[int, ...]:
    """Envoy Gateway's: the method is one header more, and exact headers go before the others."""
    exact = sum(kind == "exact" for _, kind, _ in entry.conditions)
    return -len(entry.conditions), -exact


def asked_wrongly(rule: Json, request: Request, mine: Entry, theirs: Entry) -> list[str]:
    """A backend has to be asked for what the API says; where a prefix is replaced, theirs is not always."""
    right = asked = request.path
    for one in rule.get("filters", []):
        if one["type"] == "URLRewrite":
            prefix = rule["matches"][0]["path"]["value"]
            new = one["urlRewrite"]["path"]["replacePrefixMatch"].rstrip("/")
            right = asked = new + request.path[len(prefix.rstrip("/")) :] or "/"
            if prefix == "/" and new:
                asked = new + request.path[1:]
            elif prefix == f"{request.path}/" and not new:
                asked = request.path
    got = mine.forwarded(request.path), theirs.forwarded(request.path)
    wrong = f"{request} by {mine.name}: backends are asked for {got}, not {(right, asked)} (ours, theirs)"
    return [] if got == (right, asked) else [wrong]


def drawn(number: int, chosen: int) -> list[Gateway]:
    """Different gateways, at most as many as asked for; chosen: the seed that brings the same ones again."""
    found: dict[str, Gateway] = {}

    @seed(chosen)
    @settings(max_examples=number, deadline=None, phases=[Phase.generate], database=None)
    @given(gateways())
    def draw(gateway: Gateway) -> None:
        found[repr(gateway)] = gateway

    draw()
    return list(found.values())


def test_envoy_gateway_makes_the_same_of_our_routes(judge: Path) -> None:
    chosen = int(os.environ.get("LOCKSTEP_SEED", random.SystemRandom().randrange(2**32)))
    batch = drawn(GATEWAYS, chosen)
    assert sum(len(gateway.routes) for gateway in batch) > GATEWAYS, "hardly anything to compare"
    said = egctl.translated(judge, batch)
    wrong = [(gateway, disagreements(gateway, theirs)) for gateway, theirs in zip(batch, said, strict=True)]
    differing = sorted((pair for pair in wrong if pair[1]), key=lambda pair: len(repr(pair[0])))
    for gateway, lines in differing[:1]:
        shown = "\n".join(lines[:10])
        count = f"{len(differing)} of {len(batch)} gateways differ (LOCKSTEP_SEED={chosen})"
        pytest.fail(f"{count}; the smallest:\n{gateway}\n{shown}")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("matches", 0, "path", "value"), "/a//b"),
        (("matches", 0, "path", "value"), "/a/.."),
        (("matches", 0, "path", "value"), "/a%2fb"),
        (("matches", 0, "path", "type"), "Exact"),
        (("matches", 0, "method"), "post"),
        (("matches", 0, "headers"), [{"name": "a", "value": "b"}, {"name": "a", "value": "c"}]),
        (("filters", 1), {"type": "ResponseHeaderModifier", "responseHeaderModifier": {}}),
        (("filters", 2, "requestMirror", "percent"), 101),
        (("backendRefs", 0, "weight"), 1_000_001),
        (("timeouts", "request"), "100000ms"),
    ],
)
def test_what_the_gateway_api_refuses_is_refused_by_both(
    judge: Path, place: tuple[str | int, ...], value: Any
) -> None:
    cell = {"blue": RELEASES[0], "green": RELEASES[1], "green_weight": 5}
    route = http_route("digits", REGION, cell, intent=1, mirror="green")
    *way, last = place
    at: Any = route["spec"]["rules"][0]
    for word in way:
        at = at[word]
    at[last] = value
    assert "local validation error" in egctl.refusal(judge, route)
    with pytest.raises(UsageError) as refused:
        ours(Gateway((route,), ("digits-local-a-blue", "digits-local-a-green")))
    assert refused.value.code == "route.unsupported"


def test_traffic_that_has_no_backend_is_refused_here_and_answered_500_there(judge: Path) -> None:
    cell = {"blue": RELEASES[0], "green": RELEASES[1], "green_weight": 5}
    unmet, idle = (http_route("digits", REGION, cell, intent=1) for _ in range(2))
    for reference in idle["spec"]["rules"][0]["backendRefs"]:
        reference["weight"] = 0
    batch = [Gateway((unmet,), ()), Gateway((idle,), ("digits-local-a-blue", "digits-local-a-green"))]
    for gateway, [theirs] in zip(batch, egctl.translated(judge, batch), strict=True):
        assert theirs.status == 500
        with pytest.raises(LockstepError, match=r"backendRefs"):
            ours(gateway)
