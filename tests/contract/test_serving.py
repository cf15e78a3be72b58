"""The real service, in the environment of its lock file, on a real port."""

from __future__ import annotations

import concurrent.futures
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.support import serving
from tests.support.images import png_header
from tests.support.serving import Server

MIB = 1024 * 1024
PICKLE = "application/vnd.bentoml+pickle"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> serving.Bundle:
    return serving.make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def server(bundle: serving.Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving.served(bundle, tmp_path_factory.mktemp("server"), slot="green") as running:
        yield running


@pytest.fixture(autouse=True)
def the_server_lives(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        server: Server = request.getfixturevalue("server")
        assert server.predict(serving.picture(0))[0] == 200


def error(response: tuple[int, dict[str, str], Any]) -> tuple[int, str]:
    """Status and code of a refusal, once its body was found clean."""
    status, headers, body = response
    document = json.loads(body) if isinstance(body, bytes) else body
    assert set(document) == {"error"} and set(document["error"]) == {"code", "message"}
    text = json.dumps(document)
    assert "Traceback" not in text and ".py" not in text and "site-packages" not in text
    assert headers["x-lockstep-slot"] == "green"
    return status, document["error"]["code"]


def batch(server: Server, document: Any) -> tuple[int, dict[str, str], bytes]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return server.request("POST", "/predict_batch", body, {"content-type": "application/json"})


def rows(*numbers: int) -> list[Any]:
    return [(serving.digit(number) / 255).tolist() for number in numbers]


# What it answers


@pytest.mark.parametrize(("format", "kind"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
@pytest.mark.parametrize("scale", [1, 16, 200])
def test_an_image_of_any_size_is_recognised(server: Server, format: str, kind: str, scale: int) -> None:
    for index in range(5):
        status, headers, body = server.predict(serving.picture(index, format=format, scale=scale), kind)
        assert status == 200
        assert body["label"] == str(index)
        assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert list(body["probabilities"]) == serving.LABELS
        assert body["release"] == server.bundle.digest
        assert (body["slot"], body["region"], body["model"]) == ("green", "local-a", "digits")
        for name in ("release", "slot", "region", "prediction_id"):
            assert headers["x-lockstep-" + name.replace("_", "-")] == body[name]


def test_prediction_ids_differ(server: Server) -> None:
    assert len({server.predict(serving.picture(0))[2]["prediction_id"] for _ in range(5)}) == 5


def test_a_kept_connection_is_answered_without_delay(server: Server) -> None:
    """With Nagle's algorithm on, every answer would wait 40 ms for the client's delayed ACK."""
    times = []
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(30):
        started = time.perf_counter()
        connection.request("POST", "/predict", serving.picture(1), {"content-type": "image/png"})
        connection.getresponse().read()
        times.append(time.perf_counter() - started)
    connection.close()
    assert sorted(times)[5] < 0.03


def multipart(name: str, content: bytes, filename: str | None = "digit.png") -> tuple[bytes, dict[str, str]]:
    file = f'; filename="{filename}"' if filename else ""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
    return head + content + b"\r\n--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}


def test_a_form_with_an_image(server: Server) -> None:
    for scale in (1, 16):
        status, _, body = server.request(
            "POST", "/predict", *multipart("image", serving.picture(4, scale=scale))
        )
        assert status == 200 and json.loads(body)["label"] == "4"


def test_a_form_larger_than_memory_spools(server: Server) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="PNG")
    assert len(buffer.getvalue()) > 2 * MIB
    assert server.request("POST", "/predict", *multipart("image", buffer.getvalue()))[0] == 200


def test_a_form_without_an_image(server: Server) -> None:
    png = serving.picture(0)
    assert error(server.request("POST", "/predict", *multipart("photo", png))) == (400, "serving.no_image")
    # BentoML's own reader would fetch this.
    link = multipart("image", b"http://127.0.0.1:9/x.png", filename=None)
    assert error(server.request("POST", "/predict", *link)) == (400, "serving.no_image")
    broken = server.request("POST", "/predict", b"nonsense", {"content-type": "multipart/form-data"})
    assert error(broken)[0] == 400


def test_a_batch(server: Server) -> None:
    status, headers, body = batch(server, {"instances": rows(*range(10))})
    document = json.loads(body)
    assert status == 200
    assert [item["label"] for item in document["predictions"]] == serving.LABELS
    assert headers["x-lockstep-prediction-id"] == document["prediction_id"]
    assert document["release"] == headers["x-lockstep-release"] == server.bundle.digest
    ids = [item["prediction_id"] for item in document["predictions"]]
    assert ids == [f"{document['prediction_id']}.{n}" for n in range(10)]


def test_many_clients_at_once_are_all_answered_with_their_own_rows(server: Server) -> None:
    def ask(client: int) -> bool:
        numbers = [(client + offset) % 10 for offset in range(1 + client * 37 % 60)]
        status, _, body = batch(server, {"instances": rows(*numbers)})
        labels = [item["label"] for item in json.loads(body)["predictions"]] if status == 200 else []
        return labels == [str(number) for number in numbers]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(160)))


def test_the_release_says_who_it_is(server: Server) -> None:
    status, _, body = server.request("GET", "/release")
    assert status == 200
    assert json.loads(body) == {
        "release": server.bundle.digest,
        "slot": "green",
        "region": "local-a",
        "model": "digits",
        "ready": True,
    }


def test_health(server: Server) -> None:
    assert [server.request("GET", path)[0] for path in ("/readyz", "/livez")] == [200, 200]
    assert server.request("HEAD", "/readyz")[0] == 200


def test_every_metric_says_who_answered(server: Server) -> None:
    server.predict(serving.picture(0))
    server.predict(b"nonsense")
    text = server.request("GET", "/metrics")[2].decode()
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    who = [f'release="{server.bundle.digest}"', 'slot="green"', 'region="local-a"', 'model="digits"']
    assert samples and all(label in line for line in samples for label in who)
    names = {line.split("{")[0] for line in samples}
    assert {"lockstep_requests_total", "lockstep_request_seconds_bucket", "lockstep_batch_size_sum"} <= names
    assert any('path="/predict"' in line and 'code="200"' in line for line in samples)
    assert any('reason="serving.not_an_image"' in line for line in samples)


# What it refuses


def test_pickle_is_refused_everywhere(server: Server) -> None:
    # Unpickled, this would end the server.
    hostile = b"cos\n_exit\n(I3\ntR."
    for path in ("/predict", "/predict_batch", "/release", "/schema.json", "/nothing"):
        for kind in (PICKLE, PICKLE.upper(), PICKLE + "; charset=x"):
            assert error(server.request("POST", path, hostile, {"content-type": kind}))[0] == 415


def test_only_the_known_paths_are_there(server: Server) -> None:
    for path in ("/", "/docs.json", "/schema.json", "/static_content/", "/predict/submit", "/%2e%2e/x"):
        assert error(server.request("GET", path)) == (404, "serving.no_such_path")
    assert error(server.request("GET", "/predict")) == (405, "serving.wrong_method")
    assert error(server.request("POST", "/metrics")) == (405, "serving.wrong_method")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "image/svg+xml", ""])
