"""What is known of regions and instance types, and what is said about those that are not."""

from __future__ import annotations

import re

import botocore.session
import pytest

from infra.aws.regions import (
    is_offered,
    jurisdiction_problems,
    known,
    region_of,
    region_problems,
    type_of,
)
from infra.cloud.read import INSTANCE_TYPE


def test_every_region_is_one_that_aws_has() -> None:
    offered = botocore.session.get_session().get_available_regions("ec2", allow_non_regional=False)
    assert known()[0].keys() <= set(offered)


def test_every_region_has_three_zones_of_its_own_and_known_families() -> None:
    families = {kind.family for kind in known()[1].values()}
    zones = [zone for region in known()[0].values() for zone in region.zones]
    assert len(set(zones)) == len(zones) == 3 * len(known()[0])
    for region in known()[0].values():
        assert len({zone.split("-")[0] for zone in region.zones}) == 1
        assert set(region.families) <= families
        assert set(region.without) <= known()[1].keys()


def test_the_zone_without_a_control_plane_is_left_out() -> None:
    region = region_of("us-east-1")
    assert region is not None
    assert "use1-az3" not in region.zones


def test_every_instance_type_can_be_declared_and_has_gpus() -> None:
    for kind in known()[1].values():
        assert INSTANCE_TYPE.fullmatch(kind.name)
        assert kind.gpus >= 1
        assert 0 < kind.cpu < kind.vcpus
        assert 0 < kind.room_gib < kind.memory_gib


def test_jurisdictions_are_written_as_config_takes_them() -> None:
    assert all(re.fullmatch(r"[a-z]{2}", region.jurisdiction) for region in known()[0].values())
    told = {name: region_of(name) for name in ("eu-central-1", "eu-west-2", "eu-central-2", "us-west-2")}
    assert [place.jurisdiction if place else None for place in told.values()] == ["eu", "gb", "ch", "us"]


@pytest.mark.parametrize(
    ("region", "kind", "offered"),
    [
        ("eu-central-1", "g6.xlarge", True),
        ("ap-southeast-1", "g6.xlarge", False),
        ("ap-northeast-2", "p5.48xlarge", True),
        ("ap-northeast-2", "p5.4xlarge", False),
        ("eu-central-1", "m5.large", False),
        ("nowhere-1", "g6.xlarge", False),
    ],
)
def test_a_type_is_offered_where_one_of_the_zones_has_it(region: str, kind: str, offered: bool) -> None:
    assert is_offered(kind, region) is offered


def test_what_is_wrong_with_regions_and_types_is_said_all_at_once() -> None:
    found = region_problems(["eu-centrall-1", "ap-southeast-1", "eu-central-1"], ["g6.xlarge", "g6.xlarg"])
    assert [line.split(":")[0] for line in found] == [
        "'eu-centrall-1' is no region that Lockstep knows; did you mean eu-central-1?",
        "ap-southeast-1 does not offer g6.xlarge; its GPU families",
        "'g6.xlarg' is no instance type with an NVIDIA GPU behind x86; did you mean g6.xlarge?",
    ]
    assert region_problems(["eu-central-1"], ["g6.xlarge"]) == []


def test_a_model_outside_its_jurisdictions_is_named_with_the_region() -> None:
    assert jurisdiction_problems("digits", [], ["us-east-1"]) == []
    assert jurisdiction_problems("digits", ["eu", "us"], ["eu-west-1", "us-east-1"]) == []
    assert jurisdiction_problems("digits", ["eu"], ["eu-west-1", "us-east-1", "eu-west-2"]) == [
        "digits may lie in eu only, and us-east-1 is in us",
        "digits may lie in eu only, and eu-west-2 is in gb",
    ]
    assert "no region is in 'ap'" in jurisdiction_problems("digits", ["ap"], [])[0]


def test_a_type_that_is_not_known_is_none() -> None:
    assert type_of("m5.large") is None
    assert region_of("us-west-1") is None  # two zones only
