"""The import rules of the design's section 3, read from the sources and tried on the interpreter.

What stands under TYPE_CHECKING is no import: it is not there when the program runs.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PURE = ("release", "evidence", "gate", "rollout/plan.py", "rollout/analysis.py", "audit/verify.py", "report")
STAGES = ("release", "evidence", "gate", "rollout/plan.py", "audit", "report")
"""In the order of the flow. rollout/change.py and what wires the rooms together come after all of them."""
EXCEPTIONS = {("release/build.py", "lockstep.evidence")}
"""`release build` runs the held-out evaluation and attaches it: there must be evidence to start with."""
BELOW = ("lockstep.errors", "lockstep.canonical", "lockstep.table", "lockstep.paths", "lockstep.serving")
"""What belongs to no stage. A release carries the serving library, so serving is the release's own code."""


def files(room: str) -> list[Path]:
    path = SOURCE / "lockstep" / room
    return [path] if path.is_file() else sorted(path.rglob("*.py")) if path.is_dir() else []


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that can run, without the bodies of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield other
                yield from running(other)
            continue
        yield child
        yield from running(child)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(module, line) of everything that a file imports, also inside functions; `from a import b` as a.b."""
    for node in running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the room"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def offenders(paths: list[Path], *banned: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in paths
        for module, line in imports(path)
        if any(is_in(module, package) for package in banned)
    ]


def module_of(stage: str) -> str:
    return "lockstep." + stage.removesuffix(".py").replace("/", ".")


def test_the_reader_of_imports_sees_them_all(tmp_path: Path) -> None:
    source = tmp_path / "some.py"
    source.write_text(
        "import a.b as c\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import hidden\nelse:\n    import shown\n"
        "def f():\n    from d import e\n    if x:\n        import g\n"
    )
    assert {module for module, _ in imports(source)} == {
        "a.b",
        "typing.TYPE_CHECKING",
        "shown",
        "d.e",
        "g",
    }


@pytest.mark.parametrize("room", PURE)
def test_what_decides_knows_neither_pulumi_nor_boto3(room: str) -> None:
    assert offenders(files(room), "pulumi", "pulumi_aws", "pulumi_kubernetes", "boto3", "botocore") == []


def test_the_rooms_that_the_rules_name_are_there() -> None:
    missing = [room for room in PURE if not files(room)]
    assert set(missing) <= {"report", "rollout/analysis.py"}, missing


@pytest.mark.parametrize("position", range(len(STAGES)), ids=STAGES)
def test_a_stage_imports_only_what_comes_before_it(position: int) -> None:
    stage, later = STAGES[position], STAGES[position + 1 :]
    wiring = ["ledger", "provider", "deploy", "workspace", "stackfile", "cli", "local", "rollout.change"]
    wiring += ["stores", "boto", "boto_errors", "references", "targets", "aws", "standin"]
    banned = [module_of(each) for each in later] + [f"lockstep.{each}" for each in wiring] + ["infra"]
    for path in files(stage):
        inside = str(path.relative_to(SOURCE / "lockstep"))
        allowed = {module for file, module in EXCEPTIONS if file == inside}
        assert offenders([path], *(each for each in banned if each not in allowed)) == []


def test_what_belongs_to_no_stage_knows_no_stage() -> None:
    shared = [SOURCE / "lockstep" / f"{name}.py" for name in ("errors", "canonical", "table", "paths")]
    assert offenders(shared, *(module_of(stage) for stage in STAGES), "infra", "pulumi") == []


def test_the_exceptions_are_still_needed() -> None:
    for file, module in EXCEPTIONS:
        assert offenders(files(file), module), f"{file} no longer imports {module}: take the exception out"


def test_the_targets_do_not_know_each_other() -> None:
    for one, other in (("aws", "local"), ("local", "aws")):
        folder = ROOT / "infra" / one
        assert offenders(sorted(folder.rglob("*.py")), f"infra.{other}") == []


def test_the_program_knows_no_target() -> None:
    assert offenders([ROOT / "infra" / "program.py"], "infra.local", "infra.aws") == []


def test_deploy_is_the_only_user_of_the_automation_api() -> None:
    users = {
        line.partition(":")[0]
        for line in offenders([*SOURCE.rglob("*.py"), *(ROOT / "infra").rglob("*.py")], "pulumi.automation")
    }
    assert users == {"src/lockstep/deploy.py"}


def test_no_file_in_the_package_declares_infrastructure() -> None:
    speakers = ("deploy.py", "language_host.py")  # the engine's API, and the engine's own protocol
    rooms = {"provider", "standin"}  # plugins, which speak it too
    paths = [
        path for path in SOURCE.rglob("*.py") if rooms.isdisjoint(path.parts) and path.name not in speakers
    ]
    assert offenders(paths, "pulumi") == []


def test_only_the_gate_talks_to_opa() -> None:
    paths = [path for path in SOURCE.rglob("*.py") if path.parent.name != "gate"]
    assert offenders(paths, "opa_client") == []


def test_only_the_release_store_s_client_and_the_search_for_credentials_know_botocore() -> None:
    users = {line.partition(":")[0] for line in offenders([*SOURCE.rglob("*.py")], "boto3", "botocore")}
    assert users == {
        "src/lockstep/boto.py",
        "src/lockstep/boto_errors.py",
        "src/lockstep/standin/aws/moto_judge.py",
        "src/lockstep/aws/credentials.py",
    }


def test_nothing_is_unpickled() -> None:
    paths = [*SOURCE.rglob("*.py"), *(ROOT / "infra").rglob("*.py"), *(ROOT / "models").rglob("*.py")]
    assert offenders(paths, "pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve") == []


HEAVY = ("boto3", "botocore", "torch", "sklearn", "numpy", "opa_client", "bentoml", "PIL", "onnxruntime")
LOADED = "import sys, importlib; importlib.import_module({module!r}); print(*sys.modules)"


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("lockstep.provider.kinds", (*HEAVY, "pulumi", "psutil")),
        ("lockstep.provider.preload", HEAVY),
        ("lockstep.cli.status", (*HEAVY, "pulumi", "rich")),
        ("lockstep.audit.verify", (*HEAVY, "pulumi")),
        ("lockstep.release.bundle", (*HEAVY, "pulumi", "rfc8785", "cryptography")),
        ("infra.program", HEAVY),
    ],
)
def test_what_runs_often_loads_nothing_heavy(module: str, banned: tuple[str, ...]) -> None:
    code = LOADED.format(module=module)
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert module in loaded
    assert sorted(set(banned) & set(loaded)) == []
