"""Policies as resources take them: texts that are known once the account is, which is in preview."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pulumi

from infra.aws.ground import Ground
from infra.aws.policies.names import Names, names_of
from infra.aws.policies.roles import Keys
from infra.aws.policies.statements import Statement, document


def of_names(ground: Ground, policy: Callable[[Names], list[Statement]], limit: int) -> pulumi.Output[str]:
    settings = ground.settings
    return ground.account.apply(lambda number: document(policy(names_of(settings, number)), limit))


def of_keys(
    ground: Ground,
    policy: Callable[[Names, Keys], list[Statement]],
    keys: Mapping[str, pulumi.Output[str]],
    limit: int,
) -> pulumi.Output[str]:
    """For a policy that speaks of keys: known once they are made."""
    arns: pulumi.Output[dict[str, str]] = pulumi.Output.all(**keys)
    return arns.apply(lambda known: of_names(ground, lambda names: policy(names, known), limit))
