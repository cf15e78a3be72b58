"""A second opinion: what moto, a model of AWS behind boto3, says to the same call.

moto knows rules about values that no type tells (policy documents, lifecycle rules, record sets) and answers
with AWS's own codes. It forgets everything with its process, so what an earlier run has made is made again
when something names it. Its object locks can be weakened; nothing here relies on them.

Only tests ask it: LOCKSTEP_STANDIN_MOTO names the folder that moto is installed in, with the versions of
requirements-moto.txt.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lockstep.errors import LockstepError
from lockstep.standin.aws.account import Account, Resource
from lockstep.standin.aws.behaviour import table
from lockstep.standin.wire import Values

FOLDER_VARIABLE = "LOCKSTEP_STANDIN_MOTO"
ANYWHERE = "us-east-1"  # where boto3 asks for what belongs to no region


@dataclass(frozen=True)
class Request:
    """One call. made: where in the answer moto says what it made, and empty where it needs no telling."""

    service: str
    operation: str
    parameters: Values
    made: tuple[str, ...] = ()


def judge() -> MotoJudge | None:
    """The judge, where a test has asked for it."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return MotoJudge(folder) if folder else None


class MotoJudge:
    """Not safe to share between threads: ask while the account is open."""

    def __init__(self, folder: str) -> None:
        if folder not in sys.path:
            sys.path.append(folder)
        # moto takes any, and boto3 wants some.
        os.environ.update(AWS_ACCESS_KEY_ID="moto", AWS_SECRET_ACCESS_KEY="moto")
        os.environ["MOTO_ACCOUNT_ID"] = table().account
        from moto import mock_aws

        mock_aws().start()
        self._made: dict[str, str] = {}

    def create(self, account: Account, resource: Resource) -> None:
        """Make it in moto too. Raises LockstepError with the code that moto gives; says nothing of types
        that it is not asked about."""
        if resource.token in REQUESTS:
            self._made[resource.key] = self._call(account, resource)

    def _call(self, account: Account, resource: Resource) -> str:
        import boto3
        from botocore.exceptions import ClientError, ParamValidationError

        def named(value: Any, token: str) -> Any:
            return self._named(account, resource, value, token)

        request = REQUESTS[resource.token](resource.outputs, named)
        client = boto3.client(request.service, region_name=resource.region or ANYWHERE)
        parameters = {key: value for key, value in request.parameters.items() if value not in (None, "")}
        try:
            answer = getattr(client, request.operation)(**parameters)
        except ClientError as error:
            said = error.response["Error"]
            raise _refusal(resource, said.get("Message", ""), said["Code"]) from None
        except ParamValidationError as error:
            raise _refusal(resource, str(error), "ValidationException") from None
        for part in request.made:
            answer = answer[part]
        return str(answer) if request.made else resource.id

    def _named(self, account: Account, resource: Resource, value: Any, token: str) -> Any:
        """What moto calls the resource that a property names; made first where this process has not."""
        found = account.find(token, resource.region, str(value)) if value else None
        if found is None:
            return value
        if found.key not in self._made:
            self.create(account, found)
        return self._made[found.key]


def _refusal(resource: Resource, said: str, code: str) -> LockstepError:
    return LockstepError(f"{resource}: {said}", code=code, remedy="see what AWS says of this value")


def _text(policy: Any) -> Any:
    return policy if isinstance(policy, str) or policy is None else json.dumps(policy)


BEHIND = {"ECC_NIST_EDWARDS25519": "ECC_NIST_P256"}
"""What AWS takes and moto has not heard of -> the nearest thing that it has."""

Named = Callable[[Any, str], Any]
VPC, BUCKET, ROLE, KEY = "aws:ec2/vpc:Vpc", "aws:s3/bucket:Bucket", "aws:iam/role:Role", "aws:kms/key:Key"
REPOSITORY, ZONE = "aws:ecr/repository:Repository", "aws:route53/zone:Zone"


def _vpc(values: Values, named: Named) -> Request:
    parameters = {"CidrBlock": values.get("cidrBlock"), "InstanceTenancy": values.get("instanceTenancy")}
    return Request("ec2", "create_vpc", parameters, ("Vpc", "VpcId"))


