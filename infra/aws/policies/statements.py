"""Policy documents: statements, and the text that AWS is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Statement: TypeAlias = dict[str, Any]
Conditions: TypeAlias = Mapping[str, Mapping[str, Any]]

EVERYBODY = "*"
IDENTITY, BUCKET, KEY, TRUST, BOUNDARY = 10240, 20480, 32768, 2048, 6144
"""The longest text that AWS takes: all inline policies of a role, a bucket's, a key's, a trust policy and a
managed policy, which a boundary is."""


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str] | str = "*",
    *,
    to: Mapping[str, Any] | None = None,
    when: Conditions | None = None,
) -> Statement:
    """What may be done. to: the principals, in a resource's policy; when: all of these must hold."""
    return _statement("Allow", sid, actions, {"Resource": resources}, to, when)


def deny(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str] | str = "*",
    *,
    to: Mapping[str, Any] | str | None = None,
    when: Conditions | None = None,
    elsewhere: bool = False,
) -> Statement:
    """What nothing else can allow. elsewhere: on everything but the resources."""
    return _statement("Deny", sid, actions, {"NotResource" if elsewhere else "Resource": resources}, to, when)


def _statement(
    effect: str,
    sid: str,
    actions: Sequence[str],
    resources: Mapping[str, Any],
    to: Mapping[str, Any] | str | None,
    when: Conditions | None,
) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": effect}
    if to is not None:
        statement["Principal"] = to
    statement |= {"Action": list(actions), **resources}
    if when is not None:
        statement["Condition"] = {operator: dict(keys) for operator, keys in when.items()}
    return statement


def document(statements: Sequence[Statement], limit: int) -> str:
    """The text of a policy. Raises ValueError where AWS would refuse it: too long, or two statements of one
    name."""
    names = [statement["Sid"] for statement in statements]
    if len(set(names)) < len(names):
        raise ValueError(f"two statements have one name: {', '.join(sorted(names))}")
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))
    if len(text) > limit:
        raise ValueError(f"the policy that starts with {names[0]} has {len(text)} characters, over {limit}")
    return text
