"""End-to-end tests run the real engine, OPA, versitygw, Envoy and BentoML in a checkout of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, Checkout, make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in Path(item.path).parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two digits releases with their evidence, and the keys that signed it; built once a session."""
    state = tmp_path_factory.mktemp("built")
    script = (
        "from pathlib import Path; from lockstep.paths import Paths; import lockstep.workspace as w\n"
        "from lockstep.evidence.local_keys import ensure_local_keys\n"
        f"p = Paths(Path({str(state)!r}), Path({str(state)!r}) / '.lockstep')\n"
        "(p.policies / 'data').mkdir(parents=True)\n"
        "ensure_local_keys(p)\n"
        f"w.build_digits(Paths(Path({str(ROOT)!r}), p.state), print)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    return state


@pytest.fixture(scope="module")
def checkout(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A fresh checkout for one test module; nothing of it runs afterwards."""
    made = make(tmp_path_factory.mktemp("check out"), built)
    yield made
    made.close()


@pytest.fixture(scope="session")
def image() -> bytes:
    """One real held-out digit."""
    from models.digits.dataset import held_out_png

    return held_out_png(0)[0]
