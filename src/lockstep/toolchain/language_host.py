"""Pulumi's Python language host: starts programs and Python plugins for the engine, over gRPC.

It is copied beside the `pulumi` binary and runs under whatever environment is active, so it is one
file that imports nothing of Lockstep. What it promises:

- It prints its port within a tenth of a second or so: it takes gRPC and the protocol's message
  classes without `import pulumi`, which would cost half a second of every preview.
- It never outlives the engine, and nothing that it started outlives it. The engine ends a host by
  SIGINT to its process group; a killed engine is seen by the end of our stdin; and a watchdog, which
  holds the other end of a pipe, ends the group when this process is killed itself. What left the
  group on purpose (setsid) is not touched.
- While a program starts, an interpreter for the plugin that it will need starts beside it: both import
  the same half second of SDK, and two cores do that in the time of one. It runs the file `preload.py` of
  the project's plugins, where there is one: imports that the engine would wait for later.
- It installs nothing and names no required packages: the environment is made beforehand, and the
  engine asks for each provider plugin when a resource first needs it.

Arguments: `[--tracing ENDPOINT] [other flags] ENGINE_ADDRESS`. Exit code 0 when told to end.
Protocol: pulumi/language.proto, service `pulumirpc.LanguageRuntime`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import queue
import signal
import stat
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

EXECUTOR = Path(__file__).absolute().with_name("pulumi-language-python-exec")
SHOWN_ALREADY = 32  # the executor's exit code for "the error has been shown to the user"
MESSAGE_LIMIT = 400 * 1024 * 1024  # bytes; the engine's own limit
GRACE_S = 2.0  # between SIGTERM and SIGKILL for one plugin that the engine no longer wants
LINGER_S = 1.0  # how long the streams of an ended plugin may stay open in what it left behind
PARENT_POLL_S = 0.5
# The environment that an interpreter reads before it can be told anything.
READ_EARLY = ("PYTHON", "LD_", "GRPC_", "PROTOCOL_BUFFERS_", "LANG", "LC_")
# What a waiting interpreter does: the imports of every provider plugin, then, once told, one plugin.
WAITING = """
import json, os, runpy, sys, yaml
import pulumi.provider.experimental.server
with open(os.path.join(sys.argv[1], "Pulumi.yaml")) as file:
    providers = yaml.safe_load(file)["plugins"].get("providers", [])
for provider in providers:
    preload = os.path.join(sys.argv[1], provider["path"], "preload.py")
    if os.path.exists(preload):
        runpy.run_path(preload)
told = sys.stdin.readline()
if not told:
    sys.exit(0)
