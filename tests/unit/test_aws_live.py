"""What a cluster's objects say is in force; nothing is believed that its controllers have not seen."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.aws import gateway as infra_gateway
from lockstep.aws.live import CONTROLLER, GATEWAY, HEALTH, cells_of, is_programmed, serving_of
from lockstep.errors import Unavailable
from tests.support.kube import accepted, condition, deployment, gateway, placed

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REGION = "eu-central-1"
CELL = {"blue": A, "green": B, "green_weight": 12.5}
PLACE = ("digits", REGION)
Json = dict[str, Any]


def route(cell: Any = None) -> Json:
    return copy.deepcopy(placed("digits", REGION, cell or CELL)[0])


def test_a_cell_reads_back_as_it_was_written() -> None:
    withdrawn = {"withdraw": A}
    vacant = {"blue": None, "green": None, "green_weight": 0}
    for cell in (CELL, withdrawn, vacant, {"blue": None, "green": B, "green_weight": 100}):
        assert cells_of(REGION, [gateway()], [route(cell)]) == {PLACE: cell}


def test_the_weight_is_the_spec_s_and_not_the_annotation_s() -> None:
    edited = route()
    weights = edited["spec"]["rules"][0]["backendRefs"]
    weights[0]["weight"], weights[1]["weight"] = 500, 500
    assert cells_of(REGION, [gateway()], [edited]) == {PLACE: {**CELL, "green_weight": 50}}


def stale(route: Json) -> None:
    route["metadata"]["generation"] += 1


def refused(route: Json) -> None:
    route["status"]["parents"][0]["conditions"][0]["status"] = "False"


def unresolved(route: Json) -> None:
    route["status"]["parents"][0]["conditions"][1]["status"] = "False"


def of_another_controller(route: Json) -> None:
    route["status"]["parents"][0]["controllerName"] = "example.com/other"


def without_status(route: Json) -> None:
    del route["status"]


@pytest.mark.parametrize("change", [stale, refused, unresolved, of_another_controller, without_status])
def test_a_route_that_is_not_known_to_be_in_force_does_not_answer(change: Callable[[Json], None]) -> None:
    changed = route()
    change(changed)
    assert cells_of(REGION, [gateway()], [changed]) == {PLACE: None}


def test_without_a_programmed_gateway_no_route_is_in_force() -> None:
    late = gateway()
    late["metadata"]["generation"] += 1
    other = {**gateway(), "metadata": {"name": "other", "generation": 2}}
    for gateways in ([], [late], [other]):
        assert not is_programmed(gateways)
        assert cells_of(REGION, gateways, [route()]) == {PLACE: None}


def renamed(route: Json) -> None:
    route["metadata"]["name"] = "digits-somewhere"


def unlabelled(route: Json) -> None:
    route["metadata"]["labels"] = {}


def matching_more(route: Json) -> None:
    route["spec"]["rules"][0]["matches"].append({"path": {"type": "PathPrefix", "value": "/"}})


def by_header(route: Json) -> None:
    route["spec"]["rules"][0]["matches"][0]["headers"] = [{"name": "x", "value": "y"}]


def with_a_second_rule(route: Json) -> None:
    route["spec"]["rules"].append(copy.deepcopy(route["spec"]["rules"][0]))


def to_a_stranger(route: Json) -> None:
    route["spec"]["rules"][0]["backendRefs"][0]["name"] = "stranger"


def redirecting(route: Json) -> None:
    route["spec"]["rules"][0]["filters"].append({"type": "RequestRedirect", "requestRedirect": {}})


@pytest.mark.parametrize(
    "change",
    [renamed, unlabelled, matching_more, by_header, with_a_second_rule, to_a_stranger, redirecting],
)
def test_a_route_on_our_gateway_that_is_not_ours_makes_the_region_odd(change: Callable[[Json], None]) -> None:
    changed = route()
    change(changed)
    with pytest.raises(Unavailable) as caught:
        cells_of(REGION, [gateway()], [changed])
    assert caught.value.code == "route.gateway_odd"


def answering_itself(route: Json) -> None:
    route["spec"]["rules"][0]["filters"].append({"type": "ExtensionRef", "extensionRef": {"name": "x"}})


def test_a_route_with_releases_is_answered_by_nothing_else() -> None:
    changed = route()
    answering_itself(changed)
    with pytest.raises(Unavailable, match="ExtensionRef"):
        cells_of(REGION, [gateway()], [changed])


def health(**changes: Any) -> Json:
    rule = {"matches": [{"path": {"type": "Exact", "value": "/healthz"}}], "filters": [], **changes}
    spec = {"parentRefs": [{"name": "lockstep"}], "rules": [rule]}
    return {"kind": "HTTPRoute", "metadata": {"name": "healthz"}, "spec": spec}


def test_the_route_for_health_checks_is_no_cell_and_leads_nowhere() -> None:
    assert (HEALTH, GATEWAY, CONTROLLER) == (
        infra_gateway.HEALTH,
        infra_gateway.NAME,
        infra_gateway.CONTROLLER,
    )
    assert cells_of(REGION, [gateway()], [route(), health()]) == {PLACE: CELL}
    for changes in (
        {"backendRefs": [{"name": "stranger"}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]},
    ):
        with pytest.raises(Unavailable, match="healthz"):
            cells_of(REGION, [gateway()], [health(**changes)])


def test_two_routes_for_one_place_are_odd() -> None:
    twin = route()
    twin["metadata"]["namespace"] = "elsewhere"
    with pytest.raises(Unavailable, match="two routes claim digits"):
        cells_of(REGION, [gateway()], [route(), twin])


def test_routes_on_other_gateways_are_nobody_s_business() -> None:
    theirs = route()
    theirs["spec"]["parentRefs"][0]["name"] = "theirs"
    theirs["metadata"]["labels"] = {}
    assert cells_of(REGION, [gateway()], [theirs]) == {}


# --- services


def test_a_slot_serves_the_release_that_all_of_its_pods_have() -> None:
    found = serving_of(REGION, placed("digits", REGION, CELL)[1:])
    assert found == {PLACE: {"blue": A, "green": B}}


def in_rollout(item: Json) -> None:
    item["status"]["updatedReplicas"] = 1


def behind(item: Json) -> None:
    item["metadata"]["generation"] += 1


def unavailable(item: Json) -> None:
    item["status"]["conditions"] = [condition("Available", 3, "False")]


def scaled_away(item: Json) -> None:
    item["status"] |= {"replicas": 0, "updatedReplicas": 0, "readyReplicas": 0}


def not_ready(item: Json) -> None:
    item["status"]["readyReplicas"] = 0


def nameless(item: Json) -> None:
    item["spec"]["template"]["spec"]["containers"][0]["args"] = ["--release"]


@pytest.mark.parametrize("change", [in_rollout, behind, unavailable, scaled_away, not_ready, nameless])
def test_a_slot_that_is_not_all_there_says_nothing(change: Callable[[Json], None]) -> None:
    item = deployment("digits", REGION, "blue", A)
    change(item)
    assert serving_of(REGION, [item]) == {PLACE: {"blue": None, "green": None}}


def test_a_deployment_by_another_name_is_no_slot_of_ours() -> None:
    item = deployment("digits", REGION, "blue", A)
    item["metadata"]["name"] = "digits-elsewhere-blue"
    other = deployment("digits", REGION, "red", A)
    assert serving_of(REGION, [item, other]) == {}


def test_what_the_api_server_adds_changes_nothing() -> None:
    assert accepted(route(), 7)["metadata"]["generation"] == 7
    assert cells_of(REGION, [gateway()], [accepted(route(), 7)]) == {PLACE: CELL}
