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


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """The folder of the stack of that name."""
    folder = tmp_path / "local"
    folder.mkdir()
    return folder


def write(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))


def listed(folder: Path, *last: str) -> list[str]:
    return [item["name"] for item in history.newer(folder, last)]


def test_both_files_of_an_update_are_listed_oldest_first(local: Path) -> None:
    write(local, "local-2.history.json", "local-1.history.json", "local-1.checkpoint.json")
    write(local, "local-1.history.json.attrs", "notes.txt", "local-3.checkpoint.json.gz")
    assert listed(local) == [
        "local-1.checkpoint.json",
        "local-1.history.json",
        "local-2.history.json",
        "local-3.checkpoint.json.gz",
    ]


def test_only_files_after_the_last_listed_are_new(local: Path) -> None:
    write(local, "local-1.history.json", "local-2.history.json", "local-3.history.json")
    assert listed(local, "local-1.history.json", "local-2.history.json") == ["local-3.history.json"]
    assert listed(local, "local-3.history.json") == []


def test_a_checkpoint_that_came_a_moment_later_is_not_lost(local: Path) -> None:
    write(local, "local-2.history.json", "local-2.checkpoint.json")
    assert listed(local, "local-2.history.json") == ["local-2.checkpoint.json"]


def test_a_stack_may_have_a_point_in_its_name(local: Path) -> None:
    folder = local.with_name("team.a-1")
    write(folder, "team.a-1-1.history.json", "team.a-1-2.history.json", "team.a-1-3.history.json")
    assert listed(folder, "team.a-1-2.history.json") == ["team.a-1-3.history.json"]


def test_no_folder_has_no_files(local: Path) -> None:
    assert history.newer(local / "none", []) == []


def test_what_the_engine_never_writes_is_not_listed(local: Path) -> None:
    """One such name would stop every record."""
    write(local, "local-1.history.json", "local\x01-3.history.json", "\udcff-1.history.json")
    (local / "zz-1.history.json").mkdir()
    (local / "local-4.history.json").symlink_to(local / "nowhere")
    os.mkfifo(local / "local-5.checkpoint.json")
    assert listed(local) == ["local-1.history.json"]


def test_a_file_dated_ahead_does_not_hide_what_comes_after_it(local: Path) -> None:
    """Once listed it would be the newest, and no later update would ever be."""
    now = time.time_ns()
    write(local, f"local-{now + 10**12}.history.json", f"local-{now}.history.json")
    assert listed(local) == [f"local-{now}.history.json"]
    write(local, f"local-{now + 1}.history.json")
    assert listed(local, f"local-{now}.history.json") == [f"local-{now + 1}.history.json"]


@pytest.mark.parametrize("planted", ["local-9.history.json", "zzz-1.history.json", "local-0.history.json"])
def test_a_file_whose_name_sorts_last_does_not_hide_what_comes_after_it(local: Path, planted: str) -> None:
    now = time.time_ns()
    write(local, planted, f"local-{now}.history.json")
    known = listed(local)
    assert f"local-{now}.history.json" in known
    write(local, f"local-{now + 1}.history.json")
    assert listed(local, *known) == [f"local-{now + 1}.history.json"]
    assert history.updates(local)[0].name == f"local-{now + 1}.history.json"


def test_what_one_record_lists_fits_into_a_record(local: Path) -> None:
    stack = "s" * 100
    folder = local.with_name(stack)
    write(folder, *(f"{stack}-{10**18 + number}.checkpoint.json.zst" for number in range(MAX_LISTED)))
    write(folder, *("\x01" * 220 + f"-{number}.history.json" for number in range(MAX_LISTED)))
    found = history.newer(folder, [])
    assert len(found) == MAX_LISTED
    assert len(json.dumps(found)) < MAX_RECORD_BYTES / 2


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_listed_file_that_is_no_file_any_more_is_named(local: Path, make: Callable[[Path], None]) -> None:
    write(local, "local-1.history.json")
    listed_once = history.newer(local, [])
    (local / "local-1.history.json").unlink()
    make(local / "local-1.history.json")
    assert history.changed(local, listed_once) == [
        ("local-1.history.json", "cannot be read: it is no regular file")
    ]
    with pytest.raises(ValueError, match="local-1"):
        history.read(local / "local-1.history.json")


def test_a_name_that_leaves_the_folder_is_missing(local: Path) -> None:
    write(local / "history", "local-1.history.json")
    (local / "secret").write_text("x")
    found = history.changed(local / "history", [{"name": "../secret", "sha256": "0" * 64}])
    assert found == [("../secret", "is missing")]


@pytest.mark.parametrize("name", ["local-1.history.json", "local-1.history.json.gz"])
def test_an_update_is_read_whether_or_not_the_backend_compresses(local: Path, name: str) -> None:
    text = b'{"config": {"lockstep:target": {"value": "local"}}}'
    (local / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    (local / "local-1.checkpoint.json").write_text("{}")
    assert history.updates(local) == [local / name]
    assert history.read(local / name)["config"]["lockstep:target"] == {"value": "local"}


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
def test_a_damaged_update_is_a_value_error(local: Path, data: bytes, suffix: str) -> None:
    (local / f"local-1.history.{suffix}").write_bytes(data)
    with pytest.raises(ValueError, match="local-1"):
        history.read(local / f"local-1.history.{suffix}")
