"""Which history files are listed, and when an edit shows."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.audit import history
from lockstep.audit.layout import MAX_RECORD_BYTES
from lockstep.ledger.ledger import MAX_LISTED


def write(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))


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


def test_a_stack_may_have_a_point_in_its_name(tmp_path: Path) -> None:
    write(tmp_path, "team.a-1.history.json", "team.a-2.history.json", "team.a-3.history.json")
    assert listed(tmp_path, "team.a-2.history.json") == ["team.a-3.history.json"]


def test_no_folder_has_no_files(tmp_path: Path) -> None:
    assert history.newer(tmp_path / "none", []) == []


def test_what_the_engine_never_writes_is_not_listed(tmp_path: Path) -> None:
    """One such name would stop every record."""
    write(tmp_path, "local-1.history.json", "local\x01-3.history.json", "\udcff-1.history.json")
    (tmp_path / "zz-1.history.json").mkdir()
    (tmp_path / "local-4.history.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "local-5.checkpoint.json")
    assert listed(tmp_path) == ["local-1.history.json"]


def test_a_file_dated_ahead_does_not_hide_what_comes_after_it(tmp_path: Path) -> None:
    """Once listed it would be the newest, and no later update would ever be."""
    now = time.time_ns()
    write(tmp_path, f"local-{now + 10**12}.history.json", f"local-{now}.history.json")
    assert listed(tmp_path) == [f"local-{now}.history.json"]
    write(tmp_path, f"local-{now + 1}.history.json")
    assert listed(tmp_path, f"local-{now}.history.json") == [f"local-{now + 1}.history.json"]


def test_what_one_record_lists_fits_into_a_record(tmp_path: Path) -> None:
    stack = "s" * 100
    write(tmp_path, *(f"{stack}-{10**18 + number}.checkpoint.json.zst" for number in range(MAX_LISTED)))
    write(tmp_path, *("\x01" * 220 + f"-{number}.history.json" for number in range(MAX_LISTED)))
    found = history.newer(tmp_path, [])
    assert len(found) == MAX_LISTED
    assert len(json.dumps(found)) < MAX_RECORD_BYTES / 2


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_listed_file_that_is_no_file_any_more_is_named(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    write(tmp_path, "local-1.history.json")
    listed_once = history.newer(tmp_path, [])
    (tmp_path / "local-1.history.json").unlink()
    make(tmp_path / "local-1.history.json")
    assert history.changed(tmp_path, listed_once) == [
        ("local-1.history.json", "cannot be read: it is no regular file")
    ]
    with pytest.raises(ValueError, match="local-1"):
        history.read(tmp_path / "local-1.history.json")


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
        pytest.param(b"[" * 200_000, id="deep"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_a_damaged_update_is_a_value_error(tmp_path: Path, data: bytes, suffix: str) -> None:
    (tmp_path / f"local-1.history.{suffix}").write_bytes(data)
    with pytest.raises(ValueError, match="local-1"):
        history.read(tmp_path / f"local-1.history.{suffix}")
