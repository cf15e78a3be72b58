"""HTTPRoute to Envoy: the translation, its order, and what it refuses to pretend."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lockstep.errors import LockstepError, UsageError
from lockstep.local.httproute import http_route
from lockstep.local.translate import ROUTE_TYPE, discovery, translate

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
BACKENDS = {f"digits-local-a-{slot}": ("127.0.0.1", port) for slot, port in (("blue", 1), ("green", 2))}


def digits(green_weight: float = 5, **options: Any) -> dict[str, Any]:
    return http_route(
        "digits", "local-a", {"blue": A, "green": B, "green_weight": green_weight}, intent=3, **options
    )


def changed(place: str, value: Any) -> dict[str, Any]:
    """The digits route with one thing set; place: dotted keys and indexes below `spec.rules.0`."""
    route = copy.deepcopy(digits())
    at: Any = route["spec"]["rules"][0]
    *way, last = [int(word) if word.isdigit() else word for word in place.split(".")]
    for word in way:
        at = at[word]
    at[last] = value
    return route


def mirror(percent: Any) -> dict[str, Any]:
    copy = {"backendRef": {"name": "digits-local-a-green", "port": 80}, "percent": percent}
    return {"type": "RequestMirror", "requestMirror": copy}


def routes_of(*routes: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = translate(routes, BACKENDS)["virtual_hosts"][0]["routes"]
    return found


def test_a_weighted_route_as_envoy_gateway_translates_it() -> None:
    first = routes_of(digits())[0]
    assert first["match"] == {"path_separated_prefix": "/v1/models/digits"}
    assert first["route"]["weighted_clusters"] == {
        "clusters": [
            {"name": "digits-local-a-blue", "weight": 950},
            {"name": "digits-local-a-green", "weight": 50},
        ]
    }
    assert first["route"]["regex_rewrite"] == {
        "pattern": {"regex": "^/v1/models/digits/*"},
        "substitution": "/",
    }
    assert first["route"]["timeout"] == "30.000s"


def test_the_gateways_own_routes_stand_last() -> None:
    assert [route["name"] for route in routes_of(digits())] == ["digits-local-a/0/0", "health", "unknown"]
    assert routes_of(digits())[1]["direct_response"]["status"] == 200
    assert routes_of()[0]["direct_response"]["status"] == 503


def test_precedence_is_the_gateway_apis() -> None:
    def rule(**match: Any) -> dict[str, Any]:
        return {"backendRefs": digits()["spec"]["rules"][0]["backendRefs"], "matches": [match]}

    def prefix(value: str) -> dict[str, str]:
        return {"type": "PathPrefix", "value": value}

    route = digits()
    route["spec"]["rules"] = [
        rule(path=prefix("/")),
        rule(path=prefix("/a")),
        rule(path=prefix("/a"), headers=[{"name": "x", "value": "1"}]),
        rule(path=prefix("/a"), method="POST"),
        rule(path=prefix("/a/b")),
        rule(path={"type": "Exact", "value": "/a"}),
    ]
    order = [name.split("/")[1] for name in (one["name"] for one in routes_of(route)[:6])]
    assert order == ["5", "4", "3", "2", "1", "0"]


def test_the_order_of_the_files_does_not_matter() -> None:
    other = http_route("zeta", "local-a", {"withdraw": A}, intent=1)
    assert translate([digits(), other], BACKENDS) == translate([other, digits()], BACKENDS)


def test_the_version_is_the_content() -> None:
    def version(weight: float) -> str:
        return str(discovery(ROUTE_TYPE, [translate([digits(weight)], BACKENDS)])["version_info"])

    assert version(5) == version(5) != version(5.1)


def test_header_changes_and_mirror() -> None:
    route = digits(mirror="green")
    route["spec"]["rules"][0]["filters"] += [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x", "value": "1"}]}},
    ]
    route["spec"]["rules"][0]["filters"][0]["responseHeaderModifier"]["remove"] = ["server"]
    first = routes_of(route)[0]
    assert first["route"]["request_mirror_policies"] == [
        {"cluster": "digits-local-a-green", "disable_shadow_host_suffix_append": True}
    ]
    assert first["request_headers_to_add"][0]["append_action"] == "APPEND_IF_EXISTS_OR_ADD"
    assert first["response_headers_to_remove"] == ["server"]
    assert first["response_headers_to_add"][0]["header"] == {"key": "x-lockstep-intent", "value": "3"}


@pytest.mark.parametrize(("prefix", "rewrite"), [("/a", "/new"), ("/a/", "/new"), ("/", "/new/")])
def test_the_rest_of_a_path_keeps_its_slash_behind_a_new_prefix(prefix: str, rewrite: str) -> None:
    route = changed("matches.0.path.value", prefix)
    route["spec"]["rules"][0]["filters"][1]["urlRewrite"]["path"]["replacePrefixMatch"] = "/new/"
    assert routes_of(route)[0]["route"]["prefix_rewrite"] == rewrite


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", "0.500s"), ("1m30s", "90.000s"), ("2h", "7200.000s"), ("0s", "0.000s")]
)
def test_durations(text: str, seconds: str) -> None:
    assert routes_of(changed("timeouts.request", text))[0]["route"]["timeout"] == seconds


@pytest.mark.parametrize(
    "value", ["/", "/a", "/a/", "/.a/..b/c.", "/%2e~", "/a%20b/", "/v1/models/digits-2/:x@y"]
)
def test_paths_that_requests_can_have_are_taken(value: str) -> None:
    assert routes_of(changed("matches.0.path.value", value))[0]["name"] == "digits-local-a/0/0"


def test_of_two_prefixes_the_longer_text_goes_first() -> None:
    route = digits()
    route["spec"]["rules"] = [
        {**route["spec"]["rules"][0], "matches": [{"path": {"value": value}}]} for value in ("/a", "/a/")
    ]
    assert [one["name"] for one in routes_of(route)[:2]] == ["digits-local-a/1/0", "digits-local-a/0/0"]


@pytest.mark.parametrize(("text", "idle"), [("5m", None), ("301s", "0s"), ("0s", "0s")])
def test_envoys_own_limit_of_silence_does_not_shorten_a_timeout(text: str, idle: str | None) -> None:
    assert routes_of(changed("timeouts.request", text))[0]["route"].get("idle_timeout") == idle


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        ("matches.0.path.type", "RegularExpression", "matches[0].path.type"),
        ("matches.0.queryParams", [{"name": "a", "value": "b"}], "matches[0].queryParams"),
        ("matches.0.headers", [{"name": "a", "value": "b", "type": "Prefix"}], "headers[0].type"),
        ("filters.0", {"type": "RequestRedirect", "requestRedirect": {}}, "filters[0].type"),
        ("filters.1.urlRewrite.hostname", "x", "urlRewrite.hostname"),
        ("filters.1.urlRewrite.path.type", "ReplaceFullPath", "urlRewrite.path.type"),
        ("backendRefs.0.filters", [], "backendRefs[0].filters"),
        ("backendRefs.0.weight", 1.5, "backendRefs[0].weight"),
        ("backendRefs.0.weight", True, "backendRefs[0].weight"),
        ("backendRefs.0.weight", -1, "backendRefs[0].weight"),
        (
            "matches.0.headers",
            [{"name": "a", "value": "b"}, {"name": "A", "value": "c"}],
            "matches[0].headers",
        ),
        ("matches.0.method", "post", "matches[0].method"),
        *[
            ("matches.0.path.value", value, "matches[0].path.value")
            for value in (
                "a",
                "",
                "/a//b",
                "/a//",
                "//",
                "/./a",
                "/a/..",
                "/a/.",
                "/a%2fb",
                "/a%2",
                "/a#",
                "/ä",
                "/a?b",
                "/a\n",
            )
        ],
        ("matches.0.path.type", "Exact", "filters[1]"),
        ("matches", [{"path": {"value": "/a"}}, {"path": {"value": "/b"}}], "filters[1]"),
        ("filters.1", {"type": "ResponseHeaderModifier", "responseHeaderModifier": {}}, "filters[1].type"),
        (
            "filters.0.responseHeaderModifier.remove",
            ["X-Lockstep-Intent"],
            "filters[0].responseHeaderModifier",
        ),
        ("filters.0", mirror(101), "filters[0].requestMirror.percent"),
        ("filters.0", mirror(True), "filters[0].requestMirror.percent"),
        ("filters.0", mirror(0.5), "filters[0].requestMirror.percent"),
        ("timeouts.backendRequest", "1s", "timeouts.backendRequest"),
        ("timeouts.request", "soon", "timeouts.request"),
        ("retry", {}, "spec.rules[0].retry"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_place(place: str, value: Any, named: str) -> None:
    with pytest.raises(UsageError) as refused:
        routes_of(changed(place, value))
    assert refused.value.code == "route.unsupported"
    assert named in refused.value.message


def test_weights_that_are_all_zero_are_refused() -> None:
    route = changed("backendRefs.0.weight", 0)
    route["spec"]["rules"][0]["backendRefs"][1]["weight"] = 0
    with pytest.raises(UsageError, match="all 0"):
        routes_of(route)


def test_a_missing_service_is_refused_where_it_has_weight() -> None:
    only_blue = {"digits-local-a-blue": ("127.0.0.1", 1)}
    with pytest.raises(LockstepError) as refused:
        translate([digits(0.1)], only_blue)
    assert refused.value.code == "route.no_backend"
    clusters = translate([digits(0)], only_blue)["virtual_hosts"][0]["routes"][0]["route"][
        "weighted_clusters"
    ]
    assert clusters == {"clusters": [{"name": "digits-local-a-blue", "weight": 1000}]}
    with pytest.raises(LockstepError) as unseen:
        translate([digits(0, mirror="green")], only_blue)
    assert unseen.value.code == "route.no_backend"
