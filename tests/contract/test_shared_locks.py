"""Who is at a stack whose state lies in a bucket, read from a real one (versitygw)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.boto import BotoObjects
from lockstep.deploy import LOCKED, Engine, _Watch
from lockstep.errors import LockstepError, Unavailable
from lockstep.paths import Paths, engine_locks_of
from lockstep.release.url import S3Place
from lockstep.shared_locks import SharedLocks
from lockstep.workspace import Workspace
from tests.support.versity import Server, free_port, new_credentials

BUCKET = "the-state"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    access, secret = new_credentials()
    server = Server(tmp_path_factory.mktemp("s3"), free_port(), access, secret)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", access)
        patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)  # versitygw knows none, and refuses who sends one
        place = S3Place(BUCKET, "", server.endpoint, "us-east-1")
        BotoObjects(place)._client.create_bucket(Bucket=BUCKET)
        yield server.endpoint
    server.stop()


def lock(endpoint: str, prefix: str, stack: str, data: bytes) -> None:
    objects = BotoObjects(S3Place(BUCKET, prefix, endpoint, "us-east-1"))
    assert objects.put_new(f"{prefix}{engine_locks_of(stack)}/some-uuid.json", data)


SAID = json.dumps({"pid": 4711, "username": "ci", "hostname": "runner-7", "timestamp": "now"}).encode()


@pytest.mark.parametrize("prefix", ["", "team/a/"])
def test_a_stack_that_somebody_changes_elsewhere_is_left_to_them(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """Its intent is open because the update runs, and must not be closed by who looks on."""
    (tmp_path / "Pulumi.staging.yaml").write_text("config:\n  lockstep:target: aws\n")
    url = f"s3://{BUCKET}/{prefix}?endpoint={endpoint}&region=us-east-1&s3ForcePathStyle=true"
    monkeypatch.setenv("PULUMI_BACKEND_URL", url)
    engine = Engine(
        Workspace(Paths(tmp_path, tmp_path / ".lockstep"), "staging"),
        lambda: pytest.fail("no program is needed for that"),
        lambda _: None,
    )
    engine.require_alone()
    lock(endpoint, prefix, "prod", SAID)
    engine.require_alone()
    lock(endpoint, prefix, "staging", SAID)
    with pytest.raises(LockstepError, match=r"ci@runner-7 \(pid 4711\)") as caught:
        engine.require_alone()
    assert caught.value.code == "engine.locked"
    assert "pulumi cancel" in caught.value.remedy


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[" * 200_000])
def test_a_lock_that_says_nothing_is_one_all_the_same(endpoint: str, data: bytes) -> None:
    stack = f"stack-{len(data)}-{data[:1].hex()}"
    lock(endpoint, "", stack, data)
    locks = SharedLocks(f"s3://{BUCKET}?endpoint={endpoint}&region=us-east-1", stack)
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
