"""`./lockstep test`: what CI runs, in one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from lockstep.cli import alone
from lockstep.cli.output import say
from lockstep.paths import here
from lockstep.toolchain import Toolchain, ensure, judges

FAILED = 1
"""pytest's exit code when tests ran and some failed; any other is no verdict about tests."""

FAILURES = ".pytest_cache/v/cache/lastfailed"
FETCHED = "tests.support.fetched"


def _python(root: Path, *arguments: str) -> bool:
    """Run a module of this environment in the checkout; its output goes straight through."""
    return subprocess.run([sys.executable, "-m", *arguments], cwd=root, check=False).returncode == 0


def _pytest_alone(root: Path, *arguments: str) -> int:
    """pytest on a loopback of its own (see `alone`), with no other network. The exit code."""
    argv = [sys.executable, "-I", alone.__file__, sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(argv, cwd=root, check=False).returncode


def _one_by_one(root: Path, *arguments: str) -> bool:
    return _pytest_alone(root, *arguments) == 0


def _side_by_side(root: Path, jobs: int, *arguments: str) -> bool:
    """Files of tests at once. What fails beside others is shown, and run again alone: that is the verdict."""
    (root / FAILURES).unlink(missing_ok=True)  # of tests that may be no more
    code = _pytest_alone(root, "-n", str(jobs), "--dist", "loadfile", "--no-loadscope-reorder", *arguments)
    if code != FAILED:
        return code == 0
    failed = _failed(root)
    say(f"== pytest, once more and one by one: what failed beside other tests ({len(failed)})")
    return bool(failed) and _one_by_one(root, *arguments, *failed)


def _failed(root: Path) -> Sequence[str]:
    """What pytest has kept of its last run as failed: tests, or files and workers that came to none.

    They are named to the second run one by one. `--last-failed` would run every test there is where it
    finds none of them again.
    """
    try:
        return sorted(json.loads((root / FAILURES).read_text()))
    except (OSError, ValueError):
        return []


def _policies(toolchain: Toolchain, folder: Path) -> bool:
    from lockstep.gate import policy_checks

    results = policy_checks.run(toolchain.opa, folder)
    for result in results:
        click.echo(f"{'ok' if result.ok else 'FAILED'}  {result.name} ({result.seconds:.1f} s)")
        if not result.ok:
            click.echo(result.output)
    return bool(results) and all(result.ok for result in results)


def _timed(name: str, check: Callable[[], bool]) -> bool:
    click.echo(f"== {name}", err=True)
    start = time.monotonic()
    passed = check()
    verdict = "passed" if passed else "FAILED"
    click.echo(f"== {name}: {verdict} in {time.monotonic() - start:.1f} s", err=True)
    return passed


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--fast", is_flag=True, help="Leave out the tests that bring up whole stacks (marker e2e).")
@click.option(
    "--soak",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=20,
    help="Run the soak tests instead, N rounds each (20 if no N is given).",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=8),
    default=lambda: min(os.cpu_count() or 1, 4),
    show_default="a core each, 4 at most",
    help="How many files of tests run at once. Tests that are picked by hand run one by one.",
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(fast: bool, soak: int | None, jobs: int, pytest_arguments: Sequence[str]) -> None:
    """Run every check and test, as CI does.

    Lint, format, types, policies, then pytest, whose summary comes last. All are run even if one
    fails; the exit code is 1 if any did. A test that fails beside others is run once more, alone, and
    that counts. What tests need of registries is fetched first: they run without a network, on a loopback
    of their own where root runs them. The soak tests (kills and rounds by the hundred) run only with
    --soak, and then alone; they print their counts and seeds, and LOCKSTEP_SEED repeats a run.

    \b
    Examples:
      ./lockstep test
      ./lockstep test --fast
      ./lockstep test -- tests/unit -k weights
      ./lockstep test --soak 200
    """
    root, toolchain = here().root, ensure(say)
    if soak is not None:
        say(f"== pytest, soak tests, {soak} rounds")
        sys.exit(0 if _python(root, "pytest", "--soak", str(soak), *pytest_arguments) else 1)
    marker = ["-m", "not e2e"] if fast else []
    checks: dict[str, Callable[[], bool]] = {
        "ruff check": lambda: _python(root, "ruff", "check", "."),
        "ruff format": lambda: _python(root, "ruff", "format", "--check", "."),
        "mypy": lambda: _python(root, "mypy"),
        "policies": lambda: _policies(toolchain, here().policies),
    }
    failed = [name for name, check in checks.items() if not _timed(name, check)]
    if failed:
        say(f"== failed before the tests: {', '.join(failed)}")
    if pytest_arguments:  # tests that are picked by hand make and fetch what they need
        passed = _timed("pytest", lambda: _python(root, "pytest", *marker, *pytest_arguments))
        sys.exit(0 if passed and not failed else 1)
    judges.ensure(judges.names(), say)
    say("== what tests need of registries")
    if not _python(root, FETCHED):
        sys.exit(1)
    say("== pytest")
    sys.stderr.flush()
    passed = _one_by_one(root, *marker) if jobs == 1 else _side_by_side(root, jobs, *marker)
    sys.exit(0 if passed and not failed else 1)
