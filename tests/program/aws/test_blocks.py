"""The plan of a VPC's block, by property: whatever the block and the zones."""

from __future__ import annotations

import ipaddress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.aws.blocks import ZONES, plan
from infra.aws.regions import known
from infra.cloud.read import LARGEST_VPC, SMALLEST_VPC

NETWORKS = st.builds(
    lambda prefix, index: str(list(ipaddress.IPv4Network("10.0.0.0/12").subnets(new_prefix=prefix))[index]),
    st.integers(LARGEST_VPC, SMALLEST_VPC),
    st.integers(0, 15),
)
NUMBERS = st.lists(st.integers(1, ZONES), min_size=1, max_size=ZONES, unique=True)
LEAST_PUBLIC = 8
"""Addresses that AWS wants free in a subnet that a load balancer is put into."""


def ids(numbers: list[int]) -> list[str]:
    return [f"euc1-az{number}" for number in numbers]


@given(NETWORKS, NUMBERS)
def test_no_two_subnets_share_an_address_and_none_leaves_the_block(cidr: str, numbers: list[int]) -> None:
    blocks = [
        ipaddress.IPv4Network(each)
        for zone in plan(cidr, ids(numbers))
        for each in (zone.private, zone.public)
    ]
    whole = ipaddress.IPv4Network(cidr)
    assert all(block.subnet_of(whole) for block in blocks)
    assert not any(one.overlaps(other) for one, other in combinations(blocks, 2))


@given(NETWORKS, NUMBERS, st.data())
def test_a_zone_that_comes_goes_or_moves_in_the_list_moves_no_other_subnet(
    cidr: str, numbers: list[int], data: st.DataObject
) -> None:
    before = {each.zone: each for each in plan(cidr, ids(numbers))}
    after = {each.zone: each for each in plan(cidr, ids(data.draw(NUMBERS)))}
    assert all(after[zone] == before[zone] for zone in before.keys() & after.keys())


@given(NETWORKS, NUMBERS)
def test_a_load_balancer_fits_into_every_public_subnet_and_nodes_get_most_of_the_rest(
    cidr: str, numbers: list[int]
) -> None:
    for each in plan(cidr, ids(numbers)):
        public, private = ipaddress.IPv4Network(each.public), ipaddress.IPv4Network(each.private)
        assert public.num_addresses - 5 >= LEAST_PUBLIC
        assert private.num_addresses == 8 * public.num_addresses


@pytest.mark.parametrize("zone", ["eu-central-1a", "euc1-az0", "euc1-az7", "az1", ""])
def test_what_is_no_zone_id_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="not the id of a zone"):
        plan("10.0.0.0/16", [zone])


def test_every_known_zone_has_a_place() -> None:
    for region in known()[0].values():
        assert len(plan("10.0.0.0/20", region.zones)) == 3
