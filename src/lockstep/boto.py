"""S3 over botocore, for the release store, and where credentials for it come from. Only this module and
boto_errors.py know botocore.

It is imported by the first request: 0.4 s that no `file://` stack pays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from typing import Any

from lockstep.boto_errors import code_of, loudly, silent
from lockstep.errors import Unavailable
from lockstep.release.objects import Held, NoSuchKey, NoSuchUpload, ObjectHead, Part, Upload, checksum
from lockstep.release.url import S3Place, require_endpoint

PIECE = 1 << 20
CONNECT_S, ANSWER_S, TRIES = 10, 60, 4


@cache
def _loader() -> Any:
    """botocore's descriptions of the services: read once, where each client would take 0.1 s for them."""
    from botocore.loaders import create_loader

    return create_loader()


def has_credentials() -> bool:
    """Whether there are credentials of any kind for AWS: variables, a profile, a role. Asks no account."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        return botocore.session.Session().get_credentials() is not None
    except BotoCoreError:  # a profile that is not there, say
        return False


@dataclass(frozen=True)
class BotoObjects:
    """release.objects.Objects over botocore. Endpoint, region and credentials: as botocore finds them.
    profile: whose; empty where the environment is to say."""

    place: S3Place
    profile: str = ""

    @property
    def _endpoint(self) -> str:
        told = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        return self.place.endpoint or require_endpoint(told)

    @cached_property
    def _client(self) -> Any:
        import botocore.session
        from botocore.config import Config

        session = botocore.session.Session(profile=self.profile or None)
        session.register_component("data_loader", _loader())
        endpoint = self._endpoint
        region = self.place.region or session.get_config_variable("region") or os.environ.get("AWS_REGION")
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=ANSWER_S,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            # Each request here has its SHA-256, and each reader hashes: botocore need not do it, too.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # A server of one's own has seldom a DNS name for each bucket.
            s3={"addressing_style": "path"} if endpoint else None,
        )
        return session.create_client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=region or "us-east-1",
            config=config,
        )

    @property
    def where(self) -> str:
        return f"{self.place} at {self._endpoint}" if self._endpoint else str(self.place)

    def _ask(self, operation: str, **words: Any) -> Any:
        """One request. Raises what botocore raises; to be called within `_loudly`."""
        return getattr(self._client, operation)(Bucket=self.place.bucket, **words)

    def _loudly(self) -> AbstractContextManager[None]:
        return loudly(self.place.bucket, self.where)

    # --- whole objects

    def read(self, key: str, limit: int) -> Held | None:
        try:
            with self._loudly():
                answer = self._ask("get_object", Key=key)
        except NoSuchKey:
            return None
        with self._reading(answer["Body"]) as body:
            return Held(body.read(limit + 1), answer["ETag"])

    @contextmanager
    def _reading(self, body: Any) -> Iterator[Any]:
        """A body being read, then closed, so that a broken or unread one does not keep its connection."""
        from urllib3.exceptions import HTTPError

        try:
            with self._loudly():
                yield body
        except HTTPError as error:
            raise silent(self.where, type(error).__name__) from None
        finally:
            body.close()

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        """Reads on from where a connection broke, as often as TRIES without a byte in between."""
        at, left = start, TRIES
        while True:
            try:
                for piece in self._stream_once(key, at):
                    at, left = at + len(piece), TRIES
                    yield piece
                return
            except Unavailable:
                left -= 1
                if left == 0 or at == start:
                    raise

    def _stream_once(self, key: str, start: int) -> Iterator[bytes]:
        from botocore.exceptions import ClientError

        words = {"Range": f"bytes={start}-"} if start else {}
        with self._loudly():
            try:
                answer = self._ask("get_object", Key=key, **words)
            except ClientError as error:
                if code_of(error)[0] == "InvalidRange":
                    return
                raise
        with self._reading(answer["Body"]) as body:
            while piece := body.read(PIECE):
                yield piece

    def head(self, key: str) -> ObjectHead | None:
        from botocore.exceptions import ClientError

        with self._loudly():
            try:
                answer = self._ask("head_object", Key=key, ChecksumMode="ENABLED")
            except ClientError as error:
                if code_of(error)[1] == 404:
                    return None
                raise
        return ObjectHead(answer["ContentLength"], answer.get("ChecksumSHA256"))

    def put_new(self, key: str, data: bytes) -> bool:
        return self._put(key, data, IfNoneMatch="*")

    def replace(self, key: str, data: bytes, etag: str) -> bool:
        return self._put(key, data, IfMatch=etag)

    def _put(self, key: str, data: bytes, **condition: str) -> bool:
        return self._conditional("put_object", Key=key, Body=data, ChecksumSHA256=checksum(data), **condition)

    def _conditional(self, operation: str, **words: Any) -> bool:
        """False where the condition does not hold; two at once (409) ask again."""
        from botocore.exceptions import ClientError

        with self._loudly():
            for left in range(TRIES, 0, -1):
                try:
                    self._ask(operation, **words)
                    return True
                except ClientError as error:
                    code, status = code_of(error)
                    if status == 412:
                        return False
                    if code != "ConditionalRequestConflict" or left == 1:
                        raise
        return False

    def keys(self, prefix: str) -> list[str]:
        pages = self._pages("list_objects_v2", Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))

    def _pages(self, operation: str, **words: Any) -> list[Any]:
        with self._loudly():
            pages = self._client.get_paginator(operation).paginate(Bucket=self.place.bucket, **words)
            return list(pages)

    # --- multipart uploads

    def now(self) -> datetime:
        with self._loudly():
            answer = self._ask("list_objects_v2", Prefix="-", MaxKeys=1)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return parsedate_to_datetime(date) if date else datetime.now(UTC)

    def uploads(self, prefix: str) -> list[Upload]:
        found = [
            Upload(item["Key"], item["UploadId"], item["Initiated"])
            for page in self._pages("list_multipart_uploads", Prefix=prefix)
            for item in page.get("Uploads", ())
        ]
        return sorted(found, key=lambda upload: (upload.started, upload.id))

    def begin(self, key: str) -> str:
        with self._loudly():
            return str(self._ask("create_multipart_upload", Key=key, ChecksumAlgorithm="SHA256")["UploadId"])

    def parts(self, key: str, upload: str) -> Mapping[int, Part]:
        return {
            item["PartNumber"]: Part(item["ETag"], item["Size"], item.get("ChecksumSHA256", ""))
            for page in self._pages("list_parts", Key=key, UploadId=upload)
            for item in page.get("Parts", ())
        }

    def put_part(self, key: str, upload: str, number: int, data: bytes, sha256: str) -> Part:
        with self._loudly():
            answer = self._ask(
                "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data, ChecksumSHA256=sha256
            )
        return Part(answer["ETag"], len(data), sha256)

    def complete(self, key: str, upload: str, parts: Mapping[int, Part]) -> bool:
        listed = [
            {"PartNumber": number, "ETag": parts[number].etag, "ChecksumSHA256": parts[number].sha256}
            for number in sorted(parts)
        ]
        return self._conditional(
            "complete_multipart_upload",
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": listed},
            IfNoneMatch="*",
        )

    def abort(self, key: str, upload: str) -> None:
        try:
            with self._loudly():
                self._ask("abort_multipart_upload", Key=key, UploadId=upload)
        except NoSuchUpload:
            return
