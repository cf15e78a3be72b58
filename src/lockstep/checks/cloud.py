"""What a plan for AWS cannot keep, whatever the account: places, instance types, the law of a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lockstep.checks.problem import Problem

if TYPE_CHECKING:
    from infra.cloud import Cloud
    from lockstep.table import Table


def problems(cloud: Cloud, regions: Sequence[str], table: Table) -> Iterator[Problem]:
    from infra.aws.regions import jurisdiction_problems, region_problems

    unfit = region_problems(regions, cloud.capacity.instance_types)
    for said in dict.fromkeys([*unfit, *region_problems([cloud.replica.region], [])]):
        yield Problem("region.unfit", said, "infra/aws/regions.toml says what is where, and from what source")
    for model, service in cloud.services.items():
        places = dict.fromkeys([*table.get(model, {}), *regions[:1]])  # releases lie in the first region
        for said in jurisdiction_problems(model, service.jurisdictions, list(places)):
            yield Problem(
                "jurisdiction.outside",
                said,
                f"take the place out of lockstep:models.{model}, or widen the jurisdictions of its service",
            )
