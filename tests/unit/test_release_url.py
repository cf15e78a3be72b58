"""The URL of a store: where it is and nothing secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.errors import UsageError
from lockstep.release.url import FolderPlace, S3Place, parse_url
from lockstep.stores import url_of


def test_a_folder() -> None:
    assert parse_url("file:///a%20b/c") == FolderPlace(Path("/a b/c"))
    assert parse_url("file://localhost/a") == FolderPlace(Path("/a"))


@pytest.mark.parametrize("name", ["a b", "ü", "50%", "a?b#c", "a%20b"])
def test_any_folder_of_a_checkout_comes_back_from_its_url(tmp_path: Path, name: str) -> None:
    assert parse_url(url_of("", tmp_path / name)) == FolderPlace(tmp_path / name)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket", S3Place("bucket", "", "", "")),
        ("s3://bucket/", S3Place("bucket", "", "", "")),
        ("s3://bucket/a/b/", S3Place("bucket", "a/b/", "", "")),
        ("s3://b-1.x/a?region=eu-central-1", S3Place("b-1.x", "a/", "", "eu-central-1")),
        ("s3://bucket/a?endpoint=http://[::1]:7070/", S3Place("bucket", "a/", "http://[::1]:7070", "")),
        ("s3://bucket?endpoint=https%3A%2F%2Fx.test", S3Place("bucket", "", "https://x.test", "")),
    ],
)
def test_a_bucket(url: str, place: S3Place) -> None:
    assert parse_url(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store",
        "file://relative/x",
        "http://x/y",
        "file:///a?b",
        "file:a",
        "s3://",
        "s3:///prefix",
        "s3://Bucket/x",
        "s3://b",
        "s3://bucket:80/x",
        "s3://bucket/a//b",
        "s3://bucket/../x",
        "s3://bucket/.hidden",
        "s3://bucket/a b",
        "s3://bucket/a#b",
        "s3://bucket/a%2fb",
        "s3://bucket/a?acl=public",
        "s3://bucket/a?region=EU!",
        "s3://bucket/a?endpoint=ftp://x",
        "s3://bucket/a?endpoint=http://x/path",
        "s3://bucket/a?endpoint=http://x:port",
        "s3://[bucket/a",
    ],
)
def test_what_is_no_store(url: str) -> None:
    with pytest.raises(UsageError, match=r"release\.store_url"):
        parse_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hunter2@bucket/x",
        "s3://hunter2@bucket/x",
        "s3://bucket/x?endpoint=http://key:hunter2@host",
        "s3://bucket/x?secret=hunter2",
        "file://key:hunter2@localhost/x",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match=r"release\.store_url") as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)
