"""Values that AWS refuses although their type is right, as far as one look at the value can tell."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from lockstep.standin.aws.behaviour import Behaviour, table
from lockstep.standin.aws.shape import described
from lockstep.standin.aws.within import first, places
from lockstep.standin.provider import Failure
from lockstep.standin.wire import UNKNOWN, Values, holds_unknown

PATTERNS = {
    "arn": (
        r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(\d{12}|aws)?:.+",
        "an ARN, arn:aws:service:region:account:...",
    ),
    "access_policy": (
        r"arn:aws[a-z-]*:eks::aws:cluster-access-policy/\w+",
        "an EKS access policy, arn:aws:eks::aws:cluster-access-policy/...",
    ),
    "alias_name": (
        r"alias/(?!aws/)[A-Za-z0-9/_-]{1,250}",
        "alias/ and letters, digits, / _ -; not alias/aws/",
    ),
    "balancer_name": (
        r"(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?",
        "1 to 32 letters, digits and hyphens, without a hyphen at an end",
    ),
    "cluster_name": (r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", "1 to 100 letters, digits, - and _"),
    "domain": (
        r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}\.?",
        "a domain name",
    ),
    "group_name": (r"(?!sg-).{1,255}", "1 to 255 characters that do not begin with sg-"),
    "instance_type": (
        r"[a-z][a-z0-9-]*\d[a-z0-9-]*\.(nano|micro|small|medium|large|\d*xlarge|metal(-\w+)?)",
        "an instance type, g6e.2xlarge, say",
    ),
    "kubernetes_version": (r"1\.\d{2}", "a minor version, 1.34, say"),
    "repository_name": (
        r"[a-z0-9]+([._/-][a-z0-9]+)*",
        "lower-case letters and digits, joined by one . _ - or /",
    ),
}
RANGES = {"deletion_window": (7, 30, "days"), "session": (3600, 43200, "seconds")}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
AUTO_MODE = ("computeConfig", "storageConfig.blockStorage", "kubernetesNetworkConfig.elasticLoadBalancing")
USAGES = {
    "SYMMETRIC_DEFAULT": ("ENCRYPT_DECRYPT",),
    "RSA": ("ENCRYPT_DECRYPT", "SIGN_VERIFY"),
    "ECC_NIST_EDWARDS25519": ("SIGN_VERIFY",),
    "ECC_SECG": ("SIGN_VERIFY",),
    "ECC_NIST": ("SIGN_VERIFY", "KEY_AGREEMENT"),
    "HMAC": ("GENERATE_VERIFY_MAC",),
    "ML_DSA": ("SIGN_VERIFY",),
    "SM2": ("ENCRYPT_DECRYPT", "SIGN_VERIFY", "KEY_AGREEMENT"),
}


def refused(behaviour: Behaviour, inputs: Values, region: Any) -> Iterator[Failure]:
    """Every value that the table's words and checks refuse. What is unknown is let through."""
    if isinstance(region, str) and (reason := _region(region, "")):
        yield Failure("region", f"region {reason}")
    for path, allowed in behaviour.words.items():
        for where, value in places(inputs, path):
            if value is not UNKNOWN and value not in allowed:
                listed = ", ".join(str(word) for word in allowed)
                yield Failure(where, f"{where} is {described(value)}, which must be one of {listed}")
    for path, name in behaviour.checks.items():
        for where, value in places(inputs, path):
            there = inputs.get("serviceRegion") or region  # an endpoint may lead into another region
            reason = None if value is UNKNOWN else check(name, value, there if isinstance(there, str) else "")
            if reason:
                yield Failure(where, f"{where} {reason}".strip())


def check(name: str, value: Any, region: str) -> str | None:
    """What is wrong with a value by the check of this name; None if nothing is."""
    if name in PATTERNS:
        pattern, wanted = PATTERNS[name]
        fits = isinstance(value, str) and re.fullmatch(pattern, value)
        return None if fits else f"is {described(value)}, which must be {wanted}"
    if name in RANGES:
        low, high, unit = RANGES[name]
        return None if low <= value <= high else f"is {value}, which must be {low} to {high} {unit}"
    return CHECKS[name](value, region)


def _cidr(value: Any, _: str) -> str | None:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        return f"is {described(value)}, which must be a CIDR block: {error}"
    return None


def _vpc_cidr(value: Any, _: str) -> str | None:
    if reason := _cidr(value, _):
        return reason
    size = ipaddress.ip_network(value).prefixlen
    return None if 16 <= size <= 28 else f"is {value!r}, whose size must be /16 to /28"


def _service_cidr(value: Any, _: str) -> str | None:
    """As EKS takes them: /12 to /24, in a private range."""
    if reason := _cidr(value, _):
        return reason
    block = ipaddress.ip_network(value)
    private = any(block.subnet_of(ipaddress.ip_network(each)) for each in PRIVATE)  # type: ignore[arg-type]
    return None if private and 12 <= block.prefixlen <= 24 else f"is {value!r}; wanted: private, /12 to /24"


