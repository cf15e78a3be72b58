"""From a model's folder to a release in a store with its signed evaluation.

    (1) train the variant; (2) gather the files: weights, ONNX, preprocessing, service, lock files, dataset
    manifest, training parameters, and the serving library, so that a service runs only code of its release,
    and refuse weights that no service would load; (3) write the manifest and put it all into the store;
    (4) read the stored model back and evaluate it on the held-out images; (5) attach the result, signed.

Equal inputs give an equal digest: no clock, no machine path, no name of a person goes into the release.
A model's folder is a package `models.<name>` with train.py, evaluate.py, dataset.py and bad.py; they import
torch, so they are loaded here and only when something is built.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

import lockstep
from lockstep import canonical
from lockstep.errors import UsageError
from lockstep.evidence import evaluation
from lockstep.evidence.signer import Signer
from lockstep.release import manifest
from lockstep.release.store import Store
from lockstep.serving import onnx_file, safetensors_file

Progress = Callable[[str], None]
LOCKS = ("serving.lock", "serving-torch.lock", "serving-tensorrt.lock")
MODEL_FILES = ("preprocess.py", "network.py", "service.py", *LOCKS)
LIBRARY = ("__init__.py", "canonical.py", "errors.py", "release/__init__.py", "release/bundle.py")


@dataclass(frozen=True)
class Built:
    """digest: the release; evaluation_digest: the referrer with its signed evaluation; accuracy: 0 to 1."""

    digest: str
    evaluation_digest: str
    accuracy: float


def build(
    model_dir: Path,
    variant: str,
    store: Store,
    signer: Signer,
    *,
    now: str,
    progress: Progress = lambda _: None,
) -> Built:
    """Build a variant of a model, store it, evaluate it and attach the evaluation, signed by `signer`.

    now: RFC 3339, when the release is first listed as created and what the evaluation is dated; neither is
    in the release. Raises UsageError `release.unknown_model` and `release.unknown_variant`, IntegrityError
    `serving.bad_weights` and `serving.bad_model`.
    """
    description = describe(model_dir)
    train, bad = _module(model_dir, "train"), _module(model_dir, "bad")
    name = description["name"]
    if variant not in (*description["variants"], *bad.VARIANTS):
        raise UsageError(
            f"model {name} has no variant {variant!r}",
            code="release.unknown_variant",
            remedy=f"one of: {', '.join(description['variants'])}",
        )
    progress(f"training {name} {variant}")
    trained = (bad.train_bad if variant in bad.VARIANTS else train.train)(variant, progress)  # (1)
    files = _files(model_dir, description, variant, trained)  # (2)
    _refuse_unloadable(files)
    config = _config(description, variant)
    data = manifest.release(name, f"{name}-{variant}", config, files)
    progress(f"storing {name} {variant}")
    blobs: dict[str, bytes | Path] = {canonical.digest(blob): blob for blob in (config, *files.values())}
    digest = store.put(data, blobs, created=now)  # (3)
    progress(f"evaluating {name} {variant} on held-out images")
    parsed = store.manifest(digest)
    stored = store.read_blob(parsed.blob("model.onnx").digest)
    result = _module(model_dir, "evaluate").evaluate(stored)  # (4)
    metrics = evaluation.Metrics(result.accuracy, result.per_class, result.images)
    dataset = parsed.blob("dataset.json").digest
    evidence = evaluation.attach(store, digest, metrics, dataset=dataset, signer=signer, time=now)  # (5)
    return Built(digest, evidence, result.accuracy)


def describe(model_dir: Path) -> dict[str, Any]:
    """What model.yaml says. Raises UsageError `release.unknown_model` where the folder is no model's."""
    try:
        value = yaml.safe_load((model_dir / "model.yaml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, yaml.YAMLError):
        value = None
    needed = {"name", "labels", "variants", "runtimes", "card"}
    if not isinstance(value, dict) or not needed <= set(value) or value["name"] != model_dir.name:
        raise UsageError(
            f"there is no model {model_dir.name!r}: its folder has no usable model.yaml",
            code="release.unknown_model",
            remedy="name a folder of models/, for example digits",
        )
    return value


def _module(model_dir: Path, name: str) -> ModuleType:
    """A module of the model's folder, and not one of the same name from elsewhere."""
    module = importlib.import_module(f"models.{model_dir.name}.{name}")
    origin = module.__file__
    if origin is None or Path(origin).resolve().parent != model_dir.resolve():
        raise UsageError(
            f"models.{model_dir.name} is imported from another folder than {model_dir}",
            code="release.unknown_model",
            remedy="build in the checkout that this lockstep is installed from",
        )
    return module


def _config(description: dict[str, Any], variant: str) -> bytes:
    name = description["name"]
    return canonical.canonical(
        {
            "model": name,
            "name": f"{name}-{variant}",
            "created": None,
            "runtimes": description["runtimes"],
        }
    )


def _files(model_dir: Path, description: dict[str, Any], variant: str, trained: Any) -> dict[str, bytes]:
    bad, images = _module(model_dir, "bad"), _module(model_dir, "dataset").manifest()
    files = {title: (model_dir / title).read_bytes() for title in MODEL_FILES}
    files["preprocess.py"] = bad.preprocess_source(variant, files["preprocess.py"])
    files |= library()
    files["model.safetensors"] = trained.safetensors()
    files["model.onnx"] = trained.onnx()
    files["labels.json"] = canonical.canonical(description["labels"])
    files["dataset.json"] = canonical.canonical(images)
    files["training.json"] = canonical.canonical(trained.parameters)
    sides = [image["split"] for image in images["images"]]
    libraries = trained.parameters["libraries"]
    card = (model_dir / description["card"]).read_text(encoding="utf-8")
    files["card.md"] = card.format(
        variant=variant,
        train_images=sides.count("train"),
        test_images=sides.count("test"),
        libraries=", ".join(f"{library} {libraries[library]}" for library in sorted(libraries)),
    ).encode("utf-8")
    return files


def _refuse_unloadable(files: dict[str, bytes]) -> None:
    """What a service would refuse when it starts is no release: not pickle, not zip, nothing beside the file.

    Read as bytes, before anything else opens it. Raises IntegrityError.
    """
    safetensors_file.check_open(io.BytesIO(files["model.safetensors"]), "model.safetensors")
    onnx_file.check(files["model.onnx"])


def library() -> dict[str, bytes]:
    """The part of this package that serving needs, by title: it travels in the release."""
    root = Path(lockstep.__file__).parent
    serving = (root / "serving").rglob("*.py")
    names = [*LIBRARY, *(str(path.relative_to(root)) for path in serving)]
    return {f"lockstep/{name}": (root / name).read_bytes() for name in sorted(names)}
