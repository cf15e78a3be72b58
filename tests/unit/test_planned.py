"""planned.py: the tree that a preview is shown as, and what one stack has otherwise than another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.planned import STACK, UNKNOWN, Difference, difference_lines, differences, short_type, tree


@dataclass(frozen=True)
class Made:
    type: str
    name: str
    parent: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def urn(self) -> str:
        return f"{self.type}::{self.name}"


ROOT = Made(STACK, "lockstep-staging")
VPC = Made(
    "aws:ec2/vpc:Vpc", "network", ROOT.urn, {"cidrBlock": "10.16.0.0/16", "tags": {"Name": "x-staging-net"}}
)
NAMES = ("staging", "prod")


def changed(**inputs: Any) -> Made:
    return Made(VPC.type, VPC.name, VPC.parent, {**VPC.inputs, **inputs})


def test_a_token_is_shown_as_people_write_it() -> None:
    assert short_type("aws:ec2/vpc:Vpc") == "aws:ec2:Vpc"
    assert short_type("kubernetes:gateway.networking.k8s.io/v1:HTTPRoute") == (
        "kubernetes:gateway.networking.k8s.io:HTTPRoute"
    )


def test_children_stand_under_their_parent_and_the_stack_is_not_shown() -> None:
    region = Made("lockstep:infra:Region", "region-a", ROOT.urn)
    inside = Made("aws:ec2/vpc:Vpc", "network-a", region.urn)
    after = Made("lockstep:index:PromotionGate", "gate", ROOT.urn)
    assert tree([ROOT, region, after, inside]) == [
        "├─ lockstep:index:PromotionGate  gate",
        "└─ lockstep:infra:Region  region-a",
        "   └─ aws:ec2:Vpc  network-a",
    ]


def test_a_resource_whose_parent_is_not_there_is_shown_all_the_same() -> None:
    assert tree([Made("a:b:C", "orphan", "urn:elsewhere")]) == ["└─ a:b:C  orphan"]


def test_a_document_in_a_text_differs_in_what_it_says() -> None:
    def policy(days: int) -> Made:
        return changed(tags={}, policy=json.dumps({"Version": "2012-10-17", "Statement": [{"Days": days}]}))

    (found,) = differences([policy(90)], [policy(2555)], NAMES)
    assert difference_lines([found], NAMES) == [
        "aws:ec2:Vpc policy.Statement[0].Days: 90 in staging, 2555 in prod"
    ]
    (broken,) = differences([changed(tags={}, policy="{90")], [changed(tags={}, policy="{2555")], NAMES)
    assert (broken.path, broken.ours) == ("policy", "{90")


def test_the_name_of_the_environment_is_no_difference() -> None:
    assert differences([VPC], [changed(tags={"Name": "x-prod-net"})], NAMES) == []


def test_a_word_that_only_begins_like_the_environment_is_one() -> None:
    found = differences([VPC], [changed(tags={"Name": "x-production-net"})], NAMES)
    assert [each.path for each in found] == ["tags.Name"]


def test_a_property_that_one_has_and_the_other_has_not_is_a_difference() -> None:
    found = differences([VPC], [changed(tags={"Name": "x-prod-net"}, extra=[1])], NAMES)
    assert found == [Difference(VPC.type, VPC.name, "extra[0]", None, 1)]


def test_a_resource_that_only_one_has_is_said_with_where_it_is() -> None:
    more = Made("aws:ec2/natGateway:NatGateway", "nat-b")
    assert difference_lines(
        differences([VPC, more], [changed(tags={"Name": "x-prod-net"})], NAMES), NAMES
    ) == ["aws:ec2:NatGateway: only in staging"]
    assert difference_lines(differences([], [more], NAMES), NAMES) == ["aws:ec2:NatGateway: only in prod"]


def test_what_is_otherwise_alike_is_one_line() -> None:
    ours = [Made("aws:x/y:Log", name, "", {"days": 30}) for name in "abc"]
    theirs = [Made("aws:x/y:Log", name, "", {"days": 365 if name != "c" else UNKNOWN}) for name in "abc"]
    assert difference_lines(differences(ours[:2], theirs[:2], NAMES), NAMES) == [
        "aws:x:Log x 2 days: 30 in staging, 365 in prod"
    ]
    assert difference_lines(differences(ours, theirs, NAMES), NAMES) == [
        "aws:x:Log x 3 days: 30 in staging, 365 in prod, and 1 more such pairs"
    ]


def test_a_name_that_a_provider_made_up_is_no_difference() -> None:
    ours, theirs = (
        Made("aws:x/y:Log", "log", "", {"name": f"log-{tail}", "__defaults": ["name"]}) for tail in "ab"
    )
    assert differences([ours], [theirs], NAMES) == []


def test_what_the_engine_needs_for_itself_is_no_difference() -> None:
    assert differences([ROOT], [Made(STACK, "lockstep-prod")], NAMES) == []
