"""What a plan for AWS cannot keep: the rules of the program itself, asked before any preview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstep.checks.problem import Problem

if TYPE_CHECKING:
    from infra.aws.preflight import Quota, Quotas
    from infra.cloud import Cloud
    from infra.config import Settings

CONNECT_S = 3.0


def places(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Regions and instance types, from a stack file as it stands: also one that is wrong elsewhere."""
    from infra.aws import plan_rules

    regions = [each.get("name") for each in _list(values.get("lockstep:regions")) if isinstance(each, dict)]
    types = _list(_mapping(values.get("lockstep:capacity")).get("instance_types"))
    copy = _mapping(_mapping(values.get("lockstep:audit")).get("replica")).get("region")
    for each in plan_rules.places(_texts(regions), _texts(types), _texts([copy])):
        yield Problem(each.code, each.message, each.remedy)


def plan(settings: Settings, cloud: Cloud) -> Iterator[Problem]:
    """What takes the whole of a good stack file: jurisdictions, pairs of settings, capacity."""
    from infra.aws import plan_rules

    for each in plan_rules.plan(settings, cloud):
        yield Problem(each.code, each.message, each.remedy)


def reach(settings: Settings, cloud: Cloud) -> Iterator[Problem]:
    """Clusters that are there and that this machine cannot reach. Asks EKS where they are, and connects."""
    import socket
    from urllib.parse import urlsplit

    from lockstep.aws.cluster import cluster_of
    from lockstep.errors import LockstepError

    for region in settings.regions:
        try:
            cluster = cluster_of(settings.environment, region)
        except LockstepError as error:
            yield Problem(error.code, f"{region}: {error.message}", error.remedy)
            continue
        if cluster is None:
            continue
        where = urlsplit(cluster.server)
        try:
            socket.create_connection((str(where.hostname), where.port or 443), CONNECT_S).close()
        except OSError as error:
            way = "add this machine's block to lockstep:cluster.endpoint"
            if not cloud.cluster.allow:
                way = "work from inside its network, or list in lockstep:cluster.endpoint who may reach it"
            yield Problem(
                "cluster.unreachable",
                f"the cluster of {region} at {where.hostname} cannot be reached from this machine: {error}",
                way,
            )


def quotas(settings: Settings, cloud: Cloud) -> dict[str, Quotas]:
    """Region -> its quotas that the plan takes from, each with what it allows or why nobody knows. Asks all
    regions at once, so that one that is silent holds up no other."""
    from concurrent.futures import ThreadPoolExecutor

    from infra.aws import preflight

    codes = list(preflight.quotas(cloud.capacity))
    with ThreadPoolExecutor(max(len(settings.regions), 1)) as pool:
        found = pool.map(lambda region: quotas_in(region, codes), settings.regions)
        return dict(zip(settings.regions, found, strict=True))


def quotas_in(region: str, codes: Sequence[str]) -> Quotas:
    """What Service Quotas says of one region. Ends at the first that is not answered: the next would be
    waited for as long."""
    from lockstep.errors import LockstepError

    found: dict[str, Quota | str] = {}
    for code in codes:
        try:
            found[code] = _quota(region, code)
        except LockstepError as error:
            return {**dict.fromkeys(codes, error.message), **found}
    return found


def _quota(region: str, code: str) -> Quota | str:
    """An account has a quota of its own only once it was set; until then AWS's default holds.

    Raises LockstepError where Service Quotas refuses or is silent.
    """
    from infra.aws.preflight import Quota
    from lockstep.aws.service import Refused

    try:
        said = _service_quota(region, "GetServiceQuota", code)
    except Refused as error:
        if error.name != "NoSuchResourceException":
            raise
        said = _service_quota(region, "GetAWSDefaultServiceQuota", code)
    value = said.get("Value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "the answer has no number"
    return Quota(str(said.get("QuotaName")), float(value))


def _service_quota(region: str, operation: str, code: str) -> dict[str, Any]:
    from infra.aws.preflight import SERVICE
    from lockstep.aws.credentials import Chain
    from lockstep.aws.service import Service

    service = Service("servicequotas", region, Chain(region))
    target = f"ServiceQuotasV20190624.{operation}"
    return _mapping(service.call(target, ServiceCode=SERVICE, QuotaCode=code).get("Quota"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(values: Sequence[object]) -> list[str]:
    return [each for each in values if isinstance(each, str)]
