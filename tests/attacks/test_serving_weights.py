"""Hostile weights: refused at the start with a code, no code run, nothing opened outside the bundle."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lockstep.errors import IntegrityError, Unavailable
from lockstep.serving import onnx_file, safetensors_file
from lockstep.serving.runtimes import OnnxModel, TensorrtModel, TorchModel
from tests.support import serving

Json = dict[str, Any]


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Canary(canary))


def zipped(canary: Path) -> bytes:
    """As torch.save writes it: a zip with a pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickled(canary))
        archive.writestr("model/version", "3\n")
    return buffer.getvalue()


# safetensors


def tensors(header: Json | bytes, body: bytes = b"", *, length: int | None = None) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(encoded) if length is None else length).to_bytes(8, "little") + encoded + body


def tensor(begin: int, end: int, *, dtype: str = "F32", shape: list[Any] | None = None) -> Json:
    count = (end - begin) // 4
    return {"dtype": dtype, "shape": [count] if shape is None else shape, "data_offsets": [begin, end]}


TWO = {"a": tensor(0, 8), "b": tensor(8, 16)}
SAFETENSORS = {
    "overlapping": tensors({"a": tensor(0, 8), "b": tensor(4, 12)}, bytes(12)),
    "the same bytes twice": tensors({"a": tensor(0, 8), "b": tensor(0, 8)}, bytes(8)),
    "beyond the end": tensors({"a": tensor(0, 400)}, bytes(8)),
    "negative": tensors({"a": tensor(-8, 0)}, bytes(8)),
    "backwards": tensors({"a": {**tensor(0, 8), "data_offsets": [8, 0]}}, bytes(8)),
    "a negative shape": tensors({"a": tensor(0, 8, shape=[-1, -2])}, bytes(8)),
    "a shape beyond 2^64": tensors({"a": tensor(0, 8, shape=[2**33, 2**33])}, bytes(8)),
    "a shape of other size": tensors({"a": tensor(0, 8, shape=[3])}, bytes(8)),
    "a fractional shape": tensors({"a": tensor(0, 8, shape=[2.0])}, bytes(8)),
    "a boolean shape": tensors({"a": tensor(0, 4, shape=[True])}, bytes(4)),
    "a huge header length": tensors(TWO, bytes(16), length=2**63),
    "a header longer than the file": tensors(TWO, bytes(16), length=5000),
    "a header of no length": tensors(b"", bytes(16), length=0),
    "duplicate names": tensors(
        b'{"a":%b,"a":%b}' % tuple(json.dumps(TWO[n]).encode() for n in "ab"), bytes(16)
    ),
    "trailing bytes": tensors(TWO, bytes(17)),
    "a gap": tensors({"a": tensor(0, 8), "b": tensor(12, 20)}, bytes(20)),
    "hidden before": tensors({"a": tensor(8, 16)}, bytes(16)),
    "an unknown type": tensors({"a": tensor(0, 8, dtype="OBJECT")}, bytes(8)),
    "a type that is no text": tensors({"a": {**tensor(0, 8), "dtype": ["F32"]}}, bytes(8)),
    "more keys": tensors({"a": {**tensor(0, 8), "file": "/etc/passwd"}}, bytes(8)),
    "deep": tensors(b"[" * 100_000 + b"]" * 100_000),
    "NaN": tensors(b'{"a": NaN}'),
    "a list": tensors(b"[]"),
    "not UTF-8": tensors(b'{"\xff": 1}'),
    "metadata that are no texts": tensors({"__metadata__": {"a": {}}, **TWO}, bytes(16)),
    "cut": tensors(TWO, bytes(16))[:-1],
    "empty": b"",
    "seven bytes": b"\x02\0\0\0\0\0\0",
}


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        safetensors_file.check(path)
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("name", SAFETENSORS)
def test_no_ill_formed_safetensors(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path / "model.safetensors", SAFETENSORS[name]) == "serving.bad_weights"


def test_no_pickle_or_zip_by_that_name(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for data in (pickled(canary), zipped(canary), b"PK\x05\x06" + bytes(18), b"\x80\x04."):
        assert refused(tmp_path / "model.safetensors", data) == "serving.bad_weights"
    assert not canary.exists()


def test_a_well_formed_one_is_accepted_and_cut_at_each_byte_is_not(tmp_path: Path) -> None:
    path, good = tmp_path / "model.safetensors", tensors({"__metadata__": {"a": "b"}, **TWO}, bytes(16))
    path.write_bytes(good)
    safetensors_file.check(path)
    for length in range(len(good)):
        assert refused(path, good[:length]) == "serving.bad_weights"


def test_no_safetensors_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(tensors(TWO, bytes(16)))
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "real")
    with pytest.raises(IntegrityError):
        safetensors_file.check(tmp_path / "model.safetensors")


def test_tensors_of_another_network_are_refused_with_a_code(tmp_path: Path) -> None:
    from models.digits import network  # torch, which takes its time

    path = tmp_path / "model.safetensors"
    for header, size in [(TWO, 16), ({}, 0), ({"first.weight": tensor(0, 4, shape=[])}, 4)]:
        path.write_bytes(tensors(header, bytes(size)))
        safetensors_file.check(path)
        with pytest.raises(IntegrityError) as caught:
            TorchModel(network, path)
        assert caught.value.code == "serving.bad_model"


# ONNX


def external(location: str) -> TensorProto:
    value = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, text in (("location", location), ("offset", "0"), ("length", "16")):
        value.external_data.add(key=key, value=text)
    return value


