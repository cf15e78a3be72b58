"""What stands behind the account where a test runs it: an S3 server, a KMS, and API servers.

    <state folder>/behind.json   {"s3": {"endpoint": ..., "access": ..., "secret": ..., "region": ...},
                                  "kms": its endpoint, for the same credentials}

A bucket that the account gets is made on that server too, with its tags, so that what is recorded in it is
really kept. A key that it gives a name signs there, under that name. A cluster that goes takes all its
objects with it, as they would go with their control plane.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from lockstep.audit.s3http import Answer, SignedHttp
from lockstep.audit.sigv4 import Credentials
from lockstep.errors import LockstepError
from lockstep.standin.aws.account import BUCKET, Account, Resource

NAME = "behind.json"
ALIAS, KEY = "aws:kms/alias:Alias", "aws:kms/key:Key"
CLUSTER = "aws:eks/cluster:Cluster"
TIMEOUT_S = 10.0


def write(folder: Path, s3: Mapping[str, str], kms: str = "") -> None:
    """Say which S3 server holds the account's buckets, and which KMS its keys."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.touch(mode=0o600)
    path.write_text(json.dumps({"s3": dict(s3), "kms": kms}))


def made(folder: Path, resource: Resource, account: Account) -> None:
    """After a resource was made."""
    path = folder / NAME
    if resource.token not in (BUCKET, ALIAS) or not path.exists():
        return
    reach = json.loads(path.read_text())
    if resource.token == BUCKET:
        _bucket(reach["s3"], resource)
    elif reach["kms"]:
        key = account.find(KEY, resource.region, str(resource.outputs["targetKeyId"]))
        _key(reach, resource, {} if key is None else key.outputs)


def _bucket(s3: Mapping[str, str], resource: Resource) -> None:
    from lockstep.audit.s3 import S3Bucket

    bucket = S3Bucket(s3["endpoint"], resource.id, s3["access"], s3["secret"], s3["region"])
    if not bucket.exists():
        bucket.create()
    tags = "".join(
        f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>"
        for key, value in (resource.outputs.get("tagsAll") or {}).items()
    )
    body = f"<Tagging><TagSet>{tags}</TagSet></Tagging>".encode()
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    answer = _asks(s3["endpoint"], s3, s3["region"], "s3").ask(
        "PUT", f"/{resource.id}", {"tagging": ""}, {"content-md5": md5}, body
    )
    _require(answer, f"tag {resource.id}")


def _key(reach: Mapping[str, Any], alias: Resource, key: Mapping[str, Any]) -> None:
    """A key of the same kind under the same alias, unless somebody has put one there before."""
    kms = _asks(reach["kms"], reach["s3"], alias.region, "kms")

    def ask(operation: str, **words: str) -> Answer:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"TrentService.{operation}"}
        return kms.ask("POST", "/", {}, headers, json.dumps(words).encode())

    name = str(alias.outputs["name"])
    if ask("DescribeKey", KeyId=name).status == 200:
        return
    spec, usage = key["customerMasterKeySpec"], key["keyUsage"]
    new = _require(ask("CreateKey", KeySpec=spec, KeyUsage=usage), f"make a key for {name}")
    named = ask("CreateAlias", AliasName=name, TargetKeyId=json.loads(new.body)["KeyMetadata"]["KeyId"])
    _require(named, f"name a key {name}")


def _asks(endpoint: str, s3: Mapping[str, str], region: str, service: str) -> SignedHttp:
    who = Credentials(s3["access"], s3["secret"], region)
    return SignedHttp(endpoint, lambda: who, TIMEOUT_S, lambda: datetime.now(UTC), service=service)


def _require(answer: Answer, doing: str) -> Answer:
    if answer.status not in (200, 204):
        raise LockstepError(
            f"what stands behind the account did not {doing}: {answer.status} {answer.body[:300]!r}",
            code="standin.behind",
            remedy="see the server that behind.json names",
        )
    return answer


def gone(folder: Path, resource: Resource) -> None:
    """After a resource was deleted."""
    if resource.token != CLUSTER:
        return
    from lockstep.standin.kubernetes import access, controllers
    from lockstep.standin.kubernetes.api import Api

    meant = access.find(folder, {"name": str(resource.outputs.get("arn"))})
    if meant is not None:
        controllers.clear(Api(meant.access))
