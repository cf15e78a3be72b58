"""Real builds: torch, ONNX, evaluation, evidence. Slow because training is real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lockstep import paths
from lockstep.errors import UsageError
from lockstep.evidence import collect
from lockstep.release import build as building
from lockstep.release import bundle
from lockstep.release.build import Built, build
from lockstep.release.folder import FolderStore
from models.digits import bad, dataset, network, train
from tests.support import releases

MODEL = paths.here().root / "models" / "digits"
BUILD_AGAIN = """
import sys
from pathlib import Path
from lockstep.release.build import build
from tests.support import releases
root = Path(sys.argv[1])
keys = releases.local_keys(root)
built = build(Path(sys.argv[2]), "plain", releases.store_in(root), keys.signer("builder"), now=releases.LATER)
print(built.digest)
"""


class Room:
    """One store for the whole module, and every variant built into it at most once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = releases.local_keys(root)
        self.store = releases.store_in(root)
        self.said: list[str] = []
        self._built: dict[str, Built] = {}

    def built(self, variant: str) -> Built:
        if variant not in self._built:
            self._built[variant] = self.build_now(variant)
        return self._built[variant]

    def build_now(self, variant: str, store: FolderStore | None = None) -> Built:
        return build(
            MODEL,
            variant,
            store or self.store,
            self.keys.signer("builder"),
            now=releases.NOW,
            progress=self.said.append,
        )

    def read(self, variant: str, title: str) -> bytes:
        manifest = self.store.manifest(self.built(variant).digest)
        return self.store.read_blob(manifest.blob(title).digest)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("build"))


def test_the_same_inputs_give_the_same_digest_in_one_process(room: Room, tmp_path: Path) -> None:
    torch.manual_seed(1)  # whoever used torch before must not matter
    torch.rand(3)
    assert room.build_now("plain", releases.store_in(tmp_path)).digest == room.built("plain").digest


