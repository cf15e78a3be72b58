"""What the account remembers: what an update makes of it, and what it therefore refuses, as AWS would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import LockstepError
from lockstep.standin.aws.account import Account
from lockstep.standin.aws.plugin import AwsStandIn
from lockstep.standin.kept import Kept
from lockstep.standin.provider import State
from lockstep.standin.wire import UNKNOWN
from tests.support.standin_aws import Aws, Made

ASSUMED = '{"Version": "2012-10-17", "Statement": []}'
SCALING = {"minSize": 1, "desiredSize": 1, "maxSize": 2}


def network(aws: Aws) -> tuple[Any, Any]:
    vpc = aws.create("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})
    inputs = {"vpcId": vpc.id, "cidrBlock": "10.0.1.0/24", "availabilityZone": "eu-central-1a"}
    return vpc, aws.create("ec2/subnet:Subnet", inputs)


def cluster(aws: Aws, **more: Any) -> tuple[Any, Any, Any]:
    _, subnet = network(aws)
    role = aws.create("iam/role:Role", {"assumeRolePolicy": ASSUMED})
    inputs = {"roleArn": role.outputs["arn"], "vpcConfig": {"subnetIds": [subnet.id]}, **more}
    return aws.create("eks/cluster:Cluster", inputs), subnet, role


def refused(action: Callable[[], Any], code: str) -> str:
    with pytest.raises(LockstepError) as caught:
        action()
    assert caught.value.code == code
    return str(caught.value)


# ---- identities and outputs


def test_identities_are_the_same_on_every_machine(aws: Aws) -> None:
    vpc = aws.create("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"})
    assert vpc.id == "vpc-0d1d4c74a862e840d"
    assert vpc.outputs["arn"] == f"arn:aws:ec2:eu-central-1:123456789012:vpc/{vpc.id}"
    aws.delete(vpc)
    assert aws.create("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}).id == vpc.id


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_an_arn_names_its_partition_and_region(aws: Aws, region: str, partition: str) -> None:
    key = aws.create("kms/key:Key", {"region": region})
    assert key.outputs["arn"].startswith(f"arn:{partition}:kms:{region}:123456789012:key/")
    assert key.outputs["region"] == region


def test_a_role_belongs_to_the_account_and_has_no_region_in_its_arn(aws: Aws) -> None:
    role = aws.create("iam/role:Role", {"assumeRolePolicy": ASSUMED, "name": "ci", "path": "/ops/"})
    assert role.outputs["arn"] == "arn:aws:iam::123456789012:role/ops/ci"


def test_a_preview_knows_what_was_put_in_and_nothing_that_aws_says(aws: Aws) -> None:
    outputs = aws.previewed(
        "eks/cluster:Cluster", {"roleArn": UNKNOWN, "vpcConfig": {"subnetIds": [UNKNOWN]}}
    )
    assert outputs["name"].startswith("one-")
    assert outputs["region"] == "eu-central-1"
    assert outputs["tagsAll"] == {"owner": "test"}
    for key in ("arn", "endpoint", "identities", "certificateAuthority", "status"):
        assert outputs[key] is UNKNOWN, key
    assert outputs["vpcConfig"] == {
        "subnetIds": [UNKNOWN],
        "clusterSecurityGroupId": UNKNOWN,
        "vpcId": UNKNOWN,
    }
    with Kept(aws.folder / "aws.jsonl").open() as entries:
        assert list(entries) == []


def test_what_was_put_in_comes_out_with_what_aws_adds(aws: Aws) -> None:
    made, subnet, _ = cluster(aws)
    assert made.outputs["vpcConfig"]["subnetIds"] == [subnet.id]
    assert made.outputs["vpcConfig"]["vpcId"] == subnet.outputs["vpcId"]
    assert made.outputs["vpcConfig"]["clusterSecurityGroupId"].startswith("sg-0")
    issuer = made.outputs["identities"][0]["oidcs"][0]["issuer"]
    assert issuer.startswith("https://oidc.eks.eu-central-1.amazonaws.com/id/")
    assert not any(value is UNKNOWN for value in made.outputs.values())


def test_a_certificate_asks_for_one_record_for_each_name(aws: Aws) -> None:
    made = aws.create(
        "acm/certificate:Certificate",
        {"domainName": "a.example.org", "subjectAlternativeNames": ["*.a.example.org", "a.example.org"]},
    )
    options = made.outputs["domainValidationOptions"]
    assert [option["domainName"] for option in options] == ["a.example.org", "*.a.example.org"]
    assert options[0]["resourceRecordName"] == options[1]["resourceRecordName"]


def test_an_update_keeps_what_aws_has_said_and_forgets_what_was_taken_away(aws: Aws) -> None:
    made, _, _ = cluster(aws, tags={"a": "b"}, upgradePolicy={"supportType": "STANDARD"})
    inputs = {key: made.state.inputs[key] for key in ("roleArn", "vpcConfig")}
    after = aws.update(made, {**inputs, "enabledClusterLogTypes": ["audit"]})
    assert after.outputs["endpoint"] == made.outputs["endpoint"]
    assert after.outputs["vpcConfig"] == made.outputs["vpcConfig"]
    assert after.outputs["enabledClusterLogTypes"] == ["audit"]
    assert after.outputs["tagsAll"] == {"owner": "test"}
    assert "tags" not in after.outputs


def test_a_read_finds_what_is_there_and_misses_what_is_gone(aws: Aws) -> None:
    vpc, _ = network(aws)
    found = aws.read(vpc)
    assert (found.identity, found.state.inputs, found.state.outputs) == (
        vpc.id,
        vpc.state.inputs,
        vpc.outputs,
    )
    bucket = aws.create("s3/bucket:Bucket", {})
    aws.delete(bucket)
    assert aws.read(bucket) is None


def test_an_import_may_name_the_region(aws: Aws) -> None:
    bucket = aws.create("s3/bucket:Bucket", {"bucket": "adopted", "region": "us-east-1"})
    found = aws.provider.read(bucket.call, "adopted@us-east-1", State())
    assert found is not None and found.identity == "adopted"
    assert aws.provider.read(bucket.call, "adopted", State()) is None


def test_two_processes_share_one_account(aws: Aws, aws_in: Callable[[str], Aws]) -> None:
    other = aws_in("eu-central-1")
    vpc, subnet = network(aws)
    assert other.read(vpc).identity == vpc.id
    other.delete(subnet)
    aws.delete(vpc)
    assert other.read(vpc) is None


# ---- what replaces


@pytest.mark.parametrize(
    ("token", "inputs", "change", "replaces"),
    [
        ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}, ["cidrBlock"]),
        ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, {"enableDnsHostnames": True}, []),
        ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, {"region": "us-east-1"}, ["region"]),
        ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, {"tags": {"a": "b"}}, []),
        ("s3/bucket:Bucket", {"bucket": "audit"}, {"bucket": "other"}, ["bucket"]),
        ("s3/bucket:Bucket", {"bucket": "audit"}, {"objectLockEnabled": True}, ["objectLockEnabled"]),
        ("s3/bucket:Bucket", {"bucket": "audit"}, {"forceDestroy": True}, []),
        ("kms/key:Key", {}, {"multiRegion": True}, ["multiRegion"]),
        ("kms/key:Key", {}, {"description": "x"}, []),
        ("iam/role:Role", {"assumeRolePolicy": "{}"}, {"name": "other"}, ["name"]),
        ("cloudwatch/logGroup:LogGroup", {}, {"retentionInDays": 30}, []),
        ("globalaccelerator/accelerator:Accelerator", {"name": "one"}, {"name": "two"}, []),
    ],
)
def test_a_change_replaces_what_the_table_says(
    aws: Aws, token: str, inputs: Any, change: Any, replaces: list[str]
) -> None:
    made = aws.create(token, inputs)
    found = aws.diff(made, {**inputs, **change})
    assert found.replaces == replaces
    assert len(found.paths) >= 1


# Of resources that name others, which need not be there for a look at what a change would do.
RULE: dict[str, Any] = {"securityGroupId": "sg-1", "ipProtocol": "tcp", "cidrIpv4": "10.0.0.0/16"}
LOCAL = {
    "outpostArns": ["arn:aws:outposts:eu-central-1:123456789012:outpost/op-1"],
    "controlPlaneInstanceType": "m5.large",
}
CLUSTER: dict[str, Any] = {
    "name": "x",
    "roleArn": "arn:aws:iam::123456789012:role/x",
    "vpcConfig": {"subnetIds": ["subnet-1"]},
    "outpostConfig": LOCAL,
}


def planned(aws: Aws, token: str, inputs: Any, change: Any) -> list[str]:
    there = Made(aws.call(token), "there", State(inputs))
    return aws.diff(there, {k: v for k, v in {**inputs, **change}.items() if v is not None}).replaces


@pytest.mark.parametrize(
    ("token", "inputs", "change", "replaces"),
    [
        ("ec2/eip:Eip", {"domain": "vpc"}, {"customerOwnedIpv4Pool": "ipv4pool-coip-1"}, []),
        ("ec2/eip:Eip", {"domain": "vpc"}, {"networkBorderGroup": "x"}, ["networkBorderGroup"]),
        ("vpc/securityGroupIngressRule:SecurityGroupIngressRule", RULE, {"cidrIpv4": "10.1.0.0/16"}, []),
        (
            "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            RULE,
            {"cidrIpv4": None, "cidrIpv6": "::/0"},
            ["cidrIpv4"],
        ),
        (
            "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
            RULE,
            {"cidrIpv4": None, "prefixListId": "pl-1"},
            ["cidrIpv4"],
        ),
        ("eks/cluster:Cluster", CLUSTER, {"outpostConfig": {**LOCAL, "outpostArns": ["arn:x"]}}, []),
        (
            "eks/cluster:Cluster",
            CLUSTER,
            {"outpostConfig": {**LOCAL, "controlPlaneInstanceType": "m5.xlarge"}},
            ["outpostConfig.controlPlaneInstanceType"],
        ),
        ("kms/keyPolicy:KeyPolicy", {"keyId": "one", "policy": "{}"}, {"keyId": "two"}, []),
        (
            "route53/healthCheck:HealthCheck",
            {"type": "RECOVERY_CONTROL"},
            {"routingControlArn": "arn:x"},
            ["routingControlArn"],
        ),
        (
            "ecr/lifecyclePolicy:LifecyclePolicy",
            {"repository": "x", "policy": "{}"},
            {"policy": "[]"},
            ["policy"],
        ),
        ("ecr/repositoryPolicy:RepositoryPolicy", {"repository": "x", "policy": "{}"}, {"policy": "[]"}, []),
    ],
)
def test_a_change_of_what_names_others_replaces_what_the_table_says(
    aws: Aws, token: str, inputs: Any, change: Any, replaces: list[str]
) -> None:
    assert planned(aws, token, inputs, change) == replaces


VPC, ENDPOINT, BALANCER = "ec2/vpc:Vpc", "ec2/vpcEndpoint:VpcEndpoint", "lb/loadBalancer:LoadBalancer"
DEDICATED = {"cidrBlock": "10.0.0.0/16", "instanceTenancy": "dedicated"}
GATEWAY = {"vpcId": "vpc-1", "serviceName": "com.amazonaws.eu-central-1.s3"}
NETWORK = {
    "name": "x",
    "loadBalancerType": "network",
    "subnets": ["subnet-1", "subnet-2"],
    "securityGroups": ["sg-1"],
    "secondaryIpsAutoAssignedPerSubnet": 2,
}
BARE = {"name": "x", "loadBalancerType": "network", "subnets": ["subnet-1"]}
ONE, TWO, THREE = ({"subnetId": f"subnet-{n}"} for n in (1, 2, 3))
MAPPED: dict[str, Any] = {"name": "x", "loadBalancerType": "network", "subnetMappings": [ONE, TWO]}
WEB = {**MAPPED, "loadBalancerType": "application"}
AUTO = {"enabled": True, "nodePools": ["system"], "nodeRoleArn": "arn:aws:iam::123456789012:role/x"}
ON: dict[str, Any] = {
    "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}},
    "computeConfig": AUTO,
}
ON |= {"storageConfig": {"blockStorage": {"enabled": True}}, "bootstrapSelfManagedAddons": False}
OFF = {"kubernetesNetworkConfig": None, "storageConfig": None}
SUBNETS = CLUSTER["vpcConfig"]
ROUTED = {**CLUSTER, "vpcConfig": {**SUBNETS, "controlPlaneEgressMode": "CUSTOMER_ROUTED"}}


@pytest.mark.parametrize(
    ("token", "inputs", "change", "replaces"),
    [
        (VPC, DEDICATED, {"instanceTenancy": None}, []),
        (VPC, DEDICATED, {"instanceTenancy": "default"}, []),
        (VPC, {"cidrBlock": "10.0.0.0/16"}, DEDICATED, ["instanceTenancy"]),
        (VPC, {"cidrBlock": "10.0.0.0/16"}, {"instanceTenancy": "default"}, []),
        (ENDPOINT, GATEWAY, {"privateDnsEnabled": True}, ["privateDnsEnabled"]),
        (ENDPOINT, {**GATEWAY, "vpcEndpointType": "Interface"}, {"privateDnsEnabled": True}, []),
        (BALANCER, NETWORK, {"subnets": ["subnet-1", "subnet-2", "subnet-3"]}, []),
        (BALANCER, NETWORK, {"subnets": ["subnet-2", "subnet-1"]}, []),
        (BALANCER, NETWORK, {"subnets": ["subnet-1"]}, ["subnets"]),
        (BALANCER, NETWORK, {"subnets": ["subnet-1", "subnet-3"]}, ["subnets[1]"]),
        (BALANCER, NETWORK, {"subnets": ["subnet-1", UNKNOWN]}, []),
        (BALANCER, NETWORK, {"securityGroups": ["sg-2", "sg-3"]}, []),
        (BALANCER, NETWORK, {"securityGroups": []}, ["securityGroups"]),
        (BALANCER, BARE, {"securityGroups": ["sg-1"]}, ["securityGroups"]),
        (BALANCER, NETWORK, {"secondaryIpsAutoAssignedPerSubnet": 3}, []),
        (
            BALANCER,
            NETWORK,
            {"secondaryIpsAutoAssignedPerSubnet": 1},
            ["secondaryIpsAutoAssignedPerSubnet"],
        ),
        (BALANCER, {**NETWORK, "loadBalancerType": "application"}, {"subnets": ["subnet-1"]}, []),
        (BALANCER, MAPPED, {"subnetMappings": [ONE, TWO, THREE]}, []),
        (BALANCER, MAPPED, {"subnetMappings": [ONE, THREE, THREE]}, ["subnetMappings"]),
        (BALANCER, MAPPED, {"subnetMappings": [ONE]}, ["subnetMappings"]),
        (BALANCER, MAPPED, {"subnetMappings": [ONE, THREE]}, ["subnetMappings[1].subnetId"]),
        (BALANCER, WEB, {"subnetMappings": [ONE]}, []),
        (BALANCER, WEB, {"subnetMappings": [THREE]}, ["subnetMappings"]),
        ("eks/cluster:Cluster", {**CLUSTER, **ON}, {"computeConfig": {**AUTO, "nodePools": ["system"]}}, []),
        (
            "eks/cluster:Cluster",
            {**CLUSTER, **ON},
            {"computeConfig": {**AUTO, "nodeRoleArn": "arn:aws:iam::123456789012:role/y"}},
            ["computeConfig.nodeRoleArn"],
        ),
        ("eks/cluster:Cluster", {**CLUSTER, **ON}, {"computeConfig": {"enabled": False}, **OFF}, []),
        ("eks/cluster:Cluster", {**CLUSTER, **ON}, {"computeConfig": None, **OFF}, []),
        (
            "eks/cluster:Cluster",
            ROUTED,
            {"vpcConfig": {**SUBNETS, "controlPlaneEgressMode": "AWS_MANAGED"}},
            ["vpcConfig.controlPlaneEgressMode"],
        ),
        ("eks/cluster:Cluster", CLUSTER, {"vpcConfig": ROUTED["vpcConfig"]}, []),
    ],
)
def test_a_change_replaces_or_not_by_what_was_there_and_what_comes(
    aws: Aws, token: str, inputs: Any, change: Any, replaces: list[str]
) -> None:
    assert planned(aws, token, inputs, change) == replaces


def test_nothing_changed_is_no_change_and_neither_is_the_region_that_was_meant(aws: Aws) -> None:
    vpc, _ = network(aws)
    assert aws.diff(vpc, {"cidrBlock": "10.0.0.0/16"}).paths == {}
    assert aws.diff(vpc, {"cidrBlock": "10.0.0.0/16", "region": "eu-central-1"}).paths == {}


def test_a_change_that_is_not_known_yet_is_a_change(aws: Aws) -> None:
    _, subnet = network(aws)
    assert aws.diff(subnet, {**subnet.state.inputs, "vpcId": UNKNOWN}).replaces == ["vpcId"]


def test_a_clusters_encryption_can_be_added_and_not_taken_away(aws: Aws) -> None:
    key = aws.create("kms/key:Key", {})
    encryption = {"provider": {"keyArn": key.outputs["arn"]}, "resources": ["secrets"]}
    made, _, _ = cluster(aws)
    given = {key: made.state.inputs[key] for key in ("roleArn", "vpcConfig")}
    assert aws.diff(made, {**given, "encryptionConfig": encryption}).replaces == []
    encrypted = aws.update(made, {**given, "encryptionConfig": encryption})
    assert aws.diff(encrypted, given).replaces == ["encryptionConfig"]


def test_a_clusters_subnets_change_in_place_and_its_role_does_not(aws: Aws) -> None:
    made, _, _ = cluster(aws)
    given = {key: made.state.inputs[key] for key in ("roleArn", "vpcConfig")}
    assert aws.diff(made, {**given, "vpcConfig": {"subnetIds": ["subnet-1", "subnet-2"]}}).replaces == []
    assert aws.diff(made, {**given, "roleArn": "arn:aws:iam::123456789012:role/x"}).replaces == ["roleArn"]
    public = {"bootstrapClusterCreatorAdminPermissions": True}
    assert aws.diff(made, {**given, "accessConfig": public}).replaces == ["accessConfig"]
    assert aws.diff(made, {**given, "accessConfig": {"authenticationMode": "API"}}).replaces == []


def test_what_the_program_names_goes_before_its_replacement_comes(aws: Aws) -> None:
    named = aws.create("s3/bucket:Bucket", {"bucket": "audit"})
    locked = aws.diff(named, {"bucket": "audit", "objectLockEnabled": True})
    assert locked.delete_before_replace and locked.replaces == ["objectLockEnabled"]
    assert not aws.diff(named, {"bucket": "other", "objectLockEnabled": True}).delete_before_replace
    automatic = aws.create("s3/bucket:Bucket", {}, "two")
    assert not aws.diff(automatic, {"objectLockEnabled": True}).delete_before_replace


def test_a_replacement_is_another_resource_while_the_old_one_is_there(aws: Aws) -> None:
    old = aws.create("kms/key:Key", {})
    new = aws.create("kms/key:Key", {"multiRegion": True})
    assert new.id != old.id
    aws.delete(old)
    assert aws.read(new).state.outputs["multiRegion"] is True


def test_what_has_its_buckets_name_is_put_over_what_is_there(aws: Aws) -> None:
    aws.create("s3/bucket:Bucket", {"bucket": "audit"})
    one = aws.create("s3/bucketPolicy:BucketPolicy", {"bucket": "audit", "policy": "{}"})
    two = aws.create("s3/bucketPolicy:BucketPolicy", {"bucket": "audit", "policy": "[]"})
    assert one.id == two.id and aws.read(one).state.outputs["policy"] == "[]"


# ---- what cannot be made


def test_what_is_named_must_be_there(aws: Aws) -> None:
    inputs = {"vpcId": "vpc-0123", "cidrBlock": "10.0.1.0/24"}
    said = refused(lambda: aws.create("ec2/subnet:Subnet", inputs), "InvalidVpcID.NotFound")
    assert "vpcId names 'vpc-0123'" in said


def test_what_is_named_must_be_in_the_same_region(aws: Aws) -> None:
    vpc, _ = network(aws)
    inputs = {"vpcId": vpc.id, "cidrBlock": "10.0.2.0/24", "region": "us-east-1"}
    refused(lambda: aws.create("ec2/subnet:Subnet", inputs, "far"), "InvalidVpcID.NotFound")


def test_a_subnet_lies_in_its_vpc_and_over_no_other(aws: Aws) -> None:
    vpc, _ = network(aws)

    def subnet(block: str) -> Any:
        return aws.create("ec2/subnet:Subnet", {"vpcId": vpc.id, "cidrBlock": block}, block)

    refused(lambda: subnet("10.1.0.0/24"), "InvalidSubnet.Range")
    refused(lambda: subnet("10.0.1.128/25"), "InvalidSubnet.Conflict")
    assert subnet("10.0.2.0/24").id.startswith("subnet-0")


def test_a_name_is_taken_once(aws: Aws) -> None:
    aws.create("s3/bucket:Bucket", {"bucket": "audit"})
    far = {"bucket": "audit", "region": "us-east-1"}
    refused(lambda: aws.create("s3/bucket:Bucket", far, "two"), "BucketAlreadyOwnedByYou")
    aws.create("ecr/repository:Repository", {"name": "serve"})
    refused(
        lambda: aws.create("ecr/repository:Repository", {"name": "serve"}, "two"),
        "RepositoryAlreadyExistsException",
    )
    aws.create("ecr/repository:Repository", {"name": "serve", "region": "us-east-1"}, "three")


def test_a_record_is_there_once_unless_it_may_be_overwritten(aws: Aws) -> None:
    record = {"zoneId": "Z0EXAMPLE", "name": "a.org", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}
    aws.create("route53/record:Record", record)
    refused(lambda: aws.create("route53/record:Record", record, "two"), "InvalidChangeBatch")
    aws.create("route53/record:Record", {**record, "allowOverwrite": True}, "three")
    routed = {"setIdentifier": "eu", "latencyRoutingPolicies": [{"region": "eu-west-1"}]}
    aws.create("route53/record:Record", {**record, **routed}, "four")


def test_a_locked_bucket_keeps_its_versions(aws: Aws) -> None:
    bucket = aws.create("s3/bucket:Bucket", {"bucket": "audit", "objectLockEnabled": True})
    off = {"bucket": bucket.id, "versioningConfiguration": {"status": "Suspended"}}
    refused(lambda: aws.create("s3/bucketVersioning:BucketVersioning", off), "InvalidBucketState")


# ---- what cannot be deleted


def test_a_vpc_stays_while_a_subnet_is_in_it(aws: Aws) -> None:
    vpc, subnet = network(aws)
    assert subnet.id in refused(lambda: aws.delete(vpc), "DependencyViolation")
    aws.delete(subnet)
    aws.delete(vpc)


def test_a_cluster_stays_while_it_has_nodes_and_its_subnets_while_it_stands(aws: Aws) -> None:
    made, subnet, role = cluster(aws)
    nodes = aws.create(
        "eks/nodeGroup:NodeGroup",
        {
            "clusterName": made.outputs["name"],
            "nodeRoleArn": role.outputs["arn"],
            "subnetIds": [subnet.id],
            "scalingConfig": SCALING,
        },
    )
    refused(lambda: aws.delete(made), "ResourceInUseException")
    aws.delete(nodes)
    refused(lambda: aws.delete(subnet), "DependencyViolation")
    aws.delete(made)
    aws.delete(subnet)


def test_a_protected_cluster_stays(aws: Aws) -> None:
    made, _, _ = cluster(aws, deletionProtection=True)
    assert "set deletionProtection to false" in refused(lambda: aws.delete(made), "InvalidRequestException")
    aws.delete(aws.update(made, {**made.state.inputs, "deletionProtection": False}))


def test_a_balancer_holds_the_network_that_it_is_in(aws: Aws) -> None:
    vpc, subnet = network(aws)
    gateway = aws.create("ec2/internetGateway:InternetGateway", {"vpcId": vpc.id})
    inputs = {"loadBalancerType": "network", "subnets": [subnet.id], "enableDeletionProtection": True}
    balancer = aws.create("lb/loadBalancer:LoadBalancer", inputs)
    assert ":loadbalancer/net/one-" in balancer.id
    targets = aws.create("lb/targetGroup:TargetGroup", {"vpcId": vpc.id, "port": 443, "protocol": "TCP"})
    forward = [{"type": "forward", "targetGroupArn": targets.id}]
    listener = aws.create("lb/listener:Listener", {"loadBalancerArn": balancer.id, "defaultActions": forward})
    assert listener.id.startswith(balancer.id.replace(":loadbalancer/", ":listener/"))
    refused(lambda: aws.delete(gateway), "DependencyViolation")
    refused(lambda: aws.delete(subnet), "DependencyViolation")
    refused(lambda: aws.delete(targets), "ResourceInUse")
    refused(lambda: aws.delete(balancer), "OperationNotPermitted")
    aws.delete(listener)
    aws.delete(aws.update(balancer, {**balancer.state.inputs, "enableDeletionProtection": False}))
    for each in (targets, gateway, subnet, vpc):
        aws.delete(each)


def test_an_internet_gateway_stays_while_a_nat_gateway_has_an_address(aws: Aws) -> None:
    vpc, subnet = network(aws)
    gateway = aws.create("ec2/internetGateway:InternetGateway", {"vpcId": vpc.id})
    address = aws.create("ec2/eip:Eip", {"domain": "vpc"})
    nat = aws.create("ec2/natGateway:NatGateway", {"subnetId": subnet.id, "allocationId": address.id})
    assert nat.outputs["publicIp"] == address.outputs["publicIp"]
    refused(lambda: aws.delete(gateway), "DependencyViolation")
    refused(lambda: aws.delete(address), "InvalidIPAddress.InUse")
    aws.delete(nat)
    aws.delete(gateway)


def test_a_role_stays_while_a_policy_is_attached(aws: Aws) -> None:
    role = aws.create("iam/role:Role", {"assumeRolePolicy": ASSUMED})
    attached = {"role": role.outputs["name"], "policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"}
    attachment = aws.create("iam/rolePolicyAttachment:RolePolicyAttachment", attached)
    refused(lambda: aws.delete(role), "DeleteConflict")
    aws.delete(attachment)
    aws.delete(role)


def test_a_bucket_with_objects_stays_and_a_locked_one_cannot_be_forced(aws: Aws) -> None:
    bucket = aws.create("s3/bucket:Bucket", {"bucket": "audit"})
    with Kept(aws.folder / "aws.jsonl").open() as entries:
        Account(entries).fill("audit", objects=2, locked=True)
    refused(lambda: aws.delete(bucket), "BucketNotEmpty")
    forced = aws.update(bucket, {"bucket": "audit", "forceDestroy": True})
    assert "COMPLIANCE" in refused(lambda: aws.delete(forced), "AccessDenied")
    with Kept(aws.folder / "aws.jsonl").open() as entries:
        Account(entries).fill("audit", objects=2)
    aws.delete(forced)


def test_a_zone_with_records_stays_unless_it_is_forced(aws: Aws) -> None:
    zone = aws.create("route53/zone:Zone", {"name": "example.org"})
    record = {"zoneId": zone.id, "name": "a.example.org", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}
    aws.create("route53/record:Record", record)
    refused(lambda: aws.delete(zone), "HostedZoneNotEmpty")
    aws.delete(aws.update(zone, {"name": "example.org", "forceDestroy": True}))


# ---- faults on demand


def test_the_call_that_is_to_fail_fails_and_no_other(aws: Aws) -> None:
    fault = {"type": "aws:kms/key:Key", "call": "create", "nth": 2, "code": "KMSInternalException"}
    aws.faults(fail=[fault])
    aws.create("kms/key:Key", {}, "one")
    refused(lambda: aws.create("kms/key:Key", {}, "two"), "KMSInternalException")
    aws.create("kms/key:Key", {}, "three")


def test_a_preview_is_no_call(aws: Aws) -> None:
    fault = {"type": "aws:kms/key:Key", "call": "create", "code": "KMSInternalException"}
    aws.faults(fail=[fault])
    aws.previewed("kms/key:Key", {})
    refused(lambda: aws.create("kms/key:Key", {}), "KMSInternalException")


def test_an_unreachable_region_fails_by_its_name_and_the_others_work(aws: Aws) -> None:
    there = aws.create("kms/key:Key", {"region": "us-east-1"}, "far")
    aws.faults(unreachable=["us-east-1"])
    assert "endpoint of us-east-1" in refused(lambda: aws.read(there), "RequestError")
    refused(lambda: aws.delete(there), "RequestError")
    aws.create("kms/key:Key", {}, "near")


def test_a_line_that_is_not_ours_is_refused(aws: Aws) -> None:
    (aws.folder / "aws.jsonl").write_text("{}\n")
    refused(lambda: aws.create("kms/key:Key", {}), "standin.kept")


def test_a_line_that_a_kill_cut_short_is_dropped(aws: Aws) -> None:
    key = aws.create("kms/key:Key", {})
    with (aws.folder / "aws.jsonl").open("a") as file:
        file.write('{"key": "half')
    after = AwsStandIn(aws.folder)
    after.configure({"region": "eu-central-1"})
    assert after.read(key.call, key.id, key.state) is not None
    aws.create("kms/key:Key", {}, "two")
    assert (aws.folder / "aws.jsonl").read_text().count("\n") == 2
