"""Each mutant of the policies against the Rego tests: which ones does no test notice?

A mutant meets the tests of its own folder first, because they are quick and nearly always enough; if it
passes them, all tests. One that does not compile is none: nobody can commit it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lockstep.gate.bundle import Policies
from tests.mutation.mutants import Mutant, mutants

REVIEWED = Path(__file__).with_name("equivalent.toml")
SHARED = "lib/fixtures_test.rego"
_PASSED, _FAILED = 0, 2  # exit codes of `opa test`; any other: it was never run
_LIMIT_S = 120.0


@dataclass
class Score:
    """noticed, stillborn: how many; survivors: nobody noticed them; equivalent: reviewed, with the reason;
    stale: entries of the reviewed list that name no survivor."""

    noticed: int = 0
    stillborn: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    equivalent: dict[Mutant, str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.noticed + len(self.survivors)

    @property
    def percent(self) -> float:
        return 100 * self.noticed / self.tried if self.tried else 0.0

    def __str__(self) -> str:
        lines = [f"survived: {mutant}" for mutant in self.survivors]
        lines += [f"no such survivor in {REVIEWED.name}: {entry}" for entry in self.stale]
        lines.append(
            f"mutants of the policies: {self.noticed} of {self.tried} noticed by the Rego tests "
            f"({self.percent:.1f} %); {len(self.equivalent)} equivalent, each reviewed; "
            f"{self.stillborn} do not compile"
        )
        return "\n".join(lines)


def of(opa_binary: Path, policies_dir: Path) -> list[Mutant]:
    """Every mutant of every policy, tests left out."""
    policies = Policies.read(policies_dir)
    found: list[Mutant] = []
    for name, text in sorted(policies.files.items()):
        if name.endswith(".rego"):
            command = [str(opa_binary), "parse", "--format=json", "--json-include=locations,-comments"]
            done = subprocess.run([*command, str(policies_dir / name)], capture_output=True, check=True)
            found += mutants(name, text.decode(), json.loads(done.stdout))
    return found


def run(opa_binary: Path, policies_dir: Path, chosen: Iterable[Mutant]) -> Score:
    """Try the chosen mutants, on as many processors as there are."""
    policies = Policies.read(policies_dir)
    by_file: dict[str, list[Mutant]] = {}
    for mutant in chosen:
        by_file.setdefault(mutant.path, []).append(mutant)
    portions = [each[start : start + 20] for each in by_file.values() for start in range(0, len(each), 20)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tried = pool.map(lambda each: _try(opa_binary, policies, each), portions)
        results = [result for portion in tried for result in portion]
    return _scored(policies, results)


def _scored(policies: Policies, results: Sequence[tuple[Mutant, bool | None]]) -> Score:
    reviewed = {
        (entry["path"], entry["was"], entry["becomes"]): str(entry["why"])
        for entry in tomllib.loads(REVIEWED.read_text())["mutant"]
    }
    used = set()
    score = Score()
    for mutant, noticed in results:
        key = (mutant.path, *mutant.lines(policies.files[mutant.path].decode()))
        if noticed is None:
            score.stillborn += 1
        elif noticed:
            score.noticed += 1
        elif key in reviewed:
            used.add(key)
            score.equivalent[mutant] = reviewed[key]
        else:
            score.survivors.append(mutant)
    tried = {mutant.path for mutant, _ in results}
    score.stale = [" ".join(key) for key in reviewed if key[0] in tried and key not in used]
    return score


def _try(opa_binary: Path, policies: Policies, portion: list[Mutant]) -> list[tuple[Mutant, bool | None]]:
    """Mutants of one file: was each noticed? None: it does not compile."""
    path = portion[0].path
    text = policies.files[path].decode()
    own = {name: text for name, text in policies.tests.items() if Path(name).parent == Path(path).parent}
    with tempfile.TemporaryDirectory(prefix="lockstep-mutants-") as folder:
        near, far = Path(folder) / "near", Path(folder) / "far"
        Policies(policies.files, own | {SHARED: policies.tests[SHARED]}).stage(_made(near), tests=True)
        policies.stage(_made(far), tests=True)
        results: list[tuple[Mutant, bool | None]] = []
        for mutant in portion:
            code = _FAILED
            for place in (near, far):
                (place / path).write_text(mutant.apply(text))
                code = _opa_test(opa_binary, place)
                if code != _PASSED:
                    break
            results.append((mutant, None if code not in (_PASSED, _FAILED) else code == _FAILED))
        return results


def _made(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _opa_test(opa_binary: Path, folder: Path) -> int:
    return subprocess.run(
        [str(opa_binary), "test", "--bundle", "--parallel=1", "."],
        cwd=folder,
        env={"GOGC": "400", "GOMAXPROCS": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LIMIT_S,
    ).returncode
