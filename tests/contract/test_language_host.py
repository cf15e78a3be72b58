"""The language host under the real engine: programs, plugins, and that nothing outlives what started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from lockstep.local import procfs
from lockstep.toolchain import Toolchain, ensure
from tests.support.children import gone

PROJECT = """\
name: tiny
runtime: python
plugins:
  providers:
    - name: tiny
      path: ./plugin
"""
PLUGIN = """\
import json, os, sys
import pulumi.provider.experimental.provider as api
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import main

class Tiny(api.Provider):
    async def get_schema(self, request):
        schema = {"name": "tiny", "version": "0.0.1", "resources": {"tiny:index:Thing": {}}}
        return api.GetSchemaResponse(json.dumps(schema))
    async def configure(self, request): return api.ConfigureResponse()
    async def check_config(self, request): return api.CheckResponse(request.new_inputs, [])
    async def diff_config(self, request): return api.DiffResponse(changes=False)
    async def check(self, request): return api.CheckResponse(request.new_inputs, [])
    async def diff(self, request): return api.DiffResponse(changes=False)
    async def create(self, request):
        seen = {"marker": os.environ.get("LOCKSTEP_TEST_MARKER", ""), "cwd": os.getcwd()}
        seen["preloaded"] = getattr(sys, "preloaded", "")
        return api.CreateResponse("1", {key: PropertyValue(value) for key, value in seen.items()})
    async def read(self, request): return api.ReadResponse("1", request.inputs, request.properties)
    async def delete(self, request): return None
    async def cancel(self): return None

main(sys.argv[1:], "0.0.1", Tiny())
"""
PROGRAM = """\
import pulumi

class Thing(pulumi.CustomResource):
    marker: pulumi.Output[str]
    cwd: pulumi.Output[str]
    preloaded: pulumi.Output[str]

    def __init__(self, name):
        super().__init__("tiny:index:Thing", name, {"marker": None, "cwd": None, "preloaded": None})

thing = Thing("one")
config = pulumi.Config()
pulumi.export("greeting", config.require("greeting"))
pulumi.export("secret", config.require_secret("word"))
pulumi.export("marker", thing.marker)
pulumi.export("cwd", thing.cwd)
pulumi.export("preloaded", thing.preloaded)
pulumi.export("stack", pulumi.get_stack())
"""


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    return ensure(lambda line: None)


def environment(toolchain: Toolchain) -> dict[str, str]:
    venv = Path(sys.prefix)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(toolchain.bin_dir), str(venv / "bin"), os.environ["PATH"]]),
        "VIRTUAL_ENV": str(venv),
    }


@dataclass(frozen=True)
class Project:
    folder: Path
    environment: dict[str, str]

    def command(self, *words: str) -> list[str]:
        return ["pulumi", *words, "--non-interactive", "--color", "never"]

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(program)


@pytest.fixture
def project(tmp_path: Path, toolchain: Toolchain) -> Iterator[Project]:
    """A project made for one test; nothing that it started is left when the test has failed either."""
    folder = tmp_path / "project with space"
    (folder / "plugin").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text(PROJECT)
    (folder / "__main__.py").write_text(PROGRAM)
    (folder / "plugin" / "PulumiPlugin.yaml").write_text("runtime: python\n")
    (folder / "plugin" / "__main__.py").write_text(PLUGIN)
    (folder / "plugin" / "preload.py").write_text("import sys\nsys.preloaded = 'yes'\n")
    (tmp_path / "backend").mkdir()
    (tmp_path / "passphrase").write_text("only for this test")
    made = Project(
        folder,
        {
            **environment(toolchain),
            "PULUMI_HOME": str(tmp_path / "home"),
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "passphrase"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_STACK": "dev",
            "LOCKSTEP_TEST_MARKER": f"marker {uuid.uuid4()}",
        },
    )
    assert made.pulumi("stack", "init", "dev").returncode == 0
    assert made.pulumi("config", "set", "greeting", "hello, world").returncode == 0
    assert made.pulumi("config", "set", "--secret", "word", "hush").returncode == 0
    yield made
    for pid in of_this_test(made):
        procfs.send(pid, signal.SIGKILL)


def of_this_test(project: Project) -> list[int]:
    """Every process that carries this test's marker in its environment."""
    return procfs.started_with("LOCKSTEP_TEST_MARKER", project.environment["LOCKSTEP_TEST_MARKER"])


def command_line(pid: int) -> str:
    return " ".join(procfs.command(pid))


def wait_until(true: Callable[[], bool], what: str, deadline_s: float = 20) -> None:
    until = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < until, f"not within {deadline_s} s: {what}"
        time.sleep(0.02)


