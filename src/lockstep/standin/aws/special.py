"""What no table says: rules between resources that need arithmetic or more than one step."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from hashlib import sha256

from lockstep.errors import LockstepError
from lockstep.standin.aws.account import BUCKET, Account, Resource
from lockstep.standin.aws.identity import Identity
from lockstep.standin.wire import Values

SUBNET, VPC = "aws:ec2/subnet:Subnet", "aws:ec2/vpc:Vpc"
GATEWAY, NAT = "aws:ec2/internetGateway:InternetGateway", "aws:ec2/natGateway:NatGateway"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
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


Rule = Callable[[Account, Resource], None]
ALLOWED: dict[str, Rule] = {SUBNET: _subnet_fits, VERSIONING: _no_versions_off}
RELEASED: dict[str, Rule] = {GATEWAY: _nothing_public}
COMPLETED: dict[str, Callable[[Values, Identity], Values]] = {CERTIFICATE: _validated}


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
