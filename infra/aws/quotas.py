"""What the account allows in a region, asked beside everything else; what does not fit is said with the plan.

Said, and never refused: a quota can be raised at any time, and a rollback, which moves weights alone, needs
no node. For the same reason nobody waits long: an account that may not be asked and a region that is silent
are a note after seconds. So Service Quotas is asked from here: the engine does not give up a function that it
has asked of a provider (tried), and the one for AWS tries a silent region for minutes. Stand-ins are asked by
that function, because nobody else knows their numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pulumi
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.rpc import UNKNOWN
from pulumi.runtime.settings import get_monitor

from infra.aws.preflight import SERVICE, Quota, Quotas, misfits, quotas, unknown
from infra.aws.site import Site
from infra.config import standing_in

FUNCTION = "aws:servicequotas/getServiceQuota:getServiceQuota"
LONGEST = 200
"""Letters of somebody else's error in a line of ours."""


def say_what_does_not_fit(site: Site) -> pulumi.Output[list[str]]:
    """Warn of what does not fit, and note what nobody knows, under the region's component. Never fails.

    The warnings, when they are said; the program ends after that, whether anybody waits for them or not.
    """
    return pulumi.Output.from_input(_said(site))


async def _said(site: Site) -> list[str]:
    cloud = site.ground.cloud
    known = await _asked(site, list(quotas(cloud.capacity)))
    warnings = misfits(site.region, cloud.capacity, list(cloud.services.values()), known)
    for line in warnings:
        pulumi.log.warn(line, resource=site.component)
    for line in unknown(site.region, cloud.capacity, known):
        pulumi.log.info(line, resource=site.component)
    return warnings


async def _asked(site: Site, codes: Sequence[str]) -> Quotas:
    if not standing_in():
        from lockstep.checks.cloud import quotas_in

        return await asyncio.to_thread(quotas_in, site.region, codes)
    provider = site.ground.provider
    reference = f"{await provider.urn.future()}::{await provider.id.future() or UNKNOWN}"
    answers = [await asyncio.to_thread(_ask, reference, site.region, code) for code in codes]
    return dict(zip(codes, answers, strict=True))


def _ask(provider: str, region: str, code: str) -> Quota | str:
    """One quota as the provider says it, or why it is not known."""
    arguments = Struct()
    arguments.update({"serviceCode": SERVICE, "quotaCode": code, "region": region})
    question = resource_pb2.ResourceInvokeRequest(tok=FUNCTION, args=arguments, provider=provider)
    engine: Any = get_monitor()
    try:
        answer = engine.Invoke(question)
    except grpc.RpcError as error:
        return _line(error.details())
    if answer.failures:
        return _line(answer.failures[0].reason)
    fields = getattr(answer, "return").fields
    value = fields["value"]
    if value.WhichOneof("kind") != "number_value":
        return "the answer has no number"
    return Quota(fields["quotaName"].string_value, value.number_value)


def _line(said: str | None) -> str:
    text = " ".join((said or "no reason was given").split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
