"""What a stack in the cloud is told beyond the table: frozen values, as the program takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """cidrs: region -> the VPC's block. nat: how many NAT gateways: none, one a region, one a zone."""

    cidrs: Mapping[str, str]
    nat: str
    flow_log_days: int


@dataclass(frozen=True)
class Cluster:
    """version: of Kubernetes. allow: the blocks that may reach the public endpoint; empty: there is none."""

    version: str
    allow: tuple[str, ...]
    log_days: int


@dataclass(frozen=True)
class Capacity:
    """GPU nodes of one region. min, max: nodes. spot_percent: of the nodes above min. sharing: of one GPU;
    slices: pods a GPU when it is shared."""

    by: str
    instance_types: tuple[str, ...]
    min: int
    max: int
    spot_percent: int
    reservation: str | None
    sharing: str
    slices: int


@dataclass(frozen=True)
class Service:
    """One model's pods in one slot. gpus: a pod. in_flight: requests a pod is scaled to.
    jurisdictions: where its routes, replicas and buckets may lie; empty: anywhere."""

    gpus: int
    cpu: float
    memory_gib: int
    min: int
    max: int
    in_flight: int
    jurisdictions: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """domain: the name that clients use; zone: the id of the Route 53 zone that holds it."""

    by: str
    domain: str
    zone: str


@dataclass(frozen=True)
class Replica:
    """Where the audit bucket is copied to. account: empty: this one."""

    bucket: str
    region: str
    account: str


@dataclass(frozen=True)
class Identity:
    """Who may assume the roles of CI. issuer: of the OIDC tokens; repository: owner/name; empty: no CI."""

    issuer: str
    repository: str
    branch: str


@dataclass(frozen=True)
class Cloud:
    account: str
    network: Network
    cluster: Cluster
    capacity: Capacity
    services: Mapping[str, Service]
    images: Mapping[str, str]
    """Digest of a release's lock file -> the image made from it, by digest."""
    entry: Entry
    registry: str
    replica: Replica
    identity: Identity
