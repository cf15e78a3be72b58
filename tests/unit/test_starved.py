"""A machine that has run out: nothing acknowledged is lost, no file cut short, and the error says so."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockstep.audit.record import draft
from lockstep.cli.__main__ import run
from lockstep.errors import LockstepError, Unavailable
from lockstep.files import write_atomic
from lockstep.starved import as_error, full_disk
from tests.support.audit import RETENTION, WHO, Writer
from tests.support.disk import Disk, small_disk
from tests.support.versity import versity


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 8) as made:
        yield made


def test_a_log_on_a_full_disk_loses_no_acknowledged_record(disk: Disk) -> None:
    """Filled up to every page of what an append writes: record, lock, tiles, head."""
    refused = 0
    with versity(disk.folder / "audit") as server:
        writer = Writer(server.bucket())
        writer.note()
        acknowledged = [writer.log.read(0).digest]
        for pages in range(24):
            disk.fill(but_pages=pages)
            for _ in range(3):
                try:
                    acknowledged.append(writer.append(draft("history", claimed=WHO)).digest)
                except LockstepError:
                    refused += 1
                    break
            disk.free()
            writer.log = writer.open()
            now = [record.digest for record in writer.log.tail(0)]
            assert now[: len(acknowledged)] == acknowledged
            settled(writer)
            acknowledged = [record.digest for record in writer.log.tail(0)]
            report = writer.verify()
            assert report.ok, (pages, report.problems)
        assert refused > 3, "the disk was never full"


def settled(writer: Writer) -> None:
    """What the next command does before anything else; then the log takes records again."""
    writer.log.settle(now=writer.now, retention=RETENTION)
    writer.log.head()
    writer.note()


def test_a_file_on_a_full_disk_keeps_its_old_bytes_and_leaves_nothing_beside(disk: Disk) -> None:
    path = disk.folder / "state.json"
    write_atomic(path, b"old" * 1000)
    disk.fill()
    with pytest.raises(OSError) as caught:
        write_atomic(path, b"new" * 10_000)
    starving = as_error(caught.value)
    assert starving is not None
    assert starving.code == "disk.full"
    assert path.read_bytes() == b"old" * 1000
    assert sorted(found.name for found in disk.folder.iterdir()) == [".ballast", "state.json"]


def test_a_full_disk_is_named_beside_whatever_failed(disk: Disk) -> None:
    assert full_disk(disk.folder) == ""
    disk.fill()
    assert str(disk.folder) in full_disk(disk.folder)
    assert "0 KiB" in full_disk(disk.folder)
    assert full_disk(disk.folder / "not there") == ""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk.full"),
        (errno.EDQUOT, "disk.full"),
        (errno.EMFILE, "files.limit"),
        (errno.EROFS, "files.not_writable"),
        (errno.EACCES, "files.not_writable"),
        (errno.EPERM, "files.not_writable"),
    ],
)
def test_a_command_that_starves_says_so(
    number: int,
    code: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def starving() -> None:
        raise OSError(number, os.strerror(number), "/some/file")

    assert run([], starving) == 1
    said = capsys.readouterr().err
    assert f"[{code}]" in said
    assert "/some/file" in said
    assert "bug" not in said


def test_any_other_failure_of_the_system_is_not_explained_away() -> None:
    assert as_error(FileNotFoundError(errno.ENOENT, "gone")) is None
    assert isinstance(as_error(OSError(errno.ENFILE, "too many")), Unavailable)
