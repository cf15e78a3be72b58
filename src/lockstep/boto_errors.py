"""What botocore raises, as Unavailable `release.store_failed` with a next step and without anything secret.

Of what the service says only its error code is shown, and only where it looks like one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lockstep.errors import Unavailable
from lockstep.release.objects import NoSuchKey, NoSuchUpload

RIGHTS = ("AccessDenied", "Forbidden", "403")
WHO = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "XAdminUserNotFound")


@contextmanager
def loudly(bucket: str, where: str) -> Iterator[None]:
    """Errors leave the block as Unavailable, or as the two that have an answer of their own."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code, status = code_of(error)
        if code == "NoSuchUpload":
            raise NoSuchUpload from None
        if code == "NoSuchKey":
            raise NoSuchKey from None
        raise _failed(where, f"refused: {code}", _remedy(code, status, bucket)) from None
    except BotoCoreError as error:
        raise silent(where, type(error).__name__) from None


def _remedy(code: str, status: int, bucket: str) -> str:
    if code == "NoSuchBucket":
        return f"make the bucket {bucket}, or mend lockstep:store"
    if code in WHO:
        return "those credentials are no good there; AWS_ACCESS_KEY_ID, AWS_PROFILE and so on say which"
    if code in RIGHTS or status == 403:
        return (
            "see that the credentials are right, and that they may s3:GetObject, s3:PutObject, "
            "s3:ListBucket, s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts and "
            "s3:AbortMultipartUpload there"
        )
    if code == "RequestTimeTooSkewed":
        return "set this machine's clock"
    return "see what the service says about it, and try again"


def silent(where: str, name: str) -> Unavailable:
    """The error for a service that gave no answer. name: what the library calls it."""
    if "Credentials" in name or "Token" in name:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    elif "Profile" in name or "Config" in name:
        remedy = "see AWS_PROFILE and ~/.aws/config"
    else:
        remedy = "see whether the endpoint answers, and run it again: what was sent so far is kept"
    return _failed(where, f"failed: {name}", remedy)


def _failed(where: str, what: str, remedy: str) -> Unavailable:
    return Unavailable(f"the release store {where} {what}", code="release.store_failed", remedy=remedy)


def code_of(error: Any) -> tuple[str, int]:
    """The service's error code, letters and digits only, and the HTTP status."""
    said = str(error.response.get("Error", {}).get("Code") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return (said if said.isalnum() and len(said) < 60 else f"HTTP {status}"), status
