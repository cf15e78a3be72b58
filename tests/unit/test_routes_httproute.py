"""HTTPRoute objects: what a cell becomes, and which cells cannot become one."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep.errors import UsageError
from lockstep.local.httproute import http_route, route_cell, slot_weights, weight_tenths

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def weights(route: dict[str, Any]) -> dict[str, int]:
    return {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]}


def test_weights_are_tenths_of_a_percent() -> None:
    route = http_route("digits", "local-a", {"blue": A, "green": B, "green_weight": 12.5}, intent=3)
    assert weights(route) == {"digits-local-a-blue": 875, "digits-local-a-green": 125}
    assert (route["apiVersion"], route["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")


def test_annotations_say_what_the_weights_cannot() -> None:
    route = http_route("digits", "local-a", {"blue": A, "green": B, "green_weight": 5}, intent=3)
    assert route["metadata"]["annotations"] == {
        "lockstep.dev/blue": A,
        "lockstep.dev/green": B,
        "lockstep.dev/withdraw": "",
        "lockstep.dev/intent": "3",
        "lockstep.dev/weight": "50",
    }


def test_a_models_path_has_no_slash_at_its_end() -> None:
    route = http_route("digits", "local-a", {"blue": A, "green": B, "green_weight": 5}, intent=3)
    assert route["spec"]["rules"][0]["matches"] == [
        {"path": {"type": "PathPrefix", "value": "/v1/models/digits"}}
    ]


def test_an_empty_slot_has_no_backend() -> None:
    route = http_route("digits", "local-a", {"blue": A, "green": None, "green_weight": 0}, intent=0)
    assert weights(route) == {"digits-local-a-blue": 1000}
    route = http_route("digits", "local-a", {"blue": None, "green": B, "green_weight": 100}, intent=0)
    assert weights(route) == {"digits-local-a-green": 1000}


@pytest.mark.parametrize("cell", [{"withdraw": A}, {"blue": None, "green": None, "green_weight": 0}])
def test_a_cell_that_serves_nobody_forwards_nowhere(cell: dict[str, Any]) -> None:
    route = http_route("digits", "local-a", cell, intent=4)
    rule = route["spec"]["rules"][0]
    assert "backendRefs" not in rule
    assert [one["type"] for one in rule["filters"]] == ["ResponseHeaderModifier"]
    assert route_cell(route) == cell


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ({"blue": A, "green": None, "green_weight": 5}, "route.empty_slot"),
        ({"blue": None, "green": B, "green_weight": 99.9}, "route.empty_slot"),
        ({"blue": A, "green": B, "green_weight": 0.25}, "route.weight"),
        ({"blue": A, "green": B, "green_weight": -1}, "route.weight"),
        ({"blue": A, "green": B, "green_weight": 100.1}, "route.weight"),
        ({"blue": A, "green": B, "green_weight": True}, "route.weight"),
        ({"blue": A, "green": B, "green_weight": float("nan")}, "route.weight"),
        ({"blue": A, "green": B, "green_weight": "5"}, "route.weight"),
        ({"blue": A, "green": B}, "route.cell"),
        ({"blue": "latest", "green": B, "green_weight": 5}, "route.cell"),
        ({"withdraw": None}, "route.cell"),
        ({"withdraw": A, "blue": A, "green": B, "green_weight": 5}, "route.cell"),
    ],
)
def test_what_is_no_cell_is_refused(cell: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as refused:
        slot_weights(cell)
    assert refused.value.code == code
    assert refused.value.remedy


@pytest.mark.parametrize("word", ["", "Digits", "a/b", "-a", "a-", "a_b", "a.b", "../x", "a" * 41, "a\n"])
def test_names_that_could_leave_their_path_are_refused(word: str) -> None:
    cell = {"blue": A, "green": None, "green_weight": 0}
    for model, region in ((word, "local-a"), ("digits", word)):
        with pytest.raises(UsageError) as refused:
            http_route(model, region, cell, intent=0)
        assert refused.value.code == "route.name"


@pytest.mark.parametrize("intent", [-1, True, 1.0, "1", None])
def test_an_intent_is_the_index_of_a_record(intent: Any) -> None:
    with pytest.raises(UsageError, match="not the index"):
        http_route("digits", "local-a", {"blue": A, "green": None, "green_weight": 0}, intent=intent)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.001, "1ms"), (30.0, "30000ms"), (99.999, "99999ms"), (100.0, "100s"), (3661.5, "1h61s500ms")],
)
def test_a_timeout_has_no_number_that_the_api_refuses(seconds: float, text: str) -> None:
    route = http_route(
        "digits", "local-a", {"blue": A, "green": B, "green_weight": 5}, intent=0, timeout_s=seconds
    )
    assert route["spec"]["rules"][0]["timeouts"] == {"request": text}


def test_a_mirror_needs_a_release() -> None:
    with pytest.raises(UsageError, match="green holds no release"):
        http_route(
            "digits", "local-a", {"blue": A, "green": None, "green_weight": 0}, intent=0, mirror="green"
        )


def test_weight_tenths_forgives_binary_fractions_only() -> None:
    assert [weight_tenths(value) for value in (0, 0.1, 0.3, 33.3, 99.9, 100, 100.0)] == [
        0, 1, 3, 333, 999, 1000, 1000,
    ]  # fmt: skip


def test_a_foreign_route_is_no_cell() -> None:
    with pytest.raises(UsageError) as refused:
        route_cell({"metadata": {"annotations": {"lockstep.dev/blue": A}}})
    assert refused.value.code == "route.cell"