def test_other_content_types(server: Server, kind: str) -> None:
    refusal = server.request("POST", "/predict", serving.picture(0), {"content-type": kind})
    assert error(refusal) == (415, "serving.unsupported_type")


def test_compressed_bodies(server: Server) -> None:
    headers = {"content-type": "image/png", "content-encoding": "gzip"}
    assert error(server.request("POST", "/predict", b"x", headers))[0] == 415


def test_bad_images(server: Server) -> None:
    png = serving.picture(0)
    assert error(server.predict(b"")) == (400, "serving.empty")
    assert error(server.predict(png[: len(png) // 2])) == (422, "serving.truncated")
    assert error(server.predict(b"MZ" + bytes(5000))) == (422, "serving.not_an_image")
    assert error(server.predict(b"http://127.0.0.1/x.png")) == (422, "serving.not_an_image")


def test_a_huge_image_is_refused_from_its_header(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    assert error(server.predict(png_header(30_000, 30_000))) == (413, "serving.too_many_pixels")
    real = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(real, format="PNG")
    assert len(real.getvalue()) < MIB
    assert error(server.predict(real.getvalue())) == (413, "serving.too_many_pixels")
    assert process.memory_info().rss - before < 20 * MIB


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b"{", "serving.bad_json"),
        (b'{"instances": [[NaN]]}', "serving.bad_json"),
        (b"[" * MIB, "serving.bad_json"),
        ({"instances": []}, "serving.bad_instances"),
        (b'{"instances": [[1e999]]}', "serving.bad_instances"),
        ({"instances": [[0.5] * 100_000]}, "serving.bad_instances"),
        ({"instances": [[[2] * 8] * 8]}, "serving.bad_instances"),
        ({"instances": [0] * 257}, "serving.too_many_instances"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_batches(server: Server, document: Any, code: str) -> None:
    assert error(batch(server, document)) == (400, code)


def test_a_body_that_declares_too_much_is_refused_unread(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n")
        client.sendall(b"content-length: 10485761\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_too_large_bodies(server: Server) -> None:
    assert error(server.predict(bytes(10 * MIB + 1))) == (413, "serving.body_too_large")
    assert error(server.predict(bytes(10 * MIB))) == (422, "serving.not_an_image")
    assert error(batch(server, bytes(2 * MIB + 1))) == (413, "serving.body_too_large")


def test_a_body_that_declares_nothing_is_counted(server: Server) -> None:
    def pieces(count: int) -> Iterator[bytes]:
        yield from (bytes(64 * 1024) for _ in range(count))

    headers = {"content-type": "image/png"}
    assert error(server.request("POST", "/predict", pieces(161), headers)) == (413, "serving.body_too_large")
    assert error(server.request("POST", "/predict", pieces(3), headers)) == (422, "serving.not_an_image")
    png = serving.picture(7)
    status, _, body = server.request("POST", "/predict", iter([png[:50], png[50:]]), headers)
    assert status == 200 and json.loads(body)["label"] == "7"


def test_a_client_that_hangs_up_halfway(server: Server) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc")


def test_memory_stays_small_and_nothing_else_listens(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: server.predict(serving.picture(index % 10)), range(200)))
    process = psutil.Process(server.process.pid)
    assert process.children() == []
    listening = [c for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert [(c.laddr.ip, c.laddr.port) for c in listening] == [("127.0.0.1", server.port)]
    resident = process.memory_info().rss / MIB
    with capsys.disabled():
        sys.stderr.write(f"\n[serving: {resident:.0f} MiB resident]\n")
    assert resident < 300
    assert not [name for name in map(str, loaded(server)) if "torch" in name]


def loaded(server: Server) -> set[Path]:
    maps = Path(f"/proc/{server.process.pid}/maps").read_text().splitlines()
    return {Path(line.split()[-1]) for line in maps if "/" in line}


# How it starts


def test_ready_only_when_warm(bundle: serving.Bundle, tmp_path: Path) -> None:
    slow = (serving.MODEL / "preprocess.py").read_bytes() + b"\nimport time\ntime.sleep(2)\n"
    bundle = serving.make_bundle(tmp_path / "bundle", {"preprocess.py": slow})
    server = serving.start(bundle, tmp_path / "run")
    started = time.monotonic()
    try:
        while time.monotonic() - started < 2:
            with pytest.raises(ConnectionRefusedError):
                server.request("GET", "/readyz")
            time.sleep(0.1)
        serving.wait_ready(server)
    finally:
        serving.stop(server)


def fails(server: Server) -> tuple[int, str]:
    """Exit code, and the code in the last line of stderr."""
    try:
        code = server.process.wait(60)
    finally:
        serving.stop(server)
    last = server.stderr().strip().splitlines()[-1]
    assert last.startswith("error: ") and last.endswith("]") and "Traceback" not in server.stderr()
    return code, last


@pytest.mark.parametrize("name", ["model.onnx", "preprocess.py", "lockstep/serving/guard.py", "serving.lock"])
def test_a_changed_byte_is_named_and_nothing_starts(tmp_path: Path, name: str) -> None:
    bundle = serving.make_bundle(tmp_path / "bundle")
    path = bundle.folder / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    code, last = fails(serving.start(bundle, tmp_path / "run"))
    assert code == 1 and name in last and "release.corrupt" in last


def test_another_environment_is_refused(bundle: serving.Bundle, tmp_path: Path) -> None:
    changed = serving.make_bundle(tmp_path / "bundle", {"serving.lock": bundle.lock + b"\n"})
    code, last = fails(serving.start(changed, tmp_path / "run"))
    assert code == 1 and "serving.wrong_environment" in last
    # The tool's own environment has the packages, but no lock file made it.
    code, last = fails(serving.start(bundle, tmp_path / "own", python=sys.executable))
    assert code == 1 and "serving.wrong_environment" in last


def test_only_the_release_own_code_runs(bundle: serving.Bundle, tmp_path: Path) -> None:
    other = serving.make_bundle(tmp_path / "other")
    code, last = fails(serving.start(bundle, tmp_path / "run", code=other.folder))
    assert code == 1 and "serving.wrong_code" in last


def test_a_model_without_numbers_is_refused(tmp_path: Path) -> None:
    broken = serving.make_bundle(tmp_path / "nan", {"model.onnx": serving.linear_onnx(last=float("nan"))})
    code, last = fails(serving.start(broken, tmp_path / "run"))
    assert code == 1 and "serving.not_finite" in last


def test_weights_that_are_no_model_are_refused(tmp_path: Path) -> None:
    broken = serving.make_bundle(tmp_path / "junk", {"model.onnx": b"not a model"})
    assert "serving.bad_model" in fails(serving.start(broken, tmp_path / "run"))[1]
    fewer = serving.make_bundle(tmp_path / "fewer", {"labels.json": b'["0", "1"]'})
    assert "serving.wrong_classes" in fails(serving.start(fewer, tmp_path / "run2"))[1]


def test_a_runtime_that_is_not_there(bundle: serving.Bundle, tmp_path: Path) -> None:
    for runtime, name in [
        ("tensorrt", "serving.needs_gpu"),
        ("torch", "serving.no_lock"),
        ("pickle", "serving.unknown_runtime"),
    ]:
        code, last = fails(serving.start(bundle, tmp_path / runtime, runtime=runtime))
        assert code != 0 and name in last


def test_a_port_in_use(bundle: serving.Bundle, server: Server, tmp_path: Path) -> None:
    code, last = fails(serving.start(bundle, tmp_path, port=str(server.port)))
    assert code == 2 and "serving.port_in_use" in last and str(server.port) in last


# How it stops


def test_sigterm_ends_it_at_once_and_leaves_no_trace(bundle: serving.Bundle, tmp_path: Path) -> None:
    before = sorted(path for path in bundle.folder.rglob("*"))
    with serving.served(bundle, tmp_path / "run") as server:
        held = socket.create_connection(("127.0.0.1", server.port))  # an idle client keeps nothing open
        held.sendall(
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 9\r\n\r\n"
        )
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
        assert time.monotonic() - started < 5
        held.close()
    assert sorted(path for path in bundle.folder.rglob("*")) == before


def test_what_a_killed_service_left_goes_when_the_next_one_starts(
    bundle: serving.Bundle, tmp_path: Path
) -> None:
    """BentoML makes a temporary folder for each service, and whoever is killed takes nothing along."""
    temporary = tmp_path / "home" / "temporary"
    left = []
    for _ in range(2):
        server = serving.start(bundle, tmp_path)
        serving.wait_ready(server)
        left.append({*temporary.iterdir()})
        server.process.kill()
        server.process.wait(10)
    first, second = left
    assert first and second and not first & second
    assert {*temporary.iterdir()} == second


def test_a_request_under_way_is_finished(tmp_path: Path) -> None:
    slow = (
        (serving.MODEL / "preprocess.py")
        .read_text()
        .replace(
            "    small = _fit(_gray(image))\n",
            "    import time\n    time.sleep(1)\n    small = _fit(_gray(image))\n",
        )
    )
    bundle = serving.make_bundle(tmp_path / "bundle", {"preprocess.py": slow.encode()})
    with serving.served(bundle, tmp_path / "run") as server, concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(server.predict, serving.picture(3))
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        assert answer.result()[2]["label"] == "3"
        assert server.process.wait(5) == 0


def test_it_does_not_outlive_a_killed_parent(bundle: serving.Bundle, tmp_path: Path) -> None:
    """The parent is a python of our own that starts the service and waits; then it is killed."""
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.support import serving\n"
        "bundle = serving.Bundle(Path(sys.argv[1]), sys.argv[2], b'')\n"
        "server = serving.start(bundle, Path(sys.argv[3]))\nserving.wait_ready(server)\n"
        "sys.stdout.write(str(server.process.pid) + '\\n'); sys.stdout.flush()\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(bundle.folder), bundle.digest, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        cwd=serving.ROOT,
        env=dict(os.environ),
    )
    assert parent.stdout is not None
    service = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    service.wait(5)
