"""A state that the engine cut short is put back from its newest whole copy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lockstep.engine_state import EngineState


class Place:
    """A state file and the engine's copies of it; later ones are newer."""

    def __init__(self, root: Path) -> None:
        self.said: list[str] = []
        self.file, self.history, self.backups = root / "local.json", root / "history", root / "backups"
        for folder in (self.history, self.backups):
            folder.mkdir()
        self.state = EngineState(self.file, (self.history, self.backups), self.said.append)
        self.clock = 1_000_000

    def put(self, path: Path, number: int, *, cut: bool = False) -> None:
        data = json.dumps({"version": 3, "checkpoint": {"latest": {"number": number}}}).encode()
        path.write_bytes(data[: len(data) // 2] if cut else data)
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    @property
    def number(self) -> int:
        return int(json.loads(self.file.read_bytes())["checkpoint"]["latest"]["number"])


@pytest.fixture
def at(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_whole_state_and_no_state_are_left_alone(at: Place) -> None:
    at.state.mend()
    assert not at.file.exists()
    at.put(at.file, 1)
    at.put(at.file.with_name("local.json.bak"), 2)
    at.state.mend()
    assert at.number == 1
    assert at.said == []


def test_the_newest_whole_copy_is_put_back(at: Place) -> None:
    at.put(at.history / "local-17.checkpoint.json", 1)
    at.put(at.backups / "local.18.json", 2)
    at.put(at.history / "local-19.history.json", 3)  # no state: the config of an update
    at.put(at.file.with_name("local.json.bak"), 4, cut=True)
    at.put(at.file, 5, cut=True)
    at.state.mend()
    assert at.number == 2
    assert at.said == ["the engine's state was cut short; it is put back from local.18.json"]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"checkpoint": null}', b"[" * 200_000])
def test_without_a_whole_copy_the_state_begins_anew(at: Place, data: bytes) -> None:
    at.file.write_bytes(data)
    at.file.with_name("local.json.bak").write_bytes(data)
    at.state.mend()
    assert not at.file.exists()
    assert len(at.said) == 1
