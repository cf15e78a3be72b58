"""Roles of AWS services and of pods in a region: who may take one, and what it may do.

Every role is made here, so that none can be taken by an account or a pod that the call does not name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.site import Site

Document = dict[str, Any]
VERSION = "2012-10-17"
PODS = "pods.eks.amazonaws.com"


def document(*statements: Mapping[str, Any]) -> Document:
    return {"Version": VERSION, "Statement": [dict(each) for each in statements]}


def allow(actions: Sequence[str], resources: Sequence[str], **more: Any) -> Document:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources), **more}


def trust(service: str, *, tagging: bool = False) -> Document:
    """Only this service takes the role. tagging: it marks its sessions, as EKS does."""
    actions = ["sts:AssumeRole", "sts:TagSession"] if tagging else ["sts:AssumeRole"]
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": actions})


def role(
    site: Site,
    name: str,
    trusted: Document,
    *,
    managed: Sequence[str] = (),
    own: pulumi.Input[str] | None = None,
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """A role, and what gives it its rights: who uses the role waits for these, and is gone before them.

    managed: names of AWS's own policies; own: one policy document as JSON.
    """
    made = aws.iam.Role(
        f"role-{name}-{site.region}",
        name=site.name(name),
        assume_role_policy=json.dumps(trusted),
        permissions_boundary=site.ground.boundary,
        tags=site.tags(name),
        opts=site.options(),
    )
    rights: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"role-{name}-{site.region}-{policy}",
            role=made.name,
            policy_arn=f"arn:aws:iam::aws:policy/{policy}",
            opts=site.options(),
        )
        for policy in managed
    ]
    if own is not None:
        rights.append(
            aws.iam.RolePolicy(
                f"role-{name}-{site.region}-own", role=made.name, policy=own, opts=site.options()
            )
        )
    return made, rights
