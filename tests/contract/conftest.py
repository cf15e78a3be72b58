"""Fleets of real Envoys, stopped at the end of each test; release stores of both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, both
from tests.support.store_fixtures import gateway, place, s3

__all__ = ["gateway", "place", "s3"]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    running = Fleet(tmp_path)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def region(fleet: Fleet) -> str:
    fleet.gateway("local-a")
    fleet.slots("local-a")
    return "local-a"


@pytest.fixture
def two(fleet: Fleet) -> tuple[str, str]:
    """Two regions with the model on blue, and an entry point in front."""
    for name in ("local-a", "local-b"):
        fleet.gateway(name)
        fleet.slots(name)
        fleet.route(name, both(0))
    fleet.entry("local-a", "local-b")
    return "local-a", "local-b"
