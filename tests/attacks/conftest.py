"""What the attacks begin with: a good log, and release stores of both kinds."""

from __future__ import annotations

import pytest

from tests.support.forged import Forged
from tests.support.memory import MemoryBucket
from tests.support.store_fixtures import gateway, place, s3

__all__ = ["gateway", "place", "s3"]


@pytest.fixture
def forged() -> Forged:
    writer = Forged(MemoryBucket())
    writer.story()
    assert writer.verify().ok
    return writer
