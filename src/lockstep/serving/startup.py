"""From a folder and a digest to a warm predictor, or to the reason why not.

(0) the runtime can run here;
(1) the folder is exactly the release that the digest names;
(2) this code is the release's own, not another copy on the path;
(3) the environment was made from exactly the release's lock file for the runtime;
(4) preprocessing, labels and weights load;
(5) the model answers a warm-up with finite numbers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

from PIL import Image

import lockstep
from lockstep.errors import IntegrityError, UsageError
from lockstep.release.bundle import verify_bundle
from lockstep.serving import safetensors_file
from lockstep.serving.identity import Identity
from lockstep.serving.metrics import Metrics
from lockstep.serving.predictor import Predictor, warm_up
from lockstep.serving.runtimes import Model, OnnxModel, TensorrtModel, TorchModel, check_runtime

ENVIRONMENT_MARKER = "lockstep-lock.json"


def check_code(bundle: Path) -> None:
    """(2) Raises IntegrityError `serving.wrong_code`."""
    here = Path(str(lockstep.__file__)).resolve()
    if not here.is_relative_to(bundle.resolve()):
        raise IntegrityError(
            "this serving code does not come from the release",
            code="serving.wrong_code",
            remedy="start with PYTHONPATH set to the bundle and nothing else",
        )


def check_environment(lock: bytes, prefix: Path) -> None:
    """(3) Raises IntegrityError `serving.wrong_environment`.

    lock: the bytes of the lock file; prefix: the environment, which says in its marker what it was made from.
    """
    wanted = "sha256:" + hashlib.sha256(lock).hexdigest()
    try:
        marker = json.loads((prefix / ENVIRONMENT_MARKER).read_bytes())
    except (OSError, ValueError):
        marker = None
    found = marker.get("digest") if isinstance(marker, dict) else None
    if found != wanted:
        raise IntegrityError(
            f"this environment was made from lock {found or 'unknown'}, the release names {wanted}",
            code="serving.wrong_environment",
            remedy="let `./lockstep up` make the environment of this release",
        )


def lock_of(bundle: Path, runtime: str) -> bytes:
    """The lock file that the release names for a runtime. Raises UsageError `serving.no_lock`."""
    runtimes = json.loads((bundle / "config.json").read_bytes()).get("runtimes", {})
    if runtime not in runtimes:
        raise UsageError(
            f"the release names no lock file for the runtime {runtime!r}",
            code="serving.no_lock",
            remedy=f"one of: {', '.join(sorted(runtimes))}",
        )
    return (bundle / str(runtimes[runtime])).read_bytes()


def load_module(bundle: Path, name: str) -> ModuleType:
    """A module of the release, by path: a package of the same name elsewhere cannot take its place."""
    spec = importlib.util.spec_from_file_location(name, bundle / f"{name}.py")
    if spec is None or spec.loader is None:
        raise IntegrityError(
            f"the release has no {name}.py", code="serving.bad_release", remedy="build the release again"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def verify(bundle: Path, release: str, runtime: str) -> None:
    """Steps (0) to (3). Loads nothing of the release but the code that checks it."""
    check_runtime(runtime)
    verify_bundle(bundle, release)
    check_code(bundle)
    check_environment(lock_of(bundle, runtime), Path(sys.prefix))


def load(bundle: Path, identity: Identity, runtime: str) -> Predictor:
    """Steps (4) and (5): the warm predictor. Only after `verify`."""
    preprocess = load_module(bundle, "preprocess")
    predictor = Predictor(
        identity=identity,
        labels=tuple(json.loads((bundle / "labels.json").read_bytes())),
        shape=preprocess.from_image(Image.new("L", (1, 1))).shape,
        from_image=preprocess.from_image,
        from_rows=preprocess.from_rows,
        model=_model(bundle, runtime),
        metrics=Metrics(identity),
    )
    warm_up(predictor)
    return predictor


def _model(bundle: Path, runtime: str) -> Model:
    weights = bundle / "model.safetensors"
    if weights.exists():
        safetensors_file.check(weights)  # whatever runs: a release with such a file is not what it says
    if runtime == "torch":
        return TorchModel(load_module(bundle, "network"), weights)
    onnx = (bundle / "model.onnx").read_bytes()
    return TensorrtModel(onnx) if runtime == "tensorrt" else OnnxModel(onnx)
