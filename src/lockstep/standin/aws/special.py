"""What no table says: rules between resources that need arithmetic or more than one step."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from lockstep.errors import LockstepError
from lockstep.standin.aws.account import BUCKET, Account, Resource
from lockstep.standin.aws.identity import Identity
from lockstep.standin.aws.within import first
from lockstep.standin.wire import Values, holds_unknown

SUBNET, VPC = "aws:ec2/subnet:Subnet", "aws:ec2/vpc:Vpc"
GATEWAY, NAT = "aws:ec2/internetGateway:InternetGateway", "aws:ec2/natGateway:NatGateway"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
CLUSTER, ENDPOINT = "aws:eks/cluster:Cluster", "aws:ec2/vpcEndpoint:VpcEndpoint"
CERTIFICATE = "aws:acm/certificate:Certificate"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"


def _subnet_fits(account: Account, resource: Resource) -> None:
    """Inside its VPC, and over no other subnet of it."""
    vpc = account.find(VPC, resource.region, str(resource.outputs.get("vpcId")))
    block, around = resource.outputs.get("cidrBlock"), vpc and vpc.outputs.get("cidrBlock")
    if not block or not around:
        return
    own = ipaddress.ip_network(str(block))
    if not own.subnet_of(ipaddress.ip_network(str(around))):  # type: ignore[arg-type]
        raise LockstepError(
            f"{resource.token}: cidrBlock {block} is not inside the VPC's {around}",
            code="InvalidSubnet.Range",
            remedy="choose a block inside the VPC's",
        )
    for other in account:
        if (other.token, other.region) != (SUBNET, resource.region) or other.id == resource.id:
            continue
        same = other.outputs.get("vpcId") == resource.outputs.get("vpcId")
        theirs = other.outputs.get("cidrBlock")
        if same and theirs and own.overlaps(ipaddress.ip_network(str(theirs))):
            raise LockstepError(
                f"{resource.token}: cidrBlock {block} overlaps {theirs} of {other.id}",
                code="InvalidSubnet.Conflict",
                remedy="choose a block that no other subnet has",
            )


def _no_versions_off(account: Account, resource: Resource) -> None:
    """A bucket with object lock keeps its versions."""
    bucket = account.find(BUCKET, resource.region, str(resource.outputs.get("bucket")))
    status = (resource.outputs.get("versioningConfiguration") or {}).get("status")
    if bucket is not None and bucket.outputs.get("objectLockEnabled") is True and status != "Enabled":
        raise LockstepError(
            f"{resource.token}: versioning of {bucket.id} cannot be {status}: it has object lock",
            code="InvalidBucketState",
            remedy="leave versioning Enabled",
        )


def _nothing_public(account: Account, gateway: Resource) -> None:
    """An internet gateway stays while something in its VPC has a public address."""
    vpc = gateway.outputs.get("vpcId")
    for other in account:
        public = other.token == NAT or (other.token == BALANCER and other.outputs.get("internal") is False)
        if public and other.region == gateway.region and other.outputs.get("vpcId") == vpc:
            raise LockstepError(
                f"{gateway} cannot be detached: {vpc} has a mapped public address, of {other.id}",
                code="DependencyViolation",
                remedy="delete NAT gateways and load balancers first",
            )


def _validated(outputs: Values, identity: Identity) -> Values:
    """One record for each domain name, as DNS validation asks for: the same in every region of an account,
    and for a domain and all names below it."""
    names = [outputs.get("domainName"), *(outputs.get("subjectAlternativeNames") or [])]
    options = []
    for name in dict.fromkeys(str(name) for name in names if name):
        domain = name.removeprefix("*.")
        digest = sha256(f"{identity.account} {domain}".encode()).hexdigest()
        options.append(
            {
                "domainName": name,
                "resourceRecordName": f"_{digest[:32]}.{domain}.",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": f"_{digest[32:]}.acm-validations.aws.",
            }
        )
    return {**outputs, "domainValidationOptions": options}


def _vpc_replaced(before: Values, after: Values) -> Iterator[str]:
    """From dedicated tenancy there is a way back."""
    key = "instanceTenancy"
    old, new = before.get(key, "default"), after.get(key, "default")
    if old != new and (old, new) != ("dedicated", "default"):
        yield key


def _endpoint_replaced(before: Values, after: Values) -> Iterator[str]:
    if after.get("vpcEndpointType") != "Interface":
        yield "privateDnsEnabled"


def _cluster_replaced(before: Values, after: Values) -> Iterator[str]:
    """The role goes with auto mode or with its pools, else it stays; egress stays with the customer."""
    role, mode = "computeConfig.nodeRoleArn", "vpcConfig.controlPlaneEgressMode"
    auto = after.get("computeConfig")
    needed = isinstance(auto, dict) and auto.get("enabled") is True and bool(auto.get("nodePools"))
    if auto is not None and first(before, role) and (needed or first(after, role)):
        yield role
    if (first(before, mode), first(after, mode)) == ("CUSTOMER_ROUTED", "AWS_MANAGED"):
        yield mode


def _balancer_replaced(before: Values, after: Values) -> Iterator[str]:
    """What is not known yet replaces nothing, as in a plan of the provider."""
    kind = after.get("loadBalancerType", "application")

    def members(key: str) -> tuple[list[Any], list[Any]] | None:
        """Those from before and those from now on; None where the program leaves them to AWS."""
        if key not in after or holds_unknown([before.get(key), after[key]]):
            return None
        return before.get(key) or [], after[key]

    mappings = members("subnetMappings") if "subnetMappings" in before else None
    if mappings and kind != "gateway":
        kept = all(each in mappings[1] for each in mappings[0])
        fewer = all(each in mappings[0] for each in mappings[1])
        if not kept and not (kind == "application" and fewer):
            yield "subnetMappings"
    if kind != "network":
        return
    subnets = members("subnets") if "subnets" in before else None
    if subnets and set(subnets[0]) != set(subnets[1]) and len(set(subnets[1])) <= len(set(subnets[0])):
        yield "subnets"
    groups = members("securityGroups")
    if groups and bool(groups[0]) != bool(groups[1]):
        yield "securityGroups"
    secondary = "secondaryIpsAutoAssignedPerSubnet"
    number = after.get(secondary)
    if isinstance(number, int | float) and number < (before.get(secondary) or 0):
        yield secondary


Rule = Callable[[Account, Resource], None]
ALLOWED: dict[str, Rule] = {SUBNET: _subnet_fits, VERSIONING: _no_versions_off}
RELEASED: dict[str, Rule] = {GATEWAY: _nothing_public}
COMPLETED: dict[str, Callable[[Values, Identity], Values]] = {CERTIFICATE: _validated}
REPLACED: dict[str, Callable[[Values, Values], Iterator[str]]] = {
    VPC: _vpc_replaced,
    ENDPOINT: _endpoint_replaced,
    CLUSTER: _cluster_replaced,
    BALANCER: _balancer_replaced,
}


def allow(account: Account, resource: Resource) -> None:
    """Before a resource is put: refuse what does not fit what is there."""
    if rule := ALLOWED.get(resource.token):
        rule(account, resource)


def release(account: Account, resource: Resource) -> None:
    """Before a resource is dropped: refuse what something else still stands on."""
    if rule := RELEASED.get(resource.token):
        rule(account, resource)


def complete(token: str, outputs: Values, identity: Identity) -> Values:
    """A new resource's outputs with what depends on several of its properties."""
    return COMPLETED[token](outputs, identity) if token in COMPLETED else outputs


def replaced(token: str, before: Values, after: Values) -> list[str]:
    """The properties whose change needs a new resource because of what was there or of what comes."""
    return list(REPLACED[token](before, after)) if token in REPLACED else []
