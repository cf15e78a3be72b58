"""The keys of a stack in the cloud, read and checked. They have defaults in Pulumi.yaml: a stack on one
machine names none of them.

A value that cannot be right on any account is refused here; what only an account can tell (quota, a zone's
name) is not asked, because a preview must not depend on it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from infra.cloud.section import Section
from infra.cloud.values import Capacity, Cloud, Cluster, Entry, Identity, Network, Replica, Service
from lockstep.table import is_digest

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
SHARING = ("none", "mig", "time-slicing", "dra")
"""dra is a known word so that the policies can say why it does not work here."""
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
IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}")
LONGEST_NAME = 63
"""Of a Service on Kubernetes: a DNS label (RFC 1123)."""

LARGEST_VPC, SMALLEST_VPC = 16, 20
"""Prefix lengths: a VPC takes /16 at most, and below /20 three private subnets run out of pod addresses."""


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
    _names(models, problems)
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


def _names(models: Mapping[str, Any], problems: list[str]) -> None:
    """A slot's objects are called after model, region and slot, and Kubernetes takes no longer names."""
    for model, places in models.items():
        for region in places if isinstance(places, dict) else ():
            length = len(f"{model}-{region}-green")
            if length > LONGEST_NAME:
                key = f"{NAMESPACE}models.{model}.{region}"
                problems.append(f"{key}: names of {length} letters follow; {LONGEST_NAME} are the most")


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
    if sharing != "dra" and (sharing == "none") != (slices == 1):
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
        if not is_digest(lock):
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
