"""One AWS service in one region: signed requests with JSON in and out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from lockstep.audit.s3http import SILENCE, SignedHttp
from lockstep.audit.sigv4 import Credentials
from lockstep.canonical import canonical, parse
from lockstep.errors import IntegrityError, LockstepError, Unavailable
from lockstep.release.url import require_endpoint

TIMEOUT_S = 10.0
DENIED = ("AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredTokenException")


class Refused(LockstepError):
    """The service answered with an error. name: its own word for it."""

    def __init__(self, service: Service, name: str) -> None:
        self.name = name
        remedy = "see what the service says about that name"
        if name in DENIED:
            remedy = "see whose credentials these are, and docs/aws.md for who may do what"
        super().__init__(f"{service.where} refused: {name}", code="aws.refused", remedy=remedy)


def domain_of(region: str) -> str:
    """The domain of a region's endpoints, by its partition."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def endpoint_of(service: str, region: str) -> str:
    """Where a service answers: as AWS_ENDPOINT_URL_<SERVICE> or AWS_ENDPOINT_URL say, else the region's own.

    Raises UsageError `release.store_url` for one without TLS that is not this machine.
    """
    told = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL", "")
    return require_endpoint(told) or f"https://{service}.{region}.{domain_of(region)}"


@dataclass(frozen=True)
class Service:
    name: str
    region: str
    credentials: Callable[[], Credentials]

    @property
    def where(self) -> str:
        return f"{self.name} in {self.region}"

    @cached_property
    def _http(self) -> SignedHttp:
        endpoint = endpoint_of(self.name, self.region)
        return SignedHttp(endpoint, self.credentials, TIMEOUT_S, lambda: datetime.now(UTC), service=self.name)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> dict[str, Any]:
        """The answer's JSON object. Raises Refused for an error that the service names, Unavailable
        `aws.silent` for no answer, for a fault of the service, and for nonsense."""
        try:
            answer = self._http.ask(method, path, {}, headers, body)
        except SILENCE as error:
            raise self._silent(str(error) or type(error).__name__) from None
        if answer.status >= 500:
            raise self._silent(f"HTTP {answer.status}")
        try:
            value = parse(answer.body)
        except IntegrityError:
            value = None
        if answer.status == 200 and isinstance(value, dict):
            return value
        said = value.get("__type") if isinstance(value, dict) else None
        named = str(said or answer.headers.get("x-amzn-errortype") or "").split(":")[0].rpartition("#")[2]
        raise Refused(self, named if named.isalnum() and len(named) < 60 else f"HTTP {answer.status}")

    def call(self, target: str, **words: str) -> dict[str, Any]:
        """As `ask`, of a service that is told by name what to do: `<its name for itself>.<operation>`."""
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        return self.ask("POST", "/", headers, canonical(words))

    def _silent(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self.where} does not answer: {why}",
            code="aws.silent",
            remedy="see whether this machine reaches it and AWS reports no trouble there, then run it again",
        )