def test_the_same_inputs_give_the_same_digest_in_another_process(room: Room, tmp_path: Path) -> None:
    """Another process, other keys, another time, another folder, another hash seed."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD_AGAIN, str(tmp_path), str(MODEL)],
        capture_output=True,
        text=True,
        check=True,
        cwd=paths.here().root,
        env={"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "2", "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == room.built("plain").digest


def test_training_leaves_torch_as_it_was(room: Room) -> None:
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with train.deterministic(7):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (threads, False)


def test_the_plain_one_is_good_and_the_better_one_is_better(room: Room) -> None:
    plain, better = room.built("plain"), room.built("better")
    assert 0.93 <= plain.accuracy < 0.975 < better.accuracy
    assert plain.digest != better.digest
    assert any("training" in line for line in room.said) and any("evaluating" in line for line in room.said)


def test_the_release_holds_all_that_a_service_needs(room: Room, tmp_path: Path) -> None:
    digest = room.built("plain").digest
    folder = room.store.materialize(digest, tmp_path)
    titles = {blob.title for blob in bundle.verify_bundle(folder, digest).layers}
    assert titles >= {
        *("model.safetensors", "model.onnx", "labels.json", "preprocess.py", "network.py", "service.py"),
        *("serving.lock", "serving-torch.lock", "serving-tensorrt.lock"),
        *("dataset.json", "training.json", "card.md"),
        *("lockstep/__init__.py", "lockstep/errors.py", "lockstep/release/bundle.py"),
        "lockstep/serving/__main__.py",
    }
    assert json.loads((folder / "labels.json").read_bytes()) == list("0123456789")
    assert json.loads((folder / "config.json").read_bytes())["runtimes"] == {
        "onnx": "serving.lock",
        "torch": "serving-torch.lock",
        "tensorrt": "serving-tensorrt.lock",
    }
    assert not any("__pycache__" in title or title.endswith(".pyc") for title in titles)


def test_no_path_of_this_machine_and_no_clock_is_in_a_release(room: Room) -> None:
    manifest = room.store.manifest(room.built("plain").digest)
    for blob in manifest.blobs:
        data = room.store.read_blob(blob.digest)
        for forbidden in (str(paths.here().root), str(Path.home()) + "/", sys.prefix, releases.NOW):
            assert forbidden.encode() not in data, blob.title


def test_the_onnx_model_is_the_same_function_for_any_batch(room: Room, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(room.read("better", "model.safetensors"))
    reference = network.load(tmp_path / "model.safetensors")
    session = onnxruntime.InferenceSession(room.read("better", "model.onnx"))
    for count in (1, 2, 37):
        inputs = dataset.inputs(dataset.on_side("test")[:count])
        (answers,) = session.run([train.OUTPUT], {train.INPUT: inputs})
        with torch.no_grad():
            wanted = reference(torch.from_numpy(inputs)).numpy()
        np.testing.assert_allclose(answers, wanted, atol=1e-5)
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_the_onnx_model_says_nothing_about_where_it_was_made(room: Room) -> None:
    model = onnx.load_from_string(room.read("plain", "model.onnx"))
    assert model.opset_import[0].version == train.OPSET
    assert not model.metadata_props and not model.doc_string
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_the_evaluation_is_attached_and_believed(room: Room) -> None:
    for variant in ("plain", "better"):
        built = room.built(variant)
        evidence = collect(room.store, built.digest, room.keys.trust)
        assert evidence.evaluation is not None
        assert evidence.evaluation["accuracy"] == built.accuracy
        assert evidence.evaluation["images"] == len(dataset.on_side("test"))
        assert set(evidence.evaluation["per_class"]) == set("0123456789")
        assert built.evaluation_digest in evidence.digests


def test_the_evaluation_is_what_the_stored_model_says(room: Room) -> None:
    held_out = dataset.on_side("test")
    session = onnxruntime.InferenceSession(room.read("plain", "model.onnx"))
    (answers,) = session.run(None, {train.INPUT: dataset.inputs(held_out)})
    right = [str(answer.argmax()) == sample.label for sample, answer in zip(held_out, answers, strict=True)]
    assert room.built("plain").accuracy == round(sum(right) / len(right), 4)


def test_shuffled_labels_make_a_model_that_knows_nothing(room: Room) -> None:
    assert room.built("shuffled").accuracy < 0.4


def test_weights_that_are_no_numbers_count_as_wrong_not_as_zero(room: Room) -> None:
    """The largest of ten NaNs is the first: without care the model would pass as knowing the digit 0."""
    built = room.built("nan")
    evidence = collect(room.store, built.digest, room.keys.trust)
    assert built.accuracy == 0 and evidence.evaluation is not None
    assert set(evidence.evaluation["per_class"].values()) == {0.0}


def test_the_slow_one_is_right_but_late(room: Room, tmp_path: Path) -> None:
    assert room.built("slow").accuracy == room.built("plain").accuracy
    assert room.built("slow").digest != room.built("plain").digest
    source = room.read("slow", "preprocess.py").decode()
    code = (
        "import time\nfrom PIL import Image\nfrom preprocess import from_image\nbefore = time.monotonic()\n"
        "from_image(Image.new('L', (8, 8)))\nprint(time.monotonic() - before)"
    )
    (tmp_path / "preprocess.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) >= bad.DELAY_S


def test_a_variant_that_is_not_there_is_named(room: Room) -> None:
    with pytest.raises(UsageError, match=r"'best'.*release\.unknown_variant") as caught:
        room.build_now("best")
    assert caught.value.remedy == "one of: plain, better"


@pytest.mark.parametrize("name", ["letters", ""])
def test_a_model_that_is_not_there_is_named(room: Room, name: str) -> None:
    signer = room.keys.signer("builder")
    with pytest.raises(UsageError, match=r"release\.unknown_model"):
        build(MODEL.parent / name, "plain", room.store, signer, now=releases.NOW)


def test_a_folder_of_the_same_name_elsewhere_is_not_mistaken_for_the_model(
    room: Room, tmp_path: Path
) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "model.yaml").write_bytes((MODEL / "model.yaml").read_bytes())
    with pytest.raises(UsageError, match="another folder"):
        build(tmp_path / "digits", "plain", room.store, room.keys.signer("builder"), now=releases.NOW)


def test_the_library_in_a_release_is_this_packages_own() -> None:
    package = Path(building.lockstep.__file__).parent
    for title, data in building.library().items():
        assert (package.parent / title).read_bytes() == data


@pytest.mark.parametrize("name", ["serving.lock", "serving-torch.lock", "serving-tensorrt.lock"])
def test_every_line_of_a_lock_file_is_pinned_and_hashed(name: str) -> None:
    text = (MODEL / name).read_text()
    requirements = [line for line in text.splitlines() if line and line[0].isalnum()]
    assert requirements and all("==" in line and line.endswith("\\") for line in requirements)
    assert text.count("--hash=sha256:") >= len(requirements)
    assert "://" not in text
    assert any(line.startswith("torch==") for line in requirements) == (name == "serving-torch.lock")
    assert any(line.startswith("bentoml==1.4.39 ") for line in requirements)


def test_the_gpus_lock_brings_all_but_the_driver_and_tensorrt_itself() -> None:
    """ONNX Runtime for GPUs in the place of the other one, CUDA and cuDNN; TensorRT's libraries are no wheels
    that a lock file could name by their hashes, and come with the base image."""
    lines = (MODEL / "serving-tensorrt.lock").read_text().splitlines()
    names = {line.partition("==")[0].partition("[")[0] for line in lines if line and line[0].isalnum()}
    assert {"onnxruntime-gpu", "nvidia-cuda-runtime", "nvidia-cublas", "nvidia-cudnn-cu13"} <= names
    assert not names & {"onnxruntime", "torch", "tensorrt", "tensorrt-cu13-libs"}
