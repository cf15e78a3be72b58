"""The S3 client's own parts: signatures against botocore, XML against hostile answers."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from lockstep.audit import s3xml
from lockstep.audit.s3 import S3Bucket, _seconds
from lockstep.audit.sigv4 import Credentials, encode_path, encode_query, presigned_url, signed_headers
from lockstep.errors import Unavailable
from tests.support.loopback import served

NOW = datetime(2026, 11, 21, 2, 51, 23, tzinfo=UTC)
HOST = "127.0.0.1:9000"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body"),
    [
        ("GET", "/lockstep-audit/record/0000000000", {}, {}, b""),
        ("GET", "/lockstep-audit", {"versions": "", "prefix": "tile/0/x001", "max-keys": "7"}, {}, b""),
        (
            "PUT",
            "/lockstep-audit/tile/0/000.p/5",
            {},
            {"if-none-match": "*", "x-amz-meta-a": "b  c"},
            b"data",
        ),
        ("PUT", "/b/k~-_. é+", {"retention": "", "versionId": "a/b+c="}, {}, b"<x/>"),
    ],
)
def test_a_signature_is_that_of_botocore(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    ours = signed_headers(method, HOST, path, query, headers, body, Credentials("AK", "SK", "eu-west-1"), NOW)
    url = f"http://{HOST}{encode_path(path)}" + (f"?{encode_query(query)}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    request.context["timestamp"] = ours["x-amz-date"]
    request.context["payload_signing_enabled"] = True
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = ours["x-amz-content-sha256"]
    auth = S3SigV4Auth(BotoCredentials("AK", "SK"), "s3", "eu-west-1")
    text = auth.canonical_request(request)
    auth._inject_signature_to_request(request, auth.signature(auth.string_to_sign(request, text), request))
    assert request.headers["Authorization"] == ours["authorization"]


@pytest.mark.parametrize(
    ("service", "path", "body"),
    [("kms", "/", b'{"KeyId":"k"}'), ("eks", "/clusters/lockstep-staging-a", b"")],
)
def test_a_session_signs_its_token_and_a_service_its_name(service: str, path: str, body: bytes) -> None:
    who = Credentials("AK", "SK", "eu-west-1", "TOKEN")
    ours = signed_headers("POST", HOST, path, {}, {"x-amz-target": "T.Sign"}, body, who, NOW, service=service)
    request = AWSRequest("POST", f"https://{HOST}{path}", headers={"x-amz-target": "T.Sign"}, data=body)
    request.context["timestamp"] = ours["x-amz-date"]
    for name in ("X-Amz-Date", "X-Amz-Content-SHA256"):
        request.headers[name] = ours[name.lower()]
    request.headers["X-Amz-Security-Token"] = "TOKEN"
    auth = SigV4Auth(BotoCredentials("AK", "SK", "TOKEN"), service, "eu-west-1")
    text = auth.canonical_request(request)
    auth._inject_signature_to_request(request, auth.signature(auth.string_to_sign(request, text), request))
    assert request.headers["Authorization"] == ours["authorization"]
    assert "x-amz-security-token" in ours["authorization"]
    assert ours["x-amz-security-token"] == "TOKEN"


@pytest.mark.parametrize("token", ["", "TO/KEN=="])
def test_a_url_for_somebody_else_is_signed_as_botocore_signs_it(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    who = Credentials("AK", "SK", "eu-west-1", token)
    host, query = "sts.eu-west-1.amazonaws.com", {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    named = {"x-k8s-aws-id": "lockstep-staging-a"}
    ours = presigned_url(host, query, named, who, NOW, service="sts", lasts_s=60)
    request = AWSRequest("GET", f"https://{host}/?{encode_query(query)}", headers=dict(named))
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    SigV4QueryAuth(BotoCredentials("AK", "SK", token or None), "sts", "eu-west-1", expires=60).add_auth(
        request
    )
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(request.url).query)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"not xml at all",
        b'<!DOCTYPE a [<!ENTITY x "y">]><ListVersionsResult/>',
        b"<Other/>",
        b"<a>" * 50 + b"</a>" * 50,
    ],
)
def test_nonsense_instead_of_a_list_is_refused(data: bytes) -> None:
    with pytest.raises(Unavailable) as refused:
        s3xml.version_page(data)
    assert refused.value.code == "audit.bucket_nonsense"


def test_a_page_is_read_with_markers_and_delete_markers() -> None:
    page = (
        b'<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>'
        b"<NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>"
        b"<Version><Key>a&amp;b</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><Size>3</Size></Version>"
        b"<DeleteMarker><Key>a&amp;b</Key><VersionId>2</VersionId><IsLatest>true</IsLatest></DeleteMarker>"
        b"</ListVersionsResult>"
    )
    versions, following = s3xml.version_page(page)
    assert following == ("k", "v")
    assert [(one.key, one.version_id, one.is_latest, one.delete_marker, one.size) for one in versions] == [
        ("a&b", "1", False, False, 3),
        ("a&b", "2", True, True, 0),
    ]


def test_a_closed_port_is_unreachable_and_says_what_to_do() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bucket = S3Bucket(f"http://127.0.0.1:{port}", "lockstep-audit", "a", "s")
    assert not bucket.answers()
    with pytest.raises(Unavailable) as refused:
        bucket.get("record/0000000000")
    assert refused.value.code == "audit.bucket_unreachable"
    assert "./lockstep" in refused.value.remedy


def test_a_silent_server_is_unreachable_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        bucket = S3Bucket(f"http://127.0.0.1:{port}", "lockstep-audit", "a", "s", timeout_s=0.2)
        with pytest.raises(Unavailable) as refused:
            bucket.get("record/0000000000")
    assert refused.value.code == "audit.bucket_unreachable"


def test_a_lock_is_never_shorter_than_asked_for() -> None:
    assert _seconds(NOW.replace(microsecond=1)) == "2026-11-21T02:51:24Z"
    assert _seconds(NOW) == "2026-11-21T02:51:23Z"


def test_the_secret_is_not_in_a_repr() -> None:
    assert "SK" not in repr(Credentials("AK", "SK", "r", "SK"))


class _Says(BaseHTTPRequestHandler):
    answer: ClassVar[tuple[int, dict[str, str]]] = (200, {})

    def do_HEAD(self) -> None:
        status, headers = self.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (301, {"x-amz-bucket-region": "eu-west-1"}, "audit.other_region"),
        (403, {}, "audit.bucket_refused"),
        (500, {}, "audit.bucket_refused"),
    ],
)
def test_only_a_404_says_that_there_is_no_bucket(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], code: str
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Says)
    with served(server):
        bucket = S3Bucket(f"http://127.0.0.1:{server.server_address[1]}", "lockstep-audit", "a", "s")
        monkeypatch.setattr(_Says, "answer", (404, {}))
        assert not bucket.exists()
        monkeypatch.setattr(_Says, "answer", (status, headers))
        with pytest.raises(Unavailable) as caught:
            bucket.exists()
        assert caught.value.code == code
    with pytest.raises(Unavailable) as silent:
        bucket.exists()
    assert silent.value.code == "audit.bucket_unreachable"


def test_credentials_are_asked_for_before_each_request() -> None:
    asked: list[int] = []

    def now() -> Credentials:
        asked.append(1)
        return Credentials("a", "s", "r")

    bucket = S3Bucket("http://127.0.0.1:9", "lockstep-audit", credentials=now)
    for _ in range(2):
        assert not bucket.answers()
    assert len(asked) == 2
