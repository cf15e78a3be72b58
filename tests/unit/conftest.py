"""One OPA for all tests that ask policy, with the checkout's rules and no waiting for a probation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.gate.opa import Opa
from tests.support.stack import Scene, policies, scene


@pytest.fixture(scope="session")
def judging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Opa]]:
    with policies(tmp_path_factory.mktemp("policies"), probation_seconds=0) as made:
        yield made


@pytest.fixture
def stage(tmp_path: Path, judging: tuple[Path, Opa], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A stack with a bucket and no record yet."""
    monkeypatch.setenv("LOCKSTEP_OPA_TOKEN", judging[1].token)
    monkeypatch.setenv("LOCKSTEP_ACTOR", "ann@laptop")
    with scene(tmp_path, *judging) as made:
        yield made


@pytest.fixture
def bare_stage(tmp_path: Path, judging: tuple[Path, Opa], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A stack whose bucket was never made."""
    monkeypatch.setenv("LOCKSTEP_OPA_TOKEN", judging[1].token)
    with scene(tmp_path, *judging, bucket=False) as made:
        yield made