def model(*nodes: onnx.NodeProto, weights: TensorProto | None = None, **more: Any) -> onnx.ModelProto:
    """y = x + w, or other nodes."""
    given = weights or numpy_helper.from_array(np.zeros(4, dtype=np.float32), "w")
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("Add", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [given],
    )
    opsets = [helper.make_opsetid("", 17), *more.pop("opsets", [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **more)


def constant(value: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["y"], value=value)


def in_a_branch(value: TensorProto) -> onnx.ModelProto:
    """The tensor stands in a graph that stands in an attribute of a node."""
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])]
    branch = helper.make_graph([constant(value)], "branch", [], out)
    return model(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def nested(depth: int) -> onnx.ModelProto:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    for _ in range(depth):
        graph = helper.make_graph([node], "g", [], [])
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph)
    return model(node)


def with_function() -> onnx.ModelProto:
    function = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    return model(functions=[function])


def with_training() -> onnx.ModelProto:
    made = model()
    made.training_info.add()
    return made


def sparse() -> onnx.ModelProto:
    made = model()
    made.graph.sparse_initializer.add(values=external("w.bin"))
    return made


MODELS: dict[str, onnx.ModelProto] = {
    **{
        f"data in {place}": model(weights=external(place))
        for place in ("w.bin", "/etc/passwd", "../w.bin", "", "*/_ORT_MEM_ADDR_/*", "file:///etc/passwd")
    },
    "data elsewhere in a constant": model(constant(external("w.bin"))),
    "data elsewhere in a branch": in_a_branch(external("w.bin")),
    "data elsewhere in a sparse tensor": sparse(),
    "an operator of its own": model(helper.make_node("Run", ["x"], ["y"], domain="own")),
    "an operator of Microsoft's": model(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")),
    "operators of its own declared": model(opsets=[helper.make_opsetid("own", 1)]),
    "a function of its own": with_function(),
    "a training graph": with_training(),
    "too deep": nested(12),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_model_that_does_more_than_compute(name: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        onnx_file.check(MODELS[name].SerializeToString())
    assert caught.value.code == "serving.bad_model" and caught.value.remedy


def test_ordinary_models_are_accepted() -> None:
    for good in (serving.linear_onnx(), model().SerializeToString(), nested(5).SerializeToString()):
        onnx_file.check(good)
    kept = numpy_helper.from_array(np.zeros(4, dtype=np.float32), "w")
    onnx_file.check(in_a_branch(kept).SerializeToString())


def test_a_model_cut_at_each_byte_is_refused_and_nothing_else_is_raised() -> None:
    good = model().SerializeToString()
    for length in range(len(good)):
        with pytest.raises(IntegrityError):
            OnnxModel(good[:length])(np.zeros(4, dtype=np.float32))


HUGE = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**40], raw_data=bytes(16))
NEGATIVE = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4], raw_data=bytes(16))
SHORT = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], raw_data=bytes(15))
UNTYPED = TensorProto(name="w", data_type=99, dims=[4], raw_data=bytes(16))


@pytest.mark.parametrize(
    "weights", [HUGE, NEGATIVE, SHORT, UNTYPED], ids=["huge", "negative", "short", "untyped"]
)
def test_initialisers_that_are_not_what_they_say(weights: TensorProto) -> None:
    with pytest.raises(IntegrityError) as caught:
        OnnxModel(model(weights=weights).SerializeToString())
    assert caught.value.code == "serving.bad_model"


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_tensorrt_never_means_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with an ONNX Runtime that has no TensorRT, nor with one that has it and cannot load it: it
    goes on with the CPU and says so in its log alone."""
    good = model().SerializeToString()
    with pytest.raises(Unavailable) as caught:
        TensorrtModel(good)
    assert caught.value.code == "serving.needs_gpu" and "CPUExecutionProvider" in caught.value.message
    offered = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    with pytest.raises(Unavailable) as caught:
        TensorrtModel(good)
    assert caught.value.code == "serving.needs_gpu" and "could load CPUExec" in caught.value.message


# The real start


def starts(tmp_path: Path, **files: bytes) -> str:
    """The code with which a service of a release with these files ends."""
    bundle = serving.make_bundle(
        tmp_path / "bundle", {name.replace("__", "."): data for name, data in files.items()}
    )
    server = serving.start(bundle, tmp_path / "run")
    try:
        assert server.process.wait(60) == 1, server.stderr()
    finally:
        serving.stop(server)
    last = server.stderr().strip().splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in server.stderr(), server.stderr()
    return last.rsplit("[", 1)[1].rstrip("]")


def test_a_service_does_not_start_on_a_pickle_called_safetensors(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    assert starts(tmp_path / "1", model__safetensors=zipped(canary)) == "serving.bad_weights"
    assert starts(tmp_path / "2", model__onnx=pickled(canary)) == "serving.bad_model"
    assert not canary.exists()


def test_a_service_opens_no_file_that_a_model_names(tmp_path: Path) -> None:
    """A pipe shows who opens it: a writer may open it only while someone has it open for reading."""
    pipe = tmp_path / "w.bin"
    os.mkfifo(pipe)
    hostile = model(weights=external(str(pipe))).SerializeToString()
    assert starts(tmp_path / "run", model__onnx=hostile) == "serving.bad_model"
    with pytest.raises(OSError, match="No such device"):
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


def test_a_model_that_asks_for_more_memory_than_there_is_does_not_start(tmp_path: Path) -> None:
    """64 GiB of zeros, made by two small nodes: without a wall the machine would be searched for them."""
    shape = numpy_helper.from_array(np.array([2**34], dtype=np.int64), "shape")
    made = model(
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=1),
        helper.make_node("Add", ["x", "sum"], ["y"]),
        weights=shape,
    )
    assert starts(tmp_path, model__onnx=made.SerializeToString()) == "serving.bad_model"
