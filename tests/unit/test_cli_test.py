"""`./lockstep test`: what a failure beside other tests comes to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.cli import alone
from lockstep.cli.test import _side_by_side

BARE = [word for name in ("hypothesispytest", "randomly", "anyio") for word in ("-p", f"no:{name}")]
"""What such small tests need nothing of, and what takes longer than they."""

BESIDE_OTHERS = "import os\ndef test_it(): assert 'PYTEST_XDIST_WORKER' not in os.environ\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a test that fails beside others, and one that never does."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "test_beside.py").write_text(BESIDE_OTHERS)
    (tmp_path / "test_good.py").write_text("def test_it(): pass\n")
    return tmp_path


def test_what_fails_beside_others_is_judged_alone(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _side_by_side(root, 2, *BARE)
    said = capfd.readouterr()
    assert "1 failed, 1 passed" in said.out, "the first failure is not kept quiet"
    assert "one by one" in said.err
    assert said.out.rstrip().rpartition("\n")[2].strip("= ").startswith("1 passed")


def test_what_fails_alone_too_has_failed(root: Path) -> None:
    (root / "test_bad.py").write_text("def test_it(): assert False\n")
    assert not _side_by_side(root, 2, *BARE)


def test_what_cannot_be_read_is_no_verdict(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "test_broken.py").write_text("this is no Python\n")
    assert not _side_by_side(root, 2, *BARE)
    assert not _side_by_side(root, 2, *BARE, "--no-such-option")


def test_a_failure_of_a_test_that_is_no_more_is_forgotten(root: Path) -> None:
    gone = root / "test_gone.py"
    gone.write_text("def test_it(): assert False\n")
    assert not _side_by_side(root, 2, *BARE)
    gone.unlink()
    assert _side_by_side(root, 2, *BARE)


def test_all_well_is_run_once(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "test_beside.py").unlink()
    assert _side_by_side(root, 2, *BARE)
    assert "one by one" not in capfd.readouterr().err


UNSTEADY = """import os, pytest
@pytest.mark.parametrize("name", [os.environ.get("PYTEST_XDIST_WORKER", "alone")])
def test_it(name): pass
"""


def test_workers_that_find_different_tests_are_no_verdict(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (root / "test_unsteady.py").write_text(UNSTEADY)
    assert not _side_by_side(root, 2, *BARE)
    said = capfd.readouterr().out
    assert "Different tests were collected" in said
    assert "passed" not in said, "no test is run for want of those that failed"


# --- a loopback of their own

SPACE = "/proc/self/ns/net"
HERE = str(Path(SPACE).readlink())
LOOK = f"""import os, socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    print(os.readlink("{SPACE}"), *(name for _, name in socket.if_nameindex()))
"""


def looked(*before: str) -> tuple[list[str], str]:
    """What a program sees of the network: its namespace and the interfaces; and what was said on stderr."""
    argv = [*before, sys.executable, "-I", alone.__file__, sys.executable, "-c", LOOK]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def test_nobody_else_is_on_the_loopback_of_the_tests() -> None:
    """Where that cannot be had, it is said."""
    (where, *interfaces), said = looked()
    if where == HERE:
        assert "on the machine's own loopback" in said
    else:
        assert (interfaces, said) == (["lo"], "")


@pytest.mark.parametrize("right", ["sys_admin", "net_admin"])
def test_who_may_not_have_one_shares_that_of_the_machine(right: str) -> None:
    """Without the second, there would be one that nobody may bring up."""
    drop = ["setpriv", f"--bounding-set=-{right}", "--"] if os.geteuid() == 0 else []
    (where, *_), said = looked(*drop)
    assert where == HERE
    assert said == "== on the machine's own loopback, beside others (Operation not permitted)\n"


def test_a_whole_run_asks_for_one(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "test_beside.py").write_text(f"import os\ndef test_it(): print(os.readlink('{SPACE}'))\n")
    assert _side_by_side(root, 1, *BARE, "-rP")
    said = capfd.readouterr()
    assert "net:[" in said.out
    assert HERE not in said.out or "on the machine's own loopback" in said.err