def _subnet(values: Values, named: Named) -> Request:
    parameters = {
        "VpcId": named(values.get("vpcId"), VPC),
        "CidrBlock": values.get("cidrBlock"),
        "AvailabilityZone": values.get("availabilityZone"),
    }
    return Request("ec2", "create_subnet", parameters, ("Subnet", "SubnetId"))


def _group(values: Values, named: Named) -> Request:
    parameters = {
        "VpcId": named(values.get("vpcId"), VPC),
        "GroupName": values["name"],
        "Description": values.get("description"),
    }
    return Request("ec2", "create_security_group", parameters, ("GroupId",))


def _bucket(values: Values, named: Named) -> Request:
    at = {"LocationConstraint": values["region"]} if values["region"] != ANYWHERE else None
    locked = values.get("objectLockEnabled")
    parameters = {"CreateBucketConfiguration": at, "ObjectLockEnabledForBucket": locked}
    return Request("s3", "create_bucket", {"Bucket": values["bucket"], **parameters})


def _bucket_policy(values: Values, named: Named) -> Request:
    parameters = {"Bucket": named(values["bucket"], BUCKET), "Policy": _text(values["policy"])}
    return Request("s3", "put_bucket_policy", parameters)


def _versioning(values: Values, named: Named) -> Request:
    status = {"Status": values["versioningConfiguration"]["status"]}
    parameters = {"Bucket": named(values["bucket"], BUCKET), "VersioningConfiguration": status}
    return Request("s3", "put_bucket_versioning", parameters)


def _role(values: Values, named: Named) -> Request:
    parameters = {
        "RoleName": values["name"],
        "Path": values.get("path"),
        "AssumeRolePolicyDocument": _text(values["assumeRolePolicy"]),
        "MaxSessionDuration": values.get("maxSessionDuration"),
    }
    return Request("iam", "create_role", parameters)


def _policy(values: Values, named: Named) -> Request:
    parameters = {"PolicyName": values["name"], "PolicyDocument": _text(values["policy"])}
    return Request("iam", "create_policy", {**parameters, "Path": values.get("path")})


def _role_policy(values: Values, named: Named) -> Request:
    named(values["role"], ROLE)
    parameters = {"RoleName": values["role"], "PolicyName": values["name"]}
    return Request("iam", "put_role_policy", {**parameters, "PolicyDocument": _text(values["policy"])})


def _key(values: Values, named: Named) -> Request:
    parameters = {
        "Policy": _text(values.get("policy")),
        "KeySpec": BEHIND.get(values["customerMasterKeySpec"], values["customerMasterKeySpec"]),
        "KeyUsage": values["keyUsage"],
        "MultiRegion": values.get("multiRegion"),
    }
    return Request("kms", "create_key", parameters, ("KeyMetadata", "KeyId"))


def _alias(values: Values, named: Named) -> Request:
    target = named(values["targetKeyId"], KEY)
    return Request("kms", "create_alias", {"AliasName": values["name"], "TargetKeyId": target})


def _repository(values: Values, named: Named) -> Request:
    kept = values.get("imageTagMutability")
    return Request("ecr", "create_repository", {"repositoryName": values["name"], "imageTagMutability": kept})


def _lifecycle(values: Values, named: Named) -> Request:
    named(values["repository"], REPOSITORY)
    text = {"lifecyclePolicyText": _text(values["policy"])}
    return Request("ecr", "put_lifecycle_policy", {"repositoryName": values["repository"], **text})


def _zone(values: Values, named: Named) -> Request:
    parameters = {"Name": values["name"], "CallerReference": values["zoneId"]}
    return Request("route53", "create_hosted_zone", parameters, ("HostedZone", "Id"))


REQUESTS: dict[str, Callable[[Values, Named], Request]] = {
    BUCKET: _bucket,
    KEY: _key,
    REPOSITORY: _repository,
    ROLE: _role,
    VPC: _vpc,
    ZONE: _zone,
    "aws:ec2/securityGroup:SecurityGroup": _group,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _lifecycle,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:kms/alias:Alias": _alias,
    "aws:s3/bucketPolicy:BucketPolicy": _bucket_policy,
    "aws:s3/bucketVersioning:BucketVersioning": _versioning,
}
