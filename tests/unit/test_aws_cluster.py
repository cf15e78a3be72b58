"""How a cluster is found: what EKS says, the token made for it, and what each answer counts as."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lockstep.aws.cluster import Cluster, cluster_of, token_of
from lockstep.aws.credentials import Chain
from lockstep.aws.service import Refused, endpoint_of
from lockstep.aws.stack import look_at
from lockstep.errors import Unavailable, UsageError
from tests.support.loopback import Handler, served

REGION = "eu-central-1"
FOUND = {
    "cluster": {
        "name": "lockstep-staging-eu-central-1",
        "endpoint": "https://ABC.gr7.eu-central-1.eks.amazonaws.com",
        "certificateAuthority": {"data": base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()},
    }
}


class Eks(ThreadingHTTPServer):
    """Answers every question with one answer; asked: what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.error = 200, ""
        self.value: Any = {}
        self.asked: list[tuple[str, str]] = []

    def says(self, status: int, value: Any, error: str = "") -> None:
        self.status, self.value, self.error = status, value, error


class _Handler(Handler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Eks)
        server.asked.append((self.path, self.headers["authorization"]))
        data = json.dumps(server.value).encode()
        self.send_response(server.status)
        if server.error:
            self.send_header("x-amzn-errortype", server.error)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def eks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Eks]:
    server = Eks()
    monkeypatch.delenv("LOCKSTEP_CLUSTERS", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_EKS", f"http://127.0.0.1:{server.server_address[1]}")
    for name, value in (("ACCESS_KEY_ID", "AK"), ("SECRET_ACCESS_KEY", "SK"), ("SESSION_TOKEN", "TK")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with served(server):
        yield server


def test_a_cluster_is_asked_for_by_the_name_that_the_program_gives_it(eks: Eks) -> None:
    eks.says(200, FOUND)
    found = cluster_of("staging", REGION)
    assert found is not None
    assert (found.region, found.server) == (REGION, FOUND["cluster"]["endpoint"])
    assert found.ca == "-----BEGIN CERTIFICATE-----"
    path, authorization = eks.asked[0]
    assert path == "/clusters/lockstep-staging-eu-central-1"
    assert "/eu-central-1/eks/aws4_request" in authorization
    assert found.token not in repr(found)


def test_the_token_is_a_question_to_sts_in_the_cluster_s_name(eks: Eks) -> None:
    token = token_of("lockstep-staging-eu-central-1", Chain(REGION))
    assert token.startswith("k8s-aws-v1.") and "=" not in token
    coded = token.removeprefix("k8s-aws-v1.")
    url = urlsplit(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode())
    said = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc, url.path) == ("https", "sts.eu-central-1.amazonaws.com", "/")
    assert said["Action"] == "GetCallerIdentity"
    assert said["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert said["X-Amz-Security-Token"] == "TK"
    assert int(said["X-Amz-Expires"]) <= 60


@pytest.mark.parametrize(
    ("status", "value", "error"),
    [
        (404, {"message": "No cluster found"}, "ResourceNotFoundException"),
        (200, {"cluster": {"name": "x", "status": "CREATING"}}, ""),
    ],
)
def test_no_cluster_yet_is_a_region_that_shows_nothing(eks: Eks, status: int, value: Any, error: str) -> None:
    eks.says(status, value, error)
    assert cluster_of("staging", REGION) is None
    seen = look_at(REGION, {"digits": {REGION: {"withdraw": "sha256:" + "a" * 64}}}, lambda: None)
    assert (seen.live, seen.serving) == ({}, {})


def test_a_denial_is_said_and_a_fault_counts_as_silence(eks: Eks) -> None:
    eks.says(403, {"message": "no"}, "AccessDeniedException:http://internal.amazon.com/")
    with pytest.raises(Refused) as caught:
        cluster_of("staging", REGION)
    assert caught.value.name == "AccessDeniedException"
    assert "docs/aws.md" in caught.value.remedy
    eks.says(503, {})
    recorded = {"digits": {REGION: {"blue": "sha256:" + "a" * 64, "green": None, "green_weight": 0}}}
    seen = look_at(REGION, recorded, lambda: cluster_of("staging", REGION))
    assert seen.live == {("digits", REGION): None}


def test_an_authority_that_cannot_be_read_vouches_for_nobody() -> None:
    with_nonsense = Cluster(REGION, "https://127.0.0.1:9", "no certificate", "token")
    recorded = {"digits": {REGION: {"blue": "sha256:" + "a" * 64, "green": None, "green_weight": 0}}}
    assert look_at(REGION, recorded, lambda: with_nonsense).live == {("digits", REGION): None}


def test_an_endpoint_is_the_region_s_own_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"):
        monkeypatch.delenv(name, raising=False)
    assert endpoint_of("kms", REGION) == "https://kms.eu-central-1.amazonaws.com"
    assert endpoint_of("kms", "cn-north-1") == "https://kms.cn-north-1.amazonaws.com.cn"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert endpoint_of("kms", REGION) == "http://127.0.0.1:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:2")
    assert endpoint_of("kms", REGION) == "http://127.0.0.1:2"
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "ftp://somewhere")
    with pytest.raises(UsageError):
        endpoint_of("kms", REGION)


def test_half_a_pair_of_keys_is_no_credential(
    eks: Eks, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with pytest.raises((UsageError, Unavailable)) as caught:
        Chain(REGION)()
    assert caught.value.code in ("aws.no_credentials", "aws.credentials_failed")
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(Unavailable) as failed:
        Chain(REGION)()
    assert failed.value.code == "aws.credentials_failed"
    assert "ProfileNotFound" in failed.value.message
