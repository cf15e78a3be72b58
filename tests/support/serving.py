"""A release bundle on disk and a real server for it, without training and without a store.

The model is a linear classifier over the held-in digits, written as ONNX by hand: it recognises real
images and is made in well under a second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits

from lockstep.local import environments
from lockstep.paths import cache
from lockstep.release import bundle as format

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "digits"
SOURCE = ROOT / "src" / "lockstep"
LABELS = [str(number) for number in range(10)]


@functools.cache
def _solution() -> NDArray[np.float32]:
    """Least-squares weights [64 + 1, 10] from pixels and a one to scores."""
    digits: Any = load_digits()
    solution = np.linalg.lstsq(_inputs(), np.eye(10)[digits.target] * 10, rcond=None)[0]
    return np.asarray(solution, dtype=np.float32)


def _inputs() -> NDArray[np.float64]:
    digits: Any = load_digits()
    rows = digits.images.reshape(-1, 64) / 16
    return np.hstack([rows, np.ones((len(rows), 1))])


def linear_onnx(*, last: float | None = None) -> bytes:
    """float32 [n, 1, 8, 8] -> probabilities [n, 10]; `last` replaces one weight, to break the model."""
    weights, bias = np.ascontiguousarray(_solution()[:-1]), _solution()[-1].copy()
    if last is not None:
        bias[-1] = last
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(model.SerializeToString())


@functools.cache
def digit(number: int) -> NDArray[np.uint8]:
    """A scan of this digit that the linear model knows: 8 x 8 gray levels 0..255, ink bright."""
    digits: Any = load_digits()
    answers = (_inputs() @ _solution()).argmax(axis=1)
    index = np.flatnonzero((digits.target == number) & (answers == number))[0]
    return np.round(digits.images[index] * (255 / 16)).astype(np.uint8)


def classify(pixels: NDArray[np.float32]) -> str:
    """The label that the linear model gives to [1, 8, 8]."""
    return str(int((np.append(pixels.reshape(-1), 1) @ _solution()).argmax()))


def picture(number: int = 0, *, format: str = "PNG", scale: int = 16, **options: Any) -> bytes:
    """A scan of this digit as an image file, each source pixel `scale` pixels a side."""
    buffer = io.BytesIO()
    levels = np.kron(digit(number), np.ones((scale, scale), dtype=np.uint8))
    Image.fromarray(levels).save(buffer, format=format, **options)
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True)
class Bundle:
    folder: Path
    digest: str
    lock: bytes


def _files() -> dict[str, bytes]:
    files = {
        "model.onnx": linear_onnx(),
        "labels.json": json.dumps(LABELS).encode(),
        "preprocess.py": (MODEL / "preprocess.py").read_bytes(),
        "service.py": (MODEL / "service.py").read_bytes(),
        "serving.lock": (MODEL / "serving.lock").read_bytes(),
    }
    library = [SOURCE / "__init__.py", SOURCE / "errors.py", *(SOURCE / "serving").glob("*.py")]
    library += [SOURCE / "release" / "__init__.py", SOURCE / "release" / "bundle.py"]
    return files | {f"lockstep/{path.relative_to(SOURCE)}": path.read_bytes() for path in library}


def make_bundle(folder: Path, replace: Mapping[str, bytes] | None = None) -> Bundle:
    """A release in `folder`, with some of its files replaced."""
    files = _files() | dict(replace or {})
    config = json.dumps(
        {"created": None, "model": "digits", "name": "linear", "runtimes": {"onnx": "serving.lock"}},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()

    def descriptor(data: bytes, media: str) -> dict[str, Any]:
        return {
            "digest": "sha256:" + hashlib.sha256(data).hexdigest(),
            "mediaType": media,
            "size": len(data),
        }

    manifest = {
        "annotations": {format.MODEL: "digits", format.NAME: "linear"},
        "artifactType": format.RELEASE_TYPE,
        "config": descriptor(config, format.CONFIG_TYPE),
        "layers": [
            {**descriptor(data, format.LAYER_TYPE), "annotations": {format.TITLE: title}}
            for title, data in sorted(files.items())
        ],
        "mediaType": format.MANIFEST_TYPE,
        "schemaVersion": 2,
    }
    encoded = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    for title, data in {**files, "config.json": config, "manifest.json": encoded}.items():
        path = folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Bundle(folder, "sha256:" + hashlib.sha256(encoded).hexdigest(), files["serving.lock"])


@functools.cache
def environment() -> Path:
    """The python of the serving environment; made once and kept in the per-user cache."""
    programs = Path(sys.executable).parent
    lock = (MODEL / "serving.lock").read_bytes()
    return environments.ensure(lock, cache=cache() / "envs", uv=programs / "uv", python=Path(sys.executable))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


UNSPEAKABLE = re.compile(
    r"Traceback|File \\*\"|\.py\b|site-packages|/(usr|root|home|tmp|work|var|etc|proc|opt|lib)\b"
    r"|\bat 0x|object at|<class|<module|\b(lockstep|PIL|numpy|onnx|starlette|bentoml|uvicorn|json)\.\w"
    r"|\w(Error|Exception)\b|errno",
    re.IGNORECASE,
)


def check_error(status: int, body: bytes) -> None:
    """Every refusal that a test meets passes here: ours in form, and nothing of the inside in it."""
    text = body.decode()
    assert not UNSPEAKABLE.search(text), text
    assert len(text) < 500, text
    if text.startswith("{"):
        assert set(json.loads(text)["error"]) == {"code", "message"}, text


@dataclasses.dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    bundle: Bundle
    log: Path

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers with names in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            answer = response.read()
            if response.status >= 400 and method != "HEAD":
                check_error(response.status, answer)
            return response.status, {k.lower(): v for k, v in response.getheaders()}, answer

    def predict(self, image: bytes, kind: str = "image/png") -> tuple[int, dict[str, str], Any]:
        status, headers, body = self.request("POST", "/predict", image, {"content-type": kind})
        return status, headers, json.loads(body)

    def ready(self) -> bool:
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def stderr(self) -> str:
        return self.log.read_text()


def start(
    bundle: Bundle, folder: Path, *, slot: str = "blue", code: Path | None = None, **changes: str
) -> Server:
    """Start a server and return at once.

    code: where its code comes from, if not from the bundle; changes: other command-line options, or `python`.
    """
    port = free_port()
    options = {
        "release": bundle.digest,
        "slot": slot,
        "region": "local-a",
        "model": "digits",
        "port": str(port),
    }
    python = changes.pop("python", None)
    options |= {"runtime": "onnx", **changes}
    launch = environments.launch(
        Path(python) if python else environment(), bundle.folder, folder / "home", options
    )
    env = {**launch.env, "PYTHONPATH": str(code or bundle.folder)}
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            launch.argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
        )
    return Server(process, int(options["port"]), bundle, log)


def wait_ready(server: Server, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not server.ready():
        assert server.process.poll() is None, server.stderr()
        assert time.monotonic() < until, server.stderr()
        time.sleep(0.05)


def stop(server: Server) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(6)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


@contextlib.contextmanager
def served(bundle: Bundle, folder: Path, **changes: str) -> Iterator[Server]:
    """A ready server, stopped at the end."""
    server = start(bundle, folder, **changes)
    try:
        wait_ready(server)
        yield server
    finally:
        stop(server)
