"""A checkout that cannot be written to: who must write says so by name, who only looks does not mind."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.checkout import copy_tree, make
from tests.support.disk import read_only

WRITING = [("up",), ("preview",), ("env",)]
LOOKING = [("release", "list"), ("audit", "key")]


def test_each_command_says_what_cannot_be_written(built: Path, tmp_path: Path) -> None:
    checkout = make(tmp_path / "checkout", built)
    with read_only(checkout.root):
        for words in WRITING:
            said = checkout.run(*words, expect=1).stderr
            assert "[files.not_writable]" in said and str(checkout.root) in said, said
            assert "next: make it writable" in said, said
        for words in LOOKING:
            checkout.run(*words)
        parts = checkout.run("doctor", expect=2).stdout
        assert f"cannot write to {checkout.root}: Read-only file system" in parts, parts
        assert "wrong: checkout, state, policy data" in parts, parts


def test_the_launcher_says_so_before_there_is_an_environment(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    copy_tree(fresh)
    with read_only(fresh):
        for verb in ("up", "doctor"):
            done = subprocess.run([fresh / "lockstep", verb], capture_output=True, text=True, check=False)
            assert done.returncode == 2
            first, second = done.stderr.splitlines()
            assert first.endswith(
                f"cannot write to {tmp_path / 'fresh'}, where the Python environment is to be made"
            )
            assert second == "next: make it writable, or clone it into a folder of yours"
