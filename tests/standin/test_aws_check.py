"""Check refuses what the real provider would: by the SDK's types, by AWS's rules about values."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep.errors import LockstepError
from lockstep.standin.provider import DEFAULTS
from lockstep.standin.wire import UNKNOWN

CLUSTER = {"roleArn": UNKNOWN, "vpcConfig": {"subnetIds": [UNKNOWN]}}
NODES = {
    "clusterName": UNKNOWN,
    "nodeRoleArn": UNKNOWN,
    "subnetIds": UNKNOWN,
    "scalingConfig": {"minSize": 1, "desiredSize": 2, "maxSize": 3},
}
ALIAS = {"evaluateTargetHealth": True, "name": "x", "zoneId": "z"}
RECORD = {"zoneId": UNKNOWN, "name": "a.example.org", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}


def test_what_is_right_is_let_through(aws: Any) -> None:
    assert aws.reasons("eks/cluster:Cluster", CLUSTER) == ""
    assert aws.reasons("eks/nodeGroup:NodeGroup", NODES) == ""
    assert aws.reasons("route53/record:Record", RECORD) == ""


def test_an_unknown_property_is_refused_with_the_one_that_was_meant(aws: Any) -> None:
    (failure,) = aws.failures("ec2/vpc:Vpc", {"cidrBlok": "10.0.0.0/16"})
    assert failure.path == "cidrBlok"
    assert "given as the string '10.0.0.0/16'" in failure.reason
    assert "did you mean 'cidrBlock'?" in failure.reason


def test_a_nested_unknown_property_is_refused_by_its_path(aws: Any) -> None:
    inputs = {**CLUSTER, "accessConfig": {"authMode": "API"}}
    (failure,) = aws.failures("eks/cluster:Cluster", inputs)
    assert failure.path == "accessConfig.authMode"
    assert "authenticationMode" in failure.reason


def test_a_missing_property_is_refused_where_it_is_missing(aws: Any) -> None:
    assert [each.path for each in aws.failures("eks/cluster:Cluster", {"roleArn": UNKNOWN})] == ["vpcConfig"]
    nested = {**NODES, "scalingConfig": {"minSize": 1, "maxSize": 1}}
    assert [each.path for each in aws.failures("eks/nodeGroup:NodeGroup", nested)] == [
        "scalingConfig.desiredSize"
    ]


@pytest.mark.parametrize(
    ("property", "value", "said"),
    [
        ("cidrBlock", 10, "cidrBlock must be a string, and is the number 10"),
        ("enableDnsSupport", "true", "enableDnsSupport must be a boolean, and is the string 'true'"),
        ("ipv4NetmaskLength", "16", "ipv4NetmaskLength must be an integer, and is the string '16'"),
        ("ipv4NetmaskLength", 16.5, "ipv4NetmaskLength must be an integer, and is the number 16.5"),
        ("tags", ["a"], "tags must be a map of string, and is the list ['a']"),
        ("tags", {"a": 1}, "tags.a must be a string, and is the number 1"),
    ],
)
def test_a_wrong_type_is_refused_with_what_was_given_and_what_is_wanted(
    aws: Any, property: str, value: Any, said: str
) -> None:
    assert said in aws.reasons("ec2/vpc:Vpc", {property: value})


def test_an_item_of_a_list_is_refused_by_its_index(aws: Any) -> None:
    inputs = {**CLUSTER, "vpcConfig": {"subnetIds": [UNKNOWN, 7]}}
    assert [each.path for each in aws.failures("eks/cluster:Cluster", inputs)] == ["vpcConfig.subnetIds[1]"]


def test_an_enumeration_of_the_sdk_is_closed(aws: Any) -> None:
    assert "did you mean 'CNAME'?" in aws.reasons("route53/record:Record", {**RECORD, "type": "CNAM"})


def test_a_policy_may_be_text_or_an_object_and_neither_may_be_wrong(aws: Any) -> None:
    def role(policy: Any) -> str:
        return str(aws.reasons("iam/role:Role", {"assumeRolePolicy": policy}))

    assert role('{"Version": "2012-10-17"}') == ""
    assert "must be JSON" in role("{")
    assert "Statement[0].Effect" in role({"Version": "2012-10-17", "Statement": [{"Effect": "Alow"}]})


def test_a_type_that_the_sdk_has_not_is_refused(aws: Any) -> None:
    with pytest.raises(LockstepError, match="did you mean aws:ec2/vpc:Vpc"):
        aws.failures("ec2/vpc:Vpcc", {})


BAD = [
    ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/8"}, "/16 to /28"),
    ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.1/16"}, "host bits"),
    ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16", "region": "eu-centrl-1"}, "did you mean 'eu-central-1'"),
    ("ec2/subnet:Subnet", {"vpcId": "v", "availabilityZone": "us-east-1a"}, "no zone of eu-central-1"),
    ("ec2/subnet:Subnet", {"vpcId": "v", "availabilityZone": "eu-central-1d"}, "no zone of eu-central-1"),
    ("ec2/vpcEndpoint:VpcEndpoint", {"vpcId": "v", "serviceName": "com.amazonaws.us-east-1.s3"}, "us-east-1"),
    ("ec2/vpcEndpoint:VpcEndpoint", {"vpcId": "v", "vpcEndpointType": "interface"}, "Interface"),
    ("ec2/natGateway:NatGateway", {"subnetId": "s"}, "allocationId is needed"),
    ("ec2/securityGroup:SecurityGroup", {"name": "sg-web"}, "do not begin with sg-"),
    ("eks/nodeGroup:NodeGroup", {**NODES, "instanceTypes": ["g6e"]}, "an instance type"),
    ("eks/nodeGroup:NodeGroup", {**NODES, "capacityType": "spot"}, "SPOT"),
    ("eks/nodeGroup:NodeGroup", {**NODES, "amiType": "AL2023"}, "AL2023_x86_64_NVIDIA"),
    (
        "eks/nodeGroup:NodeGroup",
        {**NODES, "scalingConfig": {"minSize": 2, "desiredSize": 1, "maxSize": 3}},
        "minSize <= desiredSize",
    ),
    ("eks/cluster:Cluster", {**CLUSTER, "version": "1.34.1"}, "a minor version"),
    ("eks/cluster:Cluster", {**CLUSTER, "accessConfig": {"authenticationMode": "api"}}, "API_AND_CONFIG_MAP"),
    ("eks/cluster:Cluster", {**CLUSTER, "enabledClusterLogTypes": ["audits"]}, "one of api, audit"),
    ("eks/cluster:Cluster", {**CLUSTER, "computeConfig": {"enabled": True}}, "parts of Auto Mode"),
    (
        "eks/cluster:Cluster",
        {**CLUSTER, "kubernetesNetworkConfig": {"serviceIpv4Cidr": "8.8.0.0/16"}},
        "private",
    ),
    ("kms/key:Key", {"customerMasterKeySpec": "ECC_NIST_P256"}, "SIGN_VERIFY"),
    ("kms/key:Key", {"customerMasterKeySpec": "ECC_P256", "keyUsage": "SIGN_VERIFY"}, "ECC_NIST_P256"),
    ("kms/key:Key", {"deletionWindowInDays": 3}, "7 to 30 days"),
    ("kms/alias:Alias", {"name": "audit", "targetKeyId": "k"}, "alias/"),
    ("s3/bucket:Bucket", {"bucket": "Audit"}, "lower-case"),
    ("s3/bucket:Bucket", {"bucket": "a..b"}, "no two dots"),
    ("s3/bucket:Bucket", {"bucket": "ab"}, "3 to 63"),
    ("s3/bucketPolicy:BucketPolicy", {"bucket": "b", "policy": "{"}, "must be JSON"),
    ("route53/record:Record", {**RECORD, "aliases": [ALIAS]}, "either"),
    ("route53/record:Record", {**RECORD, "latencyRoutingPolicies": [{"region": "eu-central-1"}]}, "needed"),
    ("cloudwatch/logGroup:LogGroup", {"retentionInDays": 10}, "one of 0, 1, 3"),
    ("ecr/repository:Repository", {"imageTagMutability": "Immutable"}, "IMMUTABLE"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("token", "inputs", "said"), BAD, ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_value_that_aws_refuses_is_refused(aws: Any, token: str, inputs: Any, said: str) -> None:
    reasons = aws.reasons(token, inputs)
    assert said in reasons


def test_an_endpoint_may_reach_a_service_of_the_region_that_it_names(aws: Any) -> None:
    endpoint = {"vpcId": "v", "serviceName": "com.amazonaws.us-east-1.s3"}
    assert aws.reasons("ec2/vpcEndpoint:VpcEndpoint", {**endpoint, "serviceRegion": "us-east-1"}) == ""
    assert "us-west-2" in aws.reasons(
        "ec2/vpcEndpoint:VpcEndpoint", {**endpoint, "serviceRegion": "us-west-2"}
    )


def test_a_key_of_each_kind_has_its_use(aws: Any) -> None:
    signing = {"customerMasterKeySpec": "ECC_NIST_P256", "keyUsage": "SIGN_VERIFY"}
    assert aws.reasons("kms/key:Key", signing) == ""
    edwards = {"customerMasterKeySpec": "ECC_NIST_EDWARDS25519", "keyUsage": "SIGN_VERIFY"}
    assert aws.reasons("kms/key:Key", edwards) == ""
    assert "symmetric" in aws.reasons("kms/key:Key", {**signing, "enableKeyRotation": True})


def test_the_automatic_name_stays_and_differs_between_resources(aws: Any) -> None:
    role = {"assumeRolePolicy": "{}"}
    first = aws.provider.check(aws.call("iam/role:Role", "a"), {}, role).inputs
    again = aws.provider.check(aws.call("iam/role:Role", "a"), first, role).inputs
    other = aws.provider.check(aws.call("iam/role:Role", "b"), {}, role).inputs
    assert first["name"].startswith("a-") and len(first["name"]) == len("a-") + 7
    assert first[DEFAULTS] == ["name"]
    assert again["name"] == first["name"] != other["name"]


def test_a_buckets_automatic_name_is_lower_case_and_short(aws: Any) -> None:
    call = aws.call("s3/bucket:Bucket", "Audit" * 20)
    name = aws.provider.check(call, {}, {}).inputs["bucket"]
    assert name == name.lower() and len(name) == 63


def test_a_replacement_gets_another_name_than_what_still_exists(aws: Any) -> None:
    made = aws.create("iam/role:Role", {"assumeRolePolicy": "{}"})
    again = aws.provider.check(made.call, {}, {"assumeRolePolicy": "{}"}).inputs
    assert again["name"] != made.outputs["name"]


def test_the_providers_own_settings_are_typed_too(aws: Any) -> None:
    check = aws.provider.check_config
    good = {"region": "eu-central-1", "defaultTags": '{"tags":{"a":"b"}}', "skipRegionValidation": "true"}
    assert check({**good, "version": "7.51.1", "maxRetries": "5"}) == []
    assert "defaultTags.tag" in check({**good, "defaultTags": '{"tag":{}}'})[0].path
    assert "needs the property 'region'" in check({})[0].reason
    assert "no region" in check({"region": "eu-central-9"})[0].reason
    assert check({"region": UNKNOWN}) == []
