"""What every test may use: the soak runs, their seeds, and a tally that is printed at the end.

A test marked `soak` is long on purpose (hundreds of kills, rounds, requests). It runs only when asked for:
`./lockstep test --soak N`; N is how many times it does what it does. Its randomness comes from `soak.rng`,
whose seed is printed, and is given back with LOCKSTEP_SEED to repeat a run.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest

_TALLY: pytest.StashKey[list[str]] = pytest.StashKey()


@dataclass(frozen=True)
class Soak:
    """rounds: how often; rng: seeded for this test alone; tally: a line for the summary."""

    rounds: int
    seed: int
    rng: random.Random
    lines: list[str]

    def tally(self, line: str) -> None:
        self.lines.append(f"{line} (seed {self.seed})")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", type=int, default=0, metavar="N", help="run the soak tests, N rounds each")


@pytest.hookimpl(trylast=True)  # after the terminal reporter is there
def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = []
    if (terminal := config.pluginmanager.get_plugin("terminalreporter")) is not None:
        config.pluginmanager.register(_AtOnce(terminal))


class _AtOnce:
    """Shows a failure when it happens: a run that is ended from outside never comes to its summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.terminal.ensure_newline()
            crash = getattr(report.longrepr, "reprcrash", None)
            why = f": {crash.message}" if crash is not None else ""
            self.terminal.write_line(
                f"{report.nodeid}: {report.when} failed after {report.duration:.1f} s{why}"
            )
            self.terminal.write_line(report.longreprtext)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.getoption("--soak") > 0
    left_out = [item for item in items if (item.get_closest_marker("soak") is not None) is not asked]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    # Whole stacks take minutes: begun last, they would be waited for with nothing to do beside them.
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
    for item in items:
        long = asked or item.get_closest_marker("e2e") is not None
        if long and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(0 if asked else 1800))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_TALLY]:
        terminalreporter.write_line(line)


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> Soak:
    seed = int(os.environ.get("LOCKSTEP_SEED", random.SystemRandom().randrange(2**32)))
    rounds = max(request.config.getoption("--soak"), 1)
    return Soak(rounds, seed, random.Random(seed), request.config.stash[_TALLY])
