"""GPU capacity: what the pools say to Kubernetes, and the pairs that cannot work."""

from __future__ import annotations

import base64
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.aws.capacity_policies import controller_policy, queue_policy
from infra.aws.capacity_pools import (
    auto_class,
    groups,
    karpenter_class,
    node_pool,
    node_settings,
    pools,
    user_data,
)
from infra.aws.capacity_rules import problems
from infra.cloud import Capacity
from tests.support.clouds import stack

RESERVATION = "cr-0123456789abcdef0"
PLAIN = Capacity(
    by="karpenter",
    instance_types=("g6.xlarge", "g6.2xlarge"),
    min=1,
    max=4,
    spot_percent=0,
    reservation=None,
    sharing="none",
    slices=1,
)
SIZES = st.integers(0, 50).flatmap(
    lambda low: st.tuples(st.just(low), st.integers(max(low, 1), 60), st.integers(0, 100))
)


@given(SIZES)
def test_pools_never_have_more_nodes_than_declared_nor_more_spot(sizes: tuple[int, int, int]) -> None:
    low, high, percent = sizes
    capacity = replace(PLAIN, min=low, max=high, spot_percent=percent)
    for made in (pools(capacity), groups(capacity)):
        assert sum(pool.most for pool in made) == high
        assert sum(pool.least for pool in made) == low
        spot = sum(pool.most for pool in made if "spot" in pool.buying)
        assert spot * 100 <= (high - low) * percent < (spot + 1) * 100


def test_a_pool_that_is_always_there_is_limited_in_nodes_alone_and_has_room_for_a_successor() -> None:
    base = node_pool(pools(PLAIN)[0], PLAIN)
    assert base["replicas"] == 1
    assert base["limits"] == {"nodes": "2"}
    assert "weight" not in base


def test_a_pool_that_grows_is_limited_in_gpus_or_their_slices() -> None:
    four = replace(PLAIN, instance_types=("g6.12xlarge",), sharing="time-slicing", slices=3)
    assert node_pool(pools(four)[1], four)["limits"] == {"nvidia.com/gpu": str(3 * 4 * 3)}


def test_spot_is_tried_first_and_a_reservation_before_buying() -> None:
    capacity = replace(PLAIN, spot_percent=50, reservation=RESERVATION, instance_types=("g6.xlarge",))
    base, demand, spot = pools(capacity)
    assert base.buying == ("reserved",)
    assert demand.buying == ("reserved", "on-demand")
    assert node_pool(spot, capacity)["weight"] > node_pool(demand, capacity)["weight"]


@pytest.mark.parametrize("build", [auto_class, karpenter_class])
def test_a_reservation_reaches_the_nodes(build: Any) -> None:
    reserved = replace(PLAIN, reservation=RESERVATION)
    spec = build(reserved, role="nodes", group="sg-1", tag="cluster")
    assert spec["capacityReservationSelectorTerms"] == [{"id": RESERVATION}]
    assert "capacityReservationSelectorTerms" not in build(PLAIN, role="nodes", group="sg-1", tag="cluster")


def test_every_pool_keeps_other_pods_off_and_ends_its_drain() -> None:
    for pool in pools(replace(PLAIN, spot_percent=50)):
        template = node_pool(pool, PLAIN)["template"]["spec"]
        assert {"key": "nvidia.com/gpu", "effect": "NoSchedule"} in template["taints"]
        assert template["terminationGracePeriod"]


def test_the_sharing_is_what_bottlerocket_reads() -> None:
    sliced = tomllib.loads(node_settings(replace(PLAIN, sharing="time-slicing", slices=4)))
    plugin = sliced["settings"]["kubelet-device-plugins"]["nvidia"]
    assert plugin["device-sharing-strategy"] == "time-slicing"
    assert plugin["time-slicing"]["replicas"] == 4
    cut = replace(PLAIN, instance_types=("p4d.24xlarge", "p5.48xlarge"), sharing="mig", slices=7)
    plugin = tomllib.loads(node_settings(cut))["settings"]["kubelet-device-plugins"]["nvidia"]
    assert plugin["device-partitioning-strategy"] == "mig"
    assert plugin["mig"]["profile"] == {"a100.40gb": "7", "h100.80gb": "7"}
    assert base64.b64decode(user_data(cut) or "").decode() == node_settings(cut)
    assert user_data(PLAIN) is None


