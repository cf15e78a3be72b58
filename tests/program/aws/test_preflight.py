"""What fits on a region's nodes, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.aws.preflight import Need, Quota, misfits, need, pods_per_node, quotas, room, unknown
from infra.cloud import Capacity, Service

SMALL = Capacity(
    by="auto",
    instance_types=("g6.xlarge",),
    min=1,
    max=4,
    spot_percent=0,
    reservation=None,
    sharing="none",
    slices=1,
)
SERVICE = Service(gpus=1, cpu=2, memory_gib=8, min=1, max=2, in_flight=16, jurisdictions=())
REGION = "eu-central-1"


def allowed(**vcpus: float) -> dict[str, Quota | str]:
    """Quotas by their codes, with `_` for `-`."""
    return {code.replace("_", "-"): Quota("running vCPUs", number) for code, number in vcpus.items()}


ENOUGH = allowed(L_DB2E81BA=10_000, L_417A185B=10_000, L_3819A6DF=10_000)


@pytest.mark.parametrize(
    ("types", "slices", "changes", "pods"),
    [
        (("g6.xlarge",), 1, {}, 1),
        (("g6.12xlarge",), 1, {}, 4),
        (("g6.12xlarge",), 1, {"gpus": 2}, 2),
        (("g6.12xlarge",), 1, {"gpus": 3}, 1),
        (("g6.xlarge",), 4, {"cpu": 0.5, "memory_gib": 2}, 4),
        (("g6.xlarge",), 4, {"memory_gib": 7}, 1),  # two would fit by CPU and GPU, not by memory
        (("g6.xlarge",), 4, {"cpu": 2, "memory_gib": 2}, 1),
        (("g6.xlarge",), 1, {"gpus": 2}, 0),
        (("g6.12xlarge", "g6.xlarge"), 1, {}, 1),  # the smallest type is the one that may come
    ],
)
def test_a_node_holds_what_its_gpus_cpus_and_memory_allow(
    types: tuple[str, ...], slices: int, changes: dict[str, int], pods: int
) -> None:
    capacity = replace(SMALL, instance_types=types, slices=slices)
    assert pods_per_node(capacity, replace(SERVICE, **changes)) == pods


def test_both_slots_at_full_size_and_a_pod_that_surges_are_counted() -> None:
    assert need(SMALL, [SERVICE]) == Need(full=5, surge=4)
    assert need(SMALL, [SERVICE, replace(SERVICE, max=4, min=2)]) == Need(full=14, surge=11)
    assert need(SMALL, [replace(SERVICE, gpus=0)]) == Need(0, 0)


def test_nothing_is_said_when_everything_fits() -> None:
    assert misfits(REGION, replace(SMALL, max=5), [SERVICE], ENOUGH) == []
    assert unknown(REGION, SMALL, ENOUGH) == []


def test_the_surge_path_is_offered_where_it_fits_and_only_there() -> None:
    (said,) = misfits(REGION, SMALL, [SERVICE], ENOUGH)
    assert "both slots at full size need 5 nodes, and capacity.max is 4" in said
    assert "goes by surge" in said
    (said,) = misfits(REGION, replace(SMALL, max=3), [SERVICE], ENOUGH)
    assert "not even one slot" in said


def test_a_quota_is_counted_in_vcpus_of_the_largest_type_by_how_nodes_are_bought() -> None:
    mixed = replace(SMALL, instance_types=("g6.xlarge", "g6.2xlarge", "p5.4xlarge"), max=11, spot_percent=50)
    assert quotas(mixed) == {"L-DB2E81BA": 48, "L-417A185B": 96, "L-3819A6DF": 40, "L-7212CCBC": 80}


def test_a_quota_that_is_too_small_is_named() -> None:
    roomy = replace(SMALL, max=6)
    (said,) = misfits(REGION, roomy, [SERVICE], allowed(L_DB2E81BA=23))  # five nodes: all that is needed
    assert said.startswith("eu-central-1: quota L-DB2E81BA (running vCPUs) allows 23 vCPUs, and 6 on-demand")
    assert "nodes need 24" in said
    assert "slots" not in said
    assert misfits(REGION, roomy, [SERVICE], allowed(L_DB2E81BA=24)) == []


@pytest.mark.parametrize(
    ("vcpus", "nodes", "way"),
    [(16, 4, "a promotion goes by surge"), (15.9, 3, "not even one slot"), (0, 0, "not even one slot")],
)
def test_what_a_quota_leaves_decides_whether_a_promotion_goes_by_surge(
    vcpus: float, nodes: int, way: str
) -> None:
    (said,) = misfits(REGION, replace(SMALL, max=5), [SERVICE], allowed(L_DB2E81BA=vcpus))
    assert f"allows {vcpus:g} vCPUs" in said
    assert f"need 5 nodes, and that leaves {nodes}; {way}" in said


def test_nodes_of_each_way_of_buying_are_limited_by_their_own_quota() -> None:
    half = replace(SMALL, max=11, spot_percent=50)
    assert room(half, allowed(L_DB2E81BA=8, L_3819A6DF=10_000)) == 2 + 5
    assert room(half, allowed(L_DB2E81BA=10_000, L_3819A6DF=4)) == 6 + 1
    assert room(half, {"L-DB2E81BA": "nobody may ask"}) == 11
    both = replace(SMALL, instance_types=("g6.xlarge", "p5.4xlarge"), max=4)
    assert room(both, allowed(L_DB2E81BA=10_000, L_417A185B=16)) == 1  # p5 may be what comes


def test_a_quota_that_nobody_knows_is_said_to_be_unknown_and_limits_nothing() -> None:
    roomy = replace(SMALL, max=5)
    for known, why in (({}, "nobody asked"), ({"L-DB2E81BA": "AccessDenied"}, "AccessDenied")):
        (said,) = unknown(REGION, roomy, known)
        assert (
            said == f"eu-central-1: quota L-DB2E81BA is not known ({why}): 20 vCPUs are needed at full size"
        )
        assert misfits(REGION, roomy, [SERVICE], known) == []
