"""`./lockstep release list|show|verify` on a small store: what people and programs read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lockstep.cli.release import command as release
from lockstep.errors import IntegrityError, UsageError
from lockstep.evidence import evaluation
from lockstep.evidence.keys import load_trust
from lockstep.evidence.signer import Signer
from lockstep.paths import Paths
from lockstep.release.folder import FolderStore
from tests.support import releases

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return releases.store_in(tmp_path)


def run(store: FolderStore, *words: str) -> Result:
    """Run a verb as main does: errors are raised for it to render."""
    return CliRunner().invoke(
        release, [*words, "--store", f"file://{store.root}"], catch_exceptions=False, standalone_mode=False
    )


def document(result: Result) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(result.stdout)
    return value


def test_list_gives_releases_oldest_first(store: FolderStore) -> None:
    newer = releases.put(store, name="newer", created=releases.LATER)
    older = releases.put(store, name="older")
    listed = document(run(store, "list", "--output", "json"))
    assert listed["schema"] == "lockstep.release-list/1"
    assert listed["releases"] == [
        {"digest": older, "model": "digits", "name": "older", "created": releases.NOW},
        {"digest": newer, "model": "digits", "name": "newer", "created": releases.LATER},
    ]
    lines = run(store, "list").stdout.splitlines()
    assert older[:19] in lines[0] and newer[:19] in lines[1]


def test_list_of_an_empty_store_says_how_to_fill_it(store: FolderStore) -> None:
    assert "release build" in run(store, "list").stdout
    assert document(run(store, "list", "--output", "json"))["releases"] == []


def test_show_prints_files_and_why_there_is_no_evaluation(store: FolderStore) -> None:
    digest = releases.put(store)
    text = run(store, "show", digest[:19]).stdout
    assert digest in text and "model.onnx" in text and "none that counts" in text
    shown = document(run(store, "show", digest, "--output", "json"))
    assert shown["evaluation"] is None and shown["evaluation_reason"]
    assert shown["size"] == sum(item["size"] for item in shown["files"])


def test_verify_says_how_much_it_looked_at(store: FolderStore, tmp_path: Path) -> None:
    digest = releases.put(store)
    releases.evaluate(store, digest, releases.local_keys(tmp_path).signer("builder"))
    said = document(run(store, "verify", digest[7:15], "--output", "json"))
    assert (said["digest"], said["ok"], said["attached"]) == (digest, True, 1)
    assert said["files"] == len(releases.FILES) + 1


def test_verify_names_the_damaged_file(store: FolderStore) -> None:
    digest = releases.put(store)
    releases.flip_byte(store, digest, "model.onnx")
    with pytest.raises(IntegrityError, match=r"model\.onnx.*release\.corrupt"):
        run(store, "verify", digest)


def test_verify_names_damaged_evidence(store: FolderStore) -> None:
    digest = releases.put(store)
    attached = store.attach(digest, evaluation.EVIDENCE_TYPE, b"{}")
    releases.flip(releases.path_of(store, attached))
    with pytest.raises(IntegrityError, match=attached):
        run(store, "verify", digest)


def test_an_unknown_digest_is_a_usage_error(store: FolderStore) -> None:
    for verb in ("show", "verify"):
        with pytest.raises(UsageError, match=r"release\.unknown"):
            run(store, verb, "sha256:" + "0" * 64)


@pytest.mark.parametrize("verb", ["build", "list", "show", "verify", "gc"])
def test_help_has_examples(verb: str) -> None:
    said = CliRunner().invoke(release, [verb, "--help"]).stdout
    assert f"./lockstep release {verb}" in said


def test_looking_at_a_release_does_not_load_torch(store: FolderStore) -> None:
    digest = releases.put(store)
    code = (
        "import sys\nfrom lockstep.cli.release import command as release\n"
        f"for words in (['list'], ['show', '{digest}'], ['verify', '{digest}']):\n"
        f"    release([*words, '--store', 'file://{store.root}'], standalone_mode=False)\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'sklearn', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dry_run_of_build_says_what_would_be_built_and_makes_nothing(
    store: FolderStore, tmp_path: Path
) -> None:
    said = document(run(store, "build", "--dry-run", "--output", "json"))
    assert (said["name"], said["there"], said["dry_run"]) == ("digits-plain", [], True)
    assert not store.root.exists()
    digest = releases.put(store, name="digits-better")
    text = run(store, "build", "--variant", "better", "--dry-run").stdout
    assert "would train" in text and digest in text and f"file://{store.root}" in text
    with pytest.raises(UsageError, match=r"release\.unknown_model"):
        run(store, "build", "--model", "nothing", "--dry-run")


def test_the_store_is_that_of_the_stack_file(tmp_path: Path) -> None:
    store = releases.store_in(tmp_path / "elsewhere")
    digest = releases.put(store)
    checkout = Paths(tmp_path, tmp_path / "state")
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copy(ROOT / "Pulumi.local.yaml.example", tmp_path / "Pulumi.local.yaml")
    with (tmp_path / "Pulumi.local.yaml").open("a") as file:
        file.write(f"  lockstep:store: file://{store.root}\n")
    words = ["list", "--output", "json"]
    said = CliRunner().invoke(release, words, obj=checkout, catch_exceptions=False, standalone_mode=False)
    assert [entry["digest"] for entry in document(said)["releases"]] == [digest]


def test_the_key_of_a_checkout_is_a_line_that_an_environment_takes(tmp_path: Path) -> None:
    """Put where the docs say, and what the key signs is believed."""
    paths = Paths(tmp_path, tmp_path / ".lockstep")
    said = CliRunner().invoke(release, ["key"], obj=paths, catch_exceptions=False, standalone_mode=False)
    data = tmp_path / "policies" / "data"
    data.mkdir(parents=True, exist_ok=True)
    roles = (ROOT / "policies" / "data" / "roles.json").read_text()
    opened = '"staging": { "people": {'
    assert opened in roles
    (data / "roles.json").write_text(roles.replace(opened, opened + said.stdout))
    signer = Signer.load(paths.keys / "builder.pem")
    envelope = signer.sign("application/x", b"{}")
    signed = load_trust(tmp_path / "policies", "staging").verify(envelope, "application/x", "builder")
    assert signed.payload == b"{}"
    with pytest.raises(IntegrityError, match="nobody in prod has"):
        load_trust(tmp_path / "policies", "prod").verify(envelope, "application/x", "builder")
