"""Everything that must hold of the policies themselves, checked with OPA's own tools.

fmt          the files are formatted
check        strict compilation, types against schema/input.json
test         all tests pass
coverage     every line is run by a test
annotations  each rule says its title, description, code, severity, remediation, review date and controls;
             its code is the name of its package; it has a test; expected.json lists it
packages     nothing else is in the bundle: no `system.log`, with which it would edit OPA's decision logs, and
             no second file of a package that decides who may ask or what is allowed
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.gate.bundle import EXPECTED, Policies

RULES = "lockstep.rules."
TESTS = "lockstep_test."
PLACES = {
    "lockstep": "decision/decision.rego",
    "lockstep.capacity": "capacity/capacity.rego",
    "lockstep.lib": "lib/lib.rego",
    "system.authz": "system/authz.rego",
}
"""Package -> the one file that it may have. Rules and tests have places of their own."""
TEXTS = ("code", "severity", "remediation", "review_date")
_LIMIT_S = 120.0
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class CheckResult:
    """output: what OPA or the check said; empty where there is nothing to say."""

    name: str
    ok: bool
    output: str
    seconds: float


def run(opa_binary: Path, policies_dir: Path) -> list[CheckResult]:
    """Run every check, the later ones also where an earlier one failed."""
    policies = Policies.read(policies_dir)
    with tempfile.TemporaryDirectory(prefix="lockstep-policies-") as name:
        staged = Path(name)
        policies.stage(staged, tests=True)

        def opa(*arguments: str) -> Callable[[], tuple[bool, str]]:
            return lambda: _opa(opa_binary, arguments, staged)

        schema = str(policies_dir.resolve() / "schema")
        covered = opa("test", "--bundle", "--coverage", "--format", "json", ".")
        return [
            _timed("fmt", opa("fmt", "--diff", "--fail", ".")),
            _timed("check", opa("check", "--strict", "--schema", schema, "--bundle", ".")),
            _timed("test", opa("test", "--bundle", ".")),
            _timed("coverage", lambda: _coverage(*covered())),
            _timed("annotations", lambda: _annotations(opa_binary, policies, staged)),
            _timed("packages", lambda: packages(policies)),
        ]


def _timed(name: str, check: Callable[[], tuple[bool, str]]) -> CheckResult:
    started = time.monotonic()
    ok, output = check()
    return CheckResult(name, ok, output, time.monotonic() - started)


def _opa(binary: Path, arguments: tuple[str, ...], folder: Path) -> tuple[bool, str]:
    try:
        done = subprocess.run(
            [str(binary), *arguments],
            cwd=folder,
            env={"NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"{binary.name} {arguments[0]}: {error}"
    return done.returncode == 0, done.stdout.decode("utf-8", "replace").strip()


def _coverage(ok: bool, output: str) -> tuple[bool, str]:
    """Anything but all is a failure; the report is shortened to the lines that no test runs."""
    start = output.find("{")
    if start < 0:
        return False, output
    try:
        report, _ = json.JSONDecoder().raw_decode(output[start:])
    except json.JSONDecodeError:
        return False, output
    missed = [
        f"{name}:{part['start']['row']}"
        for name, file in sorted(report.get("files", {}).items())
        for part in file.get("not_covered", [])
    ]
    return ok and not missed and report.get("coverage") == 100, "\n".join(
        [f"coverage: {report.get('coverage')} %", *missed]
    )


def _annotations(binary: Path, policies: Policies, staged: Path) -> tuple[bool, str]:
    ok, output = _opa(binary, ("inspect", "--annotations", "--format", "json", "."), staged)
    if not ok:
        return False, output
    described = {
        ".".join(part["value"] for part in each["path"][1:]): each["annotations"]
        for each in json.loads(output).get("annotations", [])
        if each["annotations"]["scope"] in ("package", "subpackages", "rule", "document")
    }
    found = list(_faults(policies, described))
    return not found, "\n".join(found)


def _faults(policies: Policies, described: dict[str, dict[str, Any]]) -> Iterator[str]:
    codes = []
    for name, text in sorted(policies.files.items()):
        package = _package(text)
        if not package.startswith(RULES):
            continue
        code = package.removeprefix(RULES)
        codes.append(code)
        folder = code.replace(".", "_")
        if name != f"{folder}/{folder}.rego":
            yield f"{name}: the rule {code} belongs into {folder}/{folder}.rego"
        if f"{folder}/{folder}_test.rego" not in policies.tests:
            yield f"{name}: the rule has no test {folder}_test.rego"
        yield from (f"{name}: {fault}" for fault in _incomplete(described.get(package, {}), code))
    if sorted(codes) != policies.json(EXPECTED):
        yield f"{EXPECTED}: does not list exactly these rules, in order: {', '.join(sorted(codes))}"


def packages(policies: Policies) -> tuple[bool, str]:
    """Rules may be added; whatever else OPA gives a meaning to may not."""
    found = [
        f"{name}: the package {_package(text) or '(none)'} has no place in a bundle; "
        f"a rule is {RULES}<area>.<name>"
        for name, text in sorted(policies.files.items())
        if name.endswith(".rego")
        and not _package(text).startswith(RULES)
        and PLACES.get(_package(text)) != name
    ]
    found += [
        f"{name}: the package of a test is {TESTS}<name>, not {_package(text)}"
        for name, text in sorted(policies.tests.items())
        if not _package(text).startswith(TESTS)
    ]
    return not found, "\n".join(found)


def _package(text: bytes) -> str:
    found = re.search(r"^package (.*)$", text.decode(), re.MULTILINE)
    return "" if found is None else found[1]


def _incomplete(annotations: dict[str, Any], code: str) -> Iterator[str]:
    custom = annotations.get("custom", {})
    for name in ("title", "description"):
        if not annotations.get(name):
            yield f"METADATA has no {name}"
    for name in TEXTS:
        if not isinstance(custom.get(name), str) or not custom[name]:
            yield f"METADATA has no custom.{name}"
    if custom.get("code") != code:
        yield f"METADATA has code {custom.get('code')}, but the package is {code}"
    if custom.get("severity") not in ("error", "warning"):
        yield "METADATA has a severity that is neither error nor warning"
    if not _DATE.fullmatch(str(custom.get("review_date"))):
        yield "METADATA has no review_date as YYYY-MM-DD"
    if not isinstance(custom.get("controls"), list) or not custom["controls"]:
        yield "METADATA names no controls"
