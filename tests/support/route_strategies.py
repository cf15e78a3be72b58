"""HTTPRoutes of every shape that the local gateway takes, several to a gateway, and requests that tell
their rules apart."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from lockstep.local.httproute import FULL, backend_name, http_route
from lockstep.table import SLOTS, Cell, release_in, tenths
from tests.support.egctl import Gateway
from tests.support.route_forms import Entry, Request

Json = dict[str, Any]
REGION = "local-a"
BACKENDS = ("red", "blue", "digits-local-a-green")
RELEASES = [f"sha256:{letter * 64}" for letter in "abc"]
VALUES = {"1": "1", "abc": "abc", "[0-9]+": "17", "a.c": "axc", "(?:x|y)z?": "yz"}
"""Value of a header condition -> a value that a request meets it with."""

models = st.sampled_from(["digits", "digit", "digits-2", "faces", "a"])
percents = st.integers(0, FULL).map(lambda count: tenths(count / 10))
paths = st.sampled_from(["/", "/a", "/a/", "/a/b", "/ab", "/x+y/", "/-._~/c", "/v1/models/digits/"])
header_names = st.sampled_from(["x-segment", "X-Canary", "x-third", "Accept"])
backends = st.sampled_from(BACKENDS)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    kind = draw(st.sampled_from(["both", "both", "both", "blue", "green", "withdraw", "empty"]))
    if kind == "withdraw":
        return {"withdraw": draw(st.sampled_from(RELEASES))}
    held = {slot: draw(st.sampled_from(RELEASES)) if kind in (slot, "both") else None for slot in SLOTS}
    weight = {"both": draw(percents), "green": 100}.get(kind, 0)
    return {**held, "green_weight": weight}


@st.composite
def cell_routes(draw: st.DrawFn, model: str) -> Json:
    """What `http_route` writes."""
    cell = draw(cells())
    mirrors = [slot for slot in SLOTS if "withdraw" not in cell and release_in(cell, slot) is not None]
    return http_route(
        model,
        REGION,
        cell,
        intent=draw(st.integers(0, 2**53 - 1)),
        record=draw(st.sampled_from(["", *RELEASES])),
        mirror=draw(st.none() | st.sampled_from(mirrors)) if mirrors else None,
        timeout_s=draw(st.integers(1, 400_000) | st.just(30_000)) / 1000,
    )


@st.composite
def durations(draw: st.DrawFn) -> str:
    parts = draw(
        st.lists(
            st.tuples(st.integers(0, 99999), st.sampled_from(["h", "m", "s", "ms"])), min_size=1, max_size=4
        )
    )
    return "".join(f"{number}{unit}" for number, unit in parts)


@st.composite
def matches(draw: st.DrawFn, path: Json | None = None) -> Json:
    names = draw(st.lists(header_names, unique_by=str.lower, max_size=3))
    headers = []
    for name in names:
        value = draw(st.sampled_from(sorted(VALUES)))
        kind = draw(st.sampled_from([{}, {"type": "Exact"}, {"type": "RegularExpression"}]))
        headers.append({"name": name, "value": value, **kind})
    found: Json = {"headers": headers} if headers else {}
    if draw(st.booleans()):
        found["method"] = draw(st.sampled_from(["GET", "POST", "PUT"]))
    kind = draw(st.sampled_from([{"type": "PathPrefix"}, {"type": "Exact"}, {}]))
    if path is None and draw(st.integers(0, 4)):
        path = {**kind, "value": draw(paths)}
    return {**found, "path": path} if path is not None else found


@st.composite
def header_changes(draw: st.DrawFn) -> Json:
    names = draw(st.lists(header_names, unique_by=str.lower, min_size=1, max_size=4))
    found: Json = {}
    for name in names:
        action = draw(st.sampled_from(["set", "add", "remove"]))
        one = name if action == "remove" else {"name": name, "value": draw(st.sampled_from(["1", "a b"]))}
        found.setdefault(action, []).append(one)
    return found


@st.composite
def mirrors(draw: st.DrawFn) -> Json:
    part = draw(st.none() | st.sampled_from([0, 100]) | st.integers(1, 99))
    mirror = {"backendRef": {"name": draw(backends), "port": 80}}
    return {
        "type": "RequestMirror",
        "requestMirror": mirror if part is None else {**mirror, "percent": part},
    }


@st.composite
def references(draw: st.DrawFn) -> list[Json]:
    """Backends with their weights, at least one of them above 0; now and then none at all."""
    weights = st.none() | st.sampled_from([0, 1, 50, 950, 1000, 1_000_000]) | st.integers(0, 1_000_000)
    found: list[Json] = [{"name": name, "port": 80} for name in draw(st.lists(backends, max_size=4))]
    for one in found:
        weight = draw(weights)
        if weight is not None:
            one["weight"] = weight
    if found and not any(one.get("weight", 1) for one in found):
        found[0]["weight"] = draw(st.integers(1, 1_000_000))
    return found


@st.composite
def rules(draw: st.DrawFn) -> Json:
    filters: list[Json] = draw(st.lists(mirrors(), max_size=2))
    for side in ("Request", "Response"):
        if draw(st.booleans()):
            change = draw(header_changes())
            field = f"{side.lower()}HeaderModifier"
            filters.append({"type": f"{side}HeaderModifier", field: change})
    rule: Json = {"backendRefs": draw(references())}
    if draw(st.booleans()):
        # The API allows a prefix to be replaced where there is one prefix.
        new = draw(st.sampled_from(["/", "/new", "/new/", "/n/e.w"]))
        path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": new}
        filters.append({"type": "URLRewrite", "urlRewrite": {"path": path}})
        rule["matches"] = [draw(matches({"type": "PathPrefix", "value": draw(paths)}))]
    elif draw(st.integers(0, 9)):
        rule["matches"] = draw(st.lists(matches(), min_size=1, max_size=3))
    if filters:
        rule["filters"] = draw(st.permutations(filters))
    if draw(st.booleans()):
        rule["timeouts"] = {"request": draw(durations() | st.sampled_from(["0s", "1500ms", "5m", "1h"]))}
    return rule


@st.composite
def free_routes(draw: st.DrawFn, name: str) -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "lockstep"}],
            "rules": draw(st.lists(rules(), min_size=1, max_size=4)),
        },
    }


@st.composite
def gateways(draw: st.DrawFn) -> Gateway:
    """Some models' own routes, some free ones, or both, in an order that says nothing."""
    served = draw(st.lists(models, unique=True, max_size=3))
    names = draw(st.lists(st.sampled_from(["zeta", "eta", "a-b", "a"]), unique=True, max_size=3))
    routes = [draw(cell_routes(model)) for model in served] + [draw(free_routes(name)) for name in names]
    known = {backend_name(model, REGION, slot) for model in served for slot in SLOTS} | set(BACKENDS)
    return Gateway(tuple(draw(st.permutations(routes))), tuple(sorted(known)))


def requests_for(entries: list[Entry]) -> list[Request]:
    """Requests that meet each route's conditions, and those of two at once, on and beside their paths."""
    values = sorted({value for _, value in (entry.path for entry in entries)} | {"/"})
    wanted = sorted({path for value in values for path in _around(value)})
    met = [_meeting(entry) for entry in entries]
    pairs = [{**one, **other} for one, other in combinations(met, 2)]
    sent = {tuple(sorted(headers.items())) for headers in [{}, *met, *pairs]}
    return [
        Request(
            dict(headers).get(":method", "GET"), path, tuple(pair for pair in headers if pair[0] != ":method")
        )
        for path in wanted
        for headers in sorted(sent)
    ]


def _around(value: str) -> tuple[str, ...]:
    bare = value.rstrip("/")
    return bare or "/", f"{bare}/", f"{bare}/x", f"{bare}x" if bare else "/x"


def _meeting(entry: Entry) -> dict[str, str]:
    return {
        name: VALUES.get(text, text) if kind == "regex" else text for name, kind, text in entry.conditions
    }