def test_up_and_a_preview_without_change(project: Project) -> None:
    up = project.pulumi("up", "--yes", "--skip-preview")
    assert up.returncode == 0, up.stdout + up.stderr
    outputs = json.loads(project.pulumi("stack", "output", "--json", "--show-secrets").stdout)
    assert outputs == {
        "greeting": "hello, world",
        "secret": "hush",
        "marker": project.environment["LOCKSTEP_TEST_MARKER"],
        "cwd": str(project.folder),
        "stack": "dev",
        "preloaded": "yes",
    }
    assert json.loads(project.pulumi("stack", "output", "--json").stdout)["secret"] == "[secret]"
    preview = project.pulumi("preview", "--expect-no-changes")
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "warning" not in (preview.stdout + preview.stderr).lower()
    assert of_this_test(project) == []


def test_the_engine_need_not_wait_for_the_host_to_end(project: Project) -> None:
    """A host that ignores SIGINT makes each command five or ten seconds longer."""
    project.pulumi("up", "--yes", "--skip-preview")
    start = time.monotonic()
    assert project.pulumi("preview").returncode == 0
    taken = time.monotonic() - start
    start = time.monotonic()
    assert project.pulumi("version").returncode == 0 and project.pulumi("config").returncode == 0
    base = time.monotonic() - start
    assert taken < 4.5 + 4 * base, "the engine waits 5 s for each process that does not end"


def test_an_error_in_the_program_is_shown_once(project: Project) -> None:
    project.write("raise ValueError('the program is wrong')\n")
    said = project.pulumi("preview")
    assert said.returncode == 1
    text = said.stdout + said.stderr
    assert text.count("the program is wrong") == 2, "the source line and the message"
    assert "non-zero exit code" not in text


def test_a_program_that_exits_by_itself_fails_the_update(project: Project) -> None:
    project.write("import os\nos._exit(3)\n")
    said = project.pulumi("preview")
    assert said.returncode == 1
    assert "exited with non-zero exit code: 3" in said.stdout + said.stderr


def test_a_plugin_that_cannot_start_says_why(project: Project) -> None:
    (project.folder / "plugin" / "__main__.py").write_text("import no_such_module_of_ours\n")
    said = project.pulumi("preview")
    assert said.returncode == 1
    assert "no_such_module_of_ours" in said.stdout + said.stderr


def test_a_plugin_needs_no_preload(project: Project) -> None:
    (project.folder / "plugin" / "preload.py").unlink()
    said = project.pulumi("preview")
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_a_program_prints_is_shown(project: Project) -> None:
    project.write("print('said by the program')\n")
    said = project.pulumi("preview")
    assert said.returncode == 0
    assert "said by the program" in said.stdout


