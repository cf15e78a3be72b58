"""Where releases and images lie. Neither is ever written over: what a digest named, it names for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from infra.aws import bucket as buckets
from infra.aws import texts
from infra.aws.ground import Ground
from infra.aws.keeping import Keeping, keeping
from infra.aws.outliving import REGISTRY
from infra.aws.policies import buckets as seals
from infra.aws.policies.statements import BUCKET

IMAGES = "models"
ABANDONED_DAYS = 14
"""When parts of an upload are thrown away that nobody has finished: after the store gives them up itself."""


@dataclass(frozen=True)
class Registry:
    """store: the URL that the release store takes. repositories: region -> the name that images have there,
    without tag or digest."""

    resource: pulumi.Resource
    bucket: str
    store: str
    repositories: Mapping[str, pulumi.Output[str]]


def registry(ground: Ground) -> Registry:
    """The bucket of releases in the home region; a repository of images in each region, copied from home."""
    tree = pulumi.ComponentResource("lockstep:infra:Registry", "registry")
    here = keeping(ground, tree, ground.home, part=REGISTRY)
    name = ground.cloud.registry
    made = buckets.bucket(here, "registry", name, locked=False)
    parts = buckets.settings(here, "registry", name, made, None)
    _abandoned(here, name, parts)
    buckets.policy(here, "registry", name, texts.of_names(ground, seals.registry, BUCKET), parts)
    repositories = {region: _repository(ground, tree, region, made) for region in ground.settings.regions}
    _copied(ground, tree, list(repositories.values()))
    tree.register_outputs({})
    return Registry(
        tree,
        name,
        f"s3://{name}?region={ground.home}",
        {region: one.repository_url for region, one in repositories.items()},
    )


def _abandoned(here: Keeping, name: str, after: list[pulumi.Resource]) -> None:
    aws.s3.BucketLifecycleConfiguration(
        "registry-lifecycle",
        region=here.region,
        bucket=name,
        rules=[
            {
                "id": "abandoned-uploads",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "abort_incomplete_multipart_upload": {"days_after_initiation": ABANDONED_DAYS},
            }
        ],
        opts=here.options(name, after=after),
    )


def _repository(
    ground: Ground, tree: pulumi.Resource, region: str, after: pulumi.Resource
) -> aws.ecr.Repository:
    """No rule ever removes an image: one that a rollback goes back to may be the oldest there is.

    After the bucket: where an earlier stack left both, the bucket is what says how to take them over.
    """
    name = ground.name(IMAGES)
    kept = keeping(ground, tree, region, part=REGISTRY)
    if kept.adopt:
        # A region that the stack has not had before has none to take over.
        asked = pulumi.InvokeOptions(provider=ground.provider)
        there = aws.ecr.get_repositories(region=region, opts=asked).names
        kept = replace(kept, adopt=name in there)
    return aws.ecr.Repository(
        f"images-{region}",
        region=region,
        name=name,
        image_tag_mutability="IMMUTABLE",
        image_scanning_configuration={"scan_on_push": True},
        encryption_configurations=[{"encryption_type": "KMS"}],
        force_delete=False,
        opts=kept.options(name, after=[after], unreadable=("force_delete",)),
    )


def _copied(ground: Ground, tree: pulumi.Resource, repositories: list[aws.ecr.Repository]) -> None:
    """What is pushed at home arrives in every region, into the repository that is there already."""
    others = [region for region in ground.settings.regions if region != ground.home]
    if not others:
        return
    aws.ecr.ReplicationConfiguration(
        "images-replication",
        region=ground.home,
        replication_configuration={
            "rules": [
                {
                    "destinations": [{"region": region, "registry_id": ground.account} for region in others],
                    "repository_filters": [{"filter": ground.name(IMAGES), "filter_type": "PREFIX_MATCH"}],
                }
            ]
        },
        opts=ground.options(after=repositories, parent=tree),
    )
