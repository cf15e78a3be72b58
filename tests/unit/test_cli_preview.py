"""`./lockstep preview`: what is said before anything is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockstep.cli.preview import command
from lockstep.errors import UsageError
from lockstep.paths import Paths

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("wrong", ["staging", "prod"])
def test_a_wrong_file_of_either_stack_is_said_before_programs_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    for name in ("Pulumi.yaml", "Pulumi.staging.yaml", "Pulumi.prod.yaml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    with (tmp_path / f"Pulumi.{wrong}.yaml").open("a") as file:
        file.write("  lockstep:regoins: []\n")
    monkeypatch.setattr("lockstep.paths.here", lambda: Paths(tmp_path, tmp_path / ".lockstep"))
    monkeypatch.setattr("lockstep.toolchain.ensure", lambda _: pytest.fail("programs were made"))
    with pytest.raises(
        UsageError, match=f"Pulumi.{wrong}.yaml has 1 problem:\n.*did you mean lockstep:regions"
    ):
        CliRunner().invoke(command, ["staging", "--offline"], catch_exceptions=False, standalone_mode=False)
