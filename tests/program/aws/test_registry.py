"""Releases and images as they are declared: what a digest names is never written over."""

from __future__ import annotations

import json

import pytest

from infra.aws.estate import in_region
from infra.aws.ground import ground
from infra.aws.registry import registry
from tests.support.clouds import Recorder, declare, quiet_engine, stack

REGIONS = stack().regions
__all__ = ["quiet_engine"]  # the fixture, where pytest finds it
pytestmark = pytest.mark.usefixtures("quiet_engine")


def declared() -> Recorder:
    return declare(lambda: registry(ground(stack())))


def test_no_image_is_written_over_or_left_unscanned() -> None:
    made = declared()
    assert {each.inputs["region"] for each in made.of(":Repository")} == set(REGIONS)
    for each in made.of(":Repository"):
        assert each.inputs["imageTagMutability"] == "IMMUTABLE"
        assert each.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        assert each.inputs["encryptionConfigurations"] == [{"encryptionType": "KMS"}]
        assert each.retained, "a rollback may need its oldest image"


def test_what_an_earlier_stack_left_is_met_at_the_bucket_first() -> None:
    """It alone says how to take over what was left, so nothing else of it may fail before."""
    made = declared()
    bucket = made.named("registry-bucket")
    for each in made.registered.values():
        if each.retained and each is not bucket:
            assert made.waits_for(each, bucket), each.key


def test_nothing_removes_an_image_that_a_rollback_may_need() -> None:
    assert declared().of(":LifecyclePolicy") == []


def test_an_image_pushed_at_home_arrives_in_every_other_region() -> None:
    made = declared()
    (replication,) = made.of(":ReplicationConfiguration")
    assert replication.inputs["region"] == REGIONS[0]
    (rule,) = replication.inputs["replicationConfiguration"]["rules"]
    assert {each["region"] for each in rule["destinations"]} == set(REGIONS[1:])
    for each in made.of(":Repository"):
        assert rule["repositoryFilters"][0]["filter"] == each.inputs["name"]
        assert made.waits_for(replication, each), "ECR would make one of its own, with tags that move"


def test_a_release_is_written_once_and_kept() -> None:
    made = declared()
    bucket, policy = made.named("registry-bucket"), made.named("registry-policy")
    assert made.named("registry-versioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    denied = {each["Sid"] for each in json.loads(policy.inputs["policy"])["Statement"]}
    assert {"NobodyDeletes", "OnlyNew", "OnlyReadBefore", "OnlyTls"} <= denied
    assert bucket.retained and policy.retained


def test_no_upload_is_thrown_away_that_the_store_would_go_on_with() -> None:
    (rule,) = declared().named("registry-lifecycle").inputs["rules"]
    assert set(rule) == {"id", "status", "filter", "abortIncompleteMultipartUpload"}, "nothing else expires"
    assert rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"] > 7


DIGEST = "@sha256:" + "a" * 64
OWN = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/lockstep-staging-models" + DIGEST


@pytest.mark.parametrize(
    ("image", "pulled"),
    [
        (OWN, OWN.replace("eu-central-1", "us-east-1")),
        (
            OWN.replace("-models@", "-models:1.0@"),
            OWN.replace("eu-central-1", "us-east-1").replace("s@", "s:1.0@"),
        ),
        (OWN.replace("1111", "9999", 1), OWN.replace("1111", "9999", 1)),
        (OWN.replace("-models", "-others"), OWN.replace("-models", "-others")),
        (OWN.replace("eu-central-1", "eu-west-1"), OWN.replace("eu-central-1", "eu-west-1")),
        (
            "registry.example/lockstep-staging-models" + DIGEST,
            "registry.example/lockstep-staging-models" + DIGEST,
        ),
    ],
)
def test_a_region_pulls_the_copy_that_lies_in_it(image: str, pulled: str) -> None:
    """Of the repository that is copied, and of no other: nobody else's lies there."""
    assert (
        in_region(image, "111122223333", "lockstep-staging-models", home="eu-central-1", region="us-east-1")
        == pulled
    )
    assert (
        in_region(
            image, "111122223333", "lockstep-staging-models", home="eu-central-1", region="eu-central-1"
        )
        == image
    )
