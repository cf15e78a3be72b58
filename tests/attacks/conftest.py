"""What the attacks on the log begin with."""

from __future__ import annotations

import pytest

from tests.support.forged import Forged
from tests.support.memory import MemoryBucket


@pytest.fixture
def forged() -> Forged:
    writer = Forged(MemoryBucket())
    writer.story()
    assert writer.verify().ok
    return writer
