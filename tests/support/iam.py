"""What AWS answers to a request, from the policies alone: the rules of its evaluation, for what ours use.

An explicit denial wins. Where a boundary is, it must allow. Then the principal's own policies or the
resource's must allow: either in one account, both across two, both always for a key. A resource's policy that
names an account's root hands the decision to that account. An operator that is not known here is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

Policy = Sequence[Mapping[str, Any]]
OWNERS_ALWAYS = ("s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy")
"""What the root user of a bucket's account may do whatever the bucket's policy says, as S3's pages on bucket
policies tell."""


@dataclass(frozen=True)
class Principal:
    """arn: a role's or root's, or a service's name. policy: its own; None for a service, which has none."""

    arn: str
    policy: Policy | None
    boundary: Policy | None = None

    @property
    def account(self) -> str:
        return self.arn.split(":")[4] if self.policy is not None else ""


@dataclass(frozen=True)
class Resource:
    arn: str
    account: str
    policy: Policy = ()


@dataclass(frozen=True)
class Answer:
    """by: the statement that decided; empty where nothing allows."""

    allowed: bool
    by: str = ""


def statements(text: str) -> Policy:
    found: Policy = json.loads(text)["Statement"]
    return found


def answer(who: Principal, action: str, what: Resource, context: Mapping[str, Any]) -> Answer:
    said = {name.lower(): value for name, value in {"aws:PrincipalArn": who.arn, **context}.items()}
    request = Request(who, action, what.arn, said)
    own, boundary = who.policy or (), who.boundary
    if who.arn == f"arn:aws:iam::{what.account}:root" and action in OWNERS_ALWAYS:
        return Answer(True, "owner")
    for policy in (own, boundary or (), what.policy):
        for statement in policy:
            if statement["Effect"] == "Deny" and request.concerns(statement):
                return Answer(False, statement["Sid"])
    if boundary is not None and not request.allowed_by(boundary):
        return Answer(False)
    identity = request.allowed_by(own)
    direct = request.allowed_by(what.policy, handed_on=False)
    handed_on = request.allowed_by(what.policy, handed_on=True)
    if who.policy is None:
        by = direct
    elif action.startswith("kms:") and what.arn != "*":
        by = direct or (handed_on and identity)
    elif who.account == what.account:
        by = identity or direct
    else:
        by = (direct or handed_on) and identity
    return Answer(bool(by), by or "")


@dataclass(frozen=True)
class Request:
    """context: what the request says, by names in lower case."""

    who: Principal
    action: str
    arn: str
    context: Mapping[str, Any]

    def allowed_by(self, policy: Policy, *, handed_on: bool | None = None) -> str | None:
        """The statement that allows it. handed_on: only those that name an account, or only the others."""
        for statement in policy:
            names_root = str(statement.get("Principal", {})).count(":root'") > 0
            if (
                statement["Effect"] == "Allow"
                and handed_on in (None, names_root)
                and self.concerns(statement)
            ):
                return str(statement["Sid"])
        return None

    def concerns(self, statement: Mapping[str, Any]) -> bool:
        known = {"Sid", "Effect", "Principal", "Action", "Resource", "NotResource", "Condition"}
        assert set(statement) <= known, f"not evaluated: {set(statement) - known}"
        if not any(matches(pattern, self.action, fold=True) for pattern in listed(statement["Action"])):
            return False
        if "Resource" in statement and not self._on(statement["Resource"]):
            return False
        if "NotResource" in statement and self._on(statement["NotResource"]):
            return False
        if "Principal" in statement and not self._is(statement["Principal"]):
            return False
        return all(
            holds(operator, key, listed(wanted), self.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )

    def _on(self, patterns: Any) -> bool:
        return any(matches(pattern, self.arn) for pattern in listed(patterns))

    def _is(self, principal: Any) -> bool:
        if principal == "*":
            return True
        named = [name for names in principal.values() for name in listed(names)]
        return self.who.arn in named or f"arn:aws:iam::{self.who.account}:root" in named


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


@cache
def matches(pattern: str, text: str, *, fold: bool = False) -> bool:
    """AWS's wildcards: * for any run of characters, slashes too, and ? for one."""
    parts = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(parts, text, re.IGNORECASE if fold else 0) is not None


Test = Callable[[str, str], bool]
POSITIVE: dict[str, Test] = {
    "ArnEquals": lambda wanted, found: matches(wanted, found),
    "Bool": lambda wanted, found: wanted == found,
    "NumericGreaterThan": lambda wanted, found: float(found) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, found: float(found) >= float(wanted),
    "NumericLessThan": lambda wanted, found: float(found) < float(wanted),
    "NumericLessThanEquals": lambda wanted, found: float(found) <= float(wanted),
    "StringEquals": lambda wanted, found: wanted == found,
}
NEGATED = {"ArnNotEquals": "ArnEquals", "StringNotEquals": "StringEquals"}
ANY = "ForAnyValue:"


def holds(operator: str, key: str, wanted: Sequence[str], context: Mapping[str, Any]) -> bool:
    """A condition. A key that the request has not fails what must equal, and meets what must not."""
    found = context.get(key.lower())
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    if operator in NEGATED:
        return found is None or not any(POSITIVE[NEGATED[operator]](one, found) for one in wanted)
    if operator.startswith(ANY):
        test = POSITIVE[operator.removeprefix(ANY)]
        return any(test(one, each) for one in wanted for each in listed(found or []))
    if operator not in POSITIVE:
        raise ValueError(f"{operator} is not evaluated here")
    return found is not None and any(POSITIVE[operator](one, found) for one in wanted)
