"""One control plane for all tests of a run that judge objects; each uses namespaces of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lockstep.standin.kubernetes.cluster import Cluster
from tests.support.clusters import clusters


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clusters(tmp_path_factory.mktemp("clusters"), ["eu-central-1"]) as started:
        yield started["eu-central-1"]
