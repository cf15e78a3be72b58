"""moto's second opinion: the same call, made for real against a model of AWS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.paths import here
from lockstep.standin.aws.behaviour import table
from lockstep.standin.aws.moto_judge import FOLDER_VARIABLE
from lockstep.standin.aws.moto_requests import ANSWERED, CREATES, DELETES, UNANSWERED, UPDATES
from tests.support.moto import moto

__all__ = ["moto"]  # the fixture, where pytest finds it
GOLDENS = here().root / "tests" / "program" / "aws" / "goldens"
# A process of its own: moto puts itself between botocore and the network for as long as the process lives.
RUN = """
import sys
from pathlib import Path
from lockstep.errors import LockstepError
from tests.support.standin_aws import REGION, Aws
from lockstep.standin.aws.plugin import AwsStandIn

def fresh():
    if "moto" in sys.modules:  # it forgets only with its process, or when told to
        from moto.moto_api._internal.models import moto_api_backend
        moto_api_backend.reset()
    provider = AwsStandIn(Path(sys.argv[1]))
    provider.configure({"region": REGION})
    return Aws(provider, Path(sys.argv[1]))

def refused(token, inputs, code, name="bad"):
    raises(code, lambda: aws.create(token, inputs, name), f"{token} {inputs} was taken")

def raises(code, call, otherwise):
    try:
        call()
    except LockstepError as error:
        assert error.code == code, error
        assert "moto: " in error.message, f"the stand-in itself knew: {error}"
    else:
        raise AssertionError(otherwise)

aws = fresh()
"""
NOBODY = '{"Version": "2012-10-17", "Statement": []}'
ALL = '{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}'
READING = '{"Version": "2012-10-17", "Statement": [' + ALL + "]}"
ANYBODY = """'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}]}'"""
NOT_DECLARED = {"aws:ecr/lifecyclePolicy:LifecyclePolicy", "aws:route53/zone:Zone"}
"""What moto is asked all the same, for whoever declares it one day."""


def run(moto: Path, folder: Path, program: str) -> str:
    environment = {**os.environ, FOLDER_VARIABLE: str(moto), "PYTHONPATH": str(here().root)}
    said = subprocess.run(
        [sys.executable, "-c", RUN + program, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=here().root,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


def declared() -> set[str]:
    """The types of all AWS resources in the program, whatever a stack's configuration makes of it."""
    text = "\n".join(path.read_text() for path in (here().root / "infra").rglob("*.py"))
    named = set(re.findall(r"\baws\.(\w+)\.([A-Z]\w+)\(", text))
    return {
        f"aws:{module}/{kind[:1].lower()}{kind[1:]}:{kind}"
        for module, kind in named
        if not kind.endswith(("Args", "ArgsDict"))
    }


def test_every_type_of_the_program_is_asked_about_or_is_listed_with_the_reason() -> None:
    assert ANSWERED.keys().isdisjoint(UNANSWERED), "a type is in both tables"
    assert ANSWERED.keys() | UNANSWERED.keys() == declared() | NOT_DECLARED
    assert CREATES.keys() <= ANSWERED.keys() | UNANSWERED.keys()
    assert UPDATES.keys() | DELETES.keys() <= ANSWERED.keys()
    assert all(UNANSWERED.values())


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_the_list_of_the_programs_types_has_what_the_stacks_declare(stack: str) -> None:
    shown = re.findall(r"aws:(\w+:\w+)", (GOLDENS / f"{stack}.tree.txt").read_text())
    listed = {re.sub(r"/\w+", "", token).removeprefix("aws:") for token in declared()}
    assert set(shown) and set(shown) <= listed
    assert declared() <= table().types.keys()


