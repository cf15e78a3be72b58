"""One versitygw for the suites of the release store; each test has a bucket of its own in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.stores import Place
from tests.support.versity import Server, versity

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with versity(tmp_path_factory.mktemp("release-gateway")) as server:
        yield server


@pytest.fixture
def s3(gateway: Server) -> Iterator[Place]:
    bucket = f"releases-{next(_numbers)}"
    stores.make_bucket(gateway, bucket)
    with stores.credentials(gateway):
        yield stores.s3_place(gateway, bucket)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A store of either kind, empty."""
    if request.param == "s3":
        made: Place = request.getfixturevalue("s3")
        return made
    return Place(f"file://{tmp_path}/store", tmp_path / "store")
