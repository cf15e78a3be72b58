"""The provider's functions: what is asked of the account, and what is worked out.

A function that no line here answers is refused: a made-up answer would be believed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lockstep.errors import LockstepError, UsageError
from lockstep.standin.aws.account import Account, Resource
from lockstep.standin.aws.behaviour import table
from lockstep.standin.aws.identity import Identity
from lockstep.standin.aws.policy import document
from lockstep.standin.aws.sdk import Signature
from lockstep.standin.aws.shape import Record
from lockstep.standin.provider import Failure
from lockstep.standin.wire import Values

KEY = "aws:kms/getKey:getKey"
REPOSITORIES = "aws:ecr/getRepositories:getRepositories"
LOOKED_UP = {
    "aws:acm/getCertificate:getCertificate": ("aws:acm/certificate:Certificate", ("domain",)),
    "aws:cloudwatch/getLogGroup:getLogGroup": ("aws:cloudwatch/logGroup:LogGroup", ("name",)),
    "aws:ec2/getSecurityGroup:getSecurityGroup": ("aws:ec2/securityGroup:SecurityGroup", ("id", "name")),
    "aws:ec2/getSubnet:getSubnet": ("aws:ec2/subnet:Subnet", ("id",)),
    "aws:ec2/getVpc:getVpc": ("aws:ec2/vpc:Vpc", ("id",)),
    "aws:ecr/getRepository:getRepository": ("aws:ecr/repository:Repository", ("name",)),
    "aws:eks/getCluster:getCluster": ("aws:eks/cluster:Cluster", ("name",)),
    "aws:iam/getOpenIdConnectProvider:getOpenIdConnectProvider": (
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        ("arn", "url"),
    ),
    "aws:iam/getPolicy:getPolicy": ("aws:iam/policy:Policy", ("arn", "name")),
    "aws:iam/getRole:getRole": ("aws:iam/role:Role", ("name",)),
    "aws:kms/getAlias:getAlias": ("aws:kms/alias:Alias", ("name",)),
    KEY: ("aws:kms/key:Key", ("keyId",)),
    "aws:route53/getZone:getZone": ("aws:route53/zone:Zone", ("zoneId", "name")),
    "aws:s3/getBucket:getBucket": ("aws:s3/bucket:Bucket", ("bucket",)),
    "aws:sqs/getQueue:getQueue": ("aws:sqs/queue:Queue", ("name",)),
}
"""Function -> the type that it looks up, and the arguments that name one, in the order of preference."""

QUOTAS = {
    "L-DB2E81BA": ("Running On-Demand G and VT instances", 0.0),
    "L-417A185B": ("Running On-Demand P instances", 0.0),
    "L-3819A6DF": ("All G and VT Spot Instance Requests", 0.0),
    "L-7212CCBC": ("All P Spot Instance Requests", 0.0),
}
"""EC2's quotas of GPU nodes, in vCPUs, as an account has them before it asks for more. Source: the defaults
in the EC2 User Guide, "On-Demand Instance quotas" and "Spot Instance quotas"."""


def answer(
    token: str, arguments: Values, signature: Signature, account: Account, region: str
) -> Values | list[Failure]:
    """A function's result. Raises LockstepError with AWS's code for what is not there."""
    if token == KEY and str(arguments.get("keyId")).startswith("alias/"):
        named = account.find("aws:kms/alias:Alias", region, arguments["keyId"])
        arguments = {"keyId": named.outputs["targetKeyId"]} if named else arguments
    if token in LOOKED_UP:
        return _looked_up(token, arguments, signature, account, region)
    if token == REPOSITORIES:
        there = [each for each in account if each.token == "aws:ecr/repository:Repository"]
        names = sorted(str(each.outputs["name"]) for each in there if each.region == region)
        return {"id": region, "names": names, "region": region}
    if token in WORKED_OUT:
        return {"id": region, **WORKED_OUT[token](arguments, region, account.number)}
    raise UsageError(
        f"the stand-in for AWS has no answer for {token}",
        code="standin.no_function",
        remedy="declare the resource, or add the function to the stand-in's functions",
    )


def _looked_up(token: str, arguments: Values, signature: Signature, account: Account, region: str) -> Values:
    kind, names = LOOKED_UP[token]
    name = next((arguments[key] for key in names if arguments.get(key)), None)
    found = None if name is None else _find(account, kind, region, names, str(name))
    if found is None:
        raise LockstepError(
            f"{token}: there is no {kind} {name or json.dumps(arguments)} in {region}",
            code=table().of(kind).missing,
            remedy="make it first, or name one that exists",
        )
    outputs = {**found.outputs, "id": found.id, "awsAccountId": account.number}
    return {
        key: outputs.get(key, _absent(signature.outputs, key))
        for key in signature.outputs.fields
        if key in outputs or signature.outputs.fields[key].required
    }


def _find(account: Account, kind: str, region: str, names: tuple[str, ...], name: str) -> Resource | None:
    if found := account.find(kind, region, name):
        return found
    for each in account:
        if each.token == kind and name.rstrip(".") in {str(each.outputs.get(key)) for key in names}:
            return each
    return None


def _absent(record: Record, key: str) -> Any:
    from lockstep.standin.aws.outputs import nothing

    return nothing(record.fields[key].shape, key)


def _identity(arguments: Values, region: str, account: str) -> Values:
    partition = Identity("", account, region).partition
    arn = f"arn:{partition}:sts::{account}:assumed-role/standin/standin"
    return {"id": account, "accountId": account, "arn": arn, "userId": "AROASTANDIN:standin"}


def _session(arguments: Values, region: str, account: str) -> Values:
    """The role behind an assumed one's session; anything else is behind itself."""
    arn = str(arguments["arn"])
    kind, _, rest = arn.rsplit(":", 1)[-1].partition("/")
    if kind != "assumed-role":
        return {"id": arn, "arn": arn, "issuerArn": arn, "issuerId": "", "issuerName": "", "sessionName": ""}
    role, _, session = rest.partition("/")
    issuer = arn.rsplit(":", 1)[0].replace(":sts:", ":iam:") + f":role/{role}"
    named = {"issuerId": "AROASTANDIN", "issuerName": role, "sessionName": session}
    return {"id": arn, "arn": arn, "issuerArn": issuer, **named}


