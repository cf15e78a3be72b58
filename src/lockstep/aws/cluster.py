"""How a region's Kubernetes API is reached: as EKS says, or as a file says that names clusters by region.

The file is for clusters that are reached otherwise than by their own address, over a tunnel for example:

    LOCKSTEP_CLUSTERS=<file>   {"<region>": {"server": "https://host:port", "token": "...", "ca": "<PEM>"}}

A token for EKS is a signed question to STS that the cluster sends in our place; it is made here, for the
cluster's name, and lives as long as the one command that uses it.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lockstep.audit.sigv4 import presigned_url
from lockstep.aws.credentials import Chain
from lockstep.aws.service import Refused, Service, domain_of
from lockstep.canonical import parse
from lockstep.errors import IntegrityError, UsageError
from lockstep.paths import PROJECT

CLUSTERS = "LOCKSTEP_CLUSTERS"
TOKEN_PREFIX = "k8s-aws-v1."
TOKEN_S = 60
"""How long STS takes the question; the cluster asks it at once, and believes the answer for 15 minutes."""


@dataclass(frozen=True)
class Cluster:
    """ca: PEM of who vouches for the server."""

    region: str
    server: str
    ca: str
    token: str = field(repr=False)


def name_of(environment: str, region: str) -> str:
    """What the program calls a region's cluster."""
    return f"{PROJECT}-{environment}-{region}"


def cluster_of(environment: str, region: str) -> Cluster | None:
    """How to reach a region's cluster; None where there is none (yet).

    Raises UsageError `aws.no_credentials`, `aws.clusters_file`; Unavailable `aws.silent`; Refused.
    """
    file = os.environ.get(CLUSTERS)
    if file is not None:
        return _from_file(Path(file), region)
    name, credentials = name_of(environment, region), Chain(region)
    try:
        said = Service("eks", region, credentials).ask("GET", f"/clusters/{name}", {}).get("cluster") or {}
    except Refused as error:
        if error.name == "ResourceNotFoundException":
            return None
        raise
    if "endpoint" not in said:
        return None  # it is being made
    ca = base64.b64decode((said.get("certificateAuthority") or {}).get("data") or "").decode("ascii")
    return Cluster(region, str(said["endpoint"]), ca, token_of(name, credentials))


def token_of(name: str, credentials: Chain) -> str:
    """A bearer token for a cluster (https://github.com/kubernetes-sigs/aws-iam-authenticator)."""
    url = presigned_url(
        f"sts.{credentials.region}.{domain_of(credentials.region)}",
        {"Action": "GetCallerIdentity", "Version": "2011-06-15"},
        {"x-k8s-aws-id": name},
        credentials(),
        datetime.now(UTC),
        service="sts",
        lasts_s=TOKEN_S,
    )
    return TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode("ascii").rstrip("=")


def _from_file(file: Path, region: str) -> Cluster | None:
    try:
        value: Any = parse(file.read_bytes())
        said = value.get(region)
        if said is None:
            return None
        return Cluster(region, str(said["server"]), str(said["ca"]), str(said["token"]))
    except (OSError, IntegrityError, AttributeError, KeyError, TypeError):
        raise UsageError(
            f"{CLUSTERS} names a file that does not say how to reach {region}",
            code="aws.clusters_file",
            remedy='write {"<region>": {"server": ..., "token": ..., "ca": "<PEM>"}}, or unset it to ask EKS',
        ) from None
