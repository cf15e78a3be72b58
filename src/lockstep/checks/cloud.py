"""What a plan for AWS cannot keep, whatever the account: places, types, the law of a place, capacity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstep.checks.problem import Problem

if TYPE_CHECKING:
    from infra.cloud import Cloud
    from lockstep.table import Table

SOURCE = "infra/aws/regions.toml says what is offered where, and from what source"


def places(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Regions and instance types, from a stack file as it stands: also one that is wrong elsewhere."""
    from infra.aws.regions import region_problems

    regions = [each.get("name") for each in _list(values.get("lockstep:regions")) if isinstance(each, dict)]
    types = _list(_mapping(values.get("lockstep:capacity")).get("instance_types"))
    copy = _mapping(_mapping(values.get("lockstep:audit")).get("replica")).get("region")
    said = region_problems(_texts(regions), _texts(types)) + region_problems(_texts([copy]), [])
    yield from (Problem("region.unfit", each, SOURCE) for each in dict.fromkeys(said))


def plan(cloud: Cloud, regions: Sequence[str], table: Table) -> Iterator[Problem]:
    """What takes the whole of a good stack file: jurisdictions, pairs of settings, capacity."""
    from infra.aws import capacity_rules
    from infra.aws.preflight import need
    from infra.aws.regions import jurisdiction_problems

    for model, service in cloud.services.items():
        where = dict.fromkeys([*table.get(model, {}), *regions[:1]])  # releases lie in the first region
        for said in jurisdiction_problems(model, service.jurisdictions, list(where)):
            yield Problem(
                "jurisdiction.outside",
                said,
                f"take the place out of lockstep:models.{model}, or widen the jurisdictions of its service",
            )
    for refusal in capacity_rules.problems(cloud):
        yield Problem(
            refusal.code, refusal.said, "see lockstep:capacity in Pulumi.yaml for what goes together"
        )
    wanted = need(cloud.capacity, list(cloud.services.values()))
    if wanted.surge > cloud.capacity.max:
        yield Problem(
            "capacity.too_small",
            f"one slot at full size and the other at its minimum need {wanted.surge} GPU nodes a region, "
            f"and lockstep:capacity.max is {cloud.capacity.max}",
            f"raise max to {wanted.surge}, or to {wanted.full} for both slots at full size; or lower the "
            "replicas in lockstep:services",
        )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(values: Sequence[object]) -> list[str]:
    return [each for each in values if isinstance(each, str)]
