"""What stands behind the account where a test runs it: an S3 server, and API servers.

    <state folder>/behind.json   {"s3": {"endpoint": ..., "access": ..., "secret": ..., "region": ...}}

A bucket that the account gets is made on that server too, so that what is recorded in it is really kept. A
cluster that goes takes all its objects with it, as they would go with their control plane.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lockstep.standin.aws.account import BUCKET, Resource

NAME = "behind.json"
CLUSTER = "aws:eks/cluster:Cluster"


def write(folder: Path, s3: Mapping[str, str]) -> None:
    """Say which S3 server holds the account's buckets."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.touch(mode=0o600)
    path.write_text(json.dumps({"s3": dict(s3)}))


def made(folder: Path, resource: Resource) -> None:
    """After a resource was made."""
    path = folder / NAME
    if resource.token != BUCKET or not path.exists():
        return
    from lockstep.audit.s3 import S3Bucket

    s3 = json.loads(path.read_text())["s3"]
    bucket = S3Bucket(s3["endpoint"], resource.id, s3["access"], s3["secret"], s3["region"])
    if not bucket.exists():
        bucket.create()


def gone(folder: Path, resource: Resource) -> None:
    """After a resource was deleted."""
    if resource.token != CLUSTER:
        return
    from lockstep.standin.kubernetes import access, controllers
    from lockstep.standin.kubernetes.api import Api

    meant = access.find(folder, {"name": str(resource.outputs.get("arn"))})
    if meant is not None:
        controllers.clear(Api(meant.access))
