"""What a stack file may not ask of AWS, whatever the account: said by `check`, and refused by the program.

Plain `pulumi up` asks no `check`; so the program asks the same rules before it declares anything. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.aws import capacity_rules
from infra.aws.preflight import Quotas, misfits, need, unknown
from infra.aws.regions import jurisdiction_problems, region_problems
from infra.cloud import Cloud
from infra.config import Settings
from lockstep.errors import UsageError
from lockstep.release.url import S3Place, parse_url

SOURCE = "infra/aws/regions.toml says what is offered where, and from what source"


@dataclass(frozen=True)
class Refusal:
    """code: stable; remedy: the next step."""

    code: str
    message: str
    remedy: str


def places(regions: Sequence[str], types: Sequence[str], copy: Sequence[str]) -> Iterator[Refusal]:
    """Regions and instance types that are not there. copy: where the log is copied to, if anywhere."""
    said = region_problems(regions, types) + region_problems(copy, [])
    yield from (Refusal("region.unfit", each, SOURCE) for each in dict.fromkeys(said))


def plan(settings: Settings, cloud: Cloud) -> Iterator[Refusal]:
    """Jurisdictions, pairs of settings that cannot work, and capacity that not even a surge fits into."""
    for model, service in cloud.services.items():
        where = dict.fromkeys([*settings.table.get(model, {}), settings.home])  # releases lie at home
        for said in jurisdiction_problems(model, service.jurisdictions, list(where)):
            yield Refusal(
                "jurisdiction.outside",
                said,
                f"take the place out of lockstep:models.{model}, or widen the jurisdictions of its service",
            )
    store = parse_url(settings.store) if settings.store else None
    if isinstance(store, S3Place) and not _is_registry(store, settings, cloud):
        yield Refusal(
            "store.elsewhere",
            f"lockstep:store: {settings.store} is not the bucket of the stack's own releases, and its pods "
            "may read no other",
            "take lockstep:store out of the file; the bucket is called by lockstep:registry.bucket",
        )
    for pair in capacity_rules.problems(cloud):
        yield Refusal(pair.code, pair.message, pair.remedy)
    wanted = need(cloud.capacity, list(cloud.services.values()))
    if wanted.surge > cloud.capacity.max:
        yield Refusal(
            "capacity.too_small",
            f"one slot at full size and the other at its minimum need {wanted.surge} GPU nodes a region, "
            f"and lockstep:capacity.max is {cloud.capacity.max}",
            f"raise max to {wanted.surge}, or to {wanted.full} for both slots at full size; or lower the "
            "replicas in lockstep:services",
        )


def notes(settings: Settings, cloud: Cloud, known: Mapping[str, Quotas]) -> list[str]:
    """What is to be known before an update, and wrong with nothing: quotas, and promotions that go by surge.

    known: region -> what its quotas allow, as far as they were asked for.
    """
    services, lines = list(cloud.services.values()), []
    for name in settings.regions:
        lines += unknown(name, cloud.capacity, known.get(name, {}))
        lines += misfits(name, cloud.capacity, services, known.get(name, {}))
    if not cloud.cluster.allow:
        lines.append(
            "lockstep:cluster.endpoint is private: only machines inside a region's network, which the first "
            "update makes, reach its cluster; docs/aws.md says how a first update gets there"
        )
    if settings.store.startswith("file:"):
        lines.append("lockstep:store is a folder of this machine, which no pod can read")
    gpus = [model for model, service in cloud.services.items() if service.gpus]
    if gpus and settings.runtime == "onnx":
        lines.append(
            f"{', '.join(gpus)}: pods ask for GPUs (lockstep:services), and lockstep:runtime: onnx runs on "
            "the CPU"
        )
    return lines


def _is_registry(store: S3Place, settings: Settings, cloud: Cloud) -> bool:
    return store.bucket == cloud.registry and not store.endpoint and store.region in ("", settings.home)


def require(settings: Settings, cloud: Cloud) -> None:
    """Raises UsageError `config.refused` with every refusal."""
    copy = [cloud.replica.region]
    found = [*places(settings.regions, cloud.capacity.instance_types, copy), *plan(settings, cloud)]
    if found:
        lines = "\n".join(f"  {each.message} [{each.code}]" for each in found)
        raise UsageError(
            f"the stack's config asks for what AWS cannot give:\n{lines}",
            code="config.refused",
            remedy="./lockstep check <stack> says what to do about each",
        )