def test_what_is_right_is_taken_by_both(moto: Path, tmp_path: Path) -> None:
    run(
        moto,
        tmp_path,
        f"""
vpc = aws.create("ec2/vpc:Vpc", {{"cidrBlock": "10.0.0.0/16"}})
subnet = {{"vpcId": vpc.id, "cidrBlock": "10.0.1.0/24", "availabilityZone": "eu-central-1a"}}
aws.create("ec2/subnet:Subnet", subnet)
role = aws.create("iam/role:Role", {{"assumeRolePolicy": {NOBODY!r}}})
key = aws.create("kms/key:Key", {{"customerMasterKeySpec": "ECC_NIST_P256", "keyUsage": "SIGN_VERIFY"}})
aws.create("ecr/repository:Repository", {{"name": "serve"}})
few = '{{"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9}}'
rules = '{{"rules": [{{"rulePriority": 1, "selection": ' + few + ', "action": {{"type": "expire"}}}}]}}'
aws.create("ecr/lifecyclePolicy:LifecyclePolicy", {{"repository": "serve", "policy": rules}})
zone = aws.create("route53/zone:Zone", {{"name": "example.org"}})

# A later run: what is there is made again in moto, so that it can be named, changed and deleted.
aws = fresh()
aws.create("ec2/subnet:Subnet", {{"vpcId": vpc.id, "cidrBlock": "10.0.2.0/24"}}, "two")
aws.create("kms/alias:Alias", {{"targetKeyId": key.id}})
record = {{"zoneId": zone.id, "name": "a.example.org", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}}
aws.delete(aws.create("route53/record:Record", record))
aws.delete(zone)
aws.delete(role)
import boto3
assert boto3.client("iam").list_roles()["Roles"] == []
assert boto3.client("route53").list_hosted_zones()["HostedZones"] == []
""",
    )


def test_all_that_the_program_can_declare_is_taken_by_both(moto: Path, tmp_path: Path) -> None:
    """What an account gets once, then a stack of each kind: every request there is has been put."""
    said = run(
        moto,
        tmp_path,
        """
from infra.bootstrap.account import account as once
from tests.support import moto
from tests.support.clouds import stack
from tests.support.whole_stack import whole_stack

stand_in = moto.account(Path(sys.argv[1]))
moto.declared(stand_in, lambda: once("eu-central-1", "", ""))
ours = {"repository": "acme/vision", "branch": "main"}
by = {"capacity": {"by": "karpenter"}, "entry": {"by": "accelerator"}, "identity": ours}
moto.declared(stand_in, lambda: whole_stack(stack("staging", **by)))
moto.declared(stand_in, lambda: whole_stack(stack("prod", capacity={"by": "managed"})))
print(*sorted({key.split("/")[0] + "/" + key.split("/")[1] for key in stand_in._judge._made}))
""",
    )
    assert set(said.split()) == CREATES.keys() - NOT_DECLARED


def test_what_only_moto_knows_is_refused_with_awss_code(moto: Path, tmp_path: Path) -> None:
    run(
        moto,
        tmp_path,
        f"""
role = aws.create("iam/role:Role", {{"assumeRolePolicy": {NOBODY!r}}})
policy = {{"role": role.outputs["name"], "policy": {ANYBODY}}}
refused("iam/rolePolicy:RolePolicy", policy, "MalformedPolicyDocument")
refused("iam/policy:Policy", {{"policy": {ANYBODY}}}, "MalformedPolicyDocument")
unknown = {{"role": role.outputs["name"], "policyArn": "arn:aws:iam::aws:policy/AmazonEKSNoSuchPolicy"}}
refused("iam/rolePolicyAttachment:RolePolicyAttachment", unknown, "NoSuchEntity")

aws.create("ecr/repository:Repository", {{"name": "serve"}})
rules = '{{"rules": [{{"rulePriority": 1, "description": "' + "x" * 100 + '"}}]}}'
lifecycle = {{"repository": "serve", "policy": rules}}
refused("ecr/lifecyclePolicy:LifecyclePolicy", lifecycle, "InvalidParameterException")

vpc = aws.create("ec2/vpc:Vpc", {{"cidrBlock": "10.0.0.0/16"}})
elsewhere = {{"vpcId": vpc.id, "cidrBlock": "10.0.1.0/24", "availabilityZoneId": "euc1-az9"}}
refused("ec2/subnet:Subnet", elsewhere, "InvalidParameterValue")
group = aws.create("ec2/securityGroup:SecurityGroup", {{"vpcId": vpc.id}})
rule = {{"securityGroupId": group.id, "cidrIpv4": "10.0.0.0/16", "ipProtocol": "tcp"}}
rule |= {{"fromPort": 1, "toPort": 2}}
aws.create("vpc/securityGroupIngressRule:SecurityGroupIngressRule", rule)
refused("vpc/securityGroupIngressRule:SecurityGroupIngressRule", rule, "InvalidPermission.Duplicate")

zone = aws.create("route53/zone:Zone", {{"name": "example.org"}})
foreign = {{"zoneId": zone.id, "name": "a.example.com", "type": "A", "ttl": 60, "records": ["192.0.2.1"]}}
refused("route53/record:Record", foreign, "InvalidChangeBatch")
refused("cloudtrail/trail:Trail", {{"s3BucketName": "nobodys"}}, "S3BucketDoesNotExistException")
""",
    )


