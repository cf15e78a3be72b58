"""What proxies say against what HTTPRoutes declare: where they differ, nobody knows what is routed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.aws import gateway
from infra.aws.charts import charts
from lockstep.aws.proxies import (
    ENDPOINTS,
    LABELS,
    NAMESPACE,
    ROUTES,
    Way,
    declared,
    doubts,
    is_ready,
    routed,
    rule_of,
)
from tests.support import kube, proxies

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REGION, PLACE = "eu-central-1", ("digits", "eu-central-1")
CELL = {"blue": A, "green": B, "green_weight": 10}
Json = dict[str, Any]


def route(cell: Any = None, intent: int = 7) -> Json:
    return copy.deepcopy(kube.placed("digits", REGION, cell or CELL, intent)[0])


def parts(*routes: Json) -> tuple[Json, Json]:
    """Both parts of a dump, which a test may change."""
    return tuple(  # type: ignore[return-value]
        proxies.shown(routes, {"resource": part, "include_eds": ""}) for part in (ROUTES, ENDPOINTS)
    )


def against(said: dict[str, Way] | str, *, declares: Json | None = None) -> str:
    """Why the place is not known; "" where it is."""
    places = {PLACE: declares or route()}
    return doubts(REGION, places, [], {"envoy-0": said}).get(PLACE, "")


def test_a_proxy_that_says_the_same_leaves_no_doubt() -> None:
    assert against(routed(*parts(route()))) == ""
    for cell in ({"withdraw": A}, {"blue": None, "green": None, "green_weight": 0}):
        assert against(routed(*parts(route(cell))), declares=route(cell)) == ""


def test_without_a_ready_proxy_no_place_is_known() -> None:
    assert doubts(REGION, {PLACE: route()}, [], {}) == {
        PLACE: f"no proxy of the gateway of {REGION} is ready"
    }


def first(dump: Json) -> Json:
    found: Json = dump["configs"][0]["route_config"]["virtual_hosts"][0]["routes"][0]
    return found


def localities(dump: Json) -> list[Json]:
    found: list[Json] = dump["configs"][0]["endpoint_config"]["endpoints"]
    return found


def heavier(routes: Json, endpoints: Json) -> None:
    localities(endpoints)[1]["load_balancing_weight"] = 500


def elsewhere(routes: Json, endpoints: Json) -> None:
    first(routes)["route"]["cluster"] = "another"


def mirrored(routes: Json, endpoints: Json) -> None:
    first(routes)["route"]["request_mirror_policies"] = [{"cluster": "thief"}]


def of_another_record(routes: Json, endpoints: Json) -> None:
    first(routes)["response_headers_to_add"][0]["header"]["value"] = "6"


def of_no_record(routes: Json, endpoints: Json) -> None:
    del first(routes)["response_headers_to_add"]


def wider(routes: Json, endpoints: Json) -> None:
    first(routes)["match"] = {"prefix": "/v1"}


def narrower(routes: Json, endpoints: Json) -> None:
    first(routes)["match"]["headers"] = [{"name": "x", "string_match": {"exact": "y"}}]


def answering_itself(routes: Json, endpoints: Json) -> None:
    del first(routes)["route"]


def with_nobody_in_a_slot(routes: Json, endpoints: Json) -> None:
    localities(endpoints)[1]["lb_endpoints"] = []


def with_the_dying_in_a_slot(routes: Json, endpoints: Json) -> None:
    localities(endpoints)[1]["lb_endpoints"][0]["health_status"] = "DRAINING"


def without_endpoints(routes: Json, endpoints: Json) -> None:
    endpoints["configs"] = []


def partly_to_nobody(routes: Json, endpoints: Json) -> None:
    """As Envoy Gateway writes it where a service has no endpoints."""
    rule = rule_of(route())
    clusters = [
        {"name": "invalid-backend-cluster", "weight": 100},
        {"name": f"{rule}/backend/0", "weight": 900},
    ]
    first(routes)["route"] = {"weighted_clusters": {"clusters": clusters}}
    endpoints["configs"][0]["endpoint_config"]["cluster_name"] = f"{rule}/backend/0"


def unnamed(routes: Json, endpoints: Json) -> None:
    first(routes)["name"] += "x"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (heavier, "64.2857 % to digits-eu-central-1-blue, 35.7143 % to digits-eu-central-1-green"),
        (elsewhere, "100 % to nobody who answers"),
        (mirrored, "1 mirrored"),
        (of_another_record, "by record 6, and the route says"),
        (of_no_record, "by record none"),
        (wider, "{'prefix': '/v1'}"),
        (narrower, "'headers'"),
        (answering_itself, "/v1/models/digits to nobody by record 7"),
        (with_nobody_in_a_slot, "10 % to nobody who answers"),
        (with_the_dying_in_a_slot, "10 % to nobody who answers"),
        (without_endpoints, "100 % to nobody who answers"),
        (partly_to_nobody, "90 % to digits-eu-central-1-blue, 10 % to nobody who answers"),
        (unnamed, "envoy-0 has no such route"),
    ],
)
def test_a_proxy_that_says_otherwise_is_named_with_what_it_says(
    change: Callable[[Json, Json], None], said: str
) -> None:
    changed = copy.deepcopy(parts(route()))
    change(*changed)
    assert said in against(routed(*changed))


def test_weights_of_clusters_count_as_those_of_localities() -> None:
    routes, endpoints = copy.deepcopy(parts(route()))
    rule = rule_of(route())
    weights = [{"name": f"{rule}/backend/{n}", "weight": weight} for n, weight in enumerate((900, 100))]
    first(routes)["route"] = {"weighted_clusters": {"clusters": weights}}
    groups = [{"cluster_name": each["name"], "endpoints": localities(endpoints)[:1]} for each in weights]
    endpoints["configs"] = [{"endpoint_config": group} for group in groups]
    assert against(routed(routes, endpoints)) == ""


def test_one_of_several_proxies_is_enough_for_a_doubt_and_each_is_named() -> None:
    right, late = routed(*parts(route())), routed(*parts(route(intent=6)))
    found = doubts(REGION, {PLACE: route()}, [], {"a": right, "b": late, "c": "does not answer: refused"})
    assert found[PLACE].startswith("c does not answer: refused; b /v1/models/digits")
    many = doubts(REGION, {PLACE: route()}, [], {f"p{n}": "is silent" for n in range(9)})
    assert many[PLACE].endswith("p4 is silent, and 4 more")


def test_a_route_that_nobody_declares_leaves_no_place_of_the_region_known() -> None:
    other = kube.accepted(kube.written("faces", REGION, CELL))
    said = {"envoy-0": routed(*parts(route(), other))}
    gone = ("faces", REGION)
    found = doubts(REGION, {PLACE: route(), gone: None}, [], said)
    assert set(found) == {PLACE, gone}
    assert "httproute/models/faces-eu-central-1/rule/0/match/0/*" in found[PLACE]
    assert doubts(REGION, {PLACE: route(), gone: None}, [other], said) == {}


def test_two_routes_of_one_name_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="two routes"):
        routed(*parts(route(), route()))


def test_a_proxy_is_asked_while_requests_are_sent_to_it() -> None:
    pod = kube.pod("envoy-0")
    assert is_ready(pod)
    late = kube.pod("envoy-0", ready=False)
    late["status"]["conditions"].append({"type": "Initialized", "status": "True"})
    assert not is_ready(late)
    assert not is_ready({**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-11-21T00:00:00Z"}})
    assert not is_ready({**pod, "status": {}})


def test_the_proxies_are_where_the_program_has_them() -> None:
    assert charts()["gateway"]["namespace"] == NAMESPACE
    assert f"gateway.envoyproxy.io/owning-gateway-name={gateway.NAME}" in LABELS.split(",")


def test_what_is_declared_leaves_out_what_gets_nothing() -> None:
    assert declared("digits", route({**CELL, "green_weight": 0})) == Way(
        "/v1/models/digits", {0: 1000}, 0, "7"
    )
