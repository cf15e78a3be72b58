"""Pairs of settings that no cluster can make work: the question to the policies, which refuse them.

The rules stand in policies/capacity/; here are the facts that they judge, and nothing is compared.
"""

from __future__ import annotations

from typing import Any

from infra.aws.regions import InstanceType, type_of
from infra.cloud import Cloud
from lockstep.errors import LockstepError, Violation


def problems(cloud: Cloud) -> list[Violation]:
    """Every pair that cannot work, in a fixed order; empty when all can.

    Without an answer from OPA there is one problem, which says so: `capacity.unjudged`.
    """
    from lockstep.gate.capacity import refusals
    from lockstep.paths import here
    from lockstep.toolchain import require

    try:
        return refusals(question(cloud), here().policies, require().opa)
    except LockstepError as error:
        return [Violation("capacity.unjudged", error.message, error.remedy)]


def question(cloud: Cloud) -> dict[str, Any]:
    """The input of the policies, as policies/schema/capacity.json says it.

    Types of which nothing is known are left out: that a region does not offer them is said elsewhere.
    """
    capacity = cloud.capacity
    known = [kind for kind in map(type_of, capacity.instance_types) if kind is not None]
    return {
        "capacity": {**vars(capacity), "instance_types": list(capacity.instance_types)},
        "types": [_facts(kind) for kind in known],
        "services": {
            model: {"gpus": each.gpus, "cpu": each.cpu, "memory_gib": each.memory_gib}
            for model, each in cloud.services.items()
        },
        "nat": cloud.network.nat,
    }


def _facts(kind: InstanceType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "family": kind.family,
        "gpus": kind.gpus,
        "mig": bool(kind.mig),
        "cpu": kind.cpu,
        "room_gib": kind.room_gib,
    }
