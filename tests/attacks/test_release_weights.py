"""A model's folder whose training leaves what no service may load: nothing is stored, no code is run."""

from __future__ import annotations

import io
import pickle
import shutil
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lockstep import paths
from lockstep.errors import IntegrityError
from lockstep.release.build import MODEL_FILES, build
from tests.support import releases

DIGITS = paths.here().root / "models" / "digits"
TRAIN = """
    from pathlib import Path
    HERE = Path(__file__).parent
    class Trained:
        parameters = {"libraries": {}}
        def safetensors(self): return (HERE / "weights").read_bytes()
        def onnx(self): return (HERE / "onnx").read_bytes()
    def train(variant, progress): return Trained()
"""
REST = {
    "train.py": TRAIN,
    "bad.py": "VARIANTS = ()\ndef preprocess_source(variant, source): return source\n",
    "dataset.py": "def manifest(): return {'images': []}\n",
    "evaluate.py": "def evaluate(model): raise AssertionError('asked about what was refused')\n",
    "card.md": "{variant}\n",
}
EMPTY = b"\x02\0\0\0\0\0\0\0{}"
"""A safetensors file without a tensor."""


class Canary:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.mkdir, (self.path,)


def zipped(data: bytes) -> bytes:
    """As torch.save writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", data)
    return buffer.getvalue()


def network(outside: Path | None = None) -> bytes:
    """An ONNX model of one constant; `outside`: the file that it says its data are in."""
    tensor = numpy_helper.from_array(np.ones(4, "float32"), "ones")
    if outside is not None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=str(outside))
    out = helper.make_tensor_value_info("ones", TensorProto.FLOAT, [4])
    made: bytes = helper.make_model(
        helper.make_graph([], "constant", [], [out], initializer=[tensor])
    ).SerializeToString()
    return made


HOSTILE: dict[str, Callable[[Path], tuple[bytes, bytes]]] = {
    "pickle": lambda canary: (pickle.dumps(Canary(canary)), network()),
    "zip": lambda canary: (zipped(pickle.dumps(Canary(canary))), network()),
    "a huge header": lambda _: ((2**62).to_bytes(8, "little") + b"{}", network()),
    "bytes behind the tensors": lambda _: (EMPTY + b"more", network()),
    "data in another file": lambda canary: (EMPTY, network(canary)),
    "a pickle as ONNX": lambda canary: (EMPTY, pickle.dumps(Canary(canary))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_service_may_load_becomes_no_release(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary, folder = tmp_path / "canary", tmp_path / "models" / f"evil{list(HOSTILE).index(name)}"
    folder.mkdir(parents=True)
    for title in MODEL_FILES:
        shutil.copy2(DIGITS / title, folder / title)
    for title, text in REST.items():
        (folder / title).write_text(textwrap.dedent(text))
    model = f"name: {folder.name}\nlabels: []\nvariants: [plain]\nruntimes: {{}}\ncard: card.md\n"
    (folder / "model.yaml").write_text(model)
    (folder / "weights").write_bytes(HOSTILE[name](canary)[0])
    (folder / "onnx").write_bytes(HOSTILE[name](canary)[1])
    monkeypatch.syspath_prepend(tmp_path)
    store = releases.store_in(tmp_path)
    with pytest.raises(IntegrityError) as caught:
        build(folder, "plain", store, releases.local_keys(tmp_path).signer("builder"), now=releases.NOW)
    assert caught.value.code in ("serving.bad_weights", "serving.bad_model")
    assert store.list() == []
    assert not canary.exists()


def test_the_models_that_are_made_hostile_here_are_good_ones() -> None:
    onnx.checker.check_model(onnx.load_from_string(network()))