def test_karpenter_ends_and_marks_nothing_that_is_not_its_own() -> None:
    policy = controller_policy("1", "eu-central-1", "c", "arn:nodes", "arn:queue")
    looks = {"Look", "Prices", "Images", "LookProfile", "Cluster", "Interruptions", "StartFrom"}
    for each in policy["Statement"]:
        if each["Sid"] in looks:
            continue
        assert each["Condition"], each["Sid"]
        assert each["Resource"] != ["*"], each["Sid"]
    passes = [each for each in policy["Statement"] if "iam:PassRole" in each["Action"]]
    assert [each["Resource"] for each in passes] == [["arn:nodes"]]
    assert len(json.dumps(policy, separators=(",", ":"))) < 10240  # all inline policies of a role


def test_the_queue_takes_nothing_over_plain_http() -> None:
    (refusal,) = [each for each in queue_policy("arn:q")["Statement"] if each["Effect"] == "Deny"]
    assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def codes(**sections: dict[str, Any]) -> list[str]:
    cloud = stack("staging", **sections).cloud
    assert cloud is not None
    return [each.code for each in problems(cloud)]


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_the_committed_stacks_can_work(name: str) -> None:
    cloud = stack(name).cloud
    assert cloud is not None
    assert problems(cloud) == []


@pytest.mark.parametrize(
    ("capacity", "code"),
    [
        ({"sharing": "time-slicing", "slices": 4}, "capacity.auto_sharing"),
        ({"sharing": "mig", "slices": 7, "instance_types": ["p5.48xlarge"]}, "capacity.auto_sharing"),
        ({"by": "managed", "sharing": "mig", "slices": 7}, "capacity.mig_gpu"),
        (
            {"by": "karpenter", "sharing": "mig", "slices": 5, "instance_types": ["p5.48xlarge"]},
            "capacity.mig_slices",
        ),
        (
            {"reservation": RESERVATION, "spot_percent": 100, "instance_types": ["g6.xlarge"]},
            "capacity.reserved_spot",
        ),
        ({"reservation": RESERVATION}, "capacity.reserved_types"),
        ({"instance_types": ["g6.xlarge", "g6.12xlarge"]}, "capacity.mixed_gpus"),
        ({"sharing": "dra"}, "capacity.auto_sharing"),
        ({"by": "karpenter", "sharing": "dra"}, "capacity.dra_driver"),
        ({"by": "managed", "sharing": "dra"}, "capacity.dra_driver"),
    ],
)
def test_a_pair_that_cannot_work_is_refused_by_its_code(capacity: dict[str, Any], code: str) -> None:
    assert codes(capacity=capacity) == [code]


@pytest.mark.parametrize(
    "capacity",
    [
        {"by": "karpenter", "sharing": "time-slicing", "slices": 4},
        {"by": "managed", "sharing": "mig", "slices": 7, "instance_types": ["p5.48xlarge"]},
        {"reservation": RESERVATION, "spot_percent": 50, "instance_types": ["g6.xlarge"]},
    ],
)
def test_its_neighbours_are_not(capacity: dict[str, Any]) -> None:
    assert codes(capacity=capacity) == []


@pytest.mark.parametrize(
    ("capacity", "service", "code"),
    [
        ({"by": "managed", "sharing": "time-slicing", "slices": 4}, {"gpus": 2}, "capacity.shared_gpus"),
        ({}, {"gpus": 2}, "capacity.pod_gpus"),
        ({}, {"memory_gib": 15}, "capacity.pod_size"),
        ({}, {"cpu": 4}, "capacity.pod_size"),
    ],
)
def test_a_pod_that_fits_no_node_is_refused(
    capacity: dict[str, Any], service: dict[str, Any], code: str
) -> None:
    assert codes(capacity=capacity, services={"digits": service}) == [code]


def test_pairs_that_nobody_judged_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without the outside programs."""
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path))
    assert codes() == ["capacity.unjudged"]


def test_a_cluster_whose_nodes_reach_no_image_is_refused() -> None:
    assert codes(network={"nat": "none", "flow_log_days": 30}) == ["network.no_images"]
