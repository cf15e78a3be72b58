"""The provider's functions: worked out, looked up in the account, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import LockstepError
from lockstep.standin.wire import UNKNOWN
from tests.support.standin_aws import Aws

EVERYBODY = {"type": "*", "identifiers": ["*"]}


def invoke(aws: Aws, token: str, **arguments: Any) -> Any:
    return aws.provider.invoke(f"aws:{token}", arguments, preview=False)


def test_who_and_where(aws: Aws) -> None:
    assert invoke(aws, "index/getCallerIdentity:getCallerIdentity")["accountId"] == "123456789012"
    assert invoke(aws, "index/getRegion:getRegion")["region"] == "eu-central-1"
    assert invoke(aws, "index/getRegion:getRegion", region="us-east-1")["region"] == "us-east-1"


def test_a_partition_has_its_own_domain(aws_in: Callable[[str], Aws]) -> None:
    for region, domain in (("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")):
        assert invoke(aws_in(region), "index/getPartition:getPartition")["dnsSuffix"] == domain


def test_the_zones_are_the_regions(aws: Aws) -> None:
    zones = invoke(aws, "index/getAvailabilityZones:getAvailabilityZones", state="available")
    assert zones["names"] == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    fewer = invoke(
        aws,
        "index/getAvailabilityZones:getAvailabilityZones",
        region="us-east-1",
        excludeNames=["us-east-1e", "us-east-1f"],
    )
    assert [name[-1] for name in fewer["names"]] == ["a", "b", "c", "d"]


def test_a_result_has_the_sdks_properties(aws: Aws) -> None:
    for token in (
        "index/getCallerIdentity:getCallerIdentity",
        "index/getRegion:getRegion",
        "index/getPartition:getPartition",
        "index/getAvailabilityZones:getAvailabilityZones",
    ):
        fields = aws.provider._sdk.function(f"aws:{token}").outputs.fields
        answer = invoke(aws, token)
        assert answer.keys() <= fields.keys(), token
        assert {key for key, field in fields.items() if field.required} <= answer.keys(), token


def test_a_policy_document_is_iams(aws: Aws) -> None:
    statements = [
        {
            "sid": "Put",
            "actions": ["s3:PutObject"],
            "resources": ["arn:aws:s3:::audit/*"],
            "principals": [{"type": "AWS", "identifiers": ["arn:aws:iam::123456789012:role/a"]}],
            "conditions": [
                {"test": "StringEquals", "variable": "s3:x-amz-acl", "values": ["private"]},
                {"test": "StringEquals", "variable": "aws:PrincipalTag/a", "values": ["b", "c"]},
            ],
        },
        {"effect": "Deny", "notActions": ["s3:*"], "resources": ["*"], "principals": [EVERYBODY]},
    ]
    answer = invoke(aws, "iam/getPolicyDocument:getPolicyDocument", statements=statements)
    assert json.loads(answer["json"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Put",
                "Effect": "Allow",
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::audit/*",
                "Principal": {"AWS": "arn:aws:iam::123456789012:role/a"},
                "Condition": {"StringEquals": {"s3:x-amz-acl": "private", "aws:PrincipalTag/a": ["b", "c"]}},
            },
            {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*", "Principal": "*"},
        ],
    }


def test_an_override_takes_the_place_of_its_statement(aws: Aws) -> None:
    over = json.dumps({"Statement": {"Sid": "A", "Effect": "Deny", "Action": "*", "Resource": "*"}})
    statements = [{"sid": "A", "actions": ["s3:*"], "resources": ["*"]}, {"actions": ["ec2:*"]}]
    answer = invoke(
        aws,
        "iam/getPolicyDocument:getPolicyDocument",
        statements=statements,
        overridePolicyDocuments=[over],
    )
    assert [each["Effect"] for each in json.loads(answer["json"])["Statement"]] == ["Deny", "Allow"]


def test_what_is_there_is_looked_up_and_what_is_not_is_said(aws: Aws) -> None:
    with pytest.raises(LockstepError, match="NoSuchBucket"):
        invoke(aws, "s3/getBucket:getBucket", bucket="audit")
    bucket = aws.create("s3/bucket:Bucket", {"bucket": "audit"})
    found = invoke(aws, "s3/getBucket:getBucket", bucket="audit")
    assert (found["id"], found["arn"]) == ("audit", bucket.outputs["arn"])
    zone = aws.create("route53/zone:Zone", {"name": "example.org"})
    assert invoke(aws, "route53/getZone:getZone", name="example.org.")["zoneId"] == zone.id


def test_an_argument_is_typed(aws: Aws) -> None:
    (failure,) = invoke(aws, "s3/getBucket:getBucket", bucke="audit")[:1]
    assert "did you mean 'bucket'?" in failure.reason
    assert invoke(aws, "s3/getBucket:getBucket", bucket="audit", region="eu-centrl-1")[0].path == "region"


def test_what_is_asked_with_an_unknown_is_unknown(aws: Aws) -> None:
    answer = invoke(aws, "s3/getBucket:getBucket", bucket=UNKNOWN)
    assert answer["arn"] is UNKNOWN


def test_a_function_without_an_answer_is_refused(aws: Aws) -> None:
    with pytest.raises(LockstepError, match=r"standin\.no_function"):
        invoke(aws, "ec2/getAmi:getAmi")
    with pytest.raises(LockstepError, match=r"standin\.no_type"):
        invoke(aws, "ec2/getNothing:getNothing")


def test_a_key_is_found_by_its_alias(aws: Aws) -> None:
    key = aws.create("kms/key:Key", {})
    aws.create("kms/alias:Alias", {"name": "alias/audit", "targetKeyId": key.id})
    found = invoke(aws, "kms/getKey:getKey", keyId="alias/audit")
    assert (found["keyId"], found["awsAccountId"]) == (key.outputs["keyId"], "123456789012")
    with pytest.raises(LockstepError, match="NotFoundException"):
        invoke(aws, "kms/getKey:getKey", keyId="alias/other")


def test_repositories_are_those_of_the_region(aws: Aws) -> None:
    """One of another region would be imported from where it is not."""
    aws.create("ecr/repository:Repository", {"name": "models", "region": "us-east-1"})
    asked = "ecr/getRepositories:getRepositories"
    assert invoke(aws, asked, region="us-east-1")["names"] == ["models"]
    assert invoke(aws, asked)["names"] == []


def test_a_stack_that_is_held_to_an_account_gets_that_one(aws: Aws) -> None:
    aws.provider.configure({"region": "eu-central-1", "allowedAccountIds": '["111122223333"]'})
    assert invoke(aws, "index/getCallerIdentity:getCallerIdentity")["accountId"] == "111122223333"
    assert ":111122223333:" in aws.create("kms/key:Key", {}).outputs["arn"]


def test_the_role_behind_a_session(aws: Aws) -> None:
    session = "arn:aws:sts::123456789012:assumed-role/deploy/me"
    token = "iam/getSessionContext:getSessionContext"
    assert invoke(aws, token, arn=session)["issuerArn"] == "arn:aws:iam::123456789012:role/deploy"
    user = "arn:aws:iam::123456789012:user/me"
    assert invoke(aws, token, arn=user)["issuerArn"] == user


def test_a_quota_is_the_kept_number_and_says_whose_it_is(aws: Aws) -> None:
    from infra.aws.preflight import QUOTAS

    token = "servicequotas/getServiceQuota:getServiceQuota"
    for code in QUOTAS.values():
        found = invoke(aws, token, serviceCode="ec2", quotaCode=code, region="us-east-1")
        assert (found["value"], found["defaultValue"]) == (0, 0)  # what an account has before it asks
        assert "the stand-in's number" in found["quotaName"]
        assert found["arn"] == f"arn:aws:servicequotas:us-east-1:123456789012:ec2/{code}"
        fields = aws.provider._sdk.function(f"aws:{token}").outputs.fields
        assert {key for key, field in fields.items() if field.required} <= found.keys() <= fields.keys()


@pytest.mark.parametrize(
    "asked",
    [
        {"serviceCode": "ec2", "quotaCode": "L-00000000"},
        {"serviceCode": "eks", "quotaCode": "L-DB2E81BA"},
        {"serviceCode": "ec2", "quotaName": "Running On-Demand G and VT instances"},
    ],
)
def test_a_quota_that_is_not_kept_is_refused(aws: Aws, asked: dict[str, str]) -> None:
    with pytest.raises(LockstepError, match="NoSuchResourceException"):
        invoke(aws, "servicequotas/getServiceQuota:getServiceQuota", **asked)
