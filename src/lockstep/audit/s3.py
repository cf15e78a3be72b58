"""The audit bucket over S3, with nothing but the standard library (boto3 takes 0.4 s to import)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from lockstep.audit import s3xml
from lockstep.audit.bucket import (
    COMPLIANCE,
    MAX_OBJECT_BYTES,
    KeyTaken,
    ObjectHead,
    Version,
    missing,
    still_locked,
    too_large,
    unlocked_bucket,
    unreachable,
)
from lockstep.audit.s3http import SILENCE, Answer, SignedHttp
from lockstep.audit.sigv4 import Credentials
from lockstep.errors import Unavailable

TIMEOUT_S = 10.0
PAGE = 1000


def _utc_now() -> datetime:
    return datetime.now(UTC)


class S3Bucket:
    """One bucket behind an S3 endpoint. Thread-safe: each thread has its own connection.

    endpoint: `http://host:port` or `https://...`; clock: the time for request signatures (S3 refuses
    requests that are dated wrongly); timeout_s: for each single answer; credentials: instead of access,
    secret and region, asked before each request.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access: str = "",
        secret: str = "",
        region: str = "us-east-1",
        *,
        credentials: Callable[[], Credentials] | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._bucket = bucket
        known = Credentials(access, secret, region)
        self._http = SignedHttp(endpoint, credentials or (lambda: known), timeout_s, clock)
        self.page_keys = PAGE

    @property
    def _or_else(self) -> str:
        """What else may be wrong than the credentials."""
        if self._endpoint.startswith("https://"):
            return "what they may do with it: docs/aws.md says who may do what"
        return "that nothing else listens on its port"

    @property
    def where(self) -> str:
        return f"{self._endpoint}/{self._bucket}"

    def _ask(
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        path = f"/{self._bucket}/{key}" if key else f"/{self._bucket}"
        try:
            return self._http.ask(method, path, query or {}, headers or {}, body)
        except SILENCE as error:
            raise unreachable(self.where, str(error) or type(error).__name__) from None

    def _refused(self, doing: str, answer: Answer) -> Unavailable:
        code = s3xml.error_code(answer.body) or f"HTTP {answer.status}"
        return Unavailable(
            f"the audit bucket at {self.where} refused to {doing}: {code}",
            code="audit.bucket_refused",
            remedy=f"check the bucket's credentials and {self._or_else}",
        )

    def versions(
        self, prefix: str, start_after: str | None = None, limit: int | None = None
    ) -> list[Version]:
        found: dict[tuple[str, str], Version] = {}
        markers = (start_after or "", "")
        while True:
            page = self.page_keys if limit is None else min(self.page_keys, limit + 1)
            query = {"versions": "", "prefix": prefix, "max-keys": str(page)}
            query |= {"key-marker": markers[0]} if markers[0] else {}
            query |= {"version-id-marker": markers[1]} if markers[1] else {}
            answer = self._ask("GET", query=query)
            if answer.status != 200:
                raise self._refused("list its objects", answer)
            listed, following = s3xml.version_page(answer.body)
            for version in listed:
                # versitygw repeats the marker's own entry, S3 does not.
                if start_after is None or version.key > start_after:
                    found.setdefault((version.key, version.version_id), version)
            full = limit is not None and len({key for key, _ in found}) > limit
            if following is None or full:
                break
            if following[0] < markers[0] or following == markers:
                raise s3xml.nonsense("a list of versions that goes in circles")
            markers = following
        # S3 gives markers apart from versions; the newest of a key comes first in both.
        ordered = sorted(found.values(), key=lambda version: (version.key, not version.is_latest))
        if limit is None:
            return ordered
        keys = sorted({version.key for version in ordered})[:limit]
        return [version for version in ordered if version.key in keys]

    def get(self, key: str, version_id: str | None = None) -> bytes:
        answer = self._ask("GET", key, {"versionId": version_id} if version_id else None)
        if answer.status == 404 or answer.status == 405:
            raise missing(key, self.where)
        if answer.status != 200:
            raise self._refused(f"give {key}", answer)
        size = max(len(answer.body), _length(answer))
        if size > MAX_OBJECT_BYTES:
            raise too_large(key, size)
        return answer.body

    def head(self, key: str, version_id: str | None = None) -> ObjectHead | None:
        query = {"versionId": version_id} if version_id else None
        answer = self._ask("HEAD", key, query, {"x-amz-checksum-mode": "ENABLED"})
        if answer.status in (404, 405):
            return None
        if answer.status != 200:
            raise self._refused(f"look at {key}", answer)
        mode = answer.headers.get("x-amz-object-lock-mode")
        until = answer.headers.get("x-amz-object-lock-retain-until-date")
        if version_id is not None and mode is None:
            mode, until = self._retention(key, version_id)
        return ObjectHead(
            version_id=answer.headers.get("x-amz-version-id", "null"),
            size=_length(answer),
            sha256=_hex(answer.headers.get("x-amz-checksum-sha256")),
            mode=mode,
            retain_until=s3xml.moment(until or ""),
        )

    def _retention(self, key: str, version_id: str) -> tuple[str | None, str | None]:
        """The lock of one version. versitygw's HEAD leaves it out for a version that is not the newest."""
        answer = self._ask("GET", key, {"retention": "", "versionId": version_id})
        if answer.status != 200:
            return None, None
        lock = s3xml.parse(answer.body)
        return s3xml.child(lock, "Mode") or None, s3xml.child(lock, "RetainUntilDate") or None

    def put_new(self, key: str, data: bytes, retain_until: datetime) -> str:
        return self._put(key, data, retain_until, {"if-none-match": "*"})

    def put_over(self, key: str, data: bytes, retain_until: datetime) -> str:
        return self._put(key, data, retain_until, {})

    def _put(self, key: str, data: bytes, retain_until: datetime, condition: dict[str, str]) -> str:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        answer = self._ask(
            "PUT",
            key,
            headers={
                **condition,
                "x-amz-object-lock-mode": COMPLIANCE,
                "x-amz-object-lock-retain-until-date": _seconds(retain_until),
                "x-amz-checksum-sha256": checksum,
                "x-amz-sdk-checksum-algorithm": "SHA256",
            },
            body=data,
        )
        if answer.status in (409, 412):
            raise KeyTaken(key)
        if answer.status != 200:
            raise self._refused(f"take {key}", answer)
        return answer.headers.get("x-amz-version-id", "null")

    def lock(self, key: str, version_id: str, retain_until: datetime) -> None:
        body = s3xml.retention(COMPLIANCE, _seconds(retain_until))
        query = {"retention": "", "versionId": version_id}
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": md5}
        answer = self._ask("PUT", key, query, headers, body)
        if answer.status == 403:
            # A GOVERNANCE lock is in the way, put there to have it refused. No COMPLIANCE lock gives way.
            headers["x-amz-bypass-governance-retention"] = "true"
            answer = self._ask("PUT", key, query, headers, body)
        if answer.status != 200:
            raise self._refused(f"lock {key}", answer)

    def chunks(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        query = {"versionId": version_id} if version_id else {}
        try:
            yield from self._http.stream(f"/{self._bucket}/{key}", query)
        except FileNotFoundError:
            raise missing(key, self.where) from None
        except SILENCE as error:
            raise unreachable(self.where, str(error) or type(error).__name__) from None

    def delete(self, key: str, version_id: str) -> None:
        answer = self._ask("DELETE", key, {"versionId": version_id})
        if answer.status == 403:
            raise still_locked(key)
        if answer.status not in (200, 204, 404):
            raise self._refused(f"delete {key}", answer)

    def create(self) -> None:
        """Make the bucket, with object lock, if it is not there; then check it."""
        if not self.answers():
            answer = self._ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"})
            if answer.status not in (200, 409):
                raise self._refused("be made", answer)
        self.check()

    def check(self) -> None:
        """Raise IntegrityError `audit.no_object_lock` unless versioning and object lock are on."""
        versioning = self._ask("GET", query={"versioning": ""})
        if versioning.status != 200:
            raise self._refused("tell its versioning", versioning)
        if s3xml.child(s3xml.parse(versioning.body), "Status") != "Enabled":
            raise unlocked_bucket(self.where, "versioning is not enabled")
        lock = self._ask("GET", query={"object-lock": ""})
        if lock.status == 404:
            raise unlocked_bucket(self.where, "object lock is not enabled")
        if lock.status != 200:
            raise self._refused("tell its object lock", lock)
        if s3xml.child(s3xml.parse(lock.body), "ObjectLockEnabled") != "Enabled":
            raise unlocked_bucket(self.where, "object lock is not enabled")

    def exists(self) -> bool:
        """Whether there is such a bucket. Raises Unavailable for every answer but yes and no."""
        answer = self._ask("HEAD")
        if answer.status in (200, 404):
            return answer.status == 200
        elsewhere = answer.headers.get("x-amz-bucket-region")
        if answer.status in (301, 307, 400) and elsewhere:
            raise Unavailable(
                f"the audit bucket {self._bucket} is in {elsewhere}, and {self._endpoint} was asked",
                code="audit.other_region",
                remedy="put that region first in lockstep:regions again: the first one is the log's home",
            )
        raise self._refused("be looked at", answer)

    def answers(self) -> bool:
        """Whether something answers S3 requests for this bucket right now."""
        try:
            return self._ask("HEAD").status == 200
        except Unavailable:
            return False


def _length(answer: Answer) -> int:
    """The length that an answer declares; 0 where it declares none that could be."""
    text = answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _hex(checksum: str | None) -> str | None:
    """A checksum header as hex; one that is no base64 says nothing."""
    try:
        return base64.b64decode(checksum, validate=True).hex() if checksum else None
    except ValueError:
        return None


def _seconds(moment: datetime) -> str:
    """Retention dates have whole seconds; up, so that a lock is never shorter than asked for."""
    whole = moment.astimezone(UTC)
    if whole.microsecond:
        whole = whole.replace(microsecond=0) + timedelta(seconds=1)
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")
