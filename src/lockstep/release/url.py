"""Where a release store is, as a URL says it. Pure: nothing is opened.

    file:///absolute/folder
    s3://bucket[/prefix][?endpoint=https://host[:port]][&region=name]

Endpoint and region may also come from the usual AWS environment and profile, credentials only from there:
a URL stands in stack files, in the state and in messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from lockstep.errors import UsageError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SEGMENT = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True)
class FolderPlace:
    """path: absolute."""

    path: Path


@dataclass(frozen=True)
class S3Place:
    """prefix: empty, or ending in a slash; endpoint, region: empty where the environment is to say."""

    bucket: str
    prefix: str
    endpoint: str
    region: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


Place = FolderPlace | S3Place


def parse_url(url: str) -> Place:
    """The place that a store's URL names. Raises UsageError `release.store_url`, never showing a password."""
    try:
        parts = urlsplit(url)
        secret = "@" in parts.netloc
    except ValueError:
        raise _refused("the URL cannot be read", "give file:///path/to/store or s3://bucket/prefix") from None
    if secret:
        raise _refused(
            "a store's URL must not hold credentials",
            "take user and password out; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        )
    if parts.scheme == "s3":
        return _s3(parts)
    path = Path(unquote(parts.path))
    plain = not (parts.query or parts.fragment)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not plain or not path.is_absolute():
        raise _refused(
            f"{url!r} is not the URL of a release store",
            "give an absolute folder as file:///path/to/store, or s3://bucket/prefix",
        )
    return FolderPlace(path)


def _s3(parts: SplitResult) -> S3Place:
    if _BUCKET.fullmatch(parts.netloc) is None:
        raise _refused(f"{parts.netloc!r} is not the name of a bucket", "give s3://bucket/prefix")
    segments = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    if parts.fragment or any(_SEGMENT.fullmatch(segment) is None for segment in segments):
        raise _refused(
            f"{parts.path!r} is not a plain prefix", "use letters, digits, . _ = - and / in the prefix"
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - {"endpoint", "region"}):
        raise _refused(
            f"{', '.join(unknown)}: no option of a store's URL", "only endpoint and region can be given"
        )
    region = options.get("region", "")
    if region and _REGION.fullmatch(region) is None:
        raise _refused(f"{region!r} is not a region", "give one such as region=eu-central-1")
    prefix = "".join(f"{segment}/" for segment in segments)
    return S3Place(parts.netloc, prefix, require_endpoint(options.get("endpoint", "")), region)


def require_endpoint(endpoint: str) -> str:
    """The endpoint of an S3 service as it may be shown and used; empty stays empty."""
    if not endpoint:
        return ""
    try:
        parts = urlsplit(endpoint)
        plain = parts.hostname and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:
        plain = None
    if not plain or parts.scheme not in ("http", "https") or parts.path not in ("", "/") or "@" in endpoint:
        raise _refused(
            "the endpoint of the release store is not http(s)://host[:port]",
            "give it without a path and without credentials",
        )
    return endpoint.rstrip("/")


def _refused(message: str, remedy: str) -> UsageError:
    return UsageError(message, code="release.store_url", remedy=remedy)