def _partition(arguments: Values, region: str, account: str) -> Values:
    name = Identity("", "", region).partition
    suffix = "amazonaws.com.cn" if name == "aws-cn" else "amazonaws.com"
    reverse = ".".join(reversed(suffix.split(".")))
    return {"id": name, "partition": name, "dnsSuffix": suffix, "reverseDnsPrefix": reverse}


def _region(arguments: Values, region: str, account: str) -> Values:
    named = {"name": region, "region": region, "description": region}
    return {**named, "id": region, "endpoint": f"ec2.{region}.amazonaws.com"}


def _regions(arguments: Values, region: str, account: str) -> Values:
    partition = Identity("", "", region).partition
    names = [each for each in table().regions if Identity("", "", each).partition == partition]
    return {"names": names}


def _zones(arguments: Values, region: str, account: str) -> Values:
    letters = "abcdef"[: table().regions[region]]
    short = "".join(part[0] for part in region.split("-")[:-1]) + region[-1]
    names = [f"{region}{letter}" for letter in letters]
    ids = [f"{short}-az{number}" for number in range(1, len(letters) + 1)]
    left_out = set(arguments.get("excludeNames") or ()) | set(arguments.get("excludeZoneIds") or ())
    kept = [(name, zone) for name, zone in zip(names, ids, strict=True) if not {name, zone} & left_out]
    return {
        **{key: arguments[key] for key in ("state", "filters", "allAvailabilityZones") if key in arguments},
        "names": [name for name, _ in kept],
        "zoneIds": [zone for _, zone in kept],
        "groupNames": [region],
        "region": region,
    }


def _policy_document(arguments: Values, region: str, account: str) -> Values:
    text = document(arguments)
    return {**arguments, "id": text, "json": text, "minifiedJson": json.dumps(json.loads(text))}


def _service_quota(arguments: Values, region: str, account: str) -> Values:
    """A default, and its name says whose number it is. Raises LockstepError for a quota that is not kept."""
    service, code = arguments.get("serviceCode"), arguments.get("quotaCode")
    if service != "ec2" or code not in QUOTAS:
        raise LockstepError(
            f"the stand-in for AWS keeps no quota {code or arguments.get('quotaName')} of {service}",
            code="NoSuchResourceException",
            remedy="add the quota with AWS's default to the stand-in's functions",
        )
    name, value = QUOTAS[code]
    arn = f"arn:{Identity('', account, region).partition}:servicequotas:{region}:{account}:ec2/{code}"
    return {
        "id": arn,
        "arn": arn,
        "adjustable": True,
        "defaultValue": value,
        "globalQuota": False,
        "quotaCode": code,
        "quotaName": f"{name}; the stand-in's number, AWS's default",
        "region": region,
        "serviceCode": "ec2",
        "serviceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "usageMetrics": [],
        "value": value,
    }


def _cluster_auth(arguments: Values, region: str, account: str) -> Values:
    return {"id": arguments["name"], "name": arguments["name"], "token": "k8s-aws-v1.standin"}


WORKED_OUT: dict[str, Callable[[Values, str, str], Values]] = {
    "aws:eks/getClusterAuth:getClusterAuth": _cluster_auth,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
    "aws:iam/getSessionContext:getSessionContext": _session,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getRegions:getRegions": _regions,
    "aws:servicequotas/getServiceQuota:getServiceQuota": _service_quota,
}
