"""Which history files are listed, and when an edit shows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lockstep.audit import history


def write(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


def listed(folder: Path, *last: str) -> list[str]:
    return [item["name"] for item in history.newer(folder, last)]


def test_both_files_of_an_update_are_listed_oldest_first(tmp_path: Path) -> None:
    write(tmp_path, "local-2.history.json", "local-1.history.json", "local-1.checkpoint.json")
    write(tmp_path, "local-1.history.json.attrs", "notes.txt", "local-3.checkpoint.json.gz")
    assert listed(tmp_path) == [
        "local-1.checkpoint.json",
        "local-1.history.json",
        "local-2.history.json",
        "local-3.checkpoint.json.gz",
    ]


def test_only_files_after_the_last_listed_are_new(tmp_path: Path) -> None:
    write(tmp_path, "local-1.history.json", "local-2.history.json", "local-3.history.json")
    assert listed(tmp_path, "local-1.history.json", "local-2.history.json") == ["local-3.history.json"]
    assert listed(tmp_path, "local-3.history.json") == []


def test_a_checkpoint_that_came_a_moment_later_is_not_lost(tmp_path: Path) -> None:
    write(tmp_path, "local-2.history.json", "local-2.checkpoint.json")
    assert listed(tmp_path, "local-2.history.json") == ["local-2.checkpoint.json"]


def test_no_folder_has_no_files(tmp_path: Path) -> None:
    assert history.newer(tmp_path / "none", []) == []


def test_a_name_that_leaves_the_folder_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "history", "local-1.history.json")
    (tmp_path / "secret").write_text("x")
    found = history.changed(tmp_path / "history", [{"name": "../secret", "sha256": "0" * 64}])
    assert found == [("../secret", "is missing")]


@pytest.mark.parametrize("name", ["local-1.history.json", "local-1.history.json.gz"])
def test_an_update_is_read_whether_or_not_the_backend_compresses(tmp_path: Path, name: str) -> None:
    text = b'{"config": {"lockstep:target": {"value": "local"}}}'
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    (tmp_path / "local-1.checkpoint.json").write_text("{}")
    assert history.updates(tmp_path) == [tmp_path / name]
    assert history.read(tmp_path / name)["config"]["lockstep:target"] == {"value": "local"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        pytest.param(gzip.compress(b"{}", mtime=0)[:-4], id="cut off"),
        b"\x1f\x8b\x08",
    ],
)
@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_a_damaged_update_is_a_value_error(tmp_path: Path, data: bytes, suffix: str) -> None:
    (tmp_path / f"local-1.history.{suffix}").write_bytes(data)
    with pytest.raises(ValueError, match="local-1"):
        history.read(tmp_path / f"local-1.history.{suffix}")
