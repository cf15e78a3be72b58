"""A checkout made ready: what is missing is made once, and plain `pulumi` finds its way."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from lockstep.errors import UsageError
from lockstep.paths import Paths, cache, here, origin_of
from lockstep.toolchain import Toolchain
from lockstep.workspace import Workspace, build_digits, prepare
from tests.support import releases

ROOT = Path(__file__).parents[2]
BIN = Path("/some where/bin")
TOOLS = Toolchain(BIN / "pulumi", BIN / "opa", BIN / "versitygw", BIN / "envoy", BIN)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A checkout with an example, and with both digits releases built already."""
    for name in ("Pulumi.yaml", "Pulumi.local.yaml.example"):
        shutil.copy2(ROOT / name, tmp_path / name)
    paths = Paths(tmp_path, tmp_path / ".lockstep")
    store = releases.FolderStore(paths.store)
    for variant in ("plain", "better"):
        releases.put(store, name=f"digits-{variant}")
    return Workspace(paths, "local")


def test_the_first_preparation_writes_the_stack_file_from_its_example(workspace: Workspace) -> None:
    said: list[str] = []
    prepare(workspace, said.append)
    plain = build_digits(workspace.paths, said.append)
    cell = {"blue": plain, "green": None, "green_weight": 0}
    assert workspace.file.settings().table == {"digits": {"local-a": cell, "local-b": cell}}
    assert workspace.passphrase.stat().st_mode & 0o777 == 0o600
    assert len(workspace.passphrase.read_bytes()) >= 32
    assert workspace.paths.local_trust.is_file()
    assert workspace.paths.backend.is_dir()


def test_preparing_again_changes_nothing(workspace: Workspace) -> None:
    prepare(workspace, lambda _: None)
    workspace.file.write(workspace.file.read_bytes() + b"# mine\n")
    kept = {path: path.read_bytes() for path in workspace.paths.root.rglob("*") if path.is_file()}
    prepare(workspace, lambda _: None)
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_bad_stack_file_is_said_before_the_engine_starts(workspace: Workspace) -> None:
    workspace.file.write(b"config:\n  lockstep:taget: local\n")
    with pytest.raises(UsageError, match="did you mean lockstep:target"):
        prepare(workspace, lambda _: None)


def test_a_stack_without_a_file_is_refused_before_anything_is_made(workspace: Workspace) -> None:
    (workspace.paths.root / "Pulumi.staging.yaml").write_text("config: {}")
    with pytest.raises(UsageError) as caught:
        prepare(Workspace(workspace.paths, "prod"), lambda _: None)
    assert caught.value.code == "config.no_stack_file"
    assert "staging" in caught.value.remedy
    assert not workspace.paths.keys.exists()


def test_the_stack_local_runs_nowhere_else(workspace: Workspace) -> None:
    staging = (Path(__file__).parents[2] / "Pulumi.staging.yaml").read_bytes()
    workspace.file.write(staging)
    assert not workspace.in_cloud
    with pytest.raises(UsageError) as caught:
        prepare(workspace, lambda _: None)
    assert caught.value.code == "stack.no_target"


def test_a_broken_file_of_the_stack_local_still_leaves_an_environment(workspace: Workspace) -> None:
    workspace.file.write(b"config:\n  nonsense\n  lockstep:port: 1\n")
    assert workspace.environment(TOOLS)["PULUMI_BACKEND_URL"].startswith("file://")


def test_only_the_stack_local_runs_on_this_machine(workspace: Workspace) -> None:
    (workspace.paths.root / "Pulumi.dev.yaml").write_text("config:\n  lockstep:target: local\n")
    with pytest.raises(UsageError) as caught:
        prepare(Workspace(workspace.paths, "dev"), lambda _: None)
    assert caught.value.code == "stack.no_target"


def cloud(workspace: Workspace) -> Workspace:
    (workspace.paths.root / "Pulumi.prod.yaml").write_text("config:\n  lockstep:target: aws\n")
    return Workspace(workspace.paths, "prod")


def test_a_cloud_stack_says_all_that_is_wrong_before_anything_is_made(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockstep.workspace.ensure", lambda _: pytest.fail("programs were made"))
    with pytest.raises(UsageError) as caught:
        prepare(cloud(workspace), lambda _: None)
    assert caught.value.code == "stack.unready"
    assert "lockstep:environment: missing" in caught.value.message
    assert "plugin aws" in caught.value.message
    assert not workspace.paths.keys.exists()


def test_the_state_of_a_cloud_stack_is_where_its_people_say(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    with pytest.raises(UsageError) as caught:
        cloud(workspace).environment(TOOLS)
    assert caught.value.code == "state.no_backend"
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://lockstep-state")
    given = cloud(workspace).environment(TOOLS)
    assert given["PULUMI_BACKEND_URL"] == "s3://lockstep-state"
    assert given["PULUMI_DIY_BACKEND_GZIP"] == "true"
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in given
    assert "PULUMI_DIY_BACKEND_GZIP" not in workspace.environment(TOOLS)
    assert workspace.environment(TOOLS)["PULUMI_BACKEND_URL"].startswith("file://")


def test_plain_pulumi_gets_everything_that_it_needs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = Path(sys.prefix) / "bin"
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", str(venv), "/bin"]))
    given = workspace.environment(TOOLS)
    assert given["PATH"].split(os.pathsep) == [str(BIN), str(venv), "/usr/bin", "/bin"]
    assert given["PULUMI_STACK"] == "local"
    assert given["PULUMI_BACKEND_URL"].partition("?")[0] == f"file://{workspace.paths.backend}"
    assert given["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(workspace.passphrase)
    assert given["LOCKSTEP_STATE"] == str(workspace.paths.state)
    assert Path(given["PULUMI_HOME"]).is_relative_to(workspace.paths.state)


def test_names_that_the_engine_and_the_log_share(workspace: Workspace) -> None:
    assert origin_of(workspace.stack) == "lockstep/local"
    backend = workspace.paths.backend / ".pulumi"
    assert workspace.paths.history("local") == backend / "history" / "lockstep" / "local"
    assert workspace.locks == backend / "locks" / "organization" / "lockstep" / "local"
    assert workspace.state_bucket == ""
    assert workspace.state_file == backend / "stacks" / "lockstep" / "local.json"


def test_the_state_folder_and_the_cache_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKSTEP_STATE", raising=False)
    assert here() == Paths(ROOT, ROOT / ".lockstep")
    monkeypatch.setenv("LOCKSTEP_STATE", str(tmp_path / "state"))
    assert here() == Paths(ROOT, tmp_path / "state")
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "cache"))
    assert cache() == tmp_path / "cache"
    monkeypatch.delenv("LOCKSTEP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache() == tmp_path / "xdg" / "lockstep"


def test_the_locks_of_a_cloud_stack_lie_with_its_state(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = cloud(workspace)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://lockstep-state?region=eu-central-1")
    assert shared.state_bucket == "s3://lockstep-state?region=eu-central-1"
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/some%20where?metadata=skip")
    assert shared.state_bucket == ""
    below = ".pulumi/locks/organization/lockstep/prod"
    assert shared.locks == tmp_path / "some where" / below
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file://~/state")
    assert shared.locks == Path.home() / "state" / below
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file://./state")
    assert shared.locks == workspace.paths.root / "state" / below
