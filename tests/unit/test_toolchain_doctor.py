"""`./lockstep doctor`: what it says of a whole, a missing and a changed toolchain; and progress lines."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lockstep.cli.__main__ import run
from lockstep.paths import cache
from lockstep.toolchain import ensure, find
from lockstep.toolchain.progress import step

PROGRAMS = {"pulumi", "opa", "versitygw"}


def examine(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    code = run(["doctor", "--output", "json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "lockstep.doctor/1"
    assert document["ok"] == (code == 0)
    return code, {part["name"]: part for part in document["parts"]}


def test_all_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    ensure(lambda line: None)
    code, parts = examine(capsys)
    assert code == 0, parts
    assert PROGRAMS | {"python", "packages", "go", "envoy", "language host", "xattrs", "git"} < parts.keys()
    assert "3.259.0 sha256:" in parts["pulumi"]["found"]
    assert all(part["remedy"] == "" for part in parts.values() if part["ok"])


def test_what_is_missing_is_named_with_what_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "empty"))
    assert find() is None
    code, parts = examine(capsys)
    assert code == 2
    missing = {name for name, part in parts.items() if not part["ok"] and part["needed"]}
    assert missing >= PROGRAMS | {"language host"}
    assert all(part["remedy"] for part in parts.values() if not part["ok"])
    assert parts["go"]["needed"], "without programs, Go is what makes them"
    assert run(["doctor"]) == 2
    text = capsys.readouterr().out
    assert "MISSING  pulumi" in text
    assert text.splitlines()[-1].startswith("missing: pulumi")
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


@pytest.mark.parametrize(
    ("file", "part"),
    [("opa", "opa"), ("language_host.py", "language host"), ("pulumi-language-python-exec", "pulumi")],
)
def test_a_changed_byte_is_found_though_size_and_time_are_the_same(
    file: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ensure(lambda line: None).bin_dir.parent
    copy = tmp_path / made.relative_to(cache())
    shutil.copytree(made, copy, copy_function=os.link)
    status = (copy / "bin" / file).stat()
    content = bytearray((copy / "bin" / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "bin" / file).unlink()
    (copy / "bin" / file).write_bytes(content)
    (copy / "bin" / file).chmod(status.st_mode)
    os.utime(copy / "bin" / file, ns=(status.st_atime_ns, status.st_mtime_ns))
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path))
    code, parts = examine(capsys)
    assert code == 2
    changed = {name for name, item in parts.items() if not item["ok"] and item["needed"]}
    assert changed == {part}
    assert "changed since it was made" in parts[part]["found"]


def test_a_step_says_when_it_starts_and_how_long_it_took() -> None:
    said: list[str] = []
    with step("making a thing", said.append) as detail:
        detail("not for a log")
        assert said == ["making a thing ..."]
    assert said[1].startswith("making a thing: done in 0.")
    assert len(said) == 2


def test_a_step_that_fails_does_not_say_it_is_done() -> None:
    said: list[str] = []
    with pytest.raises(OSError, match="no"), step("making a thing", said.append):
        raise OSError("no")
    assert said == ["making a thing ..."]
