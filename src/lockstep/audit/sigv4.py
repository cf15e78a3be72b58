"""AWS Signature Version 4 for requests with a body in memory: to S3, and to services whose paths are plain.

Own code because importing botocore costs 0.4 s on the no-change path; a test compares it with botocore.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, and for a request that somebody
else will send, sigv4-query-string-auth.html in the same place.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"


@dataclass(frozen=True)
class Credentials:
    """token: of a session, where the keys are temporary ones; region: that the request is for."""

    access: str
    secret: str = field(repr=False)
    region: str
    token: str = field(default="", repr=False)


def encode_path(path: str) -> str:
    return quote(path, safe="/~")


def encode_query(query: Mapping[str, str]) -> str:
    """Sorted and encoded as the signature wants it, and as it is sent."""
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed_headers(
    method: str,
    host: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    now: datetime,
    *,
    service: str = SERVICE,
) -> dict[str, str]:
    """All headers to send: the given ones (lower case), host, date, body hash, token and authorization."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    body_hash = hashlib.sha256(body).hexdigest()
    full = {**headers, "host": host, "x-amz-date": stamp, "x-amz-content-sha256": body_hash}
    if credentials.token:
        full["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(full))
    scope = _scope(stamp, credentials, service)
    signature = _signature(method, path, query, full, body_hash, credentials, stamp, service)
    full["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return full


def presigned_url(
    host: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    credentials: Credentials,
    now: datetime,
    *,
    service: str,
    lasts_s: int,
) -> str:
    """The URL of a GET of `/` that whoever has it may send within `lasts_s` seconds, with these headers."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    full = {**headers, "host": host}
    said = {
        **query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access}/{_scope(stamp, credentials, service)}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(lasts_s),
        "X-Amz-SignedHeaders": ";".join(sorted(full)),
    }
    if credentials.token:
        said["X-Amz-Security-Token"] = credentials.token
    empty = hashlib.sha256(b"").hexdigest()
    signature = _signature("GET", "/", said, full, empty, credentials, stamp, service)
    return f"https://{host}/?{encode_query(said)}&X-Amz-Signature={signature}"


def _scope(stamp: str, credentials: Credentials, service: str) -> str:
    return f"{stamp[:8]}/{credentials.region}/{service}/aws4_request"


def _signature(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body_hash: str,
    credentials: Credentials,
    stamp: str,
    service: str,
) -> str:
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    request = f"{method}\n{encode_path(path)}\n{encode_query(query)}\n{lines}\n{names}\n{body_hash}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{stamp}\n{_scope(stamp, credentials, service)}\n{digest}"
    key = _mac(f"AWS4{credentials.secret}".encode(), stamp[:8])
    for part in (credentials.region, service, "aws4_request"):
        key = _mac(key, part)
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
