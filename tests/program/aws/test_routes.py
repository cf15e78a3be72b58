"""Routes on a cluster: where nobody serves, clients are told; the record can be found from the object."""

from __future__ import annotations

import pytest

from infra.aws.route import answering, whole
from lockstep.local.httproute import ANNOTATION, http_route

RELEASE, RECORD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
EMPTY = {"blue": None, "green": None, "green_weight": 0}


@pytest.mark.parametrize("cell", [EMPTY, {"withdraw": RELEASE}], ids=["empty", "withdrawn"])
def test_where_nobody_serves_the_answer_is_404(cell: dict[str, object]) -> None:
    route = answering(http_route("digits", "eu-central-1", cell, intent=3))
    (rule,) = route["spec"]["rules"]
    assert rule["filters"][-1]["extensionRef"]["name"] == route["metadata"]["name"]
    assert "backendRefs" not in rule


def test_a_route_that_somebody_serves_is_left_alone() -> None:
    cell = {"blue": RELEASE, "green": None, "green_weight": 0}
    route = http_route("digits", "eu-central-1", cell, intent=3)
    assert answering(route) == route


def test_the_object_names_its_record() -> None:
    route = http_route("digits", "eu-central-1", EMPTY, intent=3, record=RECORD)
    assert route["metadata"]["annotations"][ANNOTATION + "record"] == RECORD
    assert ANNOTATION + "record" not in http_route("d", "r", EMPTY, intent=3)["metadata"]["annotations"]


@pytest.mark.parametrize("cell", [EMPTY, {"withdraw": RELEASE}, {**EMPTY, "blue": RELEASE}])
def test_a_cell_whose_nulls_the_engine_has_dropped_is_whole_again(cell: dict[str, object]) -> None:
    crossed = {key: value for key, value in cell.items() if value is not None}
    assert whole(crossed) == cell
