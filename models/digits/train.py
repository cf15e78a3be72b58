"""Training, the same every time: fixed seeds, one thread, deterministic algorithms, no clock.

Two variants come out of it: `plain`, a small net that sees the images a few times, and `better`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import safetensors.torch
import sklearn
import torch
from torch import Tensor

from models.digits import dataset
from models.digits.network import CLASSES, DigitsNetwork

OPSET = 17
INPUT, OUTPUT = "image", "probabilities"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, apart from the images and the libraries."""

    channels: tuple[int, int]
    hidden: int
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    seed: int


RECIPES = {
    "plain": Recipe((8, 16), 32, 5, 32, 0.004, 0.0, seed=7),
    "better": Recipe((32, 64), 128, 20, 32, 0.002, 0.0005, seed=7),
}


@dataclass(frozen=True)
class TrainedModel:
    """What training leaves. parameters: plain JSON, everything that the weights depend on."""

    network: DigitsNetwork
    parameters: dict[str, Any]

    def safetensors(self) -> bytes:
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        return safetensors.torch.save(tensors)

    def onnx(self) -> bytes:
        """The network as ONNX: `image` [batch, 1, 8, 8] -> `probabilities` [batch, 10]; equal every time."""
        return export(self.network)


@contextlib.contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Run torch so that equal inputs give equal bytes; what it was set to before comes back after."""
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.set_num_threads(threads)


def train(variant: str, progress: Callable[[str], None] = lambda _: None) -> TrainedModel:
    """Train a variant of RECIPES on the training side of the split; seconds on one CPU core.

    Raises KeyError for a variant that has no recipe.
    """
    recipe = RECIPES[variant]
    chosen = dataset.on_side("train")
    return fit(variant, recipe, dataset.inputs(chosen), [int(sample.label) for sample in chosen], progress)


def fit(
    variant: str,
    recipe: Recipe,
    images: np.ndarray[Any, np.dtype[np.float32]],
    labels: Sequence[int],
    progress: Callable[[str], None],
) -> TrainedModel:
    """Fit a recipe. images: float32 [n, 1, 8, 8]; labels: n of 0..9."""
    with deterministic(recipe.seed):
        network = DigitsNetwork(recipe.channels, recipe.hidden)
        inputs, targets = torch.from_numpy(images), torch.tensor(list(labels))
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        for epoch in range(recipe.epochs):
            loss = _epoch(network, optimizer, inputs, targets, recipe.batch)
            if (epoch + 1) % 5 == 0:
                progress(f"training {variant}: epoch {epoch + 1} of {recipe.epochs}, loss {loss:.3f}")
    return TrainedModel(network.eval(), _parameters(variant, recipe, len(labels)))


def _epoch(
    network: DigitsNetwork, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor, batch: int
) -> float:
    total = 0.0
    for chosen in torch.split(torch.randperm(len(inputs)), batch):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network.logits(inputs[chosen]), targets[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(inputs)


def _parameters(variant: str, recipe: Recipe, images: int) -> dict[str, Any]:
    return {
        "variant": variant,
        "recipe": {**asdict(recipe), "channels": list(recipe.channels)},
        "optimizer": "AdamW",
        "loss": "cross entropy",
        "images": images,
        "classes": CLASSES,
        "libraries": {
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "torch": torch.__version__.split("+")[0],
        },
    }


def export(network: DigitsNetwork) -> bytes:
    """The network as an ONNX model with any batch size, without what differs between two exports."""
    buffer = io.BytesIO()
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, 8, 8),),
        buffer,  # type: ignore[arg-type]
        dynamo=False,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
    )
    model = onnx.load_from_string(buffer.getvalue())
    model.producer_version = ""
    model.ClearField("metadata_props")
    for node in model.graph.node:  # source paths and line numbers of this machine
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
