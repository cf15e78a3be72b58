"""What the attacks begin with: a good log, and release stores of both kinds."""

from __future__ import annotations

import pytest

from tests.support.forged import Forged
from tests.support.memory import MemoryBucket
from tests.support.store_fixtures import gateway, place, s3

__all__ = ["gateway", "place", "s3"]


@pytest.fixture(scope="session")
def genuine() -> Forged:
    """A good log that nobody may touch."""
    writer = Forged(MemoryBucket())
    writer.story()
    assert writer.verify().ok
    return writer


@pytest.fixture
def forged(genuine: Forged) -> Forged:
    """A copy of it for one forger."""
    return Forged(genuine.bucket.copy(), genuine.origin, genuine.deployer, genuine.log_signer, genuine.ticks)
