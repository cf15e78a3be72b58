"""A release's weights as a function from a batch to probabilities. One class a runtime.

No weights are unpickled: ONNX is protobuf, safetensors is a table of numbers, and both are checked by
code of our own before a library reads them. torch is imported
only when asked for, because it costs several hundred MB.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lockstep.errors import IntegrityError, UsageError
from lockstep.serving import gpu, onnx_file

Floats = NDArray[np.float32]

RUNTIMES = ("onnx", "torch", "tensorrt")

THREADS = 1
"""Threads in one run of a model: several services share a machine."""


class Model(Protocol):
    def __call__(self, batch: Floats) -> Floats:
        """Probabilities float32 [N, classes] for float32 [N, *shape]. Safe to call from several threads."""


def _bad_model(what: str, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"{what}: {(str(error) or type(error).__name__).splitlines()[0]}",
        code="serving.bad_model",
        remedy="build the release again",
    )


def _errors_of(states: ModuleType) -> tuple[type[Exception], ...]:
    """All that ONNX Runtime raises: one class for each of its status codes, with no common base."""
    raised = [one for one in vars(states).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*raised, MemoryError, ValueError)


class OnnxModel:
    providers: tuple[str, ...] = ("CPUExecutionProvider",)

    def __init__(self, onnx: bytes) -> None:
        """Raises IntegrityError `serving.bad_model` for bytes that are no model, or not one that only
        computes; so does a call that the model fails.
        """
        import onnxruntime

        onnx_file.check(onnx)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._errors = _errors_of(onnxruntime.capi.onnxruntime_pybind11_state)
        try:
            self._session = onnxruntime.InferenceSession(
                onnx, sess_options=options, providers=list(self.providers)
            )
        except self._errors as error:
            raise _bad_model("ONNX Runtime cannot load model.onnx", error) from None
        if not self._session.get_inputs() or not self._session.get_outputs():
            raise _bad_model("model.onnx cannot be asked", ValueError("it has no input, or no output"))
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def __call__(self, batch: Floats) -> Floats:
        try:
            answer: Floats = self._session.run([self._output], {self._input: batch})[0]
        except self._errors as error:
            raise _bad_model("ONNX Runtime cannot run model.onnx", error) from None
        return answer


class TensorrtModel(OnnxModel):
    """The same ONNX file by ONNX Runtime's TensorRT; CUDA takes the operators that TensorRT lacks."""

    providers = ("TensorrtExecutionProvider", "CUDAExecutionProvider")

    def __init__(self, onnx: bytes) -> None:
        """Raises Unavailable `serving.needs_gpu` where TensorRT or CUDA do not load: ONNX Runtime would go on
        with the CPU, tens of times slower, and say so in its log alone."""
        import onnxruntime

        offered = onnxruntime.get_available_providers()
        if not set(self.providers) <= set(offered):
            raise gpu.missing(f"ONNX Runtime offers {', '.join(offered)}")
        onnxruntime.preload_dlls()  # CUDA and cuDNN out of the environment that the lock file describes
        super().__init__(onnx)
        taken = self._session.get_providers()
        if not set(self.providers) <= set(taken):
            raise gpu.missing(f"ONNX Runtime could load {', '.join(taken)}")


class TorchModel:
    def __init__(self, network: ModuleType, weights: Path) -> None:
        """network: the release's network.py; its `load` takes exactly the tensors of model.safetensors,
        which `safetensors_file.check` has passed.

        Raises IntegrityError `serving.bad_model` where they are another network's.
        """
        import safetensors
        import torch

        torch.set_num_threads(THREADS)
        self._torch = torch
        try:
            self._network = network.load(weights)
        except (KeyError, IndexError, RuntimeError, safetensors.SafetensorError, MemoryError) as error:
            raise _bad_model("network.py cannot take the tensors of model.safetensors", error) from None

    def __call__(self, batch: Floats) -> Floats:
        with self._torch.inference_mode():
            answer: Floats = self._network(self._torch.from_numpy(batch)).numpy()
        return answer


def check_runtime(runtime: str) -> None:
    """Refuse, before anything is loaded, what cannot run here.

    Raises Unavailable `serving.needs_gpu`, UsageError `serving.unknown_runtime`.
    """
    if runtime not in RUNTIMES:
        raise UsageError(
            f"unknown runtime {runtime!r}",
            code="serving.unknown_runtime",
            remedy=f"one of: {', '.join(RUNTIMES)}",
        )
    if runtime == "tensorrt":
        gpu.require()
