"""Who is at a stack whose state lies in a bucket, read from a real one (versitygw)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.boto import BotoObjects
from lockstep.deploy import LOCKED, Engine, _Watch
from lockstep.errors import LockstepError, Unavailable
from lockstep.paths import Paths, engine_locks_of
from lockstep.release.url import S3Place, parse_url
from lockstep.shared_locks import SharedLocks
from lockstep.workspace import Workspace
from tests.support.stores import Place
from tests.support.versity import free_port

BUCKET = "the-state"


@pytest.fixture
def bucket(s3: Place) -> S3Place:
    """A bucket of the test's own, with credentials for it."""
    place = parse_url(s3.url)
    assert isinstance(place, S3Place)
    return replace(place, prefix="", region="us-east-1")


def url_of(bucket: S3Place, prefix: str = "") -> str:
    return f"s3://{bucket.bucket}/{prefix}?endpoint={bucket.endpoint}&region={bucket.region}"


def lock(bucket: S3Place, prefix: str, stack: str, data: bytes) -> None:
    assert BotoObjects(bucket).put_new(f"{prefix}{engine_locks_of(stack)}/some-uuid.json", data)


SAID = json.dumps({"pid": 4711, "username": "ci", "hostname": "runner-7", "timestamp": "now"}).encode()


@pytest.mark.parametrize("prefix", ["", "team/a/"])
def test_a_stack_that_somebody_changes_elsewhere_is_left_to_them(
    bucket: S3Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """Its intent is open because the update runs, and must not be closed by who looks on."""
    (tmp_path / "Pulumi.staging.yaml").write_text("config:\n  lockstep:target: aws\n")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"{url_of(bucket, prefix)}&s3ForcePathStyle=true")
    engine = Engine(
        Workspace(Paths(tmp_path, tmp_path / ".lockstep"), "staging"),
        lambda: pytest.fail("no program is needed for that"),
        lambda _: None,
    )
    engine.require_alone()
    lock(bucket, prefix, "prod", SAID)
    engine.require_alone()
    lock(bucket, prefix, "staging", SAID)
    with pytest.raises(LockstepError, match=r"ci@runner-7 \(pid 4711\)") as caught:
        engine.require_alone()
    assert caught.value.code == "engine.locked"
    assert "pulumi cancel" in caught.value.remedy


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[" * 200_000])
def test_a_lock_that_says_nothing_is_one_all_the_same(bucket: S3Place, data: bytes) -> None:
    lock(bucket, "", "staging", data)
    locks = SharedLocks(url_of(bucket), "staging")
    assert locks.taken()
    assert locks.holders() == "unknown"
    locks.clear_dead()
    assert locks.taken()


@pytest.mark.parametrize(
    "query",
    [
        "endpoint=127.0.0.1:9&disableSSL=true",
        "endpoint=http://127.0.0.1:9",
        "endpoint=gopher://x",
        "profile=nobody",
    ],
)
def test_that_a_stack_is_locked_is_said_whether_or_not_its_bucket_says_by_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """Or the intent of who holds it would be taken for one of a failed update, and closed."""
    (tmp_path / "Pulumi.staging.yaml").write_text("config:\n  lockstep:target: aws\n")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"s3://{BUCKET}?region=us-east-1&{query}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    engine = Engine(
        Workspace(Paths(tmp_path, tmp_path / ".lockstep"), "staging"),
        lambda: pytest.fail("not needed"),
        print,
    )
    failed = engine._failure("update", _Watch(print), f"error: {LOCKED} by 1 lock(s)", [])
    assert failed.code == "engine.locked"
    assert "is running: unknown" in failed.message
    with pytest.raises(Unavailable) as caught:
        engine.require_alone()
    assert caught.value.code == "state.silent"


def test_a_bucket_that_is_silent_does_not_say_that_nobody_is_at_it() -> None:
    locks = SharedLocks(f"s3://{BUCKET}?endpoint=http://127.0.0.1:{free_port()}&region=us-east-1", "staging")
    with pytest.raises(Unavailable, match=f"its state bucket s3://{BUCKET} does not say") as caught:
        locks.taken()
    assert caught.value.code == "state.silent"
    assert "PULUMI_BACKEND_URL" in caught.value.remedy
