"""The records as they are declared: what would let a record be lost, read or changed is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.aws.audit import audit_bucket
from infra.aws.ground import ground
from infra.config import Settings
from tests.support.clouds import ACCOUNT, Recorder, Registered, declare, quiet_engine, stack

LOG, COPY, TRAIL = "lockstep-audit-staging", "lockstep-audit-staging-copy", "lockstep-audit-staging-trail"
OTHER = "444455556666"

__all__ = ["quiet_engine"]  # the fixture, where pytest finds it
pytestmark = pytest.mark.usefixtures("quiet_engine")


def records(settings: Settings | None = None) -> Recorder:
    return declare(lambda: audit_bucket(ground(settings or stack())))


def far() -> Settings:
    """With the copy in another account."""
    replica = {"bucket": COPY, "region": "eu-west-1", "account": OTHER}
    return stack(audit={"replica": replica})


def on(recorder: Recorder, kind: str, bucket: str) -> Registered:
    found = [each for each in recorder.of(f":{kind}") if each.inputs["bucket"] == bucket]
    assert len(found) == 1, f"{bucket} has {len(found)} of {kind}"
    return found[0]


@pytest.mark.parametrize("bucket", [LOG, COPY, TRAIL])
def test_every_bucket_of_the_log_is_locked_versioned_encrypted_and_closed(bucket: str) -> None:
    made = records()
    assert on(made, "Bucket", bucket).inputs["objectLockEnabled"] is True
    assert on(made, "BucketVersioning", bucket).inputs["versioningConfiguration"] == {"status": "Enabled"}
    rule = on(made, "BucketServerSideEncryptionConfiguration", bucket).inputs["rules"][0]
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
    assert rule["blockedEncryptionTypes"] == ["SSE-C"]
    closed = on(made, "BucketPublicAccessBlock", bucket).inputs
    assert all(
        closed[key] is True
        for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    )
    owned = on(made, "BucketOwnershipControls", bucket).inputs["rule"]
    assert owned == {"objectOwnership": "BucketOwnerEnforced"}


@pytest.mark.parametrize("bucket", [LOG, COPY, TRAIL])
def test_a_seal_is_put_on_last_because_nothing_can_be_set_under_it(bucket: str) -> None:
    made = records()
    seal = on(made, "BucketPolicy", bucket)
    denied = [each["Sid"] for each in json.loads(seal.inputs["policy"])["Statement"]]
    assert {"NobodyDeletes", "NobodyUnseals", "OnlyTls", "OnlyTls12"} <= set(denied)
    for each in made.registered.values():
        if each.inputs.get("bucket") == bucket and each is not seal:
            assert made.waits_for(seal, each), f"{each.key} might come after the seal"


def test_everything_is_kept_when_the_stack_is_destroyed() -> None:
    for each in records().registered.values():
        if each.type.startswith("aws:"):
            assert each.retained, f"{each.key} would be deleted"


def test_nothing_is_made_in_vain_where_the_bucket_is_left_over() -> None:
    """Buckets say how to take over what an earlier stack left; nothing else may be made, or fail, before."""
    made = records()
    buckets = made.of(":Bucket")
    for each in made.registered.values():
        if each.type.startswith("aws:") and each not in buckets:
            assert any(made.waits_for(each, bucket) for bucket in buckets), each.key
    for each in made.of(":Key"):
        assert made.waits_for(each, on(made, "Bucket", LOG)), each.name


def test_records_are_signed_by_ecdsa_and_heads_by_ed25519() -> None:
    made = records()
    specs = {
        each.name: (each.inputs["customerMasterKeySpec"], each.inputs["keyUsage"]) for each in made.of(":Key")
    }
    assert specs == {
        "records-key": ("ECC_NIST_P256", "SIGN_VERIFY"),
        "heads-key": ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY"),
        "data-key": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        "copy-key": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    }
    for each in made.of(":Key"):
        assert each.inputs["enableKeyRotation"] is (each.inputs["keyUsage"] == "ENCRYPT_DECRYPT")
        denied = {
            one["Sid"] for one in json.loads(each.inputs["policy"])["Statement"] if one["Effect"] == "Deny"
        }
        assert {"NobodyDeletes", "OnlyRootUnseals"} <= denied


def test_the_copy_takes_locks_along_and_no_deletion() -> None:
    made = records()
    replication = on(made, "BucketReplicationConfig", LOG)
    (rule,) = replication.inputs["rules"]
    assert rule["status"] == "Enabled" and rule["filter"] == {"prefix": ""}
    assert rule["deleteMarkerReplication"] == {"status": "Disabled"}
    assert rule["destination"]["bucket"] == f"arn:aws:s3:::{COPY}"
    assert rule["sourceSelectionCriteria"] == {"sseKmsEncryptedObjects": {"status": "Enabled"}}
    rights = json.loads(made.named("replication-rights").inputs["policy"])["Statement"]
    allowed = {action for each in rights for action in each["Action"]}
    assert {"s3:GetObjectRetention", "s3:GetObjectLegalHold"} <= allowed, "or the copy has no locks"
    assert not [action for action in allowed if "Delete" in action or "*" in action]


def test_the_copy_lies_in_the_other_region_under_a_key_of_that_region() -> None:
    made = records()
    for each in made.registered.values():
        if each.name.startswith("copy-"):
            assert each.inputs["region"] == "eu-west-1", each.key
    rule = on(made, "BucketServerSideEncryptionConfiguration", COPY).inputs["rules"][0]
    assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == "arn:copy-key"


def test_a_copy_in_another_account_is_made_and_owned_there() -> None:
    made = records(far())
    for name in ("copy-bucket", "copy-key", "copy-policy"):
        assert "aws-copy" in made.named(name).provider, name
    assert "aws-copy" not in made.named("audit-bucket").provider
    (rule,) = on(made, "BucketReplicationConfig", LOG).inputs["rules"]
    assert rule["destination"]["account"] == OTHER
    assert rule["destination"]["accessControlTranslation"] == {"owner": "Destination"}
    (provider,) = [each for each in made.of("pulumi:providers:aws") if each.name == "aws-copy"]
    roles = json.loads(provider.inputs["assumeRoles"])
    assert roles == [{"roleArn": f"arn:aws:iam::{OTHER}:role/lockstep-copy"}]
    watched = made.named("copy-trail").inputs["advancedEventSelectors"][0]["fieldSelectors"]
    assert {"field": "resources.ARN", "startsWiths": [f"arn:aws:s3:::{COPY}/"]} in watched


def test_every_request_for_a_record_is_on_the_trail_which_is_locked_too() -> None:
    made = records()
    trail = made.named("trail")
    assert trail.inputs["isMultiRegionTrail"] is True and trail.inputs["enableLogFileValidation"] is True
    data = trail.inputs["advancedEventSelectors"][0]["fieldSelectors"]
    wanted: list[dict[str, Any]] = [
        {"field": "eventCategory", "equals": ["Data"]},
        {"field": "resources.type", "equals": ["AWS::S3::Object"]},
        {"field": "resources.ARN", "startsWiths": [f"arn:aws:s3:::{LOG}/", f"arn:aws:s3:::{COPY}/"]},
    ]
    assert data == wanted, "reading is watched as well: no selector of readOnly"
    lock = on(made, "BucketObjectLockConfiguration", TRAIL).inputs["rule"]["defaultRetention"]
    assert lock == {"mode": "COMPLIANCE", "days": 90}
    assert made.waits_for(trail, on(made, "BucketPolicy", TRAIL)), "CloudTrail asks whether it may write"


def test_the_account_in_the_policies_is_that_of_the_credentials() -> None:
    made = records()
    for each in made.of(":BucketPolicy"):
        assert "123456789012" not in each.inputs["policy"]
    assert f"arn:aws:iam::{ACCOUNT}:root" in on(made, "BucketPolicy", COPY).inputs["policy"]


def test_an_adopting_run_asks_for_the_keys_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_ADOPT", "1")
    with pytest.raises(AssertionError, match="getAlias"):
        records()