def _zone(value: Any, region: str) -> str | None:
    zones = [f"{region}{letter}" for letter in "abcdef"[: table().regions.get(region, 6)]]
    if not region or value in zones:
        return None
    return f"is {value!r}, which is no zone of {region}: {', '.join(zones)}"


def _region(value: Any, _: str) -> str | None:
    from difflib import get_close_matches

    if value in table().regions:
        return None
    close = get_close_matches(str(value), table().regions, n=1)
    return f"is {value!r}, which is no region" + (f"; did you mean {close[0]!r}?" if close else "")


def _endpoint_service(value: Any, region: str) -> str | None:
    """An endpoint reaches the services of its own region, or of the one that it names."""
    service, reached = value.get("serviceName"), value.get("serviceRegion") or region
    named = next((part for part in str(service).split(".") if part in table().regions), None)
    if named in (None, reached) or not region or reached is UNKNOWN:
        return None
    return f"serviceName is {service!r}, a service of {named}, in an endpoint of {reached}"


def _json(value: Any, _: str) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        json.loads(value)
    except ValueError as error:
        return f"must be JSON: {error}"
    return None


def _scaling(value: Any, _: str) -> str | None:
    sizes = [value.get(key) for key in ("minSize", "desiredSize", "maxSize")]
    if any(size is None or size is UNKNOWN for size in sizes):
        return None
    low, wanted, high = sizes
    if low <= wanted <= high and high >= 1:
        return None
    return f"must have minSize <= desiredSize <= maxSize and maxSize >= 1, and has {low}, {wanted}, {high}"


def _bucket_name(value: Any, _: str) -> str | None:
    rules = {
        "3 to 63 characters": 3 <= len(value) <= 63,
        "lower-case letters, digits, dots and hyphens": re.fullmatch(r"[a-z0-9.-]+", value),
        "a letter or digit at both ends": value[:1].isalnum() and value[-1:].isalnum(),
        "no two dots in a row": ".." not in value,
        "not the form of an IP address": not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", value),
        "no reserved beginning": not value.startswith(("xn--", "sthree-", "amzn-s3-demo-")),
        "no reserved end": not value.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")),
    }
    broken = [rule for rule, held in rules.items() if not held]
    return f"is {value!r}; a bucket's name has {' and '.join(broken)}" if broken else None


def _key_usage(inputs: Any, _: str) -> str | None:
    spec = inputs.get("customerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    usage = inputs.get("keyUsage") or "ENCRYPT_DECRYPT"
    if spec is UNKNOWN or usage is UNKNOWN:
        return None
    allowed = next((usages for start, usages in USAGES.items() if spec.startswith(start)), (usage,))
    if usage not in allowed:
        return f"keyUsage is {usage!r}; a key of {spec} has {' or '.join(allowed)}"
    if inputs.get("enableKeyRotation") is True and spec != "SYMMETRIC_DEFAULT":
        return f"enableKeyRotation is for symmetric keys, and this one is {spec}"
    return None


def _auto_mode(inputs: Any, _: str) -> str | None:
    """The three switches of EKS Auto Mode are on together or off together; on, EKS brings the add-ons."""
    switches = {path: first(inputs, f"{path}.enabled") for path in AUTO_MODE}
    if any(value is UNKNOWN for value in switches.values()):
        return None
    if len({bool(value) for value in switches.values()}) > 1:
        said = ", ".join(f"{path}.enabled is {value}" for path, value in switches.items())
        return f"the parts of Auto Mode are all enabled or none is: {said}"
    if any(switches.values()) and inputs.get("bootstrapSelfManagedAddons") is not False:
        return "bootstrapSelfManagedAddons must be false with Auto Mode"
    return None


def _nat(inputs: Any, _: str) -> str | None:
    private = inputs.get("connectivityType") == "private"
    if private and inputs.get("allocationId"):
        return "allocationId is not for a private NAT gateway"
    if not private and not inputs.get("allocationId") and inputs.get("availabilityMode") != "regional":
        return "allocationId is needed for a public NAT gateway"
    return None


def _record(inputs: Any, _: str) -> str | None:
    if bool(inputs.get("records")) == bool(inputs.get("aliases")):
        return "a record has either records or aliases"
    if inputs.get("records") and inputs.get("ttl") is None:
        return "ttl is needed next to records"
    routed = [key for key in inputs if key.endswith(("RoutingPolicies", "RoutingPolicy")) and inputs[key]]
    if routed and not inputs.get("setIdentifier"):
        return f"setIdentifier is needed next to {routed[0]}"
    if inputs.get("setIdentifier") and not routed and not holds_unknown(inputs):
        return "setIdentifier is given, and no routing policy"
    return None


CHECKS: dict[str, Callable[[Any, str], str | None]] = {
    "auto_mode": _auto_mode,
    "bucket_name": _bucket_name,
    "cidr": _cidr,
    "endpoint_service": _endpoint_service,
    "json": _json,
    "key_usage": _key_usage,
    "nat": _nat,
    "record": _record,
    "region": _region,
    "scaling": _scaling,
    "service_cidr": _service_cidr,
    "vpc_cidr": _vpc_cidr,
    "zone": _zone,
}
