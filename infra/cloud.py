"""What the config of a stack in the cloud says beyond the table: frozen values, each checked where it enters.

These keys have defaults in Pulumi.yaml, so that a stack on one machine names none of them. A value that
cannot be right on any account is refused here; what only an account can tell (quota, a zone's name) is not
asked here, because a preview must not depend on it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAMESPACE = "lockstep:"
KEYS: dict[str, type] = {
    "account": str,
    "network": dict,
    "cluster": dict,
    "capacity": dict,
    "services": dict,
    "images": dict,
    "entry": dict,
    "registry": dict,
    "identity": dict,
}
NAT = ("none", "region", "zone")
CAPACITY = ("auto", "karpenter", "managed")
SHARING = ("none", "mig", "time-slicing")
ENTRIES = ("latency", "accelerator")
PRIVATE = "private"

ACCOUNT = re.compile(r"\d{12}")
VERSION = re.compile(r"1\.\d\d")
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.(?:metal|metal-\d+xl|\d*x?large|medium|small|nano|micro)")
RESERVATION = re.compile(r"cr-[0-9a-f]{17}")
DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
ZONE = re.compile(r"Z[A-Z0-9]{5,31}")
BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288)
"""The retentions that CloudWatch Logs knows, in days."""

LARGEST_VPC, SMALLEST_VPC = 16, 20
"""Prefix lengths: a VPC takes /16 at most, and below /20 three private subnets run out of pod addresses."""


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


class Section:
    """One mapping of the config, read key by key; what is wrong is said with the key, and all at once."""

    def __init__(self, key: str, value: object, known: Sequence[str], problems: list[str]) -> None:
        self.key, self.problems = key, problems
        self.values: dict[str, Any] = {}
        if not isinstance(value, dict):
            problems.append(f"{key}: must be a mapping, is {value!r}")
            return
        for name in value.keys() - set(known):
            problems.append(f"{key}.{name}: unknown key; known: {', '.join(known)}")
        self.values = value

    def wrong(self, name: str, said: str) -> None:
        self.problems.append(f"{self.key}.{name}: {said}")

    def text(self, name: str, pattern: re.Pattern[str], what: str, default: str | None = None) -> str:
        value = self.values.get(name, default)
        if value == default and default is not None:
            return default
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self.wrong(name, f"{value!r} is not {what}")
            return ""
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        value = self.values.get(name, default)
        if value not in allowed:
            self.wrong(name, f"{value!r} is not one of {', '.join(allowed)}")
            return default
        return str(value)

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.wrong(name, f"{value!r} is not a whole number from {low} to {high}")
            return default
        return value

    def days(self, name: str, default: int) -> int:
        """How long CloudWatch Logs keeps something."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or value not in LOG_DAYS:
            self.wrong(name, f"{value!r} is not one of {', '.join(map(str, LOG_DAYS))}")
            return default
        return int(value)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.wrong(name, f"{value!r} is not a number from {low:g} to {high:g}")
            return default
        return value

    def texts(self, name: str, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
        value = self.values.get(name, [])
        if not isinstance(value, list):
            self.wrong(name, f"must be a list, is {value!r}")
            return ()
        for item in value:
            if not isinstance(item, str) or pattern.fullmatch(item) is None:
                self.wrong(name, f"{item!r} is not {what}")
        return tuple(str(item) for item in value)


def block(value: object) -> ipaddress.IPv4Network | None:
    """An IPv4 block in canonical form; None for anything else."""
    try:
        return ipaddress.IPv4Network(value) if isinstance(value, str) else None
    except ValueError:
        return None


def cloud_of(own: Mapping[str, Any], cidrs: Mapping[str, Any], problems: list[str]) -> Cloud:
    """The cloud's part of a stack's config. own: values by key without the namespace; cidrs: region -> the
    block as declared. Problems are appended, each with its key; the result counts only without any."""
    account = own["account"]
    if account and ACCOUNT.fullmatch(account) is None:
        problems.append(f"{NAMESPACE}account: {account!r} is not an account number (12 digits)")
    models = own["models"] if isinstance(own.get("models"), dict) else {}
    return Cloud(
        account=account,
        network=_network(own["network"], cidrs, problems),
        cluster=_cluster(own["cluster"], problems),
        capacity=_capacity(own["capacity"], problems),
        services=_services(own["services"], models, problems),
        images=_images(own["images"], problems),
        entry=_entry(own["entry"], problems),
        registry=_registry(own["registry"], problems),
        replica=_replica(own.get("audit"), list(cidrs), problems),
        identity=_identity(own["identity"], problems),
    )


def _network(value: object, cidrs: Mapping[str, Any], problems: list[str]) -> Network:
    section = Section(f"{NAMESPACE}network", value, ("nat", "flow_log_days"), problems)
    known: dict[str, ipaddress.IPv4Network] = {}
    for index, (region, declared) in enumerate(cidrs.items()):
        key = f"{NAMESPACE}regions[{index}].cidr"
        parsed = block(declared)
        if parsed is None or not parsed.is_private:
            problems.append(f"{key}: {declared!r} is not a private IPv4 block such as 10.{16 + index}.0.0/16")
            continue
        if not LARGEST_VPC <= parsed.prefixlen <= SMALLEST_VPC:
            problems.append(f"{key}: {declared} is not between /{LARGEST_VPC} and /{SMALLEST_VPC}")
        for other, taken in known.items():
            if parsed.overlaps(taken):
                problems.append(f"{key}: {declared} overlaps {taken} of {other}")
        known[region] = parsed
    return Network(
        {region: str(parsed) for region, parsed in known.items()},
        section.choice("nat", NAT, "region"),
        section.days("flow_log_days", 30),
    )


def _cluster(value: object, problems: list[str]) -> Cluster:
    section = Section(f"{NAMESPACE}cluster", value, ("version", "endpoint", "log_days"), problems)
    endpoint = section.values.get("endpoint", PRIVATE)
    allow: list[str] = []
    if isinstance(endpoint, list) and endpoint:
        for item in endpoint:
            parsed = block(item)
            if parsed is None or parsed.prefixlen == 0:
                section.wrong("endpoint", f"{item!r} is not an IPv4 block narrower than everybody")
            allow.append(str(item))
    elif endpoint != PRIVATE:
        section.wrong("endpoint", f"{endpoint!r} is neither {PRIVATE} nor a list of blocks that may reach it")
    return Cluster(
        section.text("version", VERSION, "a Kubernetes version such as 1.34", "1.34"),
        tuple(allow),
        section.days("log_days", 90),
    )


def _capacity(value: object, problems: list[str]) -> Capacity:
    known = ("by", "instance_types", "min", "max", "spot_percent", "reservation", "sharing", "slices")
    section = Section(f"{NAMESPACE}capacity", value, known, problems)
    types = section.texts("instance_types", INSTANCE_TYPE, "an instance type such as g6.xlarge")
    if not types:
        section.wrong("instance_types", "names no instance type")
    low, high = section.whole("min", 0, 1000, 1), section.whole("max", 1, 1000, 4)
    if high < low:
        section.wrong("max", f"{high} is below min, {low}")
    sharing, slices = section.choice("sharing", SHARING, "none"), section.whole("slices", 1, 48, 1)
    if (sharing == "none") != (slices == 1):
        section.wrong("slices", f"{slices} does not go with sharing {sharing}: none has 1, the others more")
    return Capacity(
        by=section.choice("by", CAPACITY, "auto"),
        instance_types=types,
        min=low,
        max=high,
        spot_percent=section.whole("spot_percent", 0, 100, 0),
        reservation=_reservation(section),
        sharing=sharing,
        slices=slices,
    )


def _reservation(section: Section) -> str | None:
    if section.values.get("reservation") is None:
        return None
    return section.text("reservation", RESERVATION, "a capacity reservation (cr-...) or null")


def _services(value: object, models: Mapping[str, Any], problems: list[str]) -> dict[str, Service]:
    section = Section(f"{NAMESPACE}services", value, tuple(map(str, models)), problems)
    return {str(model): _service(section.values.get(model, {}), str(model), problems) for model in models}


def _service(value: object, model: str, problems: list[str]) -> Service:
    known = ("gpus", "cpu", "memory_gib", "min", "max", "in_flight", "jurisdictions")
    section = Section(f"{NAMESPACE}services.{model}", value, known, problems)
    low, high = section.whole("min", 1, 1000, 2), section.whole("max", 1, 1000, 8)
    if high < low:
        section.wrong("max", f"{high} is below min, {low}")
    return Service(
        gpus=section.whole("gpus", 0, 16, 1),
        cpu=section.number("cpu", 0.1, 192, 2),
        memory_gib=section.whole("memory_gib", 1, 2048, 8),
        min=low,
        max=high,
        in_flight=section.whole("in_flight", 1, 10000, 16),
        jurisdictions=section.texts("jurisdictions", re.compile(r"[a-z]{2}"), "a jurisdiction such as eu"),
    )


def _images(value: object, problems: list[str]) -> dict[str, str]:
    section = Section(f"{NAMESPACE}images", value, tuple(value) if isinstance(value, dict) else (), problems)
    for lock, image in section.values.items():
        if not isinstance(lock, str) or DIGEST.fullmatch(lock) is None:
            section.wrong(str(lock), "is not the digest of a lock file (sha256:<64 hex>)")
        if not isinstance(image, str) or IMAGE.fullmatch(image) is None:
            section.wrong(
                str(lock), f"{image!r} is not an image by digest (name@sha256:<64 hex>); a tag can move"
            )
    return {str(lock): str(image) for lock, image in section.values.items()}


def _entry(value: object, problems: list[str]) -> Entry:
    section = Section(f"{NAMESPACE}entry", value, ("by", "domain", "zone"), problems)
    by = section.choice("by", ENTRIES, "latency")
    domain = section.text("domain", DOMAIN, "a domain such as vision.example.com")
    zone = section.values.get("zone")
    if not isinstance(zone, str) or ZONE.fullmatch(zone) is None:
        section.wrong(
            "zone", f"{zone!r} is not the id of the Route 53 zone that holds {domain or 'the domain'}"
        )
    return Entry(by, domain, str(zone))


def _registry(value: object, problems: list[str]) -> str:
    section = Section(f"{NAMESPACE}registry", value, ("bucket",), problems)
    return section.text("bucket", BUCKET, "a bucket name")


def _replica(audit: object, regions: Sequence[str], problems: list[str]) -> Replica:
    value = audit.get("replica") if isinstance(audit, dict) else None
    section = Section(f"{NAMESPACE}audit.replica", value, ("bucket", "region", "account"), problems)
    region = section.text("region", re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d"), "a region")
    if regions and region == regions[0]:
        section.wrong("region", f"{region} is where the audit bucket is: a copy belongs in another region")
    return Replica(
        bucket=section.text("bucket", BUCKET, "a bucket name"),
        region=region,
        account=section.text("account", ACCOUNT, "an account number (12 digits)", ""),
    )


def _identity(value: object, problems: list[str]) -> Identity:
    section = Section(f"{NAMESPACE}identity", value, ("issuer", "repository", "branch"), problems)
    return Identity(
        issuer=section.text(
            "issuer", DOMAIN, "the host name of an OIDC issuer", "token.actions.githubusercontent.com"
        ),
        repository=section.text("repository", REPOSITORY, "owner/name", ""),
        branch=section.text("branch", re.compile(r"[A-Za-z0-9._/-]+"), "a branch", "main"),
    )
