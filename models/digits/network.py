"""The network: a small convolutional net over 8 x 8 pictures. Needs torch, and safetensors to load.

Part of a release, for serving on torch; `model.onnx` in the same release is the same function.
"""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

CLASSES = 10


class DigitsNetwork(nn.Module):
    """float32 [batch, 1, 8, 8] in 0..1 -> probabilities float32 [batch, 10], each row summing to 1.

    channels: of the two convolutions; hidden: width of the layer before the last.
    """

    def __init__(self, channels: tuple[int, int], hidden: int) -> None:
        super().__init__()
        first, second = channels
        self.first = nn.Conv2d(1, first, 3, padding=1)
        self.second = nn.Conv2d(first, second, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(second * 16, hidden)
        self.last = nn.Linear(hidden, CLASSES)

    def logits(self, images: Tensor) -> Tensor:
        """What training minimises over: [batch, 10], unbounded."""
        features = torch.relu(self.second(torch.relu(self.first(images))))
        flat = torch.flatten(self.pool(features), 1)
        logits: Tensor = self.last(torch.relu(self.hidden(flat)))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return torch.softmax(self.logits(images), dim=1)


def load(weights: Path) -> DigitsNetwork:
    """The network with the weights of a `model.safetensors`, ready to answer; sizes come from the tensors.

    Raises KeyError or RuntimeError where the file holds another network's tensors.
    """
    tensors = safetensors.torch.load_file(weights)
    channels = (tensors["first.weight"].shape[0], tensors["second.weight"].shape[0])
    network = DigitsNetwork(channels, tensors["hidden.weight"].shape[0])
    network.load_state_dict(tensors)
    return network.eval()