told = json.loads(told)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.environ.clear()
os.environ.update(told["environment"])
os.chdir(told["cwd"])
sys.argv = [told["program"], *told["arguments"]]
runpy.run_path(told["program"], run_name="__main__")
"""


def add_site_packages() -> None:
    """Make the environment's packages importable. `-S` has left them out to save the .pth files' time."""
    home = Path(sys.executable).parent.parent
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / "lib" / version / "site-packages"
    if (home / "pyvenv.cfg").exists() and packages.is_dir():
        sys.path.append(str(packages))
        return
    import site

    site.main()


def protocol() -> tuple[Any, Any]:
    """The gRPC module and the protocol's messages, with bare parents in place of pulumi's packages."""
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no pulumi package for {sys.executable}")
    folder = Path(next(iter(spec.submodule_search_locations)))
    name = "pulumi"
    for part in ("", "runtime", "proto", "codegen"):
        if part:
            name, folder = f"{name}.{part}", folder / part
        bare = types.ModuleType(name)
        bare.__path__ = [str(folder)]
        sys.modules[name] = bare
    return importlib.import_module("grpc"), importlib.import_module("pulumi.runtime.proto.language_pb2")


class Children:
    """Every process that was started and has not ended. Closed for good by `end`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[subprocess.Popen[bytes], str] = {}
        self._ended = False

    def start(self, kind: str, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._ended:
                raise OSError("the language host is ending")
            child = subprocess.Popen(command, **{"stdin": subprocess.DEVNULL, **options})
            self._running[child] = kind
        return child

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.pop(child, None)

    def terminate(self, kind: str) -> None:
        """Ask the children of one kind to end."""
        with self._lock:
            for child, its_kind in self._running.items():
                if its_kind == kind:
                    child.terminate()

    def stop(self, child: subprocess.Popen[bytes]) -> None:
        """End one child: SIGTERM, then SIGKILL after a grace."""
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()

    def end(self) -> None:
        """Kill all at once, and start nothing any more. Takes no lock: it runs in signal handlers."""
        self._ended = True
        for child in list(self._running):
            child.kill()


class Spare:
    """At most one interpreter that waits to become a plugin."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._lock = threading.Lock()
        self._waiting: subprocess.Popen[bytes] | None = None

    def prepare(self, project: Path) -> None:
        """Start one if the project names plugins of its own; others need no Python."""
        try:
            expected = b"plugins:" in (project / "Pulumi.yaml").read_bytes()
        except OSError:
            return
        with self._lock:
            if expected and self._waiting is None:
                pipe = subprocess.PIPE
                command = [sys.executable, "-P", "-u", "-c", WAITING, str(project)]
                self._waiting = self._children.start("plugin", command, stdin=pipe, stdout=pipe, stderr=pipe)

    def become(self, program: str, arguments: list[str], cwd: str, environment: dict[str, str]) -> Any:
        """The interpreter, told to run the plugin; None where none waits or its start would differ."""
        with self._lock:
            waiting, early = self._waiting, {key: value for key, value in environment.items() if _early(key)}
            if waiting is None or early != {key: os.environ[key] for key in os.environ if _early(key)}:
                return None
            self._waiting = None
        told = {"program": program, "arguments": arguments, "cwd": cwd, "environment": environment}
        assert waiting.stdin is not None
        try:
            with waiting.stdin as pipe:
                pipe.write(json.dumps(told).encode() + b"\n")
        except OSError:  # it has ended: it could not import the SDK, say
            return None
        return waiting

    def dismiss(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.kill()
            waiting.wait()
            self._children.forget(waiting)


def _early(name: str) -> bool:
    return name.startswith(READ_EARLY)


class Host:
    """The service's methods, as far as a prepared environment needs them."""

    def __init__(self, messages: Any, children: Children, engine: str, tracing: str) -> None:
        self.messages = messages
        self.children = children
        self.spare = Spare(children)
        self.engine = engine
        self.tracing = tracing

    def handshake(self, request: Any, context: Any) -> Any:
        self.engine = request.engine_address or self.engine
        return self.messages.LanguageHandshakeResponse()

    def plugin_info(self, request: Any, context: Any) -> Any:
        from importlib import metadata

        from pulumi.runtime.proto import plugin_pb2

        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def required_packages(self, request: Any, context: Any) -> Any:
        return self.messages.GetRequiredPackagesResponse()

    def install(self, request: Any, context: Any) -> Iterator[Any]:
        yield self.messages.InstallDependenciesResponse(
            stdout=b"Nothing to install: the Python environment was made beforehand.\n"
        )

    def about(self, request: Any, context: Any) -> Any:
        version = ".".join(str(part) for part in sys.version_info[:3])
        return self.messages.AboutResponse(executable=sys.executable, version=version)

    def dependencies(self, request: Any, context: Any) -> Any:
        from importlib import metadata

        found = {item.metadata["Name"]: item.version for item in metadata.distributions()}
        return self.messages.GetProgramDependenciesResponse(
            dependencies=[
                self.messages.DependencyInfo(name=name, version=found[name])
                for name in sorted(found, key=str.lower)
            ]
        )

    def cancel(self, request: Any, context: Any) -> Any:
        """The update is cancelled: programs end; plugins are ended by the engine, after their last call."""
        self.children.terminate("program")
        return request  # both are Empty

    def run(self, request: Any, context: Any) -> Any:
        """Run a program to its end; its output goes where ours goes."""
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        command = [sys.executable, "-u", str(EXECUTOR), *self._executor_arguments(request)]
        try:
            self.spare.prepare(Path(request.info.root_directory))
            child = self.children.start(
                "program", command, cwd=request.info.program_directory or None, env=environment
            )
        except OSError as error:
            return self.messages.RunResponse(error=f"cannot start {sys.executable}: {error}")
        context.add_callback(lambda: self.children.stop(child))
        code = child.wait()
        self.children.forget(child)
        self.spare.dismiss()
        if code == SHOWN_ALREADY:
            return self.messages.RunResponse(bail=True)
        if code != 0:
            return self.messages.RunResponse(error=f"Program exited with non-zero exit code: {code}")
        return self.messages.RunResponse()

    def _executor_arguments(self, request: Any) -> list[str]:
        named = {
            "monitor": request.monitor_address,
            "engine": self.engine,
            "project": request.project,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": "true" if request.dryRun else "false",
            "parallel": str(request.parallel),
            "tracing": self.tracing,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
        }
        flags = [word for name, value in named.items() if value for word in (f"--{name}", value)]
        return [*flags, request.info.entry_point or ".", *request.args]

    def run_plugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Run a Python plugin: stream what it writes, then its exit code."""
        reply = self.messages.RunPluginResponse
        try:
            child = self._start_plugin(request)
        except OSError as error:
            yield reply(stderr=f"cannot start a plugin with {sys.executable}: {error}\n".encode())
            yield reply(exitcode=1)
            return
        context.add_callback(lambda: self.children.stop(child))
        for stream, chunk in _output(child):
            yield reply(**{stream: chunk})
        self.children.forget(child)
        yield reply(exitcode=child.wait())

    def _start_plugin(self, request: Any) -> Any:
        folder, arguments = request.info.program_directory, list(request.args)
        environment = dict(entry.split("=", 1) for entry in request.env) or dict(os.environ)
        cwd = request.pwd or folder
        program = [str(Path(folder, request.info.entry_point or "."))]
        if request.kind == "analyzer":  # a policy pack is loaded by the SDK, from its own folder
            program, cwd = ["-m", "pulumi.policy"], folder
        elif child := self.spare.become(program[0], arguments, cwd, environment):
            return child
        command, pipe = [sys.executable, "-u", *program, *arguments], subprocess.PIPE
        return self.children.start("plugin", command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe)


def _output(child: subprocess.Popen[bytes]) -> Iterator[tuple[str, bytes]]:
    """What a child writes to `stdout` and `stderr`, as it comes, until it has ended."""
    written: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()

    def pump(stream: str, source: IO[bytes]) -> None:
        while chunk := os.read(source.fileno(), 65536):
            written.put((stream, chunk))
        written.put(None)

    def expire() -> None:
        # What a plugin left running holds its streams; that must not keep the plugin alive for the engine.
        child.wait()
        threading.Event().wait(LINGER_S)
        written.put(None)
        written.put(None)

    for stream, source in (("stdout", child.stdout), ("stderr", child.stderr)):
        threading.Thread(target=pump, args=(stream, source), daemon=True).start()
    threading.Thread(target=expire, daemon=True).start()
    left = 2
    while left:
        item = written.get()
        if item is None:
            left -= 1
        else:
            yield item


def start_watchdog() -> None:
    """A shell that waits for our end of a pipe to close and then kills what is left of our group."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    reader, writer = os.pipe()  # the writer stays open, and with us only, for as long as we live
    subprocess.Popen(
        [
            "/bin/sh",
            "-c",
            "trap '' INT TERM HUP; read -r line; kill -s KILL -- \"-$1\"",
            "sh",
            str(os.getpid()),
        ],
        stdin=reader,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(reader)
    os.set_inheritable(writer, False)


def watch_engine(end: Any) -> None:
    """Call `end` when the process that started us is gone."""
    parent = os.getppid()

    def on_stdin() -> None:
        while os.read(0, 4096):
            continue
        end()

    def on_parent() -> None:
        wait = threading.Event().wait
        while os.getppid() == parent:
            wait(PARENT_POLL_S)
        end()

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=on_stdin, daemon=True).start()
    threading.Thread(target=on_parent, daemon=True).start()


def method_handlers(grpc: Any, messages: Any, host: Host) -> dict[str, Any]:
    """The service's method table: name -> handler. Methods that are not in it answer UNIMPLEMENTED."""
    empty = importlib.import_module("google.protobuf.empty_pb2").Empty
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    table = {
        "Handshake": (unary, host.handshake, messages.LanguageHandshakeRequest),
        "GetPluginInfo": (unary, host.plugin_info, empty),
        "GetRequiredPackages": (unary, host.required_packages, messages.GetRequiredPackagesRequest),
        "InstallDependencies": (stream, host.install, messages.InstallDependenciesRequest),
        "About": (unary, host.about, messages.AboutRequest),
        "GetProgramDependencies": (unary, host.dependencies, messages.GetProgramDependenciesRequest),
        "Run": (unary, host.run, messages.RunRequest),
        "RunPlugin": (stream, host.run_plugin, messages.RunPluginRequest),
        "Cancel": (unary, host.cancel, empty),
    }
    return {
        name: kind(function, request_deserializer=request.FromString, response_serializer=_serialize)
        for name, (kind, function, request) in table.items()
    }


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def main() -> None:
    children = Children()

    def end(*_: object) -> None:
        children.end()
        os._exit(0)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    start_watchdog()
    watch_engine(end)
    add_site_packages()
    grpc, messages = protocol()
    from concurrent.futures import ThreadPoolExecutor

    arguments = sys.argv[1:]
    tracing = arguments[arguments.index("--tracing") + 1] if "--tracing" in arguments else ""
    host = Host(messages, children, arguments[-1] if arguments else "", tracing)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=64),  # each running program and plugin holds one
        options=[
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
            ("grpc.so_reuseport", 0),
        ],
    )
    handlers = method_handlers(grpc, messages, host)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("pulumirpc.LanguageRuntime", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
