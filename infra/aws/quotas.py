"""What the account allows in a region, asked beside everything else; what does not fit is said with the plan.

Said, and never refused: a quota can be raised at any time, and a rollback, which moves weights alone, needs
no node. For the same reason nobody waits for it: an account that may not be asked and a region that is silent
are a note after a few seconds. The SDK's own call cannot be given up, so the engine is asked with a deadline.
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

from infra.aws.preflight import SERVICE, Quota, misfits, quotas, unknown
from infra.aws.site import Site

FUNCTION = "aws:servicequotas/getServiceQuota:getServiceQuota"
PATIENCE_S = 5.0
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


async def _asked(site: Site, codes: Sequence[str]) -> dict[str, Quota | str]:
    """One after the other, and no more after one without an answer: a silent region is waited for once."""
    provider = site.ground.provider
    reference = f"{await provider.urn.future()}::{await provider.id.future() or UNKNOWN}"
    found: dict[str, Quota | str] = {}
    for code in codes:
        answer = await asyncio.to_thread(_ask, reference, site.region, code)
        if isinstance(answer, str):
            return {**dict.fromkeys(codes, answer), **found}
        found[code] = answer
    return found


def _ask(provider: str, region: str, code: str) -> Quota | str:
    """One quota, or why it is not known."""
    arguments = Struct()
    arguments.update({"serviceCode": SERVICE, "quotaCode": code, "region": region})
    question = resource_pb2.ResourceInvokeRequest(tok=FUNCTION, args=arguments, provider=provider)
    engine: Any = get_monitor()
    try:
        answer = engine.Invoke(question, timeout=PATIENCE_S)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer within {PATIENCE_S:g} s"
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
