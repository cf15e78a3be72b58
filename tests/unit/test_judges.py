"""The judges' pins, and that making one touches neither another nor the toolchain."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from lockstep.errors import UsageError
from lockstep.paths import cache, here
from lockstep.toolchain import bin_folder, judges, versions

TOOLCHAIN = here().root / "toolchain"
FOLDER = TOOLCHAIN / "judges"
CRDS = ("gateway-api-crds", "envoy-gateway-crds", "karpenter-crds", "keda-crds")


def test_every_judge_is_pinned_and_has_a_recipe() -> None:
    pinned = versions.load_judges(FOLDER)
    assert {name: program.version for name, program in pinned.programs.items()} == {
        "egctl": "1.9.1",
        "etcd": "3.6.16",
        "kube-apiserver": "1.36.1",
        "gateway-api-crds": "1.6.1",
        "envoy-gateway-crds": "1.9.1",
        "karpenter-crds": "1.14.1",
        "keda-crds": "2.21.0",
    }
    for program in pinned.programs.values():
        module = (program.go.folder / "go.mod").read_text()
        assert f"v{program.version}" in module, "recipe and version must agree"
        line = re.search(r"^go (\S+)$", module, re.MULTILINE)
        assert line is not None
        assert pinned.go_minimum >= versions.number(line[1])


def test_a_module_that_files_are_taken_from_has_its_sum() -> None:
    """`go mod download` adds a sum that is missing: then nothing here would have pinned the files."""
    sums = (FOLDER / "go" / "crds" / "go.sum").read_text()
    for name in CRDS:
        program = versions.load_judges(FOLDER).programs[name]
        assert program.go.package == ""
        for module, _ in program.go.files.values():
            assert re.search(rf"^{re.escape(module)} v{re.escape(program.version)} h1:", sums, re.MULTILINE)


def test_a_judge_changes_nothing_about_the_toolchain(tmp_path: Path) -> None:
    copy = tmp_path / "toolchain"
    shutil.copytree(TOOLCHAIN, copy)
    before = bin_folder.folder(versions.load(copy), tmp_path)
    (copy / "judges" / "versions.toml").write_text("[go]\nminimum = '9.9.9'\n")
    shutil.rmtree(copy / "judges" / "go")
    assert bin_folder.folder(versions.load(copy), tmp_path) == before
    assert versions.load_judges(copy / "judges").programs == {}


def test_a_name_that_is_no_judge() -> None:
    with pytest.raises(UsageError, match="kubectl") as caught:
        judges.ensure(["egctl", "kubectl"], lambda line: None)
    assert caught.value.code == "toolchain.judge"
    assert "kube-apiserver" in caught.value.remedy


def test_the_schemas_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made in a cache of its own; a changed file is noticed and made again; a second time does nothing."""
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path))
    said: list[str] = []
    folder = judges.ensure(["gateway-api-crds"], said.append)["gateway-api-crds"]
    assert any("fetching gateway-api-crds 1.6.1" in line for line in said), (
        "a minute's silence is no progress"
    )
    documents = [one for file in folder.iterdir() for one in yaml.safe_load_all(file.read_text())]
    names = {document["metadata"]["name"] for document in documents}
    assert {"httproutes.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io"} < names
    assert all("kind" in document for document in documents), "kustomize's own file is not one of them"
    assert [path.name for path in (cache() / "toolchain" / "programs").iterdir()] == [folder.parent.name]

    routes = next(file for file in folder.iterdir() if "httproutes" in file.name)
    routes.write_text("{}")
    said.clear()
    assert judges.ensure(["gateway-api-crds"], said.append)["gateway-api-crds"] == folder
    assert said and routes.stat().st_size > 1000
    said.clear()
    judges.ensure(["gateway-api-crds"], said.append)
    assert said == []
