"""Which history files are listed, and when an edit shows."""

from __future__ import annotations

from pathlib import Path

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


def test_the_folder_is_that_of_pulumi() -> None:
    assert history.folder(Path("/b"), "local") == Path("/b/.pulumi/history/lockstep/local")
