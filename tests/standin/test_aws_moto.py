"""moto's second opinion: the same call, made for real against a model of AWS."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.lock import locked
from lockstep.paths import cache, here
from lockstep.standin.aws.moto_judge import FOLDER_VARIABLE

REQUIREMENTS = here().root / "requirements-moto.txt"
# A process of its own: moto puts itself between botocore and the network for as long as the process lives.
RUN = """
import sys
from pathlib import Path
from lockstep.errors import LockstepError
from tests.support.standin_aws import REGION, Aws
from lockstep.standin.aws.plugin import AwsStandIn

def fresh():
    provider = AwsStandIn(Path(sys.argv[1]))
    provider.configure({"region": REGION})
    return Aws(provider, Path(sys.argv[1]))

def refused(token, inputs, code, name="bad"):
    try:
        aws.create(token, inputs, name)
    except LockstepError as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"{token} {inputs} was taken")

aws = fresh()
"""
NOBODY = '{"Version": "2012-10-17", "Statement": []}'
ANYBODY = """'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}]}'"""


@pytest.fixture(scope="module")
def moto() -> Iterator[Path]:
    """The folder with moto, at the versions that the checkout pins; made once for all checkouts."""
    folder = cache() / "moto" / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    with locked(folder.with_suffix(".lock"), deadline_s=600):
        if not (folder / "done").exists():
            install = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*install, "--target", str(folder), "-r", str(REQUIREMENTS)], check=True)
            (folder / "done").touch()
    yield folder


def run(moto: Path, folder: Path, program: str) -> None:
    environment = {**os.environ, FOLDER_VARIABLE: str(moto), "PYTHONPATH": str(here().root)}
    said = subprocess.run(
        [sys.executable, "-c", RUN + program, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=here().root,
    )
    assert said.returncode == 0, said.stderr


def test_what_is_right_is_taken_by_both(moto: Path, tmp_path: Path) -> None:
    run(
        moto,
        tmp_path,
        f"""
vpc = aws.create("ec2/vpc:Vpc", {{"cidrBlock": "10.0.0.0/16"}})
subnet = {{"vpcId": vpc.id, "cidrBlock": "10.0.1.0/24", "availabilityZone": "eu-central-1a"}}
aws.create("ec2/subnet:Subnet", subnet)
aws.create("ec2/securityGroup:SecurityGroup", {{"vpcId": vpc.id}})
bucket = aws.create("s3/bucket:Bucket", {{"bucket": "audit", "objectLockEnabled": True}})
on = {{"status": "Enabled"}}
aws.create("s3/bucketVersioning:BucketVersioning", {{"bucket": "audit", "versioningConfiguration": on}})
role = aws.create("iam/role:Role", {{"assumeRolePolicy": {NOBODY!r}}})
key = aws.create("kms/key:Key", {{"customerMasterKeySpec": "ECC_NIST_P256", "keyUsage": "SIGN_VERIFY"}})
heads = {{"customerMasterKeySpec": "ECC_NIST_EDWARDS25519", "keyUsage": "SIGN_VERIFY"}}
aws.create("kms/key:Key", heads, "heads")
aws.create("kms/alias:Alias", {{"targetKeyId": key.id}})
aws.create("ecr/repository:Repository", {{"imageTagMutability": "IMMUTABLE"}})
aws.create("route53/zone:Zone", {{"name": "example.org"}})

# A later run: what is there is made again in moto when something names it.
aws = fresh()
aws.create("ec2/subnet:Subnet", {{"vpcId": vpc.id, "cidrBlock": "10.0.2.0/24"}}, "two")
""",
    )


def test_what_only_moto_knows_is_refused_with_awss_code(moto: Path, tmp_path: Path) -> None:
    run(
        moto,
        tmp_path,
        f"""
role = aws.create("iam/role:Role", {{"assumeRolePolicy": {NOBODY!r}}})
policy = {{"role": role.outputs["name"], "policy": {ANYBODY}}}
refused("iam/rolePolicy:RolePolicy", policy, "MalformedPolicyDocument")
refused("iam/policy:Policy", {{"policy": {ANYBODY}}}, "MalformedPolicyDocument")
aws.create("ecr/repository:Repository", {{"name": "serve"}})
rules = '{{"rules": [{{"rulePriority": 1, "description": "' + "x" * 100 + '"}}]}}'
lifecycle = {{"repository": "serve", "policy": rules}}
refused("ecr/lifecyclePolicy:LifecyclePolicy", lifecycle, "InvalidParameterException")
""",
    )
