"""What a client can send, against the real service: 4xx or the right answer, never 5xx, in bounded memory."""

from __future__ import annotations

import http.client
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Soak
from tests.support import serving
from tests.support.bombs import BOMBS, FOREIGN
from tests.support.clients import Answer, Door, Memory, code_in, labels_in, pour, raw
from tests.support.images import MIB
from tests.support.pictures import PICTURES
from tests.support.serving import Server

GIB = 1024 * MIB
PICKLE = "application/vnd.bentoml+pickle"
BOUND = 1260
"""MiB, as `serving/limits.py` adds up."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    bundle = serving.make_bundle(tmp_path_factory.mktemp("bundle"))
    with serving.served(bundle, tmp_path_factory.mktemp("server")) as running:
        yield running
        assert "Traceback" not in running.stderr()


@pytest.fixture(autouse=True)
def the_server_lives(server: Server) -> Iterator[None]:
    yield
    assert server.predict(serving.picture(0))[2]["label"] == "0"
    assert Memory.of(server.process.pid).peak < BOUND


@pytest.fixture
def door(server: Server) -> Door:
    return Door(server.port)


def ask(server: Server, path: str, body: bytes, kind: str) -> Answer:
    status, _, answer = server.request("POST", path, body, {"content-type": kind})
    return status, "" if status < 400 else code_in(answer)


def batch(server: Server, body: bytes) -> Answer:
    return ask(server, "/predict_batch", body, "application/json")


# Pictures


def cut_through(server: Server, step: int) -> Counter[str]:
    """Every picture cut at every `step`th byte over one connection: what came of them."""
    found: Counter[str] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for name, (number, data) in PICTURES.items():
        for length in range(0, len(data), step):
            connection.request("POST", "/predict", data[:length], {"content-type": "image/png"})
            response = connection.getresponse()
            body = response.read()
            if response.status == 200:
                assert labels_in(json.loads(body)) == [str(number)], (name, length)
            else:
                assert 400 <= response.status < 500, (name, length, response.status)
                serving.check_error(response.status, body)
            found[str(response.status)] += 1
    connection.close()
    return found


def test_twenty_pictures_cut_here_and_there(server: Server) -> None:
    found = cut_through(server, 41)
    assert found["422"] > 100


@pytest.mark.soak
def test_twenty_pictures_cut_at_each_byte(server: Server, soak: Soak) -> None:
    soak.tally(f"pictures cut at each byte over HTTP: {dict(cut_through(server, 1))}")


@pytest.mark.parametrize("name", PICTURES)
def test_every_kind_of_picture_whatever_its_type_says(server: Server, name: str) -> None:
    number, data = PICTURES[name]
    for kind in ("image/png", "image/jpeg", "IMAGE/PNG; charset=utf-8", "application/octet-stream;q=1"):
        assert server.predict(data, kind)[2]["label"] == str(number)


@pytest.mark.parametrize("name", [*BOMBS, *FOREIGN])
def test_bombs(server: Server, name: str) -> None:
    before = Memory.of(server.process.pid)
    data, expected = BOMBS[name] if name in BOMBS else (FOREIGN[name], "serving.not_an_image")
    status, _, body = server.predict(data)
    if len(data) > 10 * MIB:
        assert (status, body["error"]["code"]) == (413, "serving.body_too_large")
    else:
        found = body["label"] if status == 200 else body["error"]["code"]
        assert found == expected
    assert Memory.of(server.process.pid).now - before.now < 200


# Types and headers


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/html",
        "image/gif",
        "image/png, image/jpeg",
        "*/*",
        "image/",
        "png",
        "image/png\t;",
        "\xff",
        "a" * 9000,
    ],
    ids=lambda kind: ascii(kind)[:20],
)
def test_wrong_content_types(server: Server, kind: str) -> None:
    found = ask(server, "/predict", serving.picture(0), kind)
    assert found in [(415, "serving.unsupported_type"), (200, "")]
    assert ask(server, "/predict_batch", b"{}", kind) == (415, "serving.unsupported_type")


def test_a_type_that_is_missing(door: Door) -> None:
    assert raw(door, door.head("/predict", "content-length: 1", ""), b"x") == (
        415,
        "serving.unsupported_type",
    )


def test_headers_that_are_there_twice(door: Door) -> None:
    """Of two content types BentoML believes the first; a table of headers keeps the last."""
    for first, second, expected in [
        (PICKLE, "image/png", (415, "serving.pickle")),
        ("image/png", PICKLE, (400, "serving.double_header")),
        ("image/png", "image/png", (400, "serving.double_header")),
    ]:
        head = door.head(
            "/predict", f"content-type: {first}", f"content-type: {second}", "content-length: 1", ""
        )
        assert raw(door, head, b"x") in (expected, (415, "serving.pickle"))


def test_no_pickle_is_ever_opened(server: Server, door: Door, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hostile = b"cos\nsystem\n(S'touch " + os.fsencode(canary) + b"'\ntR."
    length = f"content-length: {len(hostile)}"
    for kind in (PICKLE, PICKLE.upper(), f" {PICKLE} ; a=b", "application/octet-stream", "application/json"):
        for path in ("/predict", "/predict_batch", "/release", "/__internal__", "/schema.json", "/predict/"):
            assert raw(door, door.head(path, f"content-type: {kind}", length, "") + hostile)[0] in range(
                400, 500
            )
            twice = door.head(path, f"content-type: {kind}", "content-type: image/png", length, "")
            assert raw(door, twice + hostile)[0] in range(400, 500)
            named = door.head(
                path, f"content-type: {kind}", "bento-name: x", "Payload-Container: pickle", length, ""
            )
            assert raw(door, named + hostile)[0] in range(400, 500)
    assert not canary.exists()


@pytest.mark.parametrize(
    "name", ["expect: 100-continue", "upgrade: websocket", "connection: upgrade", "te: trailers"]
)
def test_other_headers_change_nothing(door: Door, name: str) -> None:
    png = serving.picture(1)
    head = door.head(
        "/predict", name, "content-type: image/png", f"content-length: {len(png)}", "connection: close", ""
    )
    assert raw(door, head + png)[0] == 200


# Bodies


def test_a_declared_ten_gigabyte_body(server: Server, door: Door) -> None:
    before = Memory.of(server.process.pid)
    Memory.reset_peak(server.process.pid)
    head = door.head("/predict", "content-type: image/png", f"content-length: {10 * GIB}", "")
    sent, _ = pour(door, head, bytes(MIB), 10 * GIB)
    assert sent < 10 * GIB
    assert raw(door, head) == (413, "serving.body_too_large")
    assert Memory.of(server.process.pid).peak - before.now < 40


@pytest.mark.parametrize("kind", ["chunks", "one chunk", "tiny chunks", "chunk extensions"])
def test_an_undeclared_ten_gigabyte_body(server: Server, door: Door, kind: str) -> None:
    before = Memory.of(server.process.pid)
    Memory.reset_peak(server.process.pid)
    head = door.head("/predict", "content-type: image/png", "transfer-encoding: chunked", "")
    piece = {
        "chunks": b"100000\r\n" + bytes(MIB) + b"\r\n",
        "one chunk": bytes(MIB),
        "tiny chunks": b"1\r\nx\r\n" * 1000,
        "chunk extensions": b"1;" + b"a" * 1000 + b"\r\nx\r\n",
    }[kind]
    start = head + (b"280000000\r\n" if kind == "one chunk" else b"")
    sent, answer = pour(door, start, piece, 10 * GIB)
    assert sent < 10 * GIB
    assert answer in [(0, ""), (413, "serving.body_too_large"), (400, "serving.bad_http")]
    assert Memory.of(server.process.pid).peak - before.now < 60


def test_a_line_that_never_ends(server: Server, door: Door) -> None:
    before = Memory.of(server.process.pid)
    chunked = door.head("/predict", "content-type: image/png", "transfer-encoding: chunked", "")
    for start in (b"GET /", b"GET / HTTP/1.1\r\na: ", chunked + b"1;", chunked):
        sent, answer = pour(door, start, b"1" * 65_536, 10 * GIB)
        assert sent < 10 * GIB and answer in [(0, ""), (400, "serving.bad_http")]
    assert Memory.of(server.process.pid).now - before.now < 20


FORM = "multipart/form-data; boundary=b"
IMAGE = b'--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n'
FORMS = {
    "a million parts": (b"--b\r\n\r\n\r\n" * 1_000_000, FORM),
    "a million empty boundaries": (b"--b\r\n" * 1_000_000, FORM),
    "a part header of megabytes": (b"--b\r\nx: " + b"y" * 9 * MIB + b"\r\n\r\n\r\n--b--", FORM),
    "a million headers": (b"--b\r\n" + b"x: y\r\n" * 1_000_000 + b"\r\n\r\n--b--", FORM),
    "nested": (b"--b\r\ncontent-type: multipart/mixed; boundary=c\r\n\r\n" * 1000, FORM),
    "carriage returns": (IMAGE + b"\r" * 9 * MIB, FORM),
    "nearly boundaries": (IMAGE + b"\r\n--a" * MIB, FORM),
    "no boundary": (IMAGE, "multipart/form-data"),
    "an endless boundary": (IMAGE, "multipart/form-data; boundary=" + "b" * 5000),
    "many parameters": (IMAGE, "multipart/form-data; " + "a=b; " * 8000),
    "quotes": (IMAGE, 'multipart/form-data; boundary="' + '\\"' * 20_000),
}


@pytest.mark.parametrize("name", FORMS)
def test_hostile_forms(server: Server, name: str) -> None:
    body, kind = FORMS[name]
    before = Memory.of(server.process.pid)
    assert ask(server, "/predict", body, kind) == (400, "serving.bad_form")
    assert Memory.of(server.process.pid).now - before.now < 60


# Batches

ROW = b"[0,0,0,0,0,0,0,0]"
EIGHT = b"[" + b",".join([ROW] * 8) + b"]"
BATCHES = {
    "NaN": b'{"instances": [[[NaN]]]}',
    "Infinity": b'{"instances": [[[Infinity]]]}',
    "a huge number": b'{"instances": [' + EIGHT.replace(b"0", b"1e999", 1) + b"]}",
    "a huge shape": b'{"instances": [[' + b"0," * 500_000 + b"0]]}",
    "a deep shape": b'{"instances": ' + b"[" * 60 + b"]" * 60 + b"}",
    "ragged": b'{"instances": [' + EIGHT + b",[[1]]]}",
    "a hundred thousand levels": b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a hundred thousand objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of a million digits": b'{"instances": [[[' + b"7" * 1_000_000 + b"]]]}",
    "an exponent of a million digits": b'{"instances": [[[1e' + b"7" * 1_000_000 + b"]]]}",
    "the key twice": b'{"instances": [' + EIGHT + b'], "instances": [' + EIGHT + b"]}",
    "a lone surrogate": b'{"instances": ["\\ud800"]}',
    "a surrogate as key": b'{"\\udfff": 1}',
    "booleans": b'{"instances": [' + EIGHT.replace(b"0", b"true") + b"]}",
    "a boolean": b'{"instances": [' + EIGHT.replace(b"0", b"true", 1) + b"]}",
    "null": b'{"instances": [' + EIGHT.replace(b"0", b"null", 1) + b"]}",
    "a text": b'{"instances": [' + EIGHT.replace(b"0", b'"0"', 1) + b"]}",
    "UTF-16": ('{"instances": [' + EIGHT.decode() + "]}").encode("utf-16"),
    "not UTF-8": b'{"instances": ["\xff"]}',
    "many empty lists": b'{"instances": [[' + b"[]," * 600_000 + b"[]]]}",
    "a nul": b'{"instances": [' + EIGHT + b"]}\0",
}


@pytest.mark.parametrize("name", BATCHES)
def test_hostile_batches(server: Server, name: str) -> None:
    before = Memory.of(server.process.pid)
    status, code = batch(server, BATCHES[name])
    assert status == 400 and code in ("serving.bad_json", "serving.bad_instances")
    assert Memory.of(server.process.pid).now - before.now < 60


def test_the_same_batch_without_its_fault_is_answered(server: Server) -> None:
    """So that the ones above are refused for their fault."""
    assert batch(server, b'{"instances": [' + EIGHT + b"]}") == (200, "")


def test_the_check_on_error_bodies_sees_what_it_must() -> None:
    for text in (
        'File "/x"',
        "a.py",
        "ValueError: x",
        "<PIL.Image object at 0x7f>",
        "/tmp/x",
        "numpy.ndarray",
    ):
        with pytest.raises(AssertionError):
            serving.check_error(400, json.dumps({"error": {"code": "x", "message": text}}).encode())
    serving.check_error(400, b'{"error": {"code": "serving.bad_json", "message": "the body is not JSON"}}')