def test_nothing_outlives_a_killed_engine(project: Project) -> None:
    (project.folder / "__main__.py").write_text(
        PROGRAM + "\nimport subprocess\nsubprocess.run(['sleep', '300'])\n"
    )
    engine = subprocess.Popen(
        project.command("up", "--yes", "--skip-preview"),
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(
        lambda: any(command_line(p) == "sleep 300" for p in of_this_test(project)), "the program sleeps", 60
    )
    assert len(of_this_test(project)) >= 5, "engine, host, program, its child, plugin"
    told = [p for p in of_this_test(project) if "json.loads(told)" in command_line(p)]
    assert len(told) == 1, "the plugin runs in the interpreter that waited for it"
    engine.kill()
    engine.wait()
    wait_until(lambda: of_this_test(project) == [], "all processes are gone", 10)


def test_an_interrupted_engine_ends_soon(project: Project) -> None:
    (project.folder / "__main__.py").write_text("import time\ntime.sleep(300)\n")
    engine = subprocess.Popen(
        project.command("up", "--yes", "--skip-preview"),
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(
        lambda: any("pulumi-language-python-exec" in command_line(p) for p in of_this_test(project)),
        "the program runs",
        60,
    )
    engine.send_signal(signal.SIGINT)
    assert engine.wait(timeout=20) != 0
    wait_until(lambda: of_this_test(project) == [], "all processes are gone", 10)


@dataclass(frozen=True)
class Host:
    process: subprocess.Popen[str]
    stub: language_pb2_grpc.LanguageRuntimeStub

    def run_plugin(self, folder: Path, *arguments: str) -> Iterator[language_pb2.RunPluginResponse]:
        request = language_pb2.RunPluginRequest(
            pwd=str(folder),
            args=list(arguments),
            env=["PATH=/usr/bin:/bin", "NAME=given=by the request"],
            info=language_pb2.ProgramInfo(
                root_directory=str(folder), program_directory=str(folder), entry_point="."
            ),
            kind="resource",
        )
        answers: Iterator[language_pb2.RunPluginResponse] = self.stub.RunPlugin(request)
        return answers


@pytest.fixture
def host(toolchain: Toolchain) -> Iterator[Host]:
    """A host of our own, started as the engine starts it: its own group, stdin held open."""
    process = subprocess.Popen(
        [str(toolchain.bin_dir / "pulumi-language-python"), "127.0.0.1:1"],
        env=environment(toolchain),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Host(process, language_pb2_grpc.LanguageRuntimeStub(channel))
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def plugin(tmp_path: Path, source: str) -> Path:
    (tmp_path / "__main__.py").write_text(source)
    return tmp_path


TELLER = """\
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ["NAME"])
print("oops", file=sys.stderr)
sys.exit(7)
"""
LEAVER = """\
import subprocess
print(subprocess.Popen(["sleep", "300"], start_new_session=True).pid, flush=True)
"""
SLEEPER = """\
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "300"])
silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
apart = subprocess.Popen(["sleep", "300"], start_new_session=True, **silent)
print(f"{os.getpid()} {child.pid} {apart.pid}", flush=True)
time.sleep(300)
"""


def pids(answers: Iterator[language_pb2.RunPluginResponse]) -> tuple[int, int, int]:
    own, child, apart = next(answers).stdout.split()
    return int(own), int(child), int(apart)


def test_a_plugin_gets_its_arguments_environment_and_folder(host: Host, tmp_path: Path) -> None:
    answers = list(host.run_plugin(plugin(tmp_path, TELLER), "--flag", "with space"))
    out = b"".join(answer.stdout for answer in answers).decode()
    assert out == f"['--flag', 'with space'] {tmp_path} given=by the request\n"
    assert b"".join(answer.stderr for answer in answers) == b"oops\n"
    assert answers[-1].WhichOneof("output") == "exitcode"
    assert answers[-1].exitcode == 7


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL", "stdin"])
def test_a_plugin_dies_with_its_host(host: Host, tmp_path: Path, how: str) -> None:
    own, child, apart = pids(host.run_plugin(plugin(tmp_path, SLEEPER)))
    try:
        if how == "stdin":
            assert host.process.stdin is not None
            host.process.stdin.close()
        else:
            host.process.send_signal(signal.Signals[how])
        host.process.wait(timeout=3)
        wait_until(lambda: gone(own) and gone(child), "the plugin and its child are gone", 5)
        assert not gone(apart), "what left the group on purpose stays"
    finally:
        os.kill(apart, signal.SIGKILL)


def test_a_plugin_that_is_no_longer_wanted_is_ended(host: Host, tmp_path: Path) -> None:
    answers = host.run_plugin(plugin(tmp_path, SLEEPER))
    own, child, apart = pids(answers)
    try:
        answers.cancel()  # type: ignore[attr-defined]
        wait_until(lambda: gone(own), "the plugin is gone", 5)
    finally:
        os.kill(apart, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)


def test_what_a_plugin_leaves_running_does_not_keep_it_alive(host: Host, tmp_path: Path) -> None:
    start = time.monotonic()
    answers = list(host.run_plugin(plugin(tmp_path, LEAVER)))
    os.kill(int(answers[0].stdout), signal.SIGKILL)
    assert answers[-1].exitcode == 0
    assert time.monotonic() - start < 10


def test_the_small_questions(host: Host) -> None:
    about = host.stub.About(language_pb2.AboutRequest())
    assert about.version == ".".join(str(part) for part in sys.version_info[:3])
    assert Path(about.executable).parent == Path(sys.prefix) / "bin"
    found = host.stub.GetProgramDependencies(language_pb2.GetProgramDependenciesRequest()).dependencies
    assert "pulumi" in {dependency.name for dependency in found}
    assert not host.stub.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest()).packages
    assert list(host.stub.InstallDependencies(language_pb2.InstallDependenciesRequest()))[-1].stdout
    host.stub.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:2"))
    with pytest.raises(grpc.RpcError) as caught:
        host.stub.GeneratePackage(language_pb2.GeneratePackageRequest())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def start_time(toolchain: Toolchain) -> float:
    start = time.monotonic()
    process = subprocess.Popen(
        [str(toolchain.bin_dir / "pulumi-language-python"), "127.0.0.1:1"],
        env=environment(toolchain),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        taken = time.monotonic() - start
    return taken


def test_the_host_starts_faster_than_the_sdk_is_imported(toolchain: Toolchain) -> None:
    def import_time() -> float:
        start = time.monotonic()
        subprocess.run([sys.executable, "-c", "import pulumi"], check=True)
        return time.monotonic() - start

    assert min(start_time(toolchain) for _ in range(3)) < min(import_time() for _ in range(3))