def test_an_update_is_put_to_moto(moto: Path, tmp_path: Path) -> None:
    run(
        moto,
        tmp_path,
        f"""
role = aws.create("iam/role:Role", {{"assumeRolePolicy": {NOBODY!r}}})
policy = {{"role": role.outputs["name"], "policy": {READING!r}}}
made = aws.create("iam/rolePolicy:RolePolicy", policy)
change = lambda: aws.update(made, {{**policy, "policy": {ANYBODY}}})
raises("MalformedPolicyDocument", change, "it was changed")
""",
    )


def test_what_moto_cannot_answer_is_held_against_awss_own_description(moto: Path, tmp_path: Path) -> None:
    run(
        moto,
        tmp_path,
        """
from lockstep.standin.aws.moto_requests import CREATES, UNANSWERED

long = {"acceleratorArn": aws.create("globalaccelerator/accelerator:Accelerator", {}).id, "protocol": "TCP"}
refused("globalaccelerator/listener:Listener", {**long, "portRanges": []}, "ValidationException")

# Once moto learns one of these calls, the type moves to the other table.
from moto.backends import list_of_moto_modules
from moto.eks.responses import EKSResponse
calls = ("create_access_entry", "associate_access_policy", "create_addon", "create_pod_identity_association")
assert not [call for call in calls if hasattr(EKSResponse, call)]
assert "globalaccelerator" not in list_of_moto_modules()
""",
    )


def test_moto_too_refuses_to_delete_what_something_depends_on(moto: Path, tmp_path: Path) -> None:
    """Asked behind the stand-in's back, which knows most of these itself."""
    run(
        moto,
        tmp_path,
        f"""
def held(made, code):
    with aws.provider._account() as account:
        (resource,) = [each for each in account if each.id == made.id]
        raises(code, lambda: aws.provider._judge.delete(account, resource), f"{{made.id}} was deleted")

vpc = aws.create("ec2/vpc:Vpc", {{"cidrBlock": "10.0.0.0/16"}})
subnet = aws.create("ec2/subnet:Subnet", {{"vpcId": vpc.id, "cidrBlock": "10.0.1.0/24"}})
role = aws.create("iam/role:Role", {{"assumeRolePolicy": {NOBODY!r}}})
aws.create("iam/rolePolicy:RolePolicy", {{"role": role.outputs["name"], "policy": {READING!r}}})
cluster = {{"name": "one", "roleArn": role.outputs["arn"], "vpcConfig": {{"subnetIds": [subnet.id]}}}}
cluster = aws.create("eks/cluster:Cluster", cluster)
size = {{"minSize": 1, "maxSize": 1, "desiredSize": 1}}
nodes = {{"clusterName": "one", "nodeRoleArn": role.outputs["arn"], "subnetIds": [subnet.id]}}
nodes["scalingConfig"] = size
aws.create("eks/nodeGroup:NodeGroup", nodes)
balancer = {{"loadBalancerType": "network", "subnets": [subnet.id]}}
balancer = aws.create("lb/loadBalancer:LoadBalancer", balancer)
targets = aws.create("lb/targetGroup:TargetGroup", {{"vpcId": vpc.id, "protocol": "TCP", "port": 443}})
forward = [{{"type": "forward", "targetGroupArn": targets.id}}]
listener = {{"loadBalancerArn": balancer.id, "protocol": "TCP", "port": 443, "defaultActions": forward}}
aws.create("lb/listener:Listener", listener)

aws = fresh()  # nothing is known of what an earlier process made but the account
held(cluster, "ResourceInUseException")
held(role, "DeleteConflict")
held(targets, "ResourceInUse")
held(vpc, "DependencyViolation")
""",
    )
